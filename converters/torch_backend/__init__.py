"""Primitives as PyTorch: modules, source, and the way back to Caffe."""
