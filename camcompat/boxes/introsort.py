"""``std::sort`` as libstdc++ (GCC 4.8 and later) does it, so that equal elements come in its order.

Up to 16 elements it is a stable insertion sort. Beyond, ranges are partitioned around a median of three down to 16
elements, or sorted as a heap where the partitions go too deep, and one insertion sort finishes: not stable, yet
deterministic. Names of the steps are those of David Musser's introsort.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

__all__ = ["introsort"]

T = TypeVar("T")
Less = Callable[[T, T], bool]

SMALL = 16


def introsort(items: Iterable[T], less: Less[T]) -> list[T]:
    """Return the items sorted so that ``less`` holds from left to right, equal ones in libstdc++'s order.

    Args:
        items: anything.
        less: a strict weak order.

    >>> pairs = [(0, "a"), (1, "b"), (0, "c")]
    >>> introsort(pairs, lambda a, b: a[0] > b[0])
    [(1, 'b'), (0, 'a'), (0, 'c')]
    """
    a = list(items)
    if a:
        _partition_all(a, 0, len(a), 2 * (len(a).bit_length() - 1), less)
        _insertion_sort(a, less)
    return a


def _partition_all(a: list[T], first: int, last: int, depth: int, less: Less[T]) -> None:
    """Leave every element within a range of at most 16 that no other range mixes with."""
    while last - first > SMALL:
        if depth == 0:
            _heap_sort(a, first, last, less)
            return
        depth -= 1
        _median_to_first(a, first, first + 1, (first + last) // 2, last - 1, less)
        cut = _partition(a, first + 1, last, a[first], less)
        _partition_all(a, cut, last, depth, less)
        last = cut


def _median_to_first(a: list[T], to: int, i: int, j: int, k: int, less: Less[T]) -> None:
    """Swap the median of three elements to a place."""
    if less(a[i], a[j]):
        middle = j if less(a[j], a[k]) else k if less(a[i], a[k]) else i
    else:
        middle = i if less(a[i], a[k]) else k if less(a[j], a[k]) else j
    a[to], a[middle] = a[middle], a[to]


def _partition(a: list[T], first: int, last: int, pivot: T, less: Less[T]) -> int:
    """Hoare's partition: both sides stop at elements equal to the pivot."""
    while True:
        while less(a[first], pivot):
            first += 1
        last -= 1
        while less(pivot, a[last]):
            last -= 1
        if first >= last:
            return first
        a[first], a[last] = a[last], a[first]
        first += 1


def _insertion_sort(a: list[T], less: Less[T]) -> None:
    """Stable; after the partitions no element moves far."""
    for i in range(1, len(a)):
        value, j = a[i], i
        while j and less(value, a[j - 1]):
            a[j] = a[j - 1]
            j -= 1
        a[j] = value


def _heap_sort(a: list[T], first: int, last: int, less: Less[T]) -> None:
    """Sort a range as a heap."""
    heap = a[first:last]
    for parent in reversed(range(len(heap) // 2)):
        _sift(heap, parent, len(heap), heap[parent], less)
    for end in reversed(range(1, len(heap))):
        value, heap[end] = heap[end], heap[0]
        _sift(heap, 0, end, value, less)
    a[first:last] = heap


def _sift(heap: list[T], hole: int, end: int, value: T, less: Less[T]) -> None:
    """Move the hole down along the larger children to a leaf, and the value up from there to its place."""
    top = hole
    while (child := 2 * hole + 2) < end:
        if less(heap[child], heap[child - 1]):
            child -= 1
        heap[hole] = heap[child]
        hole = child
    if child == end:  # a last child without a sibling
        heap[hole] = heap[child - 1]
        hole = child - 1
    while hole > top and less(heap[parent := (hole - 1) // 2], value):
        heap[hole] = heap[parent]
        hole = parent
    heap[hole] = value
