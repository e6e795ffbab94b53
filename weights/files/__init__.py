"""Weight and mean files: read without copying, and written."""
