"""How attention knows where tokens stand: one scheme per file."""

from nas.blocks.positions.rope import rotate
from nas.blocks.positions.sinusoid import sinusoid

__all__ = ["rotate", "sinusoid"]
