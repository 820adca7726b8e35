"""Pages and pictures of runs."""

__all__ = [
    "check_picture", "compare", "contact_sheet", "curves", "error_map", "gathered", "page", "report",
    "report_sections", "six_sides", "truth_picture",
]  # fmt: skip
