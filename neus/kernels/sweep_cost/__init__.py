"""How badly images agree on planes at many depths before a view: the costs of a plane sweep."""

__all__ = ["cpu", "reference"]
