"""How well a network finds and names things: classification, localisation and pointing, by the release's rules.

``evaluate`` runs a network over pictures with known boxes; ``evaluate_predictions`` takes what it, or anything else,
predicted. Both give the figures that the ILSVRC scripts of the CAM release print.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prototxt.lazy import lazy_package

_HOMES = {
    "camcompat.evaluation.classes": "ClassIds ilsvrc_classes own_classes",
    "camcompat.evaluation.evaluator": "evaluate evaluate_files",
    "camcompat.evaluation.figures": "Report",
    "camcompat.evaluation.ground_truth": "GroundTruth Truth",
    "camcompat.evaluation.localisation": "Errors evaluate_predictions",
    "camcompat.evaluation.prediction_files": "read_blacklist read_predictions write_predictions",
    "camcompat.evaluation.truth_files": "read_ground_truth",
}

if TYPE_CHECKING:
    from camcompat.evaluation.classes import (
        ClassIds as ClassIds,
        ilsvrc_classes as ilsvrc_classes,
        own_classes as own_classes,
    )
    from camcompat.evaluation.evaluator import evaluate as evaluate, evaluate_files as evaluate_files
    from camcompat.evaluation.figures import Report as Report
    from camcompat.evaluation.ground_truth import GroundTruth as GroundTruth, Truth as Truth
    from camcompat.evaluation.localisation import Errors as Errors, evaluate_predictions as evaluate_predictions
    from camcompat.evaluation.prediction_files import (
        read_blacklist as read_blacklist,
        read_predictions as read_predictions,
        write_predictions as write_predictions,
    )
    from camcompat.evaluation.truth_files import read_ground_truth as read_ground_truth
else:
    __getattr__, __dir__, __all__ = lazy_package(__name__, _HOMES)
