"""What a prior can do, measured against exact truth: one table and one image each."""

__all__ = ["copying", "fits", "interpolation", "partial", "result", "truncation"]
