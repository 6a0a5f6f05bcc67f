"""Label maps and lists of videos, broken as they may be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.lint.against import Against, names_of
from gesta.lint.clips import SPLIT_OF, spelling_findings
from gesta.lint.findings import MAX_EXAMPLES, Finding, finding, rows_found, shown
from gesta.lint.instants import id_findings, video_findings
from gesta.lint.text import Source

_OPEN = re.compile(r"^\s*(label|item)\s*\{\s*(.*)$")
_NAME = re.compile(r"""\bname\s*:\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""")
_ID = re.compile(r"\b(?:label_)?id\s*:\s*(-?\d{1,18})\b")
_FIELD = re.compile(r"\s*(name|id|label_id|label_type)\s*:")
_ALONE = re.compile(r"  (name|id|label_id|label_type)\s*:")


@dataclass(slots=True)
class _Block:
    line: int
    name: str | None = None
    class_id: int | None = None


def lint_label_map(source: Source) -> tuple[pl.DataFrame, list[Finding]]:
    """The classes that could be read (`line`, `class_id`, `name`), and all findings."""
    texts = list(source.lines.iter_rows())
    if any(_OPEN.match(text) for _, text in texts):
        classes, found = _blocks(texts, path=source.path)
    else:
        rows = [(line, line, text.strip()) for line, text in texts if text.strip()]
        classes, found = pl.DataFrame(rows, schema=_CLASS, orient="row"), []
    text = pl.format("{} has the id {}", shown("name"), "class_id")
    found += rows_found("class-not-positive", classes, pl.col("class_id") < 1, text, where=source.path)
    return classes, found + map_findings(classes, where=source.path)


_CLASS = {"line": pl.Int64(), "class_id": pl.Int64(), "name": pl.String()}


def _blocks(texts: list[tuple[int, str]], *, path: Path) -> tuple[pl.DataFrame, list[Finding]]:
    blocks: list[_Block] = []
    broken: list[tuple[int | None, str]] = []
    indents: list[tuple[int | None, str]] = []
    is_open = False
    for line, raw in texts:
        text = raw.split("#", 1)[0] if '"' not in raw else raw
        start = _OPEN.match(text)
        if start:
            if is_open:
                broken.append((blocks[-1].line, "the block is not closed"))
            blocks.append(_Block(line))
            is_open, text = True, start[2]
            if _FIELD.match(text):
                indents.append((line, "a field stands on the line of its block"))
        elif _FIELD.match(text) and not _ALONE.match(text):
            indents.append((line, f"the field is indented by {len(text) - len(text.lstrip())} characters"))
        name, number = _NAME.search(text), _ID.search(text)
        if (name or number) and not is_open:
            broken.append((line, "a field outside a block"))
        elif not (start or name or number or _FIELD.match(text)) and text.strip() not in ("", "}"):
            broken.append((line, f"found {text.strip()[:40]!r}"))
        if is_open and name:
            blocks[-1].name = name[1] if name[1] is not None else name[2]
        if is_open and number:
            blocks[-1].class_id = int(number[1])
        if "}" in _NAME.sub("", text):
            is_open = False
    if is_open:
        broken.append((blocks[-1].line, "the block is not closed"))
    for block in blocks:
        lacking = [what for what, value in (("name", block.name), ("id", block.class_id)) if value in (None, "")]
        if lacking:
            broken.append((block.line, f"the block has no {' and no '.join(lacking)}"))
    whole = [(b.line, b.class_id, b.name) for b in blocks if b.name and b.class_id is not None]
    found = [*finding("map-broken", sorted(broken), where=path), *finding("map-indent", indents, where=path)]
    return pl.DataFrame(whole, schema=_CLASS, orient="row"), found


def map_findings(classes: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    """Ids and names of a label map (`line`, `class_id`, `name`) that stand twice, look alike, or leave gaps."""
    before = pl.format(" (line {})", "first_line").fill_null("")
    classes = classes.drop_nulls(["class_id", "name"])
    by_id = classes.with_columns(pl.col("line").first().over("class_id").alias("first_line"))
    by_name = classes.with_columns(pl.col("line").first().over("name").alias("first_line"))
    text_id = pl.format("id {} is given to another class already{}", "class_id", before)
    text_name = pl.format("{} has another id already{}", shown("name"), before)
    again = ~pl.col("class_id").is_first_distinct()
    found = [
        *rows_found("map-id-twice", by_id, again, text_id, where=where),
        *rows_found("map-name-twice", by_name, ~pl.col("name").is_first_distinct(), text_name, where=where),
        *spelling_findings(classes.select("line", pl.col("name").alias("label")), where=where),
    ]
    return found + _gaps(classes, where=where)


def _gaps(classes: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    ids = classes["class_id"].unique().sort()
    if len(ids) < 2:
        return []
    steps = pl.DataFrame({"low": ids[:-1], "high": ids[1:]}).filter(pl.col("high") - pl.col("low") > 1)
    texts = steps.head(MAX_EXAMPLES).select(
        pl.when(pl.col("high") - pl.col("low") == 2)
        .then(pl.format("id {} is not used", pl.col("low") + 1))
        .otherwise(pl.format("ids {} to {} are not used", pl.col("low") + 1, pl.col("high") - 1))
    )
    return finding("map-id-gap", [(None, text) for text in texts.to_series()], where=where, count=steps.height)


def lint_names(source: Source, against: Against) -> tuple[pl.DataFrame, list[Finding]]:
    """The videos that a list names, one a line (`line`, `video_id`), and all findings."""
    stripped = source.lines.with_columns(pl.col("text").str.strip_chars())
    ids = [names_of(text)[-1] for text in stripped["text"]]
    rows = stripped.select("line", pl.Series("video_id", ids, dtype=pl.String), "text")
    path = source.path
    again = pl.format("{} is listed already", shown("text"))
    found = rows_found("row-twice", rows, ~pl.col("text").is_first_distinct(), again, where=path)
    found += id_findings(rows, where=path)
    if against.videos is not None:
        found += video_findings(rows, against.videos, where=path)
    return rows.select("line", "video_id"), found


def split_in_name(path: Path) -> str | None:
    """The split that a file's name tells, or None.

    >>> split_in_name(Path("ava_train_v2.2.csv")), split_in_name(Path("kinetics-700_validate.csv"))
    ('train', 'val')
    >>> split_in_name(Path("trainlist01.txt")), split_in_name(Path("gt.csv"))
    ('train', None)
    """
    words = re.split(r"[^a-z]+", path.name.lower().replace("list", ""))
    told = {SPLIT_OF[word] for word in words if word in SPLIT_OF}
    return told.pop() if len(told) == 1 else None
