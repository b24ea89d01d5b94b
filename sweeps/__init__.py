"""Questions to search for answers to: one YAML file each, the group `sweep`."""
