"""Protobuf's text format, read with positions and written again."""
