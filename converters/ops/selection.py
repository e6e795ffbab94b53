"""Primitives whose result depends on the data: selections and regions of interest."""

from __future__ import annotations

from converters.graph.graph import Value
from converters.ops.core import Recorder, free, primitive

__all__ = ["Selection"]


class Selection(Recorder):
    @primitive("discrete", free)
    def nonzero(self, x: Value, prefix: str = "K") -> Value:
        """The indices (K,) of the elements of a vector that are not zero (or True), ascending, int64."""
        symbol = self.fresh_symbol(prefix)
        result = self.one("nonzero", [x], (symbol,), "int64")
        self.bind(symbol, result, 0)
        return result

    @primitive("discrete", free)
    def nms(self, boxes: Value, scores: Value, *, iou_threshold: float, eta: float = 1.0) -> Value:
        """Greedy non-maximum suppression: boxes (B, P, 4) [x1 y1 x2 y2], scores (B, P) → kept (B, P) bool.

        Scores fall along P, as `top_k` gives them. In this order a box is dropped if its intersection over union with
        a kept one exceeds the threshold. Boxes are plain intervals (no +1) with x1 ≤ x2 and y1 ≤ y2. A score of −inf is
        never kept. Each kept box multiplies a threshold above 0.5 by `eta`.
        """
        attrs = {"iou_threshold": iou_threshold, "eta": eta if iou_threshold > 0.5 else 1.0}
        return self.one("nms", [boxes, scores], scores.shape, "bool", **attrs)

    @primitive("continuous", free)
    def roi_max_pool(self, x: Value, rois: Value, *, pooled: tuple[int, int], spatial_scale: float) -> Value:
        """Fast R-CNN's pooling: rois (R, 5) [batch x1 y1 x2 y2] → (R, C, *pooled); an empty bin is 0."""
        shape = (rois.shape[0], x.shape[1], *pooled)
        return self.one("roi_max_pool", [x, rois], shape, pooled=pooled, spatial_scale=spatial_scale)
