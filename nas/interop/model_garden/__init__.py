"""Encoders, layers and weights of the TensorFlow Model Garden, as modules of this package."""

from nas.interop.model_garden.build import build

__all__ = ["build"]
