"""How often a mesh winds round each point."""

__all__ = ["cpu", "reference"]
