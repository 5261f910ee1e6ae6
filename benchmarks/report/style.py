"""How report.html looks."""

CSS = """
:root { color-scheme: light dark; --ink: #1d2126; --faint: #5a636e; --paper: #fff;
  --line: #d5dae0; --head: #f3f5f7; --alarm: #b00020; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e5e8ec; --faint: #a0a9b4; --paper: #15181c; --line: #383e46;
    --head: #1f242a; --alarm: #ff8a95; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .75rem; }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .75rem; }
.synthetic { border: 2px solid var(--alarm); color: var(--alarm); font-weight: 700;
  padding: .5rem .75rem; border-radius: 6px; }
/* The pictures are drawn on white, so they keep a white card in the dark. */
.card { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: .5rem;
  overflow-x: auto; margin: 1rem 0; }
.card img { display: block; width: 100%; min-width: 40rem; height: auto; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--alarm); font-weight: 700; padding: .4rem .6rem; }
th, td { padding: .4rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); overflow-wrap: normal; }
th:first-child { text-align: left; }
thead th { background: var(--head); white-space: normal; vertical-align: bottom;
  min-width: 5.5rem; }
tbody th { font-weight: 600; }
tfoot th, tfoot td { color: var(--faint); font-weight: 400; border-bottom: 0; }
.note { color: var(--faint); font-size: .875rem; margin: .5rem 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.25rem; margin: 0; }
dt { color: var(--faint); }
dd { margin: 0; }
pre { padding: .75rem; margin: .5rem 0; background: var(--head); font-size: .875rem; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .6rem; } }
"""
