"""Blocks whose role is transformer."""
