"""Adam for tables of which a step touches few rows."""

__all__ = ["cpu", "gpu", "reference"]
