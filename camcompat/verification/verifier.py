"""Every oracle that is at hand, asked about one net."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camcompat.conversion.proof import Proof
from camcompat.verification.compare import BlobError
from camcompat.verification.judge import Case, Reference, judge
from camcompat.verification.oracles.maps import compare_maps, reference_maps
from camcompat.verification.oracles.peers import NotAtHand, known_deviation, run_peer
from camcompat.verification.oracles.stored import Evidence, find_evidence, read_evidence
from camcompat.verification.oracles.tensors import compare_tensors
from camcompat.verification.report.about import noted_options, origin, sentence
from camcompat.verification.report.findings import OracleResult, Report
from camcompat.verification.subject import Subject

if TYPE_CHECKING:
    from converters.lowering.blobs import WeightsLike
    from converters.lowering.build import NetLike
    from converters.options import Shapes
    from prototxt import Net

__all__ = ["verify"]

Progress = Callable[[str], None]
STORED, ALONE, WHOLE = "Caffe's stored outputs", "each layer alone, in float64", "the whole net, in float64"
TORCH, PYCAFFE, OPENCV = "torch", "pycaffe", "OpenCV 4"
NUMPY = f"NumPy {np.__version__}"
RELEASE = "the release's cached activations"


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
            references beside the checkout (or in `$CAMCOMPAT_SHARED`) are searched for outputs of this very net.
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
    if onnx is not None:
        noted = noted_options(Path(onnx))
        input_shapes = input_shapes or noted.get("input_shapes")
        keep_losses = noted.get("keep_losses") if keep_losses is None else keep_losses
    net = _net(prototxt, caffemodel, input_shapes, keep_losses)
    evidence = _evidence(net, prototxt, caffemodel, expected)
    if input_shapes:
        evidence = [each for each in evidence if _same_sizes(each.shapes, net.inputs)]
    if not input_shapes and evidence and evidence[0].shapes != dict(net.inputs):
        input_shapes = evidence[0].shapes
    with tempfile.TemporaryDirectory(prefix="camcompat-verify-") as folder:
        subject = Subject.build(
            prototxt, caffemodel, None if onnx is None else Path(onnx), Path(folder),
            input_shapes=input_shapes, keep_losses=keep_losses,
        )  # fmt: skip
        questions = _Questions(subject, evidence, pictures, release, progress or (lambda text: None))
        return Report(
            name=name or net.name or "net",
            subject=questions.what,
            oracles=list(questions.ask()),
            provenance=origin(subject),
            layers=[(layer.name, layer.type) for layer in subject.net.layers],
            notes=questions.notes,
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


class _Questions:
    """One verification under way."""

    def __init__(
        self, subject: Subject, evidence: list[Evidence], pictures: Sequence[Any], release: Any, progress: Progress
    ) -> None:
        self.subject, self.evidence, self.release, self.progress = subject, evidence, release, progress
        self.notes: list[str] = []
        self.what = sentence(subject)
        progress("onnxruntime")
        self.feeds = dict(evidence[0].feeds) if evidence else self._own_feeds(pictures)
        self.case = Case.run(subject, self.feeds)
        self.caffe_agrees = False
        left_out = len(subject.places()) - len(subject.chosen(self.feeds))
        if left_out:
            self.notes.append(f"{left_out} blobs nearest to the input are not compared: they would not fit into memory")

    def _own_feeds(self, pictures: Sequence[Any]) -> dict[str, np.ndarray]:
        """The pictures, as the file's own recipe prepares them, or noise of a scale that tells something."""
        graph = self.subject.lowered.graph
        if len(pictures) and self.subject.head is not None and len(graph.inputs) == 1:
            from camcompat.loading import load
            from camcompat.pictures.images import read_image

            model = load(self.subject.onnx)
            self.notes.append(f"the input is {len(pictures)} picture(s)")
            return {graph.inputs[0].name: np.stack([model.preprocess.blob(read_image(each)) for each in pictures])}
        if self.subject.cheap:
            proof = Proof(self.subject.lowered)
            self.notes.append(f"the input is noise of scale {proof.scales[0]:g}")
            return proof.feeds
        rng = np.random.default_rng(0)
        shapes = {x.name: [dim if isinstance(dim, int) else 1 for dim in x.shape] for x in graph.inputs}
        self.notes.append("the input is noise of scale 50")
        return {name: (rng.standard_normal(shape) * 50).astype(np.float32) for name, shape in shapes.items()}

    def ask(self) -> Iterator[OracleResult]:
        yield from self._stored()
        self.caffe_agrees = self.caffe_agrees and self.case.faulty is None
        for name, question in (
            (RELEASE, self._release),
            (PYCAFFE, partial(self._peer, "caffe", PYCAFFE)),
            (OPENCV, partial(self._peer, "cv2", OPENCV)),
            (ALONE, self._alone),
            (WHOLE, self._whole),
            (TORCH, self._torch),
            ("", lambda: compare_tensors(self.subject)),
        ):
            self.progress(name or "the caffemodel's blobs")
            try:
                yield question()
            except NotAtHand as reason:
                yield OracleResult(name, "not run", str(reason))

    def _stored(self) -> Iterator[OracleResult]:
        if not self.evidence:
            yield OracleResult(STORED, "not run", "none are at hand for this net and these weights (--expected FILE)")
        results = []
        for entry in self.evidence:
            self.progress(f"{STORED}: {entry.source.name}")
            subject, blobs = self.subject, entry.blobs
            renamed = {subject.canonical(name): stored for name, stored in blobs.items()}
            case = self.case if entry is self.evidence[0] else Case.run(subject, entry.feeds, blobs=list(renamed))
            values = {name: stored.whole(case.ours.get(name)) for name, stored in renamed.items()}
            reference = Reference(STORED, entry.source.name, values, authority=True)
            result = judge(case, reference)
            if entry.maps and result.ran:
                result.maps = compare_maps(subject, entry.feeds, entry.maps["classes"], entry.maps["cams"])
            else:
                self._maps(case, reference, result)
            results.append(result)
            yield result
        self.caffe_agrees = bool(results) and all(each.status == "agrees" for each in results)

    def _maps(self, case: Case, reference: Reference, result: OracleResult) -> None:
        """The maps that the oracle's features and scores give, where it has both."""
        head = self.subject.head
        if head is None or not result.ran:
            return
        graph = self.subject.lowered.graph
        names = {id(graph.blobs[name]): name for name in case.places}
        features, prob = (reference.blobs.get(names.get(id(x), "")) for x in (head.features, head.prob))
        if not isinstance(features, np.ndarray) or not isinstance(prob, np.ndarray):
            return
        result.maps = compare_maps(
            self.subject, case.feeds, *reference_maps(head, features, prob), prob.reshape(len(features), -1)
        )
        if result.maps is not None and not result.maps.ok and result.status == "agrees":
            result.status, result.reason = "differs", "the class activation maps differ"

    def _peer(self, kind: str, name: str) -> OracleResult:
        version, values = run_peer(kind, self.subject, self.feeds, self.subject.chosen(self.feeds))
        excuse = partial(known_deviation, self.subject) if kind == "cv2" else None
        return self._judged(Reference(name, version, values, kind == "caffe", excuse))

    def _judged(self, reference: Reference) -> OracleResult:
        result = judge(self.case, reference, caffe_agrees=self.caffe_agrees)
        if result.status != "explained":
            self._maps(self.case, reference, result)
        return result

    def _whole(self) -> OracleResult:
        if not self.case.exact:
            raise NotAtHand(self._no_numpy())
        return self._judged(Reference(WHOLE, NUMPY, self.case.exact))

    def _alone(self) -> OracleResult:
        """Our file's layers by themselves: what a fault cannot hide behind, and rounding does not add up in."""
        case = self.case
        if not case.local:
            raise NotAtHand(self._no_numpy())
        result = OracleResult(ALONE, "agrees", version=NUMPY)
        for name, each in case.local.items():
            place, shape = case.places[name], case.ours[name].shape
            note = "" if len(each.layers) == 1 else f"together: {', '.join(each.layers)}"
            limit = case.tolerance(name, alone=True)
            if name in case.selected and each.relative > limit:
                result.notes.append(f"{place.layer} selects: rounding decides some entries differently")
                continue
            error = BlobError(
                name, place.layer, place.type, place.depth, shape, each.absolute, each.relative, each.cosine, limit,
                each.relative, note,
            )  # fmt: skip
            result.blobs.append(error)
        if case.faulty is not None:
            result.status, result.finding = "differs", case.finding_of(case.faulty)
        return result

    def _no_numpy(self) -> str:
        if self.subject.cheap:
            return "no layer of this net computes anything from its inputs"
        return "the windows of this net's layers take more memory than NumPy should have"

    def _torch(self) -> OracleResult:
        try:
            import torch
        except ImportError as error:
            raise NotAtHand("torch is not installed") from error
        values = self.subject.run_torch(self.feeds, list(self.case.ours))
        return self._judged(Reference(TORCH, torch.__version__, values))

    def _release(self) -> OracleResult:
        from camcompat.verification.oracles.release import compare_release

        return compare_release(self.subject, self.release)
