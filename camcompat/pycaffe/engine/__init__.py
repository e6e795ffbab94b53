"""How a net runs layer by layer with live blobs, as pycaffe shows it."""
