"""Samplers: Optuna samplers, one file each, usable by any Optuna study."""
