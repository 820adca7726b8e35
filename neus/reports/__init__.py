"""Pages and images of runs."""

__all__ = [
    "check_image", "compare", "contact_sheet", "curves", "error_map", "gathered", "mesh_data", "mesh_page", "page",
    "report", "report_sections", "shape_sheet", "six_sides", "truth_image",
]  # fmt: skip
