"""What is wrong with a scene."""

__all__ = ["check", "exposure", "findings", "photo_findings", "shape_findings", "silhouettes", "view_facts"]
