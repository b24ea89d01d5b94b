"""Blocks whose role is feedforward."""
