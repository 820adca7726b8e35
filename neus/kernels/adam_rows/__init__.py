"""Adam for tables of which a step touches few rows."""
