"""Configuration: Hydra's groups and overrides, checked against signatures, built into objects."""
