"""Primitives as ONNX operators, in files."""
