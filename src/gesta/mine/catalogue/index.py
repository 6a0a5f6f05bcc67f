"""The index of a catalogue, built in one pass over its files, part by part, so that it can be cut and grows.

A folder:

- `index.json`: what it was made of, and how far each source has been read;
- `videos/000000.parquet`, ...: a part's videos in the order of their rows, with how many words each field has;
- `rejects/`: what was dropped;
- `words/`: the engine's own files.

A part counts once the engine has committed it. `next.json`, written before, says how far the sources are read then, so
that a run cut between the two goes on from the right row.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gesta.mine.catalogue.rows import STAGE, STANDARD, Batch
from gesta.mine.catalogue.sources import list_sources, read_batches
from gesta.mine.catalogue.tantivy_index import Engine, add_video, open_engine, open_writer, stream_of, stream_of_tags
from gesta.mine.titles import words_of
from gesta.schema import BadInput, MissingTable, Refused, Reject
from gesta.tables import (
    Json,
    StageSummary,
    empty_frame,
    frame_of,
    made_by,
    rejects_path,
    sha256_of_json,
    whole_file,
    write_json,
    write_table,
)

if TYPE_CHECKING:
    import tantivy

ROWS_PER_PART = 200_000
"""Rows that are in memory at once. Source: ours; a part of such rows with long descriptions takes about 1 GB."""

VERSION = 1
COUNTS: Mapping[str, str] = {
    "title": "num_title_words", "tags": "num_tags_words", "description": "num_description_words",
}  # fmt: skip
"""Column of a part that says how many words a field has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSource:
    """How far a source has been read."""

    sha256: str
    num_rows: int
    is_done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexState:
    """What an index holds."""

    num_videos: int = 0
    num_parts: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, ReadSource] = field(default_factory=dict)

    def as_json(self) -> dict[str, Json]:
        """The parts as plain JSON values."""
        return {
            "version": VERSION,
            "num_videos": self.num_videos,
            "num_parts": self.num_parts,
            "rejected": dict(self.rejected),
            "sources": {
                name: {"sha256": read.sha256, "num_rows": read.num_rows, "is_done": read.is_done}
                for name, read in self.sources.items()
            },
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all of it: equal where the same sources were read equally far."""
        return sha256_of_json(self.as_json())


def read_index(out: Path) -> IndexState:
    """What the index in a folder holds.

    Raises:
        MissingTable: there is no index.
        BadInput: its `index.json` is broken, or of another version.
    """
    path = out / "index.json"
    if not path.is_file():
        raise MissingTable(table="index.json", where=out, verb="catalogue index")
    state = _read_state(path)
    if state is None:
        raise BadInput("no index of a catalogue of this version", where=path, mend="Delete the folder and index again")
    return state


def _read_state(path: Path) -> IndexState | None:
    try:
        value = json.loads(path.read_bytes())
        if value["version"] != VERSION:
            return None
        sources = {name: ReadSource(**read) for name, read in value["sources"].items()}
        return IndexState(
            num_videos=value["num_videos"],
            num_parts=value["num_parts"],
            rejected=value["rejected"],
            sources=sources,
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


def part_path(out: Path, part: int) -> Path:
    """Where the videos of a part lie."""
    return out / "videos" / f"{part:06d}.parquet"


def build_index(
    catalogue: Path,
    *,
    out: Path,
    names: Mapping[str, str] | None = None,
    rows_per_part: int = ROWS_PER_PART,
    on_rows: Callable[[int], None] | None = None,
) -> StageSummary:
    """What was indexed: the words of every video of the catalogue, in the folder `out`.

    A source that is there already is passed over, so a catalogue can grow by files, and a run that was cut goes on
    where it stopped. Of rows with one video id the first stays. Rejected: `row` (cannot be read), `id` (none),
    `text` (none in title, description and tags), `twice` (the id is there already).

    Args:
        catalogue: a file, or a folder of files: csv, Parquet, JSON lines, info files of yt-dlp.
        names: the catalogue's own names of standard columns, where they are none of `ALIASES`.
        on_rows: called with the number of rows just read.
    Raises:
        BadInput: the catalogue cannot be read, or the index is broken.
        UnknownName: `names` speaks of a standard column that is none.
        Refused: a source has changed since it was indexed.
        MissingExtra: tantivy is not installed.
    """
    sources = list_sources(catalogue)
    engine = open_engine(out / "words")
    state = _recovered(out, engine)
    for source in sources:
        read = state.sources.get(source.name)
        if read is not None and read.sha256 != source.sha256:
            raise Refused(f"{source.name} has changed since it was indexed", where=out, mend="Index it in a new folder")
    todo = [source for source in sources if source.name not in state.sources or not state.sources[source.name].is_done]
    if not todo:
        return _summary(state, out, was_current=True)
    seen = _ids_seen(out, state)
    writer = open_writer(engine)
    for source in todo:
        before = state.sources.get(source.name)
        start_row = before.num_rows if before else 0
        for batch, is_last in _with_last(
            read_batches(source, start_row=start_row, names=names or {}, rows_per_batch=rows_per_part)
        ):
            start_row += batch.num_rows
            read = ReadSource(sha256=source.sha256, num_rows=start_row, is_done=is_last)
            state, seen = _add_part(out, state, batch, seen=seen, writer=writer, source=source.name, read=read)
            if on_rows is not None:
                on_rows(batch.num_rows)
    writer.wait_merging_threads()
    _write_all_rejects(out, state)
    return _summary(state, out, was_current=False)


def _with_last(batches: Iterator[Batch]) -> Iterator[tuple[Batch, bool]]:
    """Each batch and whether it is the last; one empty batch where there is none."""
    held = next(batches, Batch(videos=pl.DataFrame(schema=STANDARD), rejected=(), num_rows=0))
    for batch in batches:
        yield held, False
        held = batch
    yield held, True


def _recovered(out: Path, engine: Engine) -> IndexState:
    """The state that the engine's committed documents speak for."""
    state = _read_state(out / "index.json") or IndexState()
    waiting = _read_state(out / "next.json")
    num_videos = engine.num_rows
    if waiting is not None and waiting.num_videos == num_videos and num_videos != state.num_videos:
        (out / "next.json").replace(out / "index.json")
        return waiting
    if state.num_videos != num_videos:
        raise BadInput(
            f"the index holds {num_videos:,} videos and says {state.num_videos:,}",
            where=out,
            mend="Delete the folder and index again",
        )
    return state


def _add_part(
    out: Path,
    state: IndexState,
    batch: Batch,
    *,
    seen: np.ndarray,
    writer: tantivy.IndexWriter,
    source: str,
    read: ReadSource,
) -> tuple[IndexState, np.ndarray]:
    videos, twice = _first_of_each_id(batch.videos, seen=seen, out=out, state=state)
    rejected = [*batch.rejected, *(_twice(video_id, source=source) for video_id in twice)]
    counts = _index_words(videos, first_row=state.num_videos, writer=writer)
    part = videos.drop("description", "tags").with_columns(
        pl.Series(COUNTS[name], num_words, dtype=pl.UInt32) for name, num_words in counts.items()
    )
    with whole_file(part_path(out, state.num_parts)) as temporary:
        part.write_parquet(temporary, compression="zstd")
    _write_rejects(out, state.num_parts, rejected)
    after = replace(
        state,
        num_videos=state.num_videos + videos.height,
        num_parts=state.num_parts + 1,
        rejected=dict(sorted((Counter(state.rejected) + Counter(row.reason for row in rejected)).items())),
        sources={**state.sources, source: read},
    )
    write_json(out / "next.json", after.as_json())
    writer.commit()
    (out / "next.json").replace(out / "index.json")
    # Two sorted runs: a stable sort merges them.
    return after, np.sort(np.concatenate([seen, _hashes(videos)]), kind="stable")


def _hashes(videos: pl.DataFrame) -> np.ndarray:
    return np.sort(videos["video_id"].hash(seed=0).to_numpy())


def _ids_seen(out: Path, state: IndexState) -> np.ndarray:
    """Hashes of the video ids that are there, uint64 [N], sorted: 8 bytes a video."""
    found = [_hashes(pl.read_parquet(part_path(out, part), columns=["video_id"])) for part in range(state.num_parts)]
    return np.sort(np.concatenate(found)) if found else np.empty(0, dtype=np.uint64)


def _first_of_each_id(
    videos: pl.DataFrame, *, seen: np.ndarray, out: Path, state: IndexState
) -> tuple[pl.DataFrame, list[str]]:
    """The videos whose ids come for the first time, and the ids of the others."""
    hashes = videos["video_id"].hash(seed=0).to_numpy()
    places = np.searchsorted(seen, hashes)
    maybe = np.zeros(len(hashes), dtype=bool)
    inside = places < len(seen)
    maybe[inside] = seen[places[inside]] == hashes[inside]
    is_old = pl.lit(value=False)
    if maybe.any():
        # Equal hashes only raise a suspicion; the ids themselves decide.
        suspects = videos["video_id"].filter(pl.Series(maybe)).unique()
        parts = [part_path(out, part) for part in range(state.num_parts)]
        old = pl.scan_parquet(parts).select("video_id").filter(pl.col("video_id").is_in(suspects.implode())).collect()
        is_old = pl.col("video_id").is_in(old["video_id"].implode())
    is_new = pl.col("video_id").is_first_distinct() & ~is_old
    judged = videos.with_columns(is_new.alias("is_new"))
    return judged.filter("is_new").drop("is_new"), judged.filter(~pl.col("is_new"))["video_id"].to_list()


def _twice(video_id: str, *, source: str) -> Reject:
    return Reject(
        stage=STAGE, reason="twice", video_id=video_id, path=source, detail="the catalogue has this video already"
    )


def _index_words(videos: pl.DataFrame, *, first_row: int, writer: tantivy.IndexWriter) -> dict[str, list[int]]:
    counts: dict[str, list[int]] = {name: [] for name in COUNTS}
    rows = zip(videos["title"].to_list(), videos["tags"].to_list(), videos["description"].to_list(), strict=True)
    for row, (title, tags, description) in enumerate(rows, start=first_row):
        streams = {}
        for name, text in (("title", title), ("description", description)):
            words = words_of(text) if text else []
            counts[name].append(len(words))
            if words:
                streams[name] = stream_of(words)
        listed = [words_of(tag) for tag in tags]
        counts["tags"].append(sum(map(len, listed)))
        if counts["tags"][-1]:
            streams["tags"] = stream_of_tags(listed)
        add_video(writer, row, streams)
    return counts


def _rejects_part(out: Path, part: int) -> Path:
    return out / "rejects" / "parts" / f"{part:06d}.parquet"


def _write_rejects(out: Path, part: int, rejected: Sequence[Reject]) -> None:
    with whole_file(_rejects_part(out, part)) as temporary:
        frame_of("rejects", rejected).write_parquet(temporary, compression="zstd")


def _write_all_rejects(out: Path, state: IndexState) -> None:
    parts = [pl.read_parquet(_rejects_part(out, part)) for part in range(state.num_parts)]
    made = made_by(STAGE, arguments={}, inputs={name: read.sha256 for name, read in state.sources.items()})
    write_table(rejects_path(out, STAGE), "rejects", pl.concat([empty_frame("rejects"), *parts]), made_by=made)


def _summary(state: IndexState, out: Path, *, was_current: bool) -> StageSummary:
    return StageSummary(
        stage=STAGE,
        kept=state.num_videos,
        rejected=state.rejected,
        outputs=(str(out / "index.json"), str(rejects_path(out, STAGE))),
        was_current=was_current,
        numbers={"num_sources": len(state.sources), "num_parts": state.num_parts},
    )
