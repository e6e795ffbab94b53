"""The class activation mapping head of a graph."""
