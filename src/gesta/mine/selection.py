"""Which clips of a source to annotate next: all of classes related to weak ones, then a uniform draw of the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from gesta.formats import Context, read_annotations, read_label_map
from gesta.formats.delimited import read_lines
from gesta.mine.relate import Related
from gesta.schema import BadInput, LabelClass, MissingTable, SelectedClip, UnknownName, clip_id_of
from gesta.tables import (
    Json,
    StageSummary,
    frame_of,
    hashes_of,
    made_by,
    read_table,
    rows_of,
    sha256_of_file,
    table_path,
    write_table,
)
from gesta.tables.store import SUFFIXES

STAGE = "select-training"
BETWEEN_TARGETS = "; "


def select_clips(
    clips: Iterable[tuple[str, int]],
    *,
    classes: Sequence[LabelClass],
    related: Sequence[Related],
    num_uniform: int = 0,
    max_per_class: int | None = None,
    seed: int = 0,
    excluded: Iterable[str] = (),
) -> list[SelectedClip]:
    """The chosen clips, each once, by clip id: those of related classes, and a uniform draw of the others.

    The draw ranks clips by a hash of the seed and their id. So a larger draw holds the smaller one, and clips that
    are added to or taken from the source change nothing for the others but who is at the edge.

    Args:
        clips: pairs of clip id and class id; a clip may have several classes, and is related if one of them is.
        classes: of the source, as its label map has them.
        num_uniform: clips to draw of those that no related class holds; all of them where there are fewer.
        max_per_class: clips of a related class at most, drawn by the same ranks; None = all, as the paper.
        seed: of both draws.
        excluded: ids of clips that are annotated already; none of them is chosen.
    Raises:
        BadInput: a number is negative, a class id is not in `classes`, or `related` names no class of the source.
    Source: AVA-Kinetics paper, section 1.2: "the annotation pipeline is applied to all Kinetics videos containing those
        actions. Clips from the remaining Kinetics classes are sampled uniformly".

    >>> rows = [LabelClass(class_id=1, name="hammer throw"), LabelClass(class_id=2, name="yoga")]
    >>> pairs = [Related(target="throw", source="hammer throw", how="name", words="throw")]
    >>> chosen = select_clips([("a", 1), ("b", 2), ("c", 2)], classes=rows, related=pairs, num_uniform=1)
    >>> [(row.clip_id, row.reason, row.targets) for row in chosen]
    [('a', 'related', 'throw'), ('c', 'uniform', '')]
    """
    if num_uniform < 0 or (max_per_class is not None and max_per_class < 1):
        raise BadInput(f"{num_uniform} uniform clips, {max_per_class} a class", mend="Want at least 0, and at least 1")
    names = {row.class_id: row.name for row in classes}
    targets = _targets_by_id(related, classes)
    classes_of: dict[str, set[int]] = {}
    barred = set(excluded)
    for clip_id, class_id in clips:
        if class_id not in names:
            raise BadInput(f"clip {clip_id!r} has class {class_id}, which the label map lacks")
        if clip_id not in barred:
            classes_of.setdefault(clip_id, set()).add(class_id)
    ranks = {clip_id: _rank(clip_id, seed=seed) for clip_id in classes_of}
    chosen: dict[str, SelectedClip] = {}
    by_class: dict[int, list[str]] = {}
    for clip_id, class_ids in classes_of.items():
        for class_id in class_ids & targets.keys():
            by_class.setdefault(class_id, []).append(clip_id)
    for class_id in sorted(by_class):
        for clip_id in sorted(by_class[class_id], key=ranks.__getitem__)[:max_per_class]:
            chosen.setdefault(
                clip_id,
                SelectedClip(
                    clip_id=clip_id,
                    class_id=class_id,
                    name=names[class_id],
                    reason="related",
                    targets=BETWEEN_TARGETS.join(targets[class_id]),
                ),
            )
    rest = [clip_id for clip_id, class_ids in classes_of.items() if not class_ids & targets.keys()]
    for clip_id in sorted(rest, key=ranks.__getitem__)[:num_uniform]:
        class_id = min(classes_of[clip_id])
        chosen[clip_id] = SelectedClip(
            clip_id=clip_id, class_id=class_id, name=names[class_id], reason="uniform", targets=""
        )
    return [chosen[clip_id] for clip_id in sorted(chosen)]


def _targets_by_id(related: Sequence[Related], classes: Sequence[LabelClass]) -> dict[int, list[str]]:
    targets: dict[str, dict[str, None]] = {}
    for pair in related:
        targets.setdefault(pair.source, {})[pair.target] = None
    unknown = sorted(set(targets) - {row.name for row in classes})
    if unknown:
        raise BadInput(f"{unknown[0]!r} is related and is no class of the source", mend="Take it out of the pairs")
    return {row.class_id: list(targets[row.name]) for row in classes if row.name in targets}


def _rank(clip_id: str, *, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{clip_id}".encode()).digest()


def run_selection(
    clips: Sequence[tuple[str, int]],
    *,
    classes: Sequence[LabelClass],
    related: Sequence[Related],
    source: Path,
    num_uniform: int = 0,
    max_per_class: int | None = None,
    seed: int = 0,
    excluded: Path | None = None,
    split: str | None = None,
    out: Path | None = None,
) -> tuple[list[SelectedClip], StageSummary]:
    """What `select_clips` chooses, and how many for what reason; written to `out` where given, as `selected_clips`.

    Args:
        source: where the clips come from, for the record.
        excluded: a file of clip ids, an id a line, or a table of an earlier selection (.csv, .jsonl, .parquet).
        split: which the clips are of, for the record.
    Raises:
        BadInput: as `select_clips`; or `excluded` cannot be read, or `out` has another ending than a table's.
    """
    barred = _ids_of(excluded) if excluded is not None else []
    chosen = select_clips(
        clips,
        classes=classes,
        related=related,
        num_uniform=num_uniform,
        max_per_class=max_per_class,
        seed=seed,
        excluded=barred,
    )
    if out is not None:
        arguments: dict[str, Json] = {
            "num_uniform": num_uniform, "max_per_class": max_per_class, "seed": seed, "split": split,
            "source": source.name,
            "related": [[pair.target, pair.source, pair.how] for pair in related],
        }  # fmt: skip
        inputs = {"source": sha256_of_file(source)} if source.is_file() else hashes_of(source, ["clip_labels"])
        inputs |= {} if excluded is None else {"excluded": sha256_of_file(excluded)}
        record = made_by(STAGE, arguments=arguments, inputs=inputs)
        write_table(out, "selected_clips", frame_of("selected_clips", chosen), made_by=record)
    num_related = sum(row.reason == "related" for row in chosen)
    numbers: dict[str, Json] = {
        "num_related_classes": len({pair.source for pair in related}),
        "num_related": num_related,
        "num_uniform": len(chosen) - num_related,
        "num_excluded": len({clip_id for clip_id, _ in clips} & set(barred)),
    }
    outputs = () if out is None else (str(out),)
    return chosen, StageSummary(stage=STAGE, kept=len(chosen), outputs=outputs, numbers=numbers)


def _ids_of(path: Path) -> list[str]:
    """Clip ids of an earlier selection, or of a list of ids, an id a line."""
    if path.suffix in SUFFIXES:
        return read_table(path, "selected_clips")["clip_id"].to_list()
    return read_lines(path)["text"].str.strip_chars().to_list()


def source_clips(
    source: Path, *, split: str | None = None, format_name: str | None = None, label_map: Path | None = None
) -> tuple[list[tuple[str, int]], list[LabelClass]]:
    """Clips of a source with their classes, and the source's classes.

    A work folder gives the clips whose verdict is `accepted`; its `splits` say which split they are in. Any other
    source is an annotation file of clips, as Kinetics' csv.

    Args:
        split: only clips of this split; None = all.
        format_name: of a file, see `gesta convert --list`; None = looked at.
        label_map: gives ids to the names in a file; None = they are numbered as they sort.
    Raises:
        MissingTable: a work folder lacks `clip_labels`, `label_map`, or with a split `splits`.
        BadInput: a file cannot be read, or has no clip with a class.
        UnknownName: no clip is in that split; the message lists the splits.
    """
    if source.is_dir() and table_path(source, "label_map").is_file():
        pairs, classes = _of_work(source)
        splits = dict(read_table(source, "splits").select("clip_id", "split").iter_rows()) if split else {}
    else:
        context = Context() if label_map is None else Context(label_map=read_label_map(label_map))
        annotations = read_annotations(source, format_name=format_name, context=context)
        frame = annotations.clips.filter(pl.col("class_id").is_not_null())
        ids = [_clip_id(*row) for row in frame.select("video_id", "start_us", "end_us").iter_rows()]
        pairs = list(zip(ids, frame["class_id"].to_list(), strict=True))
        classes = rows_of("label_map", annotations.label_map)
        splits = dict(zip(ids, frame["split"].fill_null("").to_list(), strict=True))
    if split is not None:
        if split not in splits.values():
            raise UnknownName(what="split", name=split, choices=sorted({*splits.values()} - {""}), where=source)
        pairs = [(clip_id, class_id) for clip_id, class_id in pairs if splits.get(clip_id) == split]
    if not pairs:
        raise BadInput("no clip has a class here", where=source, mend="Name a work folder or a list of labelled clips")
    return pairs, classes


def _of_work(work: Path) -> tuple[list[tuple[str, int]], list[LabelClass]]:
    if not table_path(work, "clip_labels").is_file():
        raise MissingTable(table="clip_labels", where=work, verb="consensus")
    accepted = read_table(work, "clip_labels").filter(pl.col("verdict") == "accepted")
    pairs: list[tuple[str, int]] = list(accepted.select("clip_id", "class_id").iter_rows())
    return pairs, rows_of("label_map", read_table(work, "label_map"))


def _clip_id(video_id: str, start_us: int | None, end_us: int | None) -> str:
    if start_us is None or end_us is None:
        return video_id
    return clip_id_of(video_id=video_id, start_us=start_us, end_us=end_us)
