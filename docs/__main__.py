"""`python -m docs` rewrites docs/layers.md."""

from __future__ import annotations

from docs.layers import PAGE, page

PAGE.write_text(page(), encoding="utf-8")
