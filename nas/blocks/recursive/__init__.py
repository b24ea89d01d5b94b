"""Blocks whose role is recursive."""
