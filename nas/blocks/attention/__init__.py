"""Blocks whose role is attention."""
