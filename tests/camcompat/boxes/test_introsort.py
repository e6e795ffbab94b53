"""The order of equal areas: libstdc++'s std::sort."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from camcompat.boxes.introsort import introsort

RECORDED = Path(__file__).parent.parent.parent / "data" / "std_sort.json"  # made with g++ 12.2 by the program below

PROGRAM = """
#include <algorithm>
#include <cstdio>
#include <vector>
struct Pair { int key, place; };
static bool more(const Pair& a, const Pair& b) { return a.key > b.key; }
int main() {
  for (int n; scanf("%d", &n) == 1; puts("")) {
    std::vector<Pair> pairs(n);
    for (int i = 0; i < n; ++i) { if (scanf("%d", &pairs[i].key) != 1) return 1; pairs[i].place = i; }
    std::sort(pairs.begin(), pairs.end(), more);
    for (const Pair& pair : pairs) printf("%d ", pair.place);
  }
}
"""


def _order(keys: list[int]) -> list[int]:
    return [place for _, place in introsort(zip(keys, range(len(keys))), lambda a, b: a[0] > b[0])]


def test_recorded_orders() -> None:
    """Equal keys, cyclic keys, and keys (by McIlroy's adversary) that drive the partitions into the heap."""
    cases = json.loads(RECORDED.read_text())
    assert len(cases) == 7
    for case in cases:
        assert _order(case["keys"]) == case["order"]


def test_up_to_sixteen_it_is_stable() -> None:
    keys = [1, 0, 2, 1, 0, 2, 2, 1, 1, 0, 2, 1, 0, 2, 2, 1]
    assert _order(keys) == sorted(range(16), key=lambda place: -keys[place])
    assert _order([]) == []


def test_as_this_machines_compiler_has_it(tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++ (with libstdc++)")
    (tmp_path / "sort.cpp").write_text(PROGRAM)
    subprocess.run([compiler, "-O1", "sort.cpp", "-o", "sort"], cwd=tmp_path, check=True, capture_output=True)
    rng = random.Random(1)
    cases = [[rng.randrange(most) for _ in range(rng.randrange(1, 200))] for most in (1, 2, 3, 9, 90, 9999) * 30]
    text = "\n".join(f"{len(keys)} {' '.join(map(str, keys))}" for keys in cases)
    done = subprocess.run([tmp_path / "sort"], input=text, capture_output=True, text=True, check=True)
    for keys, line in zip(cases, done.stdout.splitlines(), strict=True):
        assert _order(keys) == [int(place) for place in line.split()]
