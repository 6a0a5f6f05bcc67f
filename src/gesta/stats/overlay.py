"""Several datasets side by side, and all of them as one: AVA against Kinetics, as AVA-Kinetics shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from gesta.schema import BadInput
from gesta.stats.counts import SPLIT_ORDER, Rows, Stats, count


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """The numbers of each dataset and of all of them as one, and the tables that show them side by side.

    `stats` holds each dataset in the order given, and last, under `combined`, their union.
    """

    names: tuple[str, ...]
    combined: str
    stats: dict[str, Stats]
    tables: dict[str, pl.DataFrame]

    def as_json(self) -> dict[str, Any]:
        """The parts as plain JSON values."""
        return {
            "datasets": {name: stats.as_json() for name, stats in self.stats.items()},
            "combined": self.combined,
            **{name: frame.to_dicts() for name, frame in self.tables.items()},
        }


def aligned(parts: Sequence[Rows]) -> list[Rows]:
    """The same rows under one numbering of classes, each with the names of all.

    Ids stay where all parts agree on them (AVA). Where one id has two names or one name two ids (two Kinetics lists,
    whose ids number their labels), the names are sorted and numbered from 1.
    """
    names = pl.concat([part.names.select("class_id", "name") for part in parts]).unique().sort("class_id", "name")
    if names["class_id"].is_unique().all() and names["name"].is_unique().all():
        return [replace(part, names=names) for part in parts]
    distinct = names["name"].unique().sort()
    union = pl.DataFrame(
        {"class_id": range(1, len(distinct) + 1), "name": distinct}, schema_overrides={"class_id": pl.Int64}
    )
    found = []
    for part in parts:
        ids = part.names.join(union, on="name", suffix="_new").select("class_id", "class_id_new")
        changed = {
            what: frame.join(ids, on="class_id", how="left", maintain_order="left")
            .with_columns(pl.col("class_id_new").alias("class_id"))
            .select(frame.columns)
            for what, frame in (("clips", part.clips), ("boxes", part.boxes), ("groups", part.groups))
        }
        found.append(
            replace(part, names=union, clips=changed["clips"], boxes=changed["boxes"], groups=changed["groups"])
        )
    return found


def merged(parts: Sequence[Rows], *, what: str) -> Rows:
    """The parts as one dataset; a video or clip that is in two of them is one.

    Raises:
        BadInput: there are no parts.
    """
    if not parts:
        raise BadInput("nothing to count", mend="Name a work folder, a release or an annotation file")
    if len(parts) == 1:
        return replace(parts[0], what=what)
    same = aligned(parts)
    return Rows(
        what=what,
        clips=pl.concat([part.clips for part in same]),
        boxes=pl.concat([part.boxes for part in same]),
        names=same[0].names,
        groups=pl.concat([part.groups for part in same]).unique(maintain_order=True),
        person_counts=pl.concat([part.person_counts.cast(pl.Int64) for part in same]),
        video_durations_us=pl.concat([part.video_durations_us for part in same]),
    )


def overlaid(datasets: Mapping[str, Rows], *, combined: str | None = None) -> Overlay:
    """The datasets side by side.

    Tables, each with a column `dataset`: totals (one row a dataset), frames_and_videos (split, num_key_frames,
    num_videos, num_clips; split `total` is the whole), classes (class_id, name, num_boxes, num_box_videos, num_clips,
    num_videos), boxes_per_key_frame and box_area_shares (with `share` of the dataset's), clips_per_class; and those
    that single datasets bring along.

    Args:
        datasets: name to rows.
        combined: what to call all of them as one; None = their names joined by hyphens, as in "AVA-Kinetics".
    Raises:
        BadInput: there are fewer than two datasets, or one has the name of the whole.
    """
    names = tuple(datasets)
    whole = combined if combined is not None else "-".join(names)
    if len(names) < 2:
        raise BadInput("nothing to set side by side", mend="Name two datasets")
    if whole in names:
        raise BadInput(f"{whole!r} is one of the datasets and all of them", mend="Give the whole another name")
    same = dict(zip(names, aligned(list(datasets.values())), strict=True))
    stats = {name: count(rows) for name, rows in same.items()}
    stats[whole] = count(merged(list(same.values()), what=" + ".join(names)))
    tables = {
        "totals": pl.concat(
            [
                pl.DataFrame([{"dataset": n, **s.totals}], infer_schema_length=None, schema_overrides=_TOTALS)
                for n, s in stats.items()
            ],
            how="vertical_relaxed",
        ),
        "frames_and_videos": _stacked({name: _frames_and_videos(of) for name, of in stats.items()}).select(
            "split", "dataset", "num_key_frames", "num_videos", "num_clips"
        ),
        "classes": _stacked({name: of.tables["classes"] for name, of in stats.items()}),
        "clips_per_class": _stacked({name: of.tables["clips_per_class"] for name, of in stats.items()}),
        "groups": _stacked({name: of.tables["groups"] for name, of in stats.items()}),
    }
    for table, number in (("boxes_per_key_frame", "num_key_frames"), ("box_area_shares", "num_boxes")):
        shares = {name: _with_share(of.tables[table], number) for name, of in stats.items()}
        tables[table] = _stacked(shares)
    for table in dict.fromkeys(table for rows in same.values() for table in rows.more):
        tables[table] = _stacked({name: rows.more[table] for name, rows in same.items() if table in rows.more})
    return Overlay(names=names, combined=whole, stats=stats, tables=tables)


_TOTALS = {
    "mean_boxes_per_key_frame": pl.Float64, "median_box_side": pl.Float64, "peak_box_area": pl.Float64,
    "mean_clips_per_class": pl.Float64, "median_videos_per_box_class": pl.Float64, "min_clips_per_class": pl.Int64,
    "max_clips_per_class": pl.Int64, "max_videos_per_box_class": pl.Int64,
}  # fmt: skip


def _stacked(frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([frame.select(pl.lit(name).alias("dataset"), pl.all()) for name, frame in frames.items()])


def _frames_and_videos(stats: Stats) -> pl.DataFrame:
    """Table 1 of AVA-Kinetics: a row a split, and the whole."""
    columns = ("num_key_frames", "num_videos", "num_clips")
    whole = {"split": "total", **{column: stats.totals[column] for column in columns}}
    schema = {"split": pl.String, **dict.fromkeys(columns, pl.Int64)}
    each = stats.tables["splits"].select("split", *columns).sort(SPLIT_ORDER, "split")
    return pl.concat([each, pl.DataFrame([whole], schema=schema)])


def _with_share(frame: pl.DataFrame, number: str) -> pl.DataFrame:
    return frame.with_columns((pl.col(number) / max(frame[number].sum(), 1)).round(6).alias("share"))
