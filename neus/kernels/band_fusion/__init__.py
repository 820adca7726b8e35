"""What depth maps say about points near a surface."""

__all__ = ["cpu", "reference"]
