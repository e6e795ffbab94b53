"""The few primitives that PyTorch has no function for. Each stands alone, so that generated source can hold a copy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["DoubleLinear", "avg_pool_inside", "nms", "roi_max_pool"]


class DoubleLinear(nn.Linear):
    """`nn.Linear` that accumulates in float64: a softmax behind it multiplies every rounding of large logits."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "mps":  # has no float64
            return super().forward(x)
        bias = None if self.bias is None else self.bias.double()
        return nn.functional.linear(x.double(), self.weight.double(), bias).to(x.dtype)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, eta: float) -> Tensor:
    """Greedy non-maximum suppression: boxes (B, P, 4), scores (B, P) -> kept (B, P) bool; -inf is never kept."""
    order = torch.argsort(scores, dim=1, descending=True, stable=True)
    alive = scores.gather(1, order) > float("-inf")
    # Decided in float32, as Caffe does it; all rows at once.
    corners = boxes.float().gather(1, order[..., None].expand(-1, -1, 4))
    limit = torch.full((len(boxes),), iou_threshold, dtype=torch.float32, device=boxes.device)
    kept, count = torch.zeros_like(alive), torch.zeros_like(alive[:, 0], dtype=torch.long)
    chosen = torch.zeros_like(corners)  # what is kept so far, row by row; a box of no size overlaps nothing
    for i in range(boxes.shape[1]):
        rows = alive[:, i].nonzero()[:, 0]
        if len(rows) == 0:
            break
        box, rivals = corners[rows, i, None], chosen[rows, : int(count.max())]
        low, high = torch.maximum(box[..., :2], rivals[..., :2]), torch.minimum(box[..., 2:], rivals[..., 2:])
        inner = (high - low).clamp(min=0).prod(dim=2)
        area, other = ((x[..., 2:] - x[..., :2]).prod(dim=2) for x in (box, rivals))
        beaten = (inner > 0) & (inner / (area + other - inner) > limit[rows, None])
        free = rows[~beaten.any(dim=1)]
        kept[free, i] = True
        chosen[free, count[free]] = corners[free, i]
        count[free] += 1
        limit[free] = torch.where(limit[free] > 0.5, limit[free] * eta, limit[free])
    return torch.zeros_like(kept).scatter(1, order, kept)


def roi_max_pool(x: Tensor, rois: Tensor, pooled_h: int, pooled_w: int, spatial_scale: float) -> Tensor:
    """Fast R-CNN's RoI pooling: rois (R, 5) [batch x1 y1 x2 y2] -> (R, C, pooled_h, pooled_w); an empty bin is 0."""
    result = x.new_zeros(rois.shape[0], x.shape[1], pooled_h, pooled_w)
    scaled = (rois[:, 1:].float() * spatial_scale).cpu()
    corners = (scaled.sign() * (scaled.abs() + 0.5).floor()).long()
    for r in range(rois.shape[0]):
        left, top, right, bottom = corners[r].tolist()
        edges = []
        for start, end, bins, limit in ((top, bottom, pooled_h, x.shape[2]), (left, right, pooled_w, x.shape[3])):
            # Bin edges in float32, as Caffe computes them: the rounding decides which pixels a bin has.
            size = torch.tensor(float(max(end - start + 1, 1)), dtype=torch.float32) / bins
            place = torch.arange(bins, dtype=torch.float32)
            low = ((place * size).floor().long() + start).clamp(0, limit)
            high = (((place + 1) * size).ceil().long() + start).clamp(0, limit)
            edges.append(list(zip(low.tolist(), high.tolist())))
        image = x[int(rois[r, 0])]
        for i, (y1, y2) in enumerate(edges[0]):
            for j, (x1, x2) in enumerate(edges[1]):
                if y2 > y1 and x2 > x1:
                    result[r, :, i, j] = image[:, y1:y2, x1:x2].amax(dim=(1, 2))
    return result


def avg_pool_inside(x: Tensor, kernel: list[int], stride: list[int], pad: list[int]) -> Tensor:
    """Average pooling over the pixels inside the image only; `pad` is torch.nn.functional.pad's list."""
    pool = {1: torch.nn.functional.avg_pool1d, 2: torch.nn.functional.avg_pool2d, 3: torch.nn.functional.avg_pool3d}
    average = pool[len(kernel)]
    total = average(torch.nn.functional.pad(x, pad), kernel, stride)
    share = average(torch.nn.functional.pad(torch.ones_like(x[:1, :1]), pad), kernel, stride)
    return total / share
