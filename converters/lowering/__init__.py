"""From a net and its blobs to a graph."""
