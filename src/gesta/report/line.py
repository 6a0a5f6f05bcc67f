"""The funnel of the line: what each stage kept, dropped and why; what was dropped in all; what made the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from gesta.tables import TABLES, empty_frame, read_sidecar, read_table, table_path

Tables = Mapping[str, pl.DataFrame | None]

READ = (
    "videos", "label_map", "clips", "candidates", "tracks", "key_frames", "items", "votes", "clip_labels",
    "box_labels", "workers", "duplicates", "components", "kept",
)  # fmt: skip
"""Tables of the work folder that the page shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One stage of the funnel: rows of one unit kept, dropped by reason, and what else it wrote."""

    verb: str
    title: str
    unit: str
    kept: int | None
    dropped: tuple[tuple[str, int], ...] = ()
    has_bar: bool = True
    notes: tuple[str, ...] = field(default=())

    @property
    def num_dropped(self) -> int:
        """Rows dropped, for whatever reason."""
        return sum(count for _, count in self.dropped)


def tables_of(work: Path) -> dict[str, pl.DataFrame | None]:
    """The tables of a work folder that the page shows; None for those that are not there."""
    return {table: read_table(work, table) if table_path(work, table).is_file() else None for table in READ}


def rows_or_none(tables: Tables, table: str) -> pl.DataFrame:
    """A table, without rows where it is not there."""
    frame = tables.get(table)
    return empty_frame(table) if frame is None else frame


def num_rows_of(work: Path, table: str) -> int | None:
    """Rows of a table as its sidecar says, for tables too large to read for a number; None without one."""
    sidecar = read_sidecar(table_path(work, table))
    return None if sidecar is None else int(sidecar["num_rows"])


def funnel(
    tables: Tables, rejects: pl.DataFrame, *, num_proposals: int | None, manifest: Mapping[str, Any] | None
) -> list[Step]:
    """The steps of the line up to the release; `kept` is None where a stage has not run."""

    def reasons(stage: str) -> tuple[tuple[str, int], ...]:
        found = Counter(rejects.filter(stage=stage)["reason"].to_list())
        return tuple(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))

    key_frames = tables["key_frames"]
    with_person = len(key_frames.filter(pl.col("num_boxes") > 0)) if key_frames is not None else None
    without = (("no person found", len(key_frames) - (with_person or 0)),) if key_frames is not None else ()
    proposals = () if num_proposals is None else (f"{num_proposals:,} person boxes",)
    clip_kept, clip_dropped = _verdicts(tables["clip_labels"])
    box_kept, box_dropped = _verdicts(tables["box_labels"])
    released = manifest["num_rows"]["clips"] if manifest is not None else None
    return [
        Step(verb="import", title="Import", unit="videos", kept=_size(tables, "videos"), dropped=reasons("import")),
        Step(
            verb="mine", title="Mine", unit="clips", kept=_size(tables, "clips"), dropped=reasons("mine"),
            notes=_notes(tables, {"candidates": "guesses of an action", "label_map": "actions"}),
        ),
        Step(
            verb="detect", title="Detect", unit="clips with a person", kept=with_person,
            dropped=tuple(pair for pair in (*without, *reasons("detect")) if pair[1]),
            notes=(*proposals, *_persons(tables["tracks"])),
        ),
        Step(
            verb="label", title="Label", unit="questions", kept=_size(tables, "items"),
            notes=_notes(tables, {"votes": "votes"}), has_bar=False,
        ),
        Step(verb="consensus", title="Consensus, clips", unit="clip labels", kept=clip_kept, dropped=clip_dropped),
        Step(verb="consensus", title="Consensus, boxes", unit="box labels", kept=box_kept, dropped=box_dropped),
        Step(verb="curate", title="Curate", unit="clip labels", kept=_size(tables, "kept"), dropped=reasons("curate")),
        Step(verb="release", title="Release", unit="clips", kept=released, dropped=reasons("release")),
    ]  # fmt: skip


def _size(tables: Tables, table: str) -> int | None:
    frame = tables[table]
    return None if frame is None else len(frame)


def _notes(tables: Tables, words: Mapping[str, str]) -> tuple[str, ...]:
    there = {what: tables[table] for table, what in words.items()}
    return tuple(f"{len(frame):,} {what}" for what, frame in there.items() if frame is not None)


def _persons(tracks: pl.DataFrame | None) -> tuple[str, ...]:
    return () if tracks is None else (f"{tracks.select('clip_id', 'person_id').n_unique():,} tracked persons",)


def _verdicts(labels: pl.DataFrame | None) -> tuple[int | None, tuple[tuple[str, int], ...]]:
    if labels is None:
        return None, ()
    found = Counter(labels["verdict"].to_list())
    words = (("voted down", found["rejected"]), ("open or not asked", found["open"]))
    return found["accepted"], tuple(pair for pair in words if pair[1])


def dropped_rows(rejects: pl.DataFrame, *, max_examples: int = 2) -> list[dict[str, Any]]:
    """Rejects by stage and reason, in the order of the line, each with a few examples in words."""
    order = {kind.verb: number for number, kind in enumerate(TABLES.values())}
    groups = []
    for (stage, reason), rows in rejects.group_by("stage", "reason", maintain_order=True):
        ordered = rows.sort(["path", "video_id", "clip_id", "detail"], nulls_last=True)
        examples = [
            f"{row['path'] or row['video_id'] or row['clip_id'] or ''}: {row['detail']}".removeprefix(": ")
            for row in ordered.head(max_examples).iter_rows(named=True)
        ]
        groups.append({"stage": stage, "reason": reason, "num": len(rows), "examples": examples})
    return sorted(groups, key=lambda row: (order.get(row["stage"], 99), row["stage"], -row["num"], row["reason"]))


def provenance(work: Path, *, release: Path | None) -> dict[str, Any]:
    """What made each table (from the sidecars) and the versions of the programs that took part."""
    rows: list[dict[str, Any]] = []
    versions: dict[str, set[str]] = {}
    for folder, where in [(work, "work"), *([(release, "release")] if release is not None else [])]:
        for table in TABLES:
            sidecar = read_sidecar(table_path(folder, table))
            if sidecar is None:
                continue
            made = sidecar["made_by"]
            arguments = ", ".join(f"{key} = {_short(value)}" for key, value in sorted(made["arguments"].items()))
            rows.append({
                "where": where, "table": table, "stage": made["stage"], "num_rows": sidecar["num_rows"],
                "sha256": sidecar["sha256"][:12], "arguments": arguments,
            })  # fmt: skip
            for tool, version in made["tools"].items():
                versions.setdefault(tool, set()).add(version)
    return {"rows": rows, "versions": [(tool, ", ".join(sorted(found))) for tool, found in sorted(versions.items())]}


def _short(value: object, *, most: int = 60) -> str:
    text = str(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def share(part: float, whole: float) -> float:
    """`part` of `whole` in percent, 0 where there is no whole; for the widths of bars."""
    return round(100 * part / whole, 2) if whole else 0.0


def stacked(parts: Sequence[tuple[str, int]], *, whole: int) -> list[dict[str, Any]]:
    """Name, count and width in percent of each part of a bar."""
    return [{"name": name, "num": count, "width": share(count, whole)} for name, count in parts]
