"""Tokenizers: from bytes to numbers and back without loss, one per file."""
