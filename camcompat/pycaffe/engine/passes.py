"""The forward and the backward pass over a range of layers (Caffe: ForwardFromTo and BackwardFromTo in net.cpp)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from camcompat.pycaffe.engine.blob import Blob
from camcompat.pycaffe.engine.runner import Runner
from camcompat.pycaffe.engine.structure import Step
from prototxt import Net

__all__ = ["Passes"]


class Passes:
    """Runs layers between the blobs of a net.

    An in-place layer overwrites its bottom, as in Caffe. The backward pass needs what was overwritten, and computes it
    again from what is left: no second copy of every activation is kept.
    """

    def __init__(
        self, net: Net, steps: Sequence[Step], runners: Sequence[Runner | None], blobs: Mapping[str, Blob]
    ) -> None:
        self.net, self.steps, self.runners, self.blobs = net, steps, runners, blobs
        self._last = {blob: name for step in steps for blob, name in zip(step.tops, step.results)}
        self._writers = {name: i for i, step in enumerate(steps) if step.layer for name in step.results}
        self._overwriters = {
            name: i
            for i, step in enumerate(steps)
            for blob, name in zip(step.bottoms, step.inputs)
            if blob in step.tops
        }
        self._inputs: dict[str, np.ndarray] = {}  # inputs that a layer overwrote

    def forward(self, start: int, end: int) -> float:
        """Run the layers from `start` to `end`, both included; the sum of the weighted losses among their tops."""
        passing: dict[str, np.ndarray] = {}  # values that the next in-place layer takes over, never seen in a blob
        loss = 0.0
        for i in range(start, end + 1):
            step, runner = self.steps[i], self.runners[i]
            if step.type == "Input":
                continue
            shapes = [self.blobs[name].shape for name in step.tops]
            if runner is None:
                for name in step.tops:
                    self.blobs[name].share(self.blobs[step.bottoms[0]])
            else:
                self._run(i, runner, passing, end)
            for name, weight, shape in zip(step.tops, step.loss_weights, shapes):
                self.blobs[name].weigh(weight, shape)
                loss += weight * float(self.blobs[name].data.sum()) if weight else 0.0
        return loss

    def _run(self, i: int, runner: Runner, passing: dict[str, np.ndarray], end: int) -> None:
        step = self.steps[i]
        bottoms = [
            passing.pop(name) if name in passing else self.blobs[blob].data
            for blob, name in zip(step.bottoms, step.inputs)
        ]
        for blob, name, values in zip(step.bottoms, step.inputs, bottoms):
            if blob in step.tops and self._is_input(name):
                self._inputs[name] = values.copy()
        for blob, name, values in zip(step.tops, step.results, runner.run(bottoms)):
            if self._overwriters.get(name, end + 1) <= end:
                passing[name] = values
            else:
                self.blobs[blob].assign(values)

    def _is_input(self, name: str) -> bool:
        return self.steps[self._writers[name]].type == "Input"

    def backward(self, start: int, end: int) -> None:
        """Fill the `diff` of the bottoms and parameters of the layers from `start` back to `end`, both included."""
        again: dict[str, np.ndarray] = {}
        for i in range(start, end - 1, -1):
            step, runner = self.steps[i], self.runners[i]
            if step.type == "Input" or not step.bottoms:
                continue
            if runner is None:
                total = sum(self.blobs[name].diff for name in step.tops)
                self.blobs[step.bottoms[0]].diff[...] = total
                continue
            inputs = [self._value(blob, name, again) for blob, name in zip(step.bottoms, step.inputs)]
            diffs = [self.blobs[name].diff for name in step.tops]
            for name, gradient in zip(step.bottoms, runner.gradients(inputs, diffs)):
                self.blobs[name].diff[...] = gradient

    def _value(self, blob: str, name: str, again: dict[str, np.ndarray]) -> np.ndarray:
        """What a layer read, even where its blob was overwritten since."""
        if name not in self._overwriters:
            return self.blobs[blob].data
        if self._is_input(name):
            return self._inputs.get(name, self.blobs[blob].data)
        if name not in again:
            writer = self.steps[self._writers[name]]
            runner = self.runners[self._writers[name]]
            assert runner is not None
            inputs = [self._value(bottom, each, again) for bottom, each in zip(writer.bottoms, writer.inputs)]
            again.update(zip(writer.results, runner.run(inputs)))
        return again[name]
