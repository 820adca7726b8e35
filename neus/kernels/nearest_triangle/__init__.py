"""The nearest triangle of each point, exactly."""

__all__ = ["cpu", "reference"]
