"""Zero-cost scores: what one batch through an untrained model tells about how well it will learn."""
