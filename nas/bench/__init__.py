"""Benches: one file each, measured side by side in one run, reported as ratios."""
