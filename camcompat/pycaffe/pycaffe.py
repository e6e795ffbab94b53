"""`caffe.Net` without Caffe (after pycaffe's _caffe.cpp and pycaffe.py, and Caffe's net.cpp)."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

import prototxt
import weights as weight_files
from camcompat.pycaffe import modes
from camcompat.pycaffe.arguments import TEST, TRAIN, NetArguments, net_arguments
from camcompat.pycaffe.engine.blob import Blob, BlobVec, Layer
from camcompat.pycaffe.engine.passes import Passes
from camcompat.pycaffe.engine.runner import Runner
from camcompat.pycaffe.engine.store import Store
from camcompat.pycaffe.engine.structure import check_phase, outputs_of, steps_of
from camcompat.pycaffe.errors import CaffeError, not_offered
from converters.layers.registry import layer_types
from converters.lowering.notes import file_notes, warn
from prototxt.training.data_layers import UnknownShape

__all__ = ["TEST", "TRAIN", "Net"]

Arrays = dict[str, np.ndarray]


class Net:
    """A network as pycaffe shows it.

    Called as ``Net(prototxt, phase)``, ``Net(prototxt, weights, phase)`` or
    ``Net(prototxt, phase, level=0, stages=None, weights=None)``; `phase` is `caffe.TEST` or `caffe.TRAIN`. Data layers
    become inputs. Without weights, parameters start from their fillers.

    Attributes:
        blobs: name → `Blob`, in the order in which they are made; `data` and `diff` are live arrays.
        params: layer → its blobs; edits of their `data` take effect in the next forward pass.
        layers, layer_dict: the layers, with `type` and `blobs`; inserted Split layers included.
        inputs, outputs: names of blobs; the outputs in alphabetical order, as Caffe has them.
        top_names, bottom_names: layer → names of its blobs.
        blob_loss_weights: blob → its weight in the loss.

    Raises:
        PrototxtError, WeightsError, ConversionError, CaffeError: with the place and the remedy.

    >>> from weights.models import find
    >>> model = find("shapes-cam")
    >>> net = Net(str(model.path("prototxt")), str(model.path("caffemodel")), TEST)
    >>> net.blobs["data"].reshape(1, 3, 96, 96)
    >>> net.forward()["prob"].shape, net.params["CAM_fc"][0].data.shape
    ((1, 10), (10, 96))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = net_arguments(args, kwargs)
        phase = "TRAIN" if given.phase == TRAIN else "TEST"
        self._net = _read(given, phase)
        check_phase(self._net, phase)
        self._backend = modes.backend()
        file = weight_files.read(given.weights) if given.weights is not None else None
        self._store = Store(self._net, file)
        self._steps = steps_of(self._net)
        self._runners = [
            None if step.layer is None or step.type == "Input" else Runner(step, self._net, self._store, self._backend)
            for step in self._steps
        ]
        self._make_blobs()
        self.reshape()
        notes = [
            *file_notes(self._net, self._store.file or self._store),
            *(note for each in self._runners if each for note in each.notes),
        ]
        warn([*self._net.notes, *notes, *self._store.settle()])
        self._passes = Passes(self._net, self._steps, self._runners, self.blobs)
        self._describe()

    def _make_blobs(self) -> None:
        self.blobs: OrderedDict[str, Blob] = OrderedDict()
        for step in self._steps:
            for name, weight in zip(step.tops, step.loss_weights):
                blob = self.blobs.setdefault(name, Blob(self._net.inputs.get(name, ()) if step.type == "Input" else ()))
                if weight:
                    blob.diff[...] = weight

    def _describe(self) -> None:
        self.name = self._net.name
        self.inputs = [name for step in self._steps if step.type == "Input" for name in step.tops]
        self.outputs = outputs_of(self._steps)
        self._layer_names = [step.name for step in self._steps]
        self._blob_names = list(self.blobs)
        self._inputs = [self._blob_names.index(name) for name in self.inputs]
        self._outputs = [self._blob_names.index(name) for name in self.outputs]
        self.top_names = OrderedDict((step.name, list(step.tops)) for step in self._steps)
        self.bottom_names = OrderedDict((step.name, list(step.bottoms)) for step in self._steps)
        self.layers = [Layer(step.type, runner.blobs if runner else BlobVec()) for step, runner in self._pairs()]
        self.layer_dict = OrderedDict(zip(self._layer_names, self.layers))
        self.params = OrderedDict((name, layer.blobs) for name, layer in self.layer_dict.items() if layer.blobs)
        weights = {name: weight for step in self._steps for name, weight in zip(step.tops, step.loss_weights) if weight}
        self.blob_loss_weights = OrderedDict((name, weights.get(name, 0.0)) for name in self.blobs)

    def _pairs(self) -> list[tuple[Any, Runner | None]]:
        return list(zip(self._steps, self._runners))

    @property
    def _blobs(self) -> list[Blob]:
        return list(self.blobs.values())

    def _top_ids(self, index: int) -> list[int]:
        return [self._blob_names.index(name) for name in self._steps[index].tops]

    def _bottom_ids(self, index: int) -> list[int]:
        return [self._blob_names.index(name) for name in self._steps[index].bottoms]

    def __repr__(self) -> str:
        return f"<caffe.Net {self.name!r}: {len(self.layers)} layers, on {self._backend}>"

    # Running.

    def reshape(self) -> None:
        """Give every blob the shape that follows from those of the inputs."""
        for step, runner in self._pairs():
            if step.type == "Input":
                continue
            before = [self.blobs[name].shape for name in step.tops]
            if runner is None:
                for name in step.tops:
                    self.blobs[name].share(self.blobs[step.bottoms[0]])
            else:
                shapes = runner.top_shapes([self.blobs[name].shape for name in step.bottoms])
                for name, shape in zip(step.tops, shapes):
                    self.blobs[name].reshape(*shape)
            for name, weight, shape in zip(step.tops, step.loss_weights, before):
                self.blobs[name].weigh(weight, shape)

    def forward(
        self, blobs: Sequence[str] | None = None, start: str | None = None, end: str | None = None, **kwargs: Any
    ) -> Arrays:
        """Run the net, or the layers from `start` to `end`.

        Args:
            blobs: further blobs to return.
            start, end: names of layers, both run; by default the first and the last.
            kwargs: input name → array, for every input; without any the blobs are used as they are.

        Returns: blob name → live array, of the outputs, or of the tops of `end`.
        Raises: CaffeError where names or batch sizes do not fit.
        """
        first = 0 if start is None else self._index(start)
        last = len(self._steps) - 1 if end is None else self._index(end)
        wanted = {*(self.outputs if end is None else self.top_names[end]), *(blobs or ())}
        for name in wanted:
            self._known(name)
        if kwargs:
            if set(kwargs) != set(self.inputs):
                raise _mismatch("Input blob arguments do not match net inputs.", kwargs, self.inputs)
            for name, values in kwargs.items():
                self._set(self.blobs[name].data, values, name, "Input is not batch sized")
        self._forward(first, last)
        return {name: self.blobs[name].data for name in wanted}

    def backward(
        self, diffs: Sequence[str] | None = None, start: str | None = None, end: str | None = None, **kwargs: Any
    ) -> Arrays:
        """Compute gradients from the last layer, or from `start`, back to the first, or to `end`.

        Every bottom and every parameter gets its gradient, in `diff`; Caffe leaves out what training would not change
        unless the net says `force_backward: true`. Gradients of parameters add up until `clear_param_diffs`.

        Args:
            diffs: further blobs whose gradients to return.
            start, end: names of layers; the gradients of the tops of `start` are taken from their `diff`.
            kwargs: output name → gradient, for every output; without any the `diff` of the blobs are used as they are.

        Returns: blob name → live array of gradients, of the inputs, or of the bottoms of `end`.
        Raises: CaffeError where names or sizes do not fit, and on the onnxruntime backend.
        """
        first = len(self._steps) - 1 if start is None else self._index(start)
        last = 0 if end is None else self._index(end)
        wanted = {*(self.inputs if end is None else self.bottom_names[end]), *(diffs or ())}
        for name in wanted:
            self._known(name)
        if kwargs:
            if set(kwargs) != set(self.outputs):
                raise _mismatch("Top diff arguments do not match net outputs.", kwargs, self.outputs)
            for name, values in kwargs.items():
                self._set(self.blobs[name].diff, values, name, "Diff is not batch sized")
        self._backward(first, last)
        return {name: self.blobs[name].diff for name in wanted}

    def _forward(self, start: int, end: int) -> float:
        """Run layers by index, both included; the loss."""
        return self._passes.forward(start, end)

    def _backward(self, start: int, end: int) -> None:
        """Gradients of layers by index, from a later one to an earlier one, both included."""
        self._passes.backward(start, end)

    def forward_all(self, blobs: Sequence[str] | None = None, **kwargs: Any) -> Arrays:
        """Run any number of inputs, a batch at a time.

        Args:
            blobs: further blobs to return.
            kwargs: input name → array; the first axes are equally long. The last batch is filled up with zeros, and
                what comes of them is left out again.

        Returns: blob name → array, as long as the inputs.
        """
        total = _length(kwargs)
        found: dict[str, list[np.ndarray]] = {name: [] for name in {*self.outputs, *(blobs or ())}}
        for batch in self._batch(kwargs):
            for name, values in self.forward(blobs=blobs, **batch).items():
                found[name].extend(values.copy())
        return {name: np.asarray(rows)[:total] for name, rows in found.items()}

    def forward_backward_all(
        self, blobs: Sequence[str] | None = None, diffs: Sequence[str] | None = None, **kwargs: Any
    ) -> tuple[Arrays, Arrays]:
        """Like `forward_all`, with a backward pass after each batch.

        Args:
            blobs, diffs: further blobs whose values, and whose gradients, to return.
            kwargs: input name → array, and output name → gradient.

        Returns: the values by blob name, the gradients by blob name.
        """
        total = _length(kwargs)
        values: dict[str, list[np.ndarray]] = {name: [] for name in {*self.outputs, *(blobs or ())}}
        slopes: dict[str, list[np.ndarray]] = {name: [] for name in {*self.inputs, *(diffs or ())}}
        forwards = self._batch({name: kwargs[name] for name in self.inputs if name in kwargs})
        backwards = self._batch({name: kwargs[name] for name in self.outputs if name in kwargs})
        ahead: dict[str, Any]
        back: dict[str, Any]
        for ahead, back in zip_longest(forwards, backwards, fillvalue={}):
            for name, array in self.forward(blobs=blobs, **ahead).items():
                values[name].extend(array.copy())
            for name, array in self.backward(diffs=diffs, **back).items():
                slopes[name].extend(array.copy())
        return (
            {name: np.asarray(rows)[:total] for name, rows in values.items()},
            {name: np.asarray(rows)[:total] for name, rows in slopes.items()},
        )

    def _batch(self, blobs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The arrays cut into batches of the net's size, the last one filled up with zeros."""
        if not blobs:
            return
        arrays = {name: np.asarray(values) for name, values in blobs.items()}
        size = next(iter(self.blobs.values())).shape[0]
        for start in range(0, _length(arrays), size):
            batch: dict[str, Any] = {name: values[start : start + size] for name, values in arrays.items()}
            missing = size - _length(batch)
            if missing:
                batch = {name: _padded(values, missing) for name, values in batch.items()}
            yield batch

    def clear_param_diffs(self) -> None:
        """Set the gradients of all parameters to zero."""
        for blobs in self.params.values():
            for blob in blobs:
                blob.diff[...] = 0

    def _index(self, layer: str) -> int:
        if layer not in self.top_names:
            raise CaffeError(f'the net has no layer "{layer}"', remedy="net._layer_names lists them")
        return self._layer_names.index(layer)

    def _known(self, name: str) -> None:
        if name not in self.blobs:
            raise CaffeError(f'the net has no blob "{name}"', remedy="list(net.blobs) lists them")

    @staticmethod
    def _set(target: np.ndarray, values: Any, name: str, message: str) -> None:
        array = np.asarray(values)
        if array.shape[:1] != target.shape[:1]:
            rows = f"{name} has {target.shape[0] if target.ndim else 'no'} rows, and {array.shape} was given"
            raise CaffeError(f"{message}: {rows}", remedy=f"net.blobs[{name!r}].reshape(...), or forward_all")
        try:
            target[...] = array
        except ValueError as error:
            raise CaffeError(f"{name} has the shape {target.shape}, and {array.shape} was given") from error

    # Files and other nets.

    def copy_from(self, weights: str | os.PathLike[str]) -> None:
        """Take over the weights of every layer that a .caffemodel or .caffemodel.h5 has under the same name."""
        with weight_files.read(weights) as file:
            self._store.copy_from(file, os.fspath(weights))

    load_hdf5 = copy_from

    def share_with(self, other: Net) -> None:
        """Use the parameters of another net for the layers of the same names; an edit in one is an edit in both."""
        self._store.share_with(other._store)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a .caffemodel that Caffe reads: the net and its parameters as they are now."""
        weight_files.write(path, self._net.message, self._store.arrays())

    def save_hdf5(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters as a .caffemodel.h5."""
        weight_files.write_hdf5(path, self._store.arrays())

    def set_input_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        """Not offered: a MemoryData layer is an input here."""
        why = "a MemoryData layer is an input here"
        not_offered("net.set_input_arrays", why, "assign net.blobs[name].data, or call net.forward_all(name=array)")


def _read(given: NetArguments, phase: str) -> prototxt.Net:
    """The net of a prototxt, its data layers made inputs, its losses kept."""
    options: dict[str, Any] = {"phase": phase, "level": given.level, "stages": given.stages, "own": layer_types()}
    try:
        return prototxt.deploy(given.model, keep_losses=True, **options)
    except UnknownShape as unknown:
        remedy = "write crop_size into its transform_param, or an Input layer with the shape in its place"
        raise CaffeError(unknown.message, where=unknown.where, remedy=remedy) from unknown


def _mismatch(message: str, given: dict[str, Any], wanted: Sequence[str]) -> CaffeError:
    return CaffeError(f"{message[:-1]}: {sorted(given)} were given", remedy=f"give each of {sorted(wanted)}")


def _length(arrays: Mapping[str, Any]) -> int:
    lengths = {len(values) for values in arrays.values()}
    if len(lengths) != 1:
        raise CaffeError(f"the arrays have {sorted(lengths) or 'no'} rows", remedy="give each input, of equal length")
    return lengths.pop()


def _padded(values: np.ndarray, missing: int) -> np.ndarray:
    return np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)])
