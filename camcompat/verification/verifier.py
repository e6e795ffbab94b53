"""Every oracle that is at hand, asked about one net."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camcompat.conversion.proof import Proof
from camcompat.verification.evidence import Evidence, find_evidence, read_evidence
from camcompat.verification.judge import Case
from camcompat.verification.oracles.registry import Inquiry, oracles
from camcompat.verification.report.findings import Report
from camcompat.verification.subject import Subject, noted_options
from converters.options import Options

if TYPE_CHECKING:
    from converters.lowering.blobs import WeightsLike
    from converters.lowering.build import NetLike
    from converters.options import Shapes
    from prototxt import Net

__all__ = ["verify"]

Progress = Callable[[str], None]


def verify(
    prototxt: NetLike | None,
    caffemodel: WeightsLike,
    onnx: str | os.PathLike[str] | None = None,
    *,
    expected: Sequence[str | os.PathLike[str]] = (),
    release: str | os.PathLike[str] | None = None,
    pictures: Sequence[Any] = (),
    input_shapes: Shapes = None,
    keep_losses: bool | None = None,
    name: str = "",
    progress: Progress | None = None,
) -> Report:
    """Ask every oracle that is at hand whether the ONNX file of a net computes what Caffe computes.

    Args:
        prototxt: path of the net's definition, or a `prototxt.Net`; None takes the net inside the caffemodel.
        caffemodel: path of its weights, a mapping of layer names to arrays, or `converters.Synthetic()`.
        onnx: an ONNX file that was made from them; None converts now.
        expected: `.npz` files of what Caffe computed (`in/<blob>`, `out/<blob>`, `mid/<blob>`); without one, the
            folder of references (`$CAMCOMPAT_SHARED`, where it is set) is searched for outputs of this very net.
        release: a folder with the CVPR 2016 release's `data_net.mat` and `data_img1.mat`.
        pictures: the input, for a net that has CAM outputs and where no stored output brings its own.
        input_shapes, keep_losses: as for `converters.to_onnx`.
        name: what the net is called; by default its definition's name.
        progress: called with each oracle's name before it is asked.

    Returns:
        The report; `report.ok` says whether nothing differs that is not explained.

    Raises:
        CamcompatError: the net cannot be read or converted, or the ONNX file belongs to another net.

    >>> verify("deploy.prototxt", "net.caffemodel").ok               # doctest: +SKIP
    True
    """
    progress = progress or (lambda text: None)
    if onnx is not None:
        noted = noted_options(Path(onnx))
        input_shapes = input_shapes or noted.get("input_shapes")
        keep_losses = noted.get("keep_losses") if keep_losses is None else keep_losses
    net = _net(prototxt, caffemodel, input_shapes, keep_losses)
    evidence = _evidence(net, prototxt, caffemodel, expected)
    if input_shapes:
        evidence = [entry for entry in evidence if _same_sizes(entry.shapes, net.inputs)]
    if not input_shapes and evidence and evidence[0].shapes != dict(net.inputs):
        input_shapes = evidence[0].shapes
    options = Options(input_shapes=input_shapes, keep_losses=keep_losses)
    with tempfile.TemporaryDirectory(prefix="camcompat-verify-") as folder:
        subject = Subject.build(prototxt, caffemodel, None if onnx is None else Path(onnx), Path(folder), options)
        progress("onnxruntime")
        feeds, note = (dict(evidence[0].feeds), "") if evidence else _own_feeds(subject, pictures)
        inquiry = Inquiry(subject, Case.run(subject, feeds), evidence, release, progress)
        left_out = len(subject.places()) - len(subject.chosen(feeds))
        memory = f"{left_out} blobs nearest to the input are not compared: they would not fit into memory"
        return Report(
            name=name or net.name or "net",
            subject=subject.sentence(),
            oracles=[result for oracle in oracles() for result in oracle.answers(inquiry)],
            provenance=subject.origin(),
            layers=[(layer.name, layer.type) for layer in subject.net.layers],
            notes=[text for text in (note, memory if left_out else "") if text],
            dtype=subject.dtype,
        )


def _net(prototxt: NetLike | None, caffemodel: WeightsLike, shapes: Shapes, keep_losses: bool | None) -> Net:
    from converters.lowering.blobs import blob_source
    from converters.lowering.build import load_net

    return load_net(prototxt, shapes, blobs=blob_source(caffemodel), keep_losses=keep_losses)


def _evidence(
    net: Net, prototxt: NetLike | None, caffemodel: WeightsLike, expected: Sequence[str | os.PathLike[str]]
) -> list[Evidence]:
    if expected:
        return [read_evidence(path, net) for path in expected]
    from converters import Synthetic

    definition = Path(prototxt) if isinstance(prototxt, (str, os.PathLike)) else None
    weights = Path(caffemodel) if isinstance(caffemodel, (str, os.PathLike)) else None
    if weights is None and not isinstance(caffemodel, Synthetic):
        return []
    return find_evidence(net, definition, weights)


def _same_sizes(shapes: Mapping[str, tuple[int, ...]], declared: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether shapes differ in their batch at most."""
    return all(tuple(shapes[name][1:]) == tuple(shape[1:]) for name, shape in declared.items())


def _own_feeds(subject: Subject, pictures: Sequence[Any]) -> tuple[dict[str, np.ndarray], str]:
    """The pictures, as the file's own recipe prepares them, or noise of a scale that tells something; and which."""
    graph = subject.lowered.graph
    if len(pictures) and subject.head is not None and len(graph.inputs) == 1:
        from camcompat.loading import load
        from camcompat.pictures.images import read_image

        model = load(subject.onnx)
        blobs = [model.preprocess.blob(read_image(picture)) for picture in pictures]
        return {graph.inputs[0].name: np.stack(blobs)}, f"the input is {len(pictures)} picture(s)"
    if subject.cheap:
        proof = Proof(subject.lowered)
        return proof.feeds, f"the input is noise of scale {proof.scales[0]:g}"
    rng = np.random.default_rng(0)
    shapes = {x.name: [dim if isinstance(dim, int) else 1 for dim in x.shape] for x in graph.inputs}
    feeds = {name: (rng.standard_normal(shape) * 50).astype(np.float32) for name, shape in shapes.items()}
    return feeds, "the input is noise of scale 50"
