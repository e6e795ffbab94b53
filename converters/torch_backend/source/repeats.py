"""Structure that repeats in a net: runs of operations with one input and one output that differ in numbers only.

Only runs that the net's author named alike count (`inception_3a/…` and `inception_3b/…`): what belongs together is
the author's word, not a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from torch import fx

__all__ = ["Names", "Run", "find_repeats"]

LONGEST = 90  # operations in one block
LEAST = 6  # how many operations the repetition has to save


@dataclass(frozen=True)
class Names:
    """What the layers of one run are called: in each, `key` stands between a part before and a part behind.

    The key is what tells the run from others, with all around it that its layers have in common.
    """

    key: str
    parts: tuple[tuple[str, str], ...]

    @property
    def instance(self) -> str:
        """The run's own name: the key, or if that is a number, the name of its first layer up to and with the key."""
        key = self.key.strip("/_-. ")
        return key if key[:1].isalpha() else self.parts[0][0] + key


@dataclass(frozen=True)
class Run:
    """Operations start … start + length − 1 of the net."""

    start: int
    length: int
    names: Names


def find_repeats(
    nodes: Sequence[fx.Node], tokens: Sequence[Hashable | None], merges: Sequence[bool]
) -> list[list[Run]]:
    """Groups of runs that are the same but for numbers, none overlapping.

    Args:
        nodes: the operations in order.
        tokens: what must be equal of each operation, its operands aside; None where it cannot be part of a block.
        merges: whether an operation joins branches.
    """
    windows = sorted(_windows(nodes, tokens).items(), key=lambda each: -(len(each[1]) - 1) * each[0][0])
    free = [True] * len(nodes)
    groups: list[list[Run]] = []
    for accepted in (_joins(merges), _normalizes(tokens)):
        while best := _best(nodes, free, windows, accepted):
            groups.append(best)
            for run in best:
                free[run.start : run.start + run.length] = [False] * run.length
    return groups


Windows = Sequence[tuple[tuple[int, int], list[int]]]
Accepted = Callable[[list[Run]], bool]


def _best(nodes: Sequence[fx.Node], free: Sequence[bool], windows: Windows, accepted: Accepted) -> list[Run]:
    """The runs that save most lines, if they save enough."""
    best: list[Run] = []
    for (length, _), starts in windows:
        if (len(starts) - 1) * length <= max(_saved(best), LEAST - 1):
            break
        runs = _runs(nodes, free, starts, length)
        if _saved(runs) > max(_saved(best), LEAST - 1) and accepted(runs):
            best = runs
    return best


def _joins(merges: Sequence[bool]) -> Accepted:
    """Blocks in which branches join come first: they are what a net is thought of as made from."""
    return lambda runs: any(merges[runs[0].start : runs[0].start + runs[0].length])


def _normalizes(tokens: Sequence[Hashable | None]) -> Accepted:
    """Then units with normalization; a plain stack of convolutions reads best as a stack."""

    def accepted(runs: list[Run]) -> bool:
        inside = tokens[runs[0].start : runs[0].start + runs[0].length]
        return len(runs) >= 3 and len(inside) >= 4 and any("BatchNorm" in str(each) for each in inside)

    return accepted


def _saved(runs: list[Run]) -> int:
    return (len(runs) - 1) * runs[0].length if runs else 0


def _windows(nodes: Sequence[fx.Node], tokens: Sequence[Hashable | None]) -> dict[tuple[int, int], list[int]]:
    """(length, signature) → where such runs start: runs with one value coming in and only their last going out."""
    place = {node: i for i, node in enumerate(nodes)}
    last_use = [max((place.get(user, len(nodes)) for user in node.users), default=len(nodes)) for node in nodes]
    found: dict[tuple[int, int], list[int]] = {}
    for start in range(len(nodes)):
        signature, outside, reach = 0, None, start
        for i in range(start, min(start + LONGEST, len(nodes))):
            if tokens[i] is None:
                break
            relative: list[int] = []
            for operand in nodes[i].all_input_nodes:
                at = place.get(operand, -1)
                if at < start:
                    if outside not in (None, operand):
                        break
                    outside = operand
                relative.append(at - i if at >= start else 0)
            else:
                signature = hash((signature, tokens[i], tuple(relative)))
                length = i - start + 1
                if length > 1 and outside is not None and reach <= i:
                    found.setdefault((length, signature), []).append(start)
                reach = max(reach, last_use[i])
                continue
            break
    return {key: starts for key, starts in found.items() if len(starts) > 1}


def _runs(nodes: Sequence[fx.Node], free: Sequence[bool], starts: Sequence[int], length: int) -> list[Run]:
    """Those of the windows that do not overlap and are named alike."""
    layers = {start: [str(node.meta.get("layer", "")) for node in nodes[start : start + length]] for start in starts}
    alike: dict[tuple[str, ...], list[int]] = {}
    for start, names in layers.items():
        chosen = alike.setdefault(tuple(_MASK.sub("#", name) for name in names), [])
        if all(free[start : start + length]) and (not chosen or start >= chosen[-1] + length):
            chosen.append(start)
    best = max(alike.values(), key=len, default=[])
    named = _named([layers[start] for start in best]) if len(best) > 1 else None
    return [Run(start, length, names) for start, names in zip(best, named)] if named else []


_MASK = re.compile(r"\d+[a-z]?(?:_\d+)*(?![a-z])")
_TOKENS = re.compile(r"[^\W\d_]+|\d+|[\W_]")


def _named(layers: Sequence[Sequence[str]]) -> list[Names] | None:
    """The key of each run, if there is one: all that differs between the runs' names, and the same in each name."""
    keys: list[str | None] = [None] * len(layers)
    parts: list[tuple[str, str]] = []
    for names in zip(*layers):
        words = [_TOKENS.findall(name) for name in names]
        shortest = min(map(len, words))
        head = next((i for i in range(shortest) if len({word[i] for word in words}) > 1), shortest)
        room = shortest - head
        tail = next((i for i in range(room) if len({word[-1 - i] for word in words}) > 1), room)
        for i, word in enumerate(words):
            key = "".join(word[head : len(word) - tail])
            if keys[i] not in (None, key):
                return None
            keys[i] = key
        first = words[0]
        parts.append(("".join(first[:head]), "".join(first[len(first) - tail :])))
    if len(set(keys)) < len(keys):
        return None
    before = _common([list(reversed(_TOKENS.findall(head))) for head, _ in parts])[::-1]
    behind = _common([_TOKENS.findall(tail) for _, tail in parts])
    heads, tails = "".join(before), "".join(behind)
    rest = tuple((head[: len(head) - len(heads)], tail[len(tails) :]) for head, tail in parts)
    return [Names(f"{heads}{key}{tails}", rest) for key in keys]


def _common(words: Sequence[Sequence[str]]) -> list[str]:
    """What all of them begin with."""
    shared = takewhile(lambda each: len(set(each)) == 1, zip(*words))
    return [each[0] for each in shared]
