"""The look of a report: light and dark, no external files."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #17202b; --faint: #5d6b7a; --line: #dfe5ec; --panel: #f5f7fa;
  --good: #12805c; --good-back: #e3f5ee; --bad: #b42318; --bad-back: #fdeceA; --soft: #8a6100; --soft-back: #fdf3dc;
  --c0: #1f6feb; --c1: #d9480f; --c2: #0c8599; --c3: #9c36b5; --c4: #2b8a3e; --c5: #b08800;
  --c6: #c2255c; --c7: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --paper: #10151c; --ink: #e6ebf2; --faint: #97a5b5; --line: #2a3441;
  --panel: #18202a; --good: #5fd3a8; --good-back: #12332a; --bad: #ff8f82; --bad-back: #40201d; --soft: #f0c75e;
  --soft-back: #3a3015; --c0: #6cb0ff; --c1: #ff9f6b; --c2: #5fd0e0; --c3: #d9a1ec; --c4: #7fd68e; --c5: #e6c84f;
  --c6: #ff8fb4; --c7: #aab4c0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto,
  "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 40px 0 10px; }
p { margin: 6px 0; } .faint { color: var(--faint); } .small { font-size: 13px; }
.verdict { margin: 20px 0 8px; padding: 18px 20px; border-radius: 10px; border-left: 6px solid; font-size: 17px; }
.verdict strong { display: block; font-size: 22px; margin-bottom: 2px; }
.verdict.good { background: var(--good-back); border-color: var(--good); }
.verdict.good strong { color: var(--good); }
.verdict.bad { background: var(--bad-back); border-color: var(--bad); } .verdict.bad strong { color: var(--bad); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; color: var(--faint); font-size: 13px; }
th, td { padding: 7px 12px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.text { overflow-wrap: anywhere; }
.chip { display: inline-block; padding: 1px 10px; border-radius: 99px; font-size: 13px; white-space: nowrap; }
.agrees { color: var(--good); background: var(--good-back); }
.differs { color: var(--bad); background: var(--bad-back); }
.explained { color: var(--soft); background: var(--soft-back); }
.absent { color: var(--faint); background: var(--panel); }
svg { width: 100%; min-width: 640px; height: auto; display: block; }
svg text { font: 11px system-ui, "DejaVu Sans", sans-serif; fill: var(--faint); }
.grid { stroke: var(--line); } .limit { stroke: var(--bad); stroke-dasharray: 6 4; stroke-width: 1.4; }
svg .limit-text { fill: var(--bad); }
.line { fill: none; stroke-width: 1.2; opacity: .45; } .dot.bad { stroke: var(--bad); stroke-width: 2; }
.s0 { stroke: var(--c0); } .s1 { stroke: var(--c1); } .s2 { stroke: var(--c2); } .s3 { stroke: var(--c3); }
.s4 { stroke: var(--c4); } .s5 { stroke: var(--c5); } .s6 { stroke: var(--c6); } .s7 { stroke: var(--c7); }
.dot { stroke: none; } .dot.s0 { fill: var(--c0); } .dot.s1 { fill: var(--c1); } .dot.s2 { fill: var(--c2); }
.dot.s3 { fill: var(--c3); } .dot.s4 { fill: var(--c4); } .dot.s5 { fill: var(--c5); } .dot.s6 { fill: var(--c6); }
.dot.s7 { fill: var(--c7); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: 13px; margin: 4px 0 8px; }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 50%; margin-right: 7px; }
.k0 { background: var(--c0); } .k1 { background: var(--c1); } .k2 { background: var(--c2); }
.k3 { background: var(--c3); } .k4 { background: var(--c4); } .k5 { background: var(--c5); }
.k6 { background: var(--c6); } .k7 { background: var(--c7); }
.finding { border: 1px solid var(--line); border-left: 5px solid var(--bad); border-radius: 8px; padding: 10px 16px;
  margin: 10px 0; background: var(--panel); overflow-wrap: anywhere; }
.finding.soft { border-left-color: var(--soft); }
.maps { display: flex; flex-wrap: wrap; gap: 18px 44px; margin-top: 14px; }
.example { display: grid; grid-template-columns: repeat(3, 156px); gap: 4px 12px; }
.maps img { width: 100%; image-rendering: pixelated; border-radius: 6px; display: block; }
.example .name { grid-column: 1 / -1; font-weight: 600; overflow-wrap: anywhere; }
code, .hash { font: 13px ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
details { margin: 8px 0; } summary { cursor: pointer; color: var(--faint); }
"""
