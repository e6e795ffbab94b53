"""Caffe files in; proven files out, and what files say about themselves."""
