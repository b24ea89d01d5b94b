"""Blocks whose role is mixing."""
