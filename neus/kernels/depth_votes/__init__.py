"""What depth maps say of the vertices of a lattice: free, near a surface, or behind one."""

__all__ = ["cpu", "reference"]
