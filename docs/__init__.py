"""Pages that are generated from the code: `python -m docs` writes them, a test keeps them true."""
