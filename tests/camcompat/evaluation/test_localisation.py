"""Classification and localisation errors: the original scripts' figures, and cases worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from camcompat.boxes.rule import overlaps
from camcompat.evaluation import Errors, GroundTruth, Truth, evaluate_predictions, read_ground_truth
from camcompat.evaluation.localisation import combine
from prototxt.errors import CamcompatError


@pytest.fixture(scope="module")
def cache(shared: Path) -> GroundTruth:
    return read_ground_truth(shared / "cam" / "evaluation" / "cache_groundtruth.mat")


@pytest.fixture(scope="module")
def expected(shared: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared / "cam" / "expected" / "ilsvrc_evaluation.json").read_text())
    return found


def test_the_cache_as_matlab_reads_it(cache: GroundTruth, expected: dict[str, Any]) -> None:
    assert len(cache) == 50_000
    assert sum(len(truth.boxes) for truth in cache) == 80_477
    first = list(cache.first(400))
    assert [truth.labels[0] for truth in first] == expected["gt_labels"]
    assert [truth.boxes.tolist() for truth in first] == expected["gt_boxes"]
    assert {truth.boxes.dtype for truth in first} == {np.dtype(np.float64)}
    assert first[0].picture == "ILSVRC2012_val_00000001"


@pytest.mark.parametrize(
    ("name", "rows", "columns", "blacklisted"),
    [
        ("simple400", "pred", 25, False),
        ("simple400_blacklist", "pred", 25, True),
        ("simple400_fractional", "pred_fractional", 25, False),
        ("simple400_only2guesses", "pred", 10, False),
        ("eval_clsloc400", "pred", 25, False),
        ("eval_clsloc400_blacklist", "pred", 25, True),
    ],
)
def test_the_figures_of_the_original_scripts(
    cache: GroundTruth, expected: dict[str, Any], name: str, rows: str, columns: int, blacklisted: bool
) -> None:
    predictions = np.array(expected[rows])[:, :columns]
    blacklist = expected["blacklist_1based"] if blacklisted else ()
    errors = evaluate_predictions(predictions, cache.first(400), blacklist=blacklist)
    assert list(errors.cls) == expected["results_octave"][name]["cls_error_top1to5"]
    assert list(errors.clsloc) == expected["results_octave"][name]["clsloc_error_top1to5"]


def test_pairs_at_one_half_exactly(cache: GroundTruth, expected: dict[str, Any]) -> None:
    count = 0
    for row, truth in zip(np.array(expected["pred"]), cache.first(400)):
        for guess in row.reshape(5, 5):
            if guess[0] in truth.labels:
                count += int((overlaps(guess[1:], truth.boxes) == 0.5).sum())
    assert count == expected["pairs_with_iou_exactly_0.5"]


def truth_of(*pictures: dict[int, list[list[float]]]) -> GroundTruth:
    truths = []
    for number, boxes in enumerate(pictures):
        labels = tuple(label for label, several in boxes.items() for _ in several)
        truths.append(Truth(f"{number}.jpg", labels, np.array([box for several in boxes.values() for box in several])))
    return GroundTruth(tuple(truths), "by hand")


def test_sides_count_both_ends() -> None:
    # 10x10 against 10x5: 50 of 100 pixels. With sides of x2 - x1 it would be 36 of 81.
    truth = truth_of({7: [[0.0, 0.0, 9.0, 9.0]]})
    assert evaluate_predictions(np.array([[7, 0, 0, 9, 4]]), truth, guesses=1).clsloc == (0.0,)
    assert evaluate_predictions(np.array([[7, 0, 0, 9, 3.99]]), truth, guesses=1).clsloc == (1.0,)
    assert overlaps(np.array([10.0, 0.0, 12.0, 9.0]), np.array([0.0, 0.0, 9.0, 9.0])) == -1
    assert overlaps(np.array([9.0, 9.0, 9.0, 9.0]), np.array([0.0, 0.0, 9.0, 9.0])) == 0.01


def test_any_instance_will_do_and_the_label_must_match() -> None:
    truth = truth_of({7: [[0.0, 0.0, 9.0, 9.0], [50.0, 50.0, 99.0, 99.0]]})
    assert evaluate_predictions(np.array([[7, 51, 51, 99, 99]]), truth, guesses=1) == Errors((0.0,), (0.0,), 1)
    assert evaluate_predictions(np.array([[8, 51, 51, 99, 99]]), truth, guesses=1) == Errors((1.0,), (1.0,), 1)
    assert evaluate_predictions(np.array([[7, 20, 20, 30, 30]]), truth, guesses=1) == Errors((0.0,), (1.0,), 1)


def test_the_first_k_guesses() -> None:
    truth = truth_of({7: [[0.0, 0.0, 9.0, 9.0]]})
    row = np.array([[8, 0, 0, 9, 9, 7, 20, 20, 30, 30, 7, 0, 0, 9, 9]])
    assert evaluate_predictions(row, truth) == Errors((1.0, 0.0, 0.0, 0.0, 0.0), (1.0, 1.0, 0.0, 0.0, 0.0), 1)


def test_blacklisted_pictures_count_for_cls_only() -> None:
    truth = truth_of({1: [[0.0, 0.0, 9.0, 9.0]]}, {2: [[0.0, 0.0, 9.0, 9.0]]}, {3: [[0.0, 0.0, 9.0, 9.0]]})
    rows = np.array([[1, 0, 0, 9, 9], [1, 0, 0, 9, 9], [1, 0, 0, 9, 9]])
    assert evaluate_predictions(rows, truth, blacklist=[3], guesses=1) == Errors((2 / 3,), (0.5,), 3, 1)


def test_several_labels_count_by_share() -> None:
    truth = truth_of({1: [[0.0, 0.0, 9.0, 9.0]], 2: [[20.0, 20.0, 29.0, 29.0]]}, {5: [[0.0, 0.0, 9.0, 9.0]]})
    rows = np.array([[1, 0, 0, 9, 9, 2, 0, 0, 9, 9], [5, 0, 0, 9, 9, 6, 0, 0, 9, 9]])
    assert evaluate_predictions(rows, truth, guesses=2) == Errors((0.25, 0.0), (0.25, 0.25), 2)


def test_combine_takes_both_boxes_of_the_best_classes() -> None:
    first, second = np.arange(50).reshape(2, 25), 1000 + np.arange(50).reshape(2, 25)
    expected = np.hstack([first[:, :5], second[:, :5], first[:, 5:10], second[:, 5:10], first[:, 10:15]])
    assert np.array_equal(combine(first, second), expected)


def test_what_is_refused() -> None:
    truth = truth_of({1: [[0.0, 0.0, 9.0, 9.0]]}, {2: [[0.0, 0.0, 9.0, 9.0]]})
    good = np.ones((2, 5))
    cases: list[tuple[np.ndarray, list[int], str]] = [
        (np.ones((1, 5)), [], "predictions: 1 rows for 2 pictures"),
        (np.ones((2, 6)), [], r"found an array of shape \(2, 6\)"),
        (np.ones((2, 0)), [], "expected rows"),
        (np.array([[1, 2, 3, 4, 5], [1, 2, np.nan, 4, 5]]), [], "predictions: row 2: holds NaN"),
        (good, [3], "blacklist: names picture 3; expected numbers from 1 to 2"),
        (good, [0], "names picture 0"),
        (good, [2, 2], "names picture 2 twice"),
    ]
    for rows, blacklist, told in cases:
        with pytest.raises(CamcompatError, match=told):
            evaluate_predictions(rows, truth, blacklist=blacklist)
    named = GroundTruth((Truth("a.jpg", ("cup",), np.array([[0.0, 0.0, 1.0, 1.0]])),), "truth.csv")
    with pytest.raises(CamcompatError, match=r"truth\.csv: a\.jpg: has the label 'cup'"):
        evaluate_predictions(np.ones((1, 5)), named)
