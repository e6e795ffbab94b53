"""`python -m docs` rewrites docs/layers.md and docs/errors.md; `python -m docs errors` only that one."""

from __future__ import annotations

import sys
from importlib import import_module

from weights.atomic import replacing

PAGES = ("layers", "errors")

for name in sys.argv[1:] or PAGES:
    if name not in PAGES:
        sys.exit(f"there is no generated page {name!r}; there are {', '.join(PAGES)}")
    made = import_module(f"docs.{name}")
    with replacing(made.PAGE) as temporary:
        temporary.write_text(made.page(), encoding="utf-8")
