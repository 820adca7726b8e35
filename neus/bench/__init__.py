"""Many scenes to one table."""
