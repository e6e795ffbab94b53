"""The few modules and functions that PyTorch lacks.

Each stands alone, so that generated source can hold a copy, and its lines have 88 characters at most: what is written
into other people's projects passes their linters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["DoubleLinear", "LocalResponseNorm", "Scale", "avg_pool_inside", "nms", "roi_max_pool"]


class DoubleLinear(nn.Linear):
    """`nn.Linear` in float64: a softmax behind it multiplies every rounding error."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "mps":  # has no float64
            return super().forward(x)
        bias = None if self.bias is None else self.bias.double()
        return nn.functional.linear(x.double(), self.weight.double(), bias).to(x.dtype)


class LocalResponseNorm(nn.LocalResponseNorm):
    """`nn.LocalResponseNorm`; in half precision the squares of activations overflow."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype in (torch.float16, torch.bfloat16):
            return super().forward(x.float()).to(x.dtype)
        return super().forward(x)


class Scale(nn.Module):
    """Caffe's Scale: each channel times its weight, plus its bias."""

    def __init__(self, channels: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        column = (-1, *(1,) * (x.dim() - 2))
        x = x * self.weight.view(column)
        return x if self.bias is None else x + self.bias.view(column)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, eta: float) -> Tensor:
    """Greedy non-maximum suppression: which boxes are kept; a score of -inf never is.

    boxes (B, P, 4), scores (B, P) that fall along P -> (B, P) bool.
    """
    alive = scores > float("-inf")
    corners = boxes.float()  # decided in float32, as Caffe does it; all rows at once
    limit = corners.new_full((len(boxes),), iou_threshold)
    kept = torch.zeros_like(alive)
    count = torch.zeros_like(alive[:, 0], dtype=torch.long)
    # What is kept so far, row by row; a box of no size overlaps nothing.
    chosen = torch.zeros_like(corners)
    for i in range(boxes.shape[1]):
        rows = alive[:, i].nonzero()[:, 0]
        if len(rows) == 0:
            break
        box, rivals = corners[rows, i, None], chosen[rows, : int(count.max())]
        low = torch.maximum(box[..., :2], rivals[..., :2])
        high = torch.minimum(box[..., 2:], rivals[..., 2:])
        inner = (high - low).clamp(min=0).prod(dim=2)
        area, other = ((x[..., 2:] - x[..., :2]).prod(dim=2) for x in (box, rivals))
        beaten = (inner > 0) & (inner / (area + other - inner) > limit[rows, None])
        free = rows[~beaten.any(dim=1)]
        kept[free, i] = True
        chosen[free, count[free]] = corners[free, i]
        count[free] += 1
        limit[free] = torch.where(limit[free] > 0.5, limit[free] * eta, limit[free])
    return kept


def roi_max_pool(
    x: Tensor,
    rois: Tensor,
    pooled_h: int,
    pooled_w: int,
    spatial_scale: float,
) -> Tensor:
    """Fast R-CNN's RoI pooling, rois (R, 5) [batch x1 y1 x2 y2]; an empty bin is 0."""
    result = x.new_zeros(rois.shape[0], x.shape[1], pooled_h, pooled_w)
    scaled = (rois[:, 1:].float() * spatial_scale).cpu()
    corners = (scaled.sign() * (scaled.abs() + 0.5).floor()).long()
    sizes = ((pooled_h, x.shape[2]), (pooled_w, x.shape[3]))
    for r in range(rois.shape[0]):
        left, top, right, bottom = corners[r].tolist()
        edges = []
        for (start, end), (bins, limit) in zip(((top, bottom), (left, right)), sizes):
            # Bin edges in float32, as Caffe has them: rounding decides on pixels.
            size = torch.tensor(max(end - start + 1, 1), dtype=torch.float32) / bins
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


def avg_pool_inside(
    x: Tensor,
    kernel: list[int],
    stride: list[int],
    pad: list[int],
) -> Tensor:
    """Average pooling over the pixels inside the image only; `pad` is that of F.pad."""
    functional = nn.functional
    pools = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)
    average = pools[len(kernel) - 1]
    total = average(functional.pad(x, pad), kernel, stride)
    inside = functional.pad(torch.ones_like(x[:1, :1]), pad)
    return total / average(inside, kernel, stride)
