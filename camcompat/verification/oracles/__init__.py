"""Who may say what the numbers should be: one file an oracle."""
