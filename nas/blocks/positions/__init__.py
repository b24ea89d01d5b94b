"""How attention knows where tokens stand: one scheme per file."""

from nas.blocks.positions.rope import rotate
from nas.blocks.positions.sinusoid import places_of, sinusoid

__all__ = ["places_of", "rotate", "sinusoid"]
