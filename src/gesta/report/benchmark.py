"""The page of the nine-cell benchmark: tables 4 and 5 beside the paper's, the figures, and what was missing."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path

from gesta.evaluate.joint_files import Printed, table_lines
from gesta.evaluate.joint_tables import TABLE_OF, TITLES, TRUTH, Benchmark
from gesta.tables import write_text

_MIME = {".svg": "image/svg+xml", ".png": "image/png"}


def write_benchmark_page(
    path: Path,
    benchmark: Benchmark,
    *,
    figures: Sequence[tuple[Path, str]],
    printed: Printed | None = None,
    title: str = "AVA-Kinetics: nine cells",
) -> Path:
    """The path written: one HTML file that holds all it shows, the same bytes for the same inputs.

    Args:
        path: of the page.
        benchmark: what was found.
        figures: pictures with the sentence below each.
        printed: the paper's numbers, to stand beside.
        title: of the page.
    """
    css = resources.files("gesta.report").joinpath("page.css").read_text(encoding="utf-8")
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(title)}</title><style>{css}{_CSS}</style></head><body>",
        f'<header><p class="brand">gesta</p><h1>{escape(title)}</h1>',
        f'<p class="lead">{_lead(benchmark)}</p></header><main>',
    ]
    for boxes, number in TABLE_OF.items():
        parts.append(_table(benchmark, boxes=boxes, number=number, printed=printed))
    for picture, said in figures:
        parts.append(_figure(picture, said))
    parts += [_differences(benchmark), _notes(benchmark), "</main></body></html>\n"]
    write_text(path, "".join(parts))
    return path


_CSS = (
    "table{border-collapse:collapse;font-size:.95rem}th,td{padding:6px 14px 6px 0;border-bottom:1px solid var(--line);"
    "text-align:left}tr.paper td{color:var(--soft)}figure{margin:0}figure img{max-width:100%;background:#fff;"
    "border-radius:8px}figcaption{color:var(--soft);font-size:.9rem;margin-top:8px}.wide{overflow-x:auto}"
)


def _lead(benchmark: Benchmark) -> str:
    seeds = len(benchmark.seeds)
    num = len(benchmark.cells)
    return escape(
        f"Recipe {benchmark.recipe}, {len(benchmark.class_ids)} classes, {seeds} seed{'' if seeds == 1 else 's'}, "
        f"{num} scored models and sets. Frame mAP at an overlap of 0.5 by the official rules, in percent."
    )


def _table(benchmark: Benchmark, *, boxes: str, number: int, printed: Printed | None) -> str:
    what = "annotated boxes" if boxes == TRUTH else "detected boxes"
    head = f"<section><h2>Table {number}: {what}</h2>"
    if not any(cell.boxes == boxes for cell in benchmark.cells):
        return f'{head}<p class="missing">Nothing was scored with {what}.</p></section>'
    header, lines = table_lines(benchmark, boxes=boxes, printed=printed)
    rows = []
    for line in lines:
        row = '<tr class="paper">' if "the paper" in line[0] else "<tr>"
        rows.append(row + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>")
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    table = f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'{head}<div class="wide">{table}</div></section>'


def _figure(picture: Path, said: str) -> str:
    data = base64.b64encode(picture.read_bytes()).decode()
    image = f'<img alt="{escape(said)}" src="data:{_MIME[picture.suffix]};base64,{data}">'
    return f"<section><figure>{image}<figcaption>{escape(said)}</figcaption></figure></section>"


def _differences(benchmark: Benchmark) -> str:
    """Cells whose mAP hangs on which key-frames count."""
    rows = []
    for cell in benchmark.cells:
        if cell.mean_ap_at_hand is None and cell.mean_ap_named is None:
            continue
        values = [cell.mean_ap, cell.mean_ap_at_hand, cell.mean_ap_named]
        texts = ["same" if value is None else f"{100 * value:.2f}" for value in values]
        where = f"{TITLES[cell.trained_on]} on {TITLES[cell.evaluated_on]} {cell.split}, {cell.boxes}, seed {cell.seed}"
        rows.append(f"<tr><td>{escape(where)}</td>" + "".join(f"<td>{text}</td>" for text in texts) + "</tr>")
    if not rows:
        return ""
    head = "<th>model and set</th><th>all key-frames</th><th>videos at hand</th><th>key-frames the labels name</th>"
    return (
        "<section><h2>Which key-frames count</h2><p>The tables count all key-frames. Persons in videos that are not at "
        "hand are missed; detections on key-frames where nobody is annotated are wrong.</p>"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div></section>'
    )


def _notes(benchmark: Benchmark) -> str:
    accounts = benchmark.notes.get("accounting")
    if not isinstance(accounts, Sequence) or isinstance(accounts, str) or not accounts:
        return ""
    names = ["split", "part", "num_listed", "num_used", "num_video_missing", "num_excluded", "num_no_persons"]
    head = "".join(f"<th>{escape(name.removeprefix('num_').replace('_', ' '))}</th>" for name in names)
    rows = []
    for account in accounts:
        if isinstance(account, dict):
            rows.append("<tr>" + "".join(f"<td>{_said(account.get(name))}</td>" for name in names) + "</tr>")
    return (
        f'<section><h2>Key-frames</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _said(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
