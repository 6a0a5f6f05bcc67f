"""A csv in AVA's layout, a list of key-frames or of times, broken as it may be: all that can be read is checked."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from gesta.formats.numbers import seconds_to_us, to_decimals, to_integers
from gesta.lint.against import Against
from gesta.lint.boxes import (
    CORNERS,
    KEY,
    box_findings,
    cap_findings,
    groundtruth_findings,
    key_frame_twice,
    repeated_findings,
    score_findings,
)
from gesta.lint.clips import class_id_findings, rare_findings
from gesta.lint.findings import Finding, rows_found, shown, shown_time
from gesta.lint.instants import id_findings, key_frame_findings
from gesta.lint.persons import near_findings, person_findings, pose_findings
from gesta.lint.text import Source, cells_found

_MEANING = "video id, seconds; then x1, y1, x2, y2, action id; then a person id or a score"


def lint_ava(source: Source, against: Against, *, is_scored: bool) -> tuple[pl.DataFrame, list[Finding]]:
    """The rows that could be read (as `gesta.lint.boxes` says) and all findings.

    Args:
        is_scored: whether the eighth cell is a detection's score; else it numbers a person.
    """
    cells, found = cells_found(source, max_cells=8)
    cells, header = _without_header(cells, source=source)
    found += header
    path = source.path
    is_other = ~pl.col("num_cells").is_in([2, 7, 8])
    text = pl.format(f"{{}} columns, want 2, 7 or 8 ({_MEANING})", "num_cells")
    found += rows_found("columns-wrong", cells, is_other, text, where=path)
    keyed, more = _keyed(cells.filter(~is_other), source=source)
    found += more
    rows, more = _typed(keyed, source=source, is_scored=is_scored)
    found += more
    found += [
        *box_findings(rows, where=path),
        *repeated_findings(rows, where=path),
        *class_id_findings(rows, against.label_map, where=path, is_truth=not is_scored),
        *key_frame_findings(rows, against, where=path),
    ]
    if against.label_map is None:
        text = pl.format("the class id is {}", "class_id")
        found += rows_found("class-not-positive", rows, pl.col("class_id") < 1, text, where=path)
    if is_scored:
        found += score_findings(rows, where=path, num_decimals=_num_decimals(keyed))
        found += cap_findings(rows, where=path)
        if against.groundtruth is not None:
            found += groundtruth_findings(rows, against.groundtruth, where=path)
    else:
        found += person_findings(rows, where=path)
        found += near_findings(rows, where=path)
        found += pose_findings(rows, against.label_map, where=path)
        if against.min_per_class:
            labelled = rows.select("line", pl.col("class_id").cast(pl.String).alias("label"), pl.lit("").alias("split"))
            found += rare_findings(labelled, least=against.min_per_class, where=path)
    return rows, found


def _without_header(cells: pl.DataFrame, *, source: Source) -> tuple[pl.DataFrame, list[Finding]]:
    """The cells without a first line of names, and the finding that it is there."""
    if cells.height < 2:
        return cells, []
    first, rest = cells.head(1), cells.slice(1)
    texts = [str(text) for text in first.row(0)[2:] if text is not None]
    is_names = all(any(c.isalpha() for c in text) for text in texts) and len(texts) > 1
    if not is_names or seconds_to_us(first["cell_1"]).null_count() == 0:
        return cells, []
    text = pl.lit(f"the first line is {','.join(texts)!r}")
    return rest, rows_found("header-unexpected", first, None, text, where=source.path)


def _keyed(cells: pl.DataFrame, *, source: Source) -> tuple[pl.DataFrame, list[Finding]]:
    """The cells with `video_id` and `timestamp_us` (null where it is none), and what is wrong with them."""
    times_us = seconds_to_us(cells["cell_1"]).alias("timestamp_us")
    frame = cells.with_columns(pl.col("cell_0").alias("video_id"), times_us)
    path, video = source.path, pl.col("video_id")
    is_bare = video.str.strip_chars() == ""
    is_odd = pl.col("timestamp_us").is_null() | (pl.col("timestamp_us") < 0)
    text = pl.format("{} is no time in a video, in seconds", shown("cell_1"))
    found = [
        *rows_found("cell-empty", frame, is_bare, pl.lit("the video id is empty"), where=path),
        *rows_found("cell-spaces", frame, ~is_bare & (video != video.str.strip_chars()), shown("video_id"), where=path),
        *rows_found("time-odd", frame, is_odd, text, where=path),
        *id_findings(frame, where=path),
        *_spelling_findings(frame, source=source),
    ]
    return frame, found


def _spelling_findings(frame: pl.DataFrame, *, source: Source) -> list[Finding]:
    """Key-frames whose time is written in two ways, at the first line of the second."""
    texts = frame.drop_nulls("timestamp_us").unique([*KEY, "cell_1"], keep="first", maintain_order=True)
    text = pl.format("the time of {} at {} is {} here and otherwise before", shown("video_id"), shown_time(), "cell_1")
    is_second = ~pl.struct(KEY).is_first_distinct()
    return rows_found("key-frame-two-spellings", texts, is_second, text, where=source.path)


def _typed(cells: pl.DataFrame, *, source: Source, is_scored: bool) -> tuple[pl.DataFrame, list[Finding]]:
    eighth = cells["cell_7"].str.strip_chars()
    columns = [to_decimals(cells[f"cell_{2 + i}"]).alias(name) for i, name in enumerate(CORNERS)]
    columns.append(to_integers(cells["cell_6"]).alias("class_id"))
    nulls = pl.Series([None], dtype=pl.Int64).new_from_index(0, cells.height)
    columns.append((nulls if is_scored else to_integers(eighth)).alias("person_id"))
    columns.append((_scores(eighth) if is_scored else nulls.cast(pl.Float64)).alias("score"))
    frame = cells.with_columns(columns)
    is_box = pl.col("num_cells") > 2
    wanted: list[tuple[str, str, pl.Expr]] = [(name, f"cell_{2 + i}", is_box) for i, name in enumerate(CORNERS)]
    wanted.append(("class_id", "cell_6", is_box))
    last = "score" if is_scored else "person_id"
    # An empty eighth cell is a missing score or person, and that is told elsewhere.
    wanted.append((last, "cell_7", (pl.col("num_cells") == 8) & (pl.col("cell_7").str.strip_chars() != "")))
    found = _odd_cells(frame, wanted, source=source)
    # A row with half a box is found above; it is neither a box nor an empty key-frame.
    is_whole = (pl.col("num_cells") == 2) | (pl.sum_horizontal(pl.col(*CORNERS, "class_id").is_null()) == 0)
    rows = frame.filter(is_whole & (pl.col("video_id") != "")).drop_nulls("timestamp_us")
    return rows.select("line", *KEY, *CORNERS, "class_id", "person_id", "score"), found


def _odd_cells(frame: pl.DataFrame, wanted: Sequence[tuple[str, str, pl.Expr]], *, source: Source) -> list[Finding]:
    parts = [
        pl.when(is_there & pl.col(name).is_null()).then(pl.format(f"{name} is {{}}", shown(cell)))
        for name, cell, is_there in wanted
    ]
    told = frame.with_columns(pl.concat_str(parts, separator=", ", ignore_nulls=True).alias("problem"))
    return rows_found("cell-odd", told, pl.col("problem") != "", pl.col("problem"), where=source.path)


def _scores(texts: pl.Series) -> pl.Series:
    """Scores as numbers, NaN and infinities too, which C's and Python's readers take; null where there is none."""
    low = texts.str.to_lowercase().str.strip_chars_start("+")
    numbers = to_decimals(texts)
    named = low.replace_strict(
        {"nan": "nan", "-nan": "nan", "inf": "inf", "infinity": "inf", "-inf": "-inf", "-infinity": "-inf"},
        default=None,
        return_dtype=pl.String,
    )
    return numbers.zip_with(named.is_null(), named.cast(pl.Float64))


def _num_decimals(cells: pl.DataFrame) -> int | None:
    """The most digits after the point that a score has; None where one has an exponent or there is no score."""
    texts = cells.filter(pl.col("num_cells") == 8)["cell_7"].str.strip_chars()
    if not len(texts) or texts.str.contains("[eE]").any():
        return None
    most = texts.str.extract(r"\.([0-9]*)$", 1).fill_null("").str.len_chars().max()
    return int(str(most))


def lint_key_frames(source: Source, against: Against) -> tuple[pl.DataFrame, list[Finding]]:
    """The key-frames that could be read from a list of them (`line`, `video_id`, `timestamp_us`), and all findings."""
    cells, found = cells_found(source, max_cells=2)
    cells, header = _without_header(cells, source=source)
    path = source.path
    is_other = pl.col("num_cells") != 2
    text = pl.format("{} columns, want 2 (video id, seconds)", "num_cells")
    found += [*header, *rows_found("columns-wrong", cells, is_other, text, where=path)]
    keyed, more = _keyed(cells.filter(~is_other), source=source)
    rows = keyed.filter(pl.col("video_id") != "").drop_nulls("timestamp_us").select("line", *KEY)
    return rows, [
        *found,
        *more,
        *key_frame_twice(rows, where=path),
        *key_frame_findings(rows, against, where=path),
    ]


def lint_times(source: Source) -> tuple[pl.DataFrame, list[Finding]]:
    """The times that could be read from a list of them (`line`, `timestamp_us`), and all findings."""
    frame = source.lines.with_columns(seconds_to_us(source.lines["text"]).alias("timestamp_us"))
    is_odd = pl.col("timestamp_us").is_null() | (pl.col("timestamp_us") < 0)
    text = pl.format("{} is no time in a video, in seconds", shown("text"))
    found = rows_found("time-odd", frame, is_odd, text, where=source.path)
    times = frame.drop_nulls("timestamp_us").select("line", "timestamp_us")
    again = pl.format("{} is listed already", shown_time())
    found += rows_found("key-frame-twice", times, ~pl.col("timestamp_us").is_first_distinct(), again, where=source.path)
    return times, found
