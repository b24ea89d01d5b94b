"""Search: spaces, samplers, rungs, studies and workers."""
