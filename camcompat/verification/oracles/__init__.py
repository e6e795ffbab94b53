"""Who may say what the numbers should be: a file registers what it adds (`registry.oracle`), and is found by itself."""
