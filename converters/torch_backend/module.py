"""A Caffe net as a PyTorch module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from converters.graph import fusion
from converters.lowering.blobs import WeightsLike
from converters.lowering.build import NetLike, build
from converters.lowering.lower_net import Lowered
from converters.options import Options, Shapes
from converters.torch_backend.names import ABOUT, class_name
from converters.torch_backend.net import TorchNet
from converters.torch_backend.ops import translate
from converters.torch_backend.origins import origins
from converters.torch_backend.writer import TorchWriter

__all__ = ["to_torch", "torch_module"]


def to_torch(
    prototxt: NetLike | None,
    caffemodel: WeightsLike,
    *,
    outputs: Sequence[str] | None = None,
    input_shapes: Shapes = None,
    keep_losses: bool | None = None,
    fold: bool = False,
) -> TorchNet:
    """Rebuild a Caffe net as an `nn.Module` in eval mode.

    Its children carry the Caffe layer names as Python identifiers (`net.conv1`, `net.conv1_7x7_s2`); `net.code` is the
    forward pass as readable Python; hooks, `torch.compile` and `torch.export` work (`export` not where the size of a
    blob depends on its values, as after NMS). It is called with the inputs in net order and returns a tensor, or a dict
    by blob name where there are several outputs.

    Args:
        prototxt: path of the net's definition, or a `prototxt.Net`; None takes the net inside the caffemodel.
        caffemodel: path of its weights, a mapping of layer names to arrays, or `converters.Synthetic()`.
        outputs: the blobs to return (any blob of the net); by default the net's own outputs.
        input_shapes: input name → another shape than the prototxt declares.
        keep_losses: of a training definition: True keeps losses and labels; see `prototxt.deploy`.
        fold: BatchNorm, Scale, Bias and Power become part of the layer before them (see `converters.graph.fusion`):
            faster, but the children (`net.conv1_bn1_scale1`) no longer hold the caffemodel's own numbers.

    Raises:
        PrototxtError, WeightsError, ConversionError: with the place and the remedy.

    >>> net = to_torch("deploy.prototxt", "net.caffemodel")          # doctest: +SKIP
    >>> net(torch.zeros(1, 3, 224, 224)).shape                       # doctest: +SKIP
    torch.Size([1, 1000])
    """
    options = Options(outputs=outputs, input_shapes=input_shapes, keep_losses=keep_losses)
    lowered = build(prototxt, caffemodel, options)
    lowered.warn()
    if not fold:
        return torch_module(lowered)
    module = torch_module(replace(lowered, graph=fusion.fold(lowered.graph)))
    del module.meta[ABOUT]["origins"]  # several blobs have become one number: there is no way back
    return module


def torch_module(lowered: Lowered) -> TorchNet:
    """A lowered net as a module; `module.layer_names` maps Caffe's layer names to the children's."""
    writer = TorchWriter(lowered.graph, lowered.net)
    translate(writer)
    module = TorchNet(writer.root, writer.graph, class_name=class_name(lowered.net.name))
    module.meta[ABOUT] = {
        "name": type(module).__name__,
        "layers": dict(writer.layer_names),
        "blobs": writer.blobs(),
        "net": lowered.net.message.SerializeToString(deterministic=True),
        "origins": origins(lowered, writer.constants),
        "last": {top: lowered.net.resolve(top) for layer in lowered.net.message.layer for top in layer.top},
    }
    return module.eval()
