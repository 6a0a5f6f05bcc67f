"""The files of the nine-cell benchmark: its JSON read back, and tables 4 and 5 beside the paper's numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from gesta.evaluate.joint_tables import (
    SETS,
    TABLE_OF,
    TITLES,
    TRUTH,
    Benchmark,
    Cell,
    Chance,
    Spread,
    cell_spread,
    class_rows,
    gain_rows,
    spread_of,
)
from gesta.evaluate.text import table_text
from gesta.schema import BadInput
from gesta.tables import Json, whole_file, write_json, write_text

Printed = Mapping[tuple[str, str, str, str], float]
"""The paper's mAP as a share, by boxes, trained on, evaluated on and split."""

ROW_COLUMNS: dict[str, pl.DataType] = {
    "boxes": pl.String(), "trained_on": pl.String(), "evaluated_on": pl.String(), "split": pl.String(),
    "mAP": pl.Float64(), "deviation": pl.Float64(), "num_seeds": pl.Int64(), "chance": pl.Float64(),
    "paper_mAP": pl.Float64(),
}  # fmt: skip
"""A place of a table: means over seeds; null where it was not scored, or has one seed, or the paper has none."""


def read_benchmark(path: Path) -> Benchmark:
    """The benchmark of a JSON file.

    Raises:
        BadInput: there is none, or it is of another kind.
    """
    try:
        value: Any = json.loads(path.read_bytes())
        classes = value["classes"]
        return Benchmark(
            recipe=str(value["recipe"]),
            class_ids=tuple(int(one["class_id"]) for one in classes),
            class_names=tuple(str(one["name"]) for one in classes),
            categories={int(one["class_id"]): one["category"] for one in classes if one["category"]},
            samples={part: _by_id(of, int) for part, of in value["samples"].items()},
            cells=tuple(_cell(one) for one in value["cells"]),
            chance=tuple(
                Chance(
                    evaluated_on=one["evaluated_on"],
                    split=one["split"],
                    boxes=one["boxes"],
                    mean_ap=_share(one["mAP"]),
                )
                for one in value["chance"]
            ),
            notes=value["notes"],
        )
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=path, mend="Run `gesta benchmark` first") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"is no benchmark of gesta's ({error})", where=path, mend="Delete it and run again") from error


def _cell(one: Mapping[str, Any]) -> Cell:
    return Cell(
        trained_on=one["trained_on"], evaluated_on=one["evaluated_on"], split=one["split"], boxes=one["boxes"],
        seed=one["seed"], mean_ap=_share(one["mAP"]), by_class={int(key): _share(ap) for key, ap in one["AP"].items()},
        num_groundtruth=_by_id(one["num_groundtruth"], int), num_key_frames=one["num_key_frames"],
        num_detections=one["num_detections"], mean_ap_at_hand=one["mAP_at_hand"], mean_ap_named=one["mAP_named"],
    )  # fmt: skip


def _by_id(values: Mapping[str, Any], kind: type[int]) -> dict[int, int]:
    return {int(key): kind(value) for key, value in values.items()}


def _share(value: float | None) -> float:
    return math.nan if value is None else float(value)


def printed_of(frame: pl.DataFrame) -> Printed:
    """The paper's numbers as shares.

    Args:
        frame: columns boxes, trained_on, evaluated_on, split and map_percent.
    """
    columns = ["boxes", "trained_on", "evaluated_on", "split", "map_percent"]
    return {(a, b, c, d): value / 100 for a, b, c, d, value in frame.select(columns).iter_rows()}


def table_rows(benchmark: Benchmark, *, boxes: str, printed: Printed | None = None) -> pl.DataFrame:
    """Every place of table 4 ("truth") or 5 ("detected") with the columns of `ROW_COLUMNS`, in the paper's order.

    Args:
        benchmark: what was found.
        boxes: truth or detected.
        printed: the paper's numbers, to stand beside.
    """
    chance = {(one.evaluated_on, one.split, one.boxes): one.mean_ap for one in benchmark.chance}
    rows = []
    for trained_on in SETS:
        for evaluated_on in SETS:
            for split in benchmark.splits:
                spread = cell_spread(
                    benchmark, trained_on=trained_on, evaluated_on=evaluated_on, split=split, boxes=boxes
                )
                level = chance.get((evaluated_on, split, boxes))
                rows.append({
                    "boxes": boxes, "trained_on": trained_on, "evaluated_on": evaluated_on, "split": split,
                    "mAP": spread and spread.mean, "deviation": spread and spread.deviation,
                    "num_seeds": spread.num_seeds if spread else 0,
                    "chance": None if level is None or math.isnan(level) else level,
                    "paper_mAP": (printed or {}).get((boxes, trained_on, evaluated_on, split)),
                })  # fmt: skip
    return pl.DataFrame(rows, schema=ROW_COLUMNS)


