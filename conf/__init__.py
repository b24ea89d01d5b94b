"""Reusable choices: one YAML file each; groups mirror the package."""
