"""The full drawing of one encoder: slots, blocks inside blocks, sizes, sharing and state."""
