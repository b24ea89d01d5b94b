"""Trackers: views of a run for people; the files in the run folder are the truth."""