def spread_text(spread: Spread | None) -> str:
    """A mean in percent with its spread.

    >>> spread_text(Spread(mean=0.3274, deviation=0.0051, num_seeds=3)), spread_text(None)
    ('32.74 ± 0.51', '-')
    """
    if spread is None:
        return "-"
    text = f"{100 * spread.mean:.2f}"
    return text if spread.deviation is None else f"{text} ± {100 * spread.deviation:.2f}"


def _cells_text(rows: pl.DataFrame, trained_on: str, *, splits: Sequence[str], is_paper: bool) -> list[str]:
    """One text a set that is scored: the splits' numbers with strokes between, as the paper prints them."""
    texts = []
    for evaluated_on in SETS:
        parts = []
        for split in splits:
            row = rows.filter(trained_on=trained_on, evaluated_on=evaluated_on, split=split).row(0, named=True)
            if is_paper:
                parts.append("-" if row["paper_mAP"] is None else f"{100 * row['paper_mAP']:.2f}")
            else:
                spread = None
                if row["mAP"] is not None:
                    spread = Spread(mean=row["mAP"], deviation=row["deviation"], num_seeds=row["num_seeds"])
                parts.append(spread_text(spread))
        texts.append(" / ".join(parts))
    return texts


def table_lines(
    benchmark: Benchmark, *, boxes: str, printed: Printed | None = None
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table of text: ours, and the paper's below where it is given."""
    rows = table_rows(benchmark, boxes=boxes, printed=printed)
    splits = benchmark.splits
    header = ["trained on", *(f"{TITLES[name]} {' / '.join(splits)}" for name in SETS)]
    lines = [
        [f"{TITLES[name]} train", *_cells_text(rows, name, splits=splits, is_paper=False)] for name in SETS
    ]  # fmt: skip
    chance = {(one.evaluated_on, one.split): one.mean_ap for one in benchmark.chance if one.boxes == boxes}
    levels = [
        " / ".join(spread_text(spread_of([chance.get((name, split), math.nan)])) for split in splits) for name in SETS
    ]
    lines.append(["chance", *levels])
    if printed:
        lines += [
            [f"{TITLES[name]} train, the paper", *_cells_text(rows, name, splits=splits, is_paper=True)]
            for name in SETS
        ]  # fmt: skip
    return header, lines


def table_markdown(benchmark: Benchmark, *, boxes: str, printed: Printed | None = None) -> str:
    """The table as Markdown, mAP in percent, the paper's rows below ours."""
    header, lines = table_lines(benchmark, boxes=boxes, printed=printed)
    rule = "|" + "---|" * len(header)
    return "\n".join([f"| {' | '.join(header)} |", rule, *(f"| {' | '.join(line)} |" for line in lines)]) + "\n"


def benchmark_text(benchmark: Benchmark, *, printed: Printed | None = None) -> str:
    """Both tables for a terminal; one that has no cell is said to have none."""
    parts = []
    for boxes, number in TABLE_OF.items():
        what = "annotated" if boxes == TRUTH else "detected"
        if not any(cell.boxes == boxes for cell in benchmark.cells):
            parts.append(f"table {number} ({what} boxes): nothing was scored")
            continue
        header, lines = table_lines(benchmark, boxes=boxes, printed=printed)
        parts.append(f"table {number} ({what} boxes): frame mAP in percent")
        parts.append(table_text([*header, ""], [[*line, ""] for line in lines]))
    return "\n".join(parts)


def write_tables(out: Path, benchmark: Benchmark, *, printed: Printed | None = None) -> tuple[Path, ...]:
    """The paths written: `table_4` and `table_5` as .json, .csv and .md, `classes_<set>.csv` and `gain.csv`.

    Args:
        out: folder.
        benchmark: what was found.
        printed: the paper's numbers, to stand beside.
    """
    written = []
    for boxes, number in TABLE_OF.items():
        if not any(cell.boxes == boxes for cell in benchmark.cells):
            continue
        rows = table_rows(benchmark, boxes=boxes, printed=printed)
        home = out / f"table_{number}"
        value: dict[str, Json] = {"recipe": benchmark.recipe, "seeds": list(benchmark.seeds), "rows": rows.to_dicts()}
        write_json(home.with_suffix(".json"), value)
        _write_csv(home.with_suffix(".csv"), rows)
        write_text(home.with_suffix(".md"), table_markdown(benchmark, boxes=boxes, printed=printed))
        written += [home.with_suffix(ending) for ending in (".json", ".csv", ".md")]
    for name in SETS:
        frame = class_rows(benchmark, evaluated_on=name)
        if len(frame):
            _write_csv(out / f"classes_{name}.csv", frame)
            written.append(out / f"classes_{name}.csv")
    gains = gain_rows(benchmark)
    if len(gains):
        _write_csv(out / "gain.csv", gains)
        written.append(out / "gain.csv")
    return tuple(written)


def _write_csv(path: Path, frame: pl.DataFrame) -> None:
    with whole_file(path) as temporary:
        frame.write_csv(temporary)
