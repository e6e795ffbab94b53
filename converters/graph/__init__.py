"""The graph of primitives that a net is lowered to: values with shapes, nodes, and what may be done to it."""
