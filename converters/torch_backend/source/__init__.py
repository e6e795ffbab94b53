"""PyTorch source as a person writes it, from the `torch.fx` graph of a converted net.

`constructors` says how a module is made, `repeats` finds structure that repeats, `blocks` makes classes of it,
`expressions` and `forward` turn graph nodes into statements, `layout` breaks lines, `net_source` puts them together for
one net, `file` writes it, with a docstring that tells where it comes from.
"""
