"""One function per Caffe layer type. Importing this package registers them all.

`registry` and `view` are what a layer is written with; every other module here and in the rooms holds layers.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.walk_packages(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
