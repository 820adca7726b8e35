"""The colours that one view gives to the texels of a texture."""

__all__ = ["cpu", "reference"]
