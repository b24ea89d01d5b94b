"""Blocks: the modules that may stand in an encoder's ``hidden_cls`` list, one per file."""
