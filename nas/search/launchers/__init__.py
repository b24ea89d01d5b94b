"""What starts the workers of a study: this machine, or a Ray cluster."""
