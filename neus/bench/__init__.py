"""Many scenes to one table."""

__all__ = ["bench", "child", "machine", "page", "published", "record", "run", "scores", "table"]
