"""Foreign formats, one per file; none of them knows the database."""
