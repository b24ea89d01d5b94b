"""Training: one encoder, one task, one budget; callable without any configuration."""
