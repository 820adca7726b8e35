"""What is wrong with a scene."""

__all__ = [
    "check", "exposure", "findings", "image_findings", "intrinsic_findings", "photo_consistency_findings", "regions",
    "shape_findings", "silhouettes", "view_facts",
]  # fmt: skip
