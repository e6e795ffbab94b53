"""Primitives as float64 values: the independent check."""
