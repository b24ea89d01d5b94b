"""Tasks: data, head, loss and metrics, one task per file."""
