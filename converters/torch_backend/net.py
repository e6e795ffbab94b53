"""The module that `to_torch` makes: a `torch.fx` graph module that also answers to Caffe's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import fx, nn

from converters.torch_backend.names import ABOUT, about
from converters.torch_backend.source.net_source import NetSource
from prototxt.errors import ConversionError, nearest_names

__all__ = ["TorchNet"]


class TorchNet(fx.GraphModule):
    """A Caffe net in PyTorch.

    Its children carry Caffe's layer names as identifiers; `layer` finds them by Caffe's own spelling, `features` gives
    the part of the net up to a blob.

    >>> from weights.models import find
    >>> from converters import to_torch
    >>> model = find("shapes-cam")
    >>> net = to_torch(model.path("prototxt"), model.path("caffemodel"))
    >>> net.layer("mix/1x1") is net.mix_1x1
    True
    """

    @property
    def name(self) -> str:
        """The class name, which torch's own copies of a graph module lose."""
        return str(about(self).get("name", type(self).__name__))

    @property
    def layer_names(self) -> dict[str, str]:
        """Caffe's layer names → the names of the children."""
        return dict(about(self).get("layers", {}))

    def layer(self, name: str) -> nn.Module:
        """The child that is a Caffe layer, for hooks and for a look at its weights.

        Raises:
            ConversionError: there is no such layer, or it has no module of its own (as Concat or Eltwise).
        """
        names = self.layer_names
        if name in names and names[name] in self._modules:
            return self.get_submodule(names[name])
        remedy = _nearest(name, names) or "layers that only combine blobs have no module: use features(blob)"
        raise ConversionError(f'no module is the layer "{name}"', where=self.name, remedy=remedy)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As `nn.Module.load_state_dict`; the state of the net's Python source (`to_python`) is taken, too."""
        own = self.state_dict()
        if not own.keys() >= state_dict.keys():
            source = NetSource(self)
            keys = {source.key(key): key for key in own}
            state_dict = {keys.get(key, key): tensor for key, tensor in state_dict.items()}
        return super().load_state_dict(state_dict, strict, assign)

    def features(self, *blobs: str) -> TorchNet:
        """The part of the net that computes these blobs, as a module of its own that shares the weights.

        Args:
            blobs: Caffe's names; a plain name is the blob's last value, `blob@layer` what that layer wrote.

        Returns:
            A module called as the net is; it returns the blob, or a dict by name where several are asked for.

        Raises:
            ConversionError: the net computes no such blob.

        >>> import torch
        >>> from weights.models import find
        >>> from converters import to_torch
        >>> model = find("shapes-cam")
        >>> net = to_torch(model.path("prototxt"), model.path("caffemodel"))
        >>> net.features("CAM_conv")(torch.zeros(1, 3, 96, 96)).shape
        torch.Size([1, 96, 12, 12])
        """
        if not blobs:
            raise ConversionError("no blob is asked for", where=self.name, remedy='features("CAM_conv")')
        noted = about(self)
        graph = fx.Graph()
        copies: dict[fx.Node, fx.Node] = {}
        graph.graph_copy(self.graph, copies)
        by_name = {old.name: new for old, new in copies.items()}
        wanted = {name: by_name[self._node_of(name, by_name)] for name in blobs}
        graph.output(next(iter(wanted.values())) if len(wanted) == 1 else wanted)
        for node in reversed(list(graph.nodes)):
            if not node.users and node.op not in ("placeholder", "output"):
                graph.erase_node(node)
        part = TorchNet(self, graph, class_name=self.name)
        kept = {node.name for node in graph.nodes}
        names = {blob: by_name[old].name for blob, old in noted["blobs"].items() if old in by_name}
        part.meta[ABOUT] = {**noted, "blobs": {blob: name for blob, name in names.items() if name in kept}}
        return part.train(self.training)

    def _node_of(self, blob: str, known: Iterable[str]) -> str:
        noted = about(self)
        names: dict[str, str] = noted.get("blobs", {})
        version = noted.get("last", {}).get(blob, blob)
        node = names.get(version if version in names else blob, "")
        if node not in set(known):
            remedy = _nearest(blob, names) or "convert it without outputs=, or with this blob among them"
            raise ConversionError(f'it computes no blob "{blob}"', where=self.name, remedy=remedy)
        return node


def _nearest(name: str, names: Iterable[str]) -> str:
    close = nearest_names(name, names, 3)
    return f"did you mean {', '.join(close)}?" if close else ""
