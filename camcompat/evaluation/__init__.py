"""How well a network finds and names things: classification, localisation and pointing, by the release's rules.

``evaluate`` runs a network over pictures with known boxes; ``evaluate_predictions`` takes what it, or anything else,
predicted. Both give the figures that the ILSVRC scripts of the CAM release print.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from camcompat.evaluation.classes import ClassIds, ilsvrc_classes, own_classes
    from camcompat.evaluation.evaluator import evaluate, evaluate_files
    from camcompat.evaluation.figures import Report
    from camcompat.evaluation.ground_truth import GroundTruth, Truth
    from camcompat.evaluation.localisation import Errors, evaluate_predictions
    from camcompat.evaluation.prediction_files import read_blacklist, read_predictions, write_predictions
    from camcompat.evaluation.truth_files import read_ground_truth

__all__ = [
    "ClassIds",
    "Errors",
    "GroundTruth",
    "Report",
    "Truth",
    "evaluate",
    "evaluate_files",
    "evaluate_predictions",
    "ilsvrc_classes",
    "own_classes",
    "read_blacklist",
    "read_ground_truth",
    "read_predictions",
    "write_predictions",
]

_HOME = {
    "ClassIds": "classes",
    "Errors": "localisation",
    "GroundTruth": "ground_truth",
    "Report": "figures",
    "Truth": "ground_truth",
    "evaluate": "evaluator",
    "evaluate_files": "evaluator",
    "evaluate_predictions": "localisation",
    "ilsvrc_classes": "classes",
    "own_classes": "classes",
    "read_blacklist": "prediction_files",
    "read_ground_truth": "truth_files",
    "read_predictions": "prediction_files",
    "write_predictions": "prediction_files",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
