"""Caffe's network definitions: text, or the structure inside a caffemodel, to one immutable :class:`Net`.

>>> import prototxt
>>> net = prototxt.loads('layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 } } }')
>>> net.inputs["data"]
(1, 3)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prototxt.lazy import lazy_package

_HOMES = {
    "prototxt.errors": "CamcompatError ConversionError DownloadError PrototxtError WeightsError",
    "prototxt.limits": "Limits get_limits limited set_limits",
    "prototxt.net": "Layer Net dumps from_message load loads",
    "prototxt.text_format.parser": "Parsed Unknown parse",
    "prototxt.training.deployment": "deploy",
}

if TYPE_CHECKING:
    from prototxt.errors import (
        CamcompatError as CamcompatError,
        ConversionError as ConversionError,
        DownloadError as DownloadError,
        PrototxtError as PrototxtError,
        WeightsError as WeightsError,
    )
    from prototxt.limits import Limits as Limits, get_limits as get_limits, limited as limited, set_limits as set_limits
    from prototxt.net import (
        Layer as Layer,
        Net as Net,
        dumps as dumps,
        from_message as from_message,
        load as load,
        loads as loads,
    )
    from prototxt.text_format.parser import Parsed as Parsed, Unknown as Unknown, parse as parse
    from prototxt.training.deployment import deploy as deploy
else:
    __getattr__, __dir__, __all__ = lazy_package(__name__, _HOMES)
