"""Foreign formats, one per file: responses and parameters to and from other programs."""
