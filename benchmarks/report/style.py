"""How a page looks."""

CSS = """
:root { color-scheme: light dark; --ink: #1d2126; --faint: #5a636e; --paper: #fff;
  --line: #d5dae0; --head: #f3f5f7; --alarm: #b00020; --link: #0b5cad;
  --good: #0a6b3d; --bad: #a3340b; --open: #5a636e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e5e8ec; --faint: #a0a9b4; --paper: #15181c; --line: #383e46;
    --head: #1f242a; --alarm: #ff8a95; --link: #7db8f5;
    --good: #6fd6a0; --bad: #ffab85; --open: #b4bcc6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 72rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .75rem; }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .75rem; }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
h4 { font-size: 1rem; margin: 1.5rem 0 .5rem; color: var(--faint); }
a { color: var(--link); }
ul { padding-left: 1.2rem; }
li { margin: .3rem 0; }
.alarm { border: 2px solid var(--alarm); color: var(--alarm); font-weight: 700;
  padding: .5rem .75rem; border-radius: 6px; }
.verdict { border-left: 5px solid; padding: .45rem .8rem; margin: .6rem 0;
  background: var(--head); border-radius: 0 6px 6px 0; }
.verdict strong { white-space: nowrap; }
.better, .holds { border-color: var(--good); }
.worse, .does-not-hold { border-color: var(--bad); }
.undecided { border-color: var(--open); }
.better strong, .holds strong, .badge.better, .badge.holds { color: var(--good); }
.worse strong, .does-not-hold strong, .badge.worse, .badge.does-not-hold { color: var(--bad); }
.undecided strong, .badge.undecided { color: var(--open); }
.badge { white-space: nowrap; font-weight: 600; }
/* The pictures are drawn on white, so they keep a white card in the dark. */
.card { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: .5rem;
  overflow-x: auto; margin: 1rem 0; }
.card img { display: block; width: 100%; min-width: 40rem; height: auto; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .4rem .6rem; }
caption.alarmed { color: var(--alarm); }
th, td { padding: .4rem .5rem; text-align: left; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; vertical-align: top; }
th.number, td.number { text-align: right; }
td.number { white-space: nowrap; }
td.text { min-width: 7rem; }
thead th { background: var(--head); vertical-align: bottom; min-width: 4.5rem; }
tbody th { font-weight: 600; min-width: 9.5rem; }
/* Names stay in sight while the numbers are moved on a narrow screen. */
th:first-child { position: sticky; left: 0; background: var(--paper); }
thead th:first-child { background: var(--head); }
tbody tr:last-child > * { border-bottom: 0; }
tfoot th, tfoot td { color: var(--faint); font-weight: 400; border-bottom: 0;
  border-top: 1px solid var(--line); }
.note { color: var(--faint); font-size: .875rem; margin: .5rem 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.25rem; margin: 0; }
dt { color: var(--faint); }
dd { margin: 0; }
pre { padding: .75rem; margin: .5rem 0; background: var(--head); font-size: .875rem; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .6rem; }
  tbody th { min-width: 7rem; }
  /* A table without numbers has nothing to compare downwards: its cells stand in one column. */
  table.words thead { display: none; }
  table.words tr { display: block; padding: .4rem 0; border-bottom: 1px solid var(--line); }
  table.words tr > * { display: block; border: 0; padding: .1rem .6rem; position: static; } }
@media print { .card, .scroll, .verdict { break-inside: avoid; } }
"""
