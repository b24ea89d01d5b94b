"""Models from and for other frameworks."""
