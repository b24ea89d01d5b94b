"""Corpora: where the documents of a text task come from, one source per file."""
