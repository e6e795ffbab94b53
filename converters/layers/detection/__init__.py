"""Layers of detectors: prior boxes, proposals, regions, and the boxes that come out."""
