"""Annotation files made tables of the work folder.

A Kinetics row is a clip, and a candidate where it has a label. An AVA row is a person and an action at a key-frame:
the key-frame, a clip of two seconds around it, and an accepted label of the person's box. What comes from files
stands apart in `imported/` too, so that `mine` and a later import can be done again without losing each other's rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.formats import merge_label_maps, read_label_map
from gesta.import_.any_format import rows_of
from gesta.schema import US_PER_S, BadInput, LabelClass, Refused, Reject
from gesta.tables import (
    Json,
    Provenance,
    StageSummary,
    count_reasons,
    empty_frame,
    frame_of,
    hashes_of,
    is_current,
    made_by,
    read_sidecar,
    read_table,
    rejects_path,
    sha256_of_file,
    sha256_of_json,
    table_path,
    write_rejects,
    write_table,
)

STAGE = "import-annotations"
SOURCE = "import"
"""`Candidate.source` of what annotation files say."""
IMPORTED_FOLDER = "imported"
HALF_CLIP_US = US_PER_S
"""Source: AVA-Kinetics paper, section 1.2, step 4: raters see two seconds around the key-frame."""

_BOX = ["x1", "y1", "x2", "y2"]
_KEY_FRAME = ["video_id", "timestamp_us"]
_SHARED = ("label_map", "clips", "candidates")
_OF_AVA = ("key_frames", "box_labels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What annotation files say, as tables, and the rows of them that were dropped."""

    label_map: pl.DataFrame
    clips: pl.DataFrame
    candidates: pl.DataFrame
    key_frames: pl.DataFrame
    box_labels: pl.DataFrame
    availability: pl.DataFrame
    rejects: Sequence[Reject]
    num_rows: int
    num_renumbered: int


def read_annotations(files: Sequence[Path], *, label_map: Path | None, videos: pl.DataFrame) -> Imported:
    """What the files say, merged in the order given: of equal rows the first stays, the others are rejects.

    Reject reasons: `class` (not in the label map), `interval` (ends before it starts, or has no end that is known),
    `box` (outside the frame or inverted), `repeat` (said before).

    Args:
        files: of any format in any mixture; the content tells which is which.
        label_map: gives the class ids; without it they are those of the files that have ids and names of their own,
            else the labels are sorted and counted from 1, so that ids depend neither on the order of rows nor of files.
        videos: the videos that are at hand.
    Raises:
        BadInput: a file cannot be read or is of no format with labels, a file is given twice, AVA files name classes
            and there is no label map, or files disagree on what an id stands for.
        BadRow: a line of a file is not what it must be.
    """
    names = _names_of(files)
    kinetics: list[pl.DataFrame] = []
    ava: list[pl.DataFrame] = []
    own: list[pl.DataFrame] = []
    given = None if label_map is None else read_label_map(label_map)
    for name, path in zip(names, files, strict=True):
        rows = rows_of(path, label_map=given, videos=videos)
        kinetics += [] if rows.clips is None else [rows.clips.with_columns(pl.lit(name).alias("file"))]
        ava += [] if rows.boxes is None else [rows.boxes.with_columns(pl.lit(name).alias("file"))]
        own += [] if rows.label_map is None else [rows.label_map]
    if given is None and not own and any(frame["class_id"].null_count() < len(frame) for frame in ava):
        raise BadInput(
            "AVA files name classes by number, and no label map says which they are",
            where=files[0].parent,
            mend="Give --label-map, such as ava_action_list_v2.2.pbtxt",
        )
    classes = given if given is not None else _classes(own, [frame["label"] for frame in kinetics], where=files[0])
    from_kinetics = _of_kinetics(kinetics, classes, where=label_map or "")
    from_ava = _of_ava(ava, classes)
    files_and_ids = pl.concat([frame.select("file", "video_id") for frame in (*kinetics, *ava)])
    availability = (
        files_and_ids.group_by("file", "video_id")
        .agg(pl.len().cast(pl.Int64).alias("num_rows"))
        .with_columns(pl.col("video_id").is_in(videos["video_id"].implode()).alias("is_present"))
    )
    return Imported(
        label_map=classes,
        clips=pl.concat([from_kinetics.clips, from_ava.clips]).unique("clip_id", keep="first", maintain_order=True),
        candidates=from_kinetics.candidates,
        key_frames=from_ava.key_frames,
        box_labels=from_ava.box_labels,
        availability=availability,
        rejects=[*from_kinetics.rejects, *from_ava.rejects],
        num_rows=files_and_ids.height,
        num_renumbered=from_ava.num_renumbered,
    )


def _names_of(files: Sequence[Path]) -> list[str]:
    """What tables call each file: its name, or the path where two files share a name."""
    if not files:
        raise BadInput("no annotation file was given", mend="Give --annotations FILE")
    names = [path.name for path in files]
    unique = [name if names.count(name) == 1 else path.as_posix() for name, path in zip(names, files, strict=True)]
    twice = next((name for name in unique if unique.count(name) > 1), None)
    if twice is not None:
        raise BadInput("the file is given twice", where=twice, mend="Give it once")
    return unique


def _classes(own: Sequence[pl.DataFrame], labels: Sequence[pl.Series], *, where: Path) -> pl.DataFrame:
    """The classes of the files: those that files bring with ids, else their labels, sorted and counted from 1."""
    if not own:
        return _classes_of_labels(labels)
    merged = own[0]
    for more in own[1:]:
        merged = merge_label_maps(merged, more, where=where)
    return merged.sort("class_id")


def _classes_of_labels(labels: Sequence[pl.Series]) -> pl.DataFrame:
    names = sorted({name for series in labels for name in series.drop_nulls().unique()})
    return frame_of("label_map", [LabelClass(class_id=i, name=name) for i, name in enumerate(names, start=1)])


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfKinetics:
    clips: pl.DataFrame
    candidates: pl.DataFrame
    rejects: Sequence[Reject]


def _of_kinetics(frames: Sequence[pl.DataFrame], classes: pl.DataFrame, *, where: str | Path) -> _OfKinetics:
    if not frames:
        return _OfKinetics(clips=empty_frame("clips"), candidates=empty_frame("candidates"), rejects=())
    rows = pl.concat(frames)
    double = classes.filter(pl.col("name").is_duplicated() & pl.col("name").is_in(rows["label"].implode()))
    if len(double):
        raise BadInput(
            f"the label {double['name'][0]!r} stands for more than one id",
            where=where,
            mend="Give each class a name of its own",
        )
    ids = classes.select(pl.col("name").alias("label"), "class_id")
    rows = _with_clip_id(rows.join(ids, on="label", how="left", maintain_order="left"))
    rows = _with_reason(
        rows,
        {
            "interval": (
                (pl.col("end_us") <= pl.col("start_us")).fill_null(value=True),
                pl.when(pl.col("end_us").is_null())
                .then(pl.lit("the file says no times, and how long the video is, is not known"))
                .otherwise(pl.format("the clip ends at {} us, not after its start at {} us", "end_us", "start_us")),
            ),
            "class": (
                pl.col("label").is_not_null() & pl.col("class_id").is_null(),
                pl.format("the label '{}' is not in the label map", pl.col("label").fill_null("")),
            ),
        },
        unique=["clip_id", "class_id"],
    )
    kept = rows.filter(pl.col("reason").is_null())
    candidates = kept.filter(pl.col("class_id").is_not_null()).select(
        "clip_id",
        "class_id",
        pl.lit(SOURCE).alias("source"),
        pl.lit("").alias("query"),
        pl.lit(1.0).alias("score"),
        pl.lit(None, dtype=pl.String).alias("language"),
        pl.lit(None, dtype=pl.Int64).alias("position_us"),
    )
    clips = kept.select("clip_id", "video_id", "start_us", "end_us").unique("clip_id", keep="first")
    return _OfKinetics(clips=clips, candidates=candidates, rejects=_rejects(rows))


def _with_clip_id(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the id that `gesta.schema.clip_id_of` gives their clip, for whole columns."""
    ends = [pl.col(name).cast(pl.String).str.zfill(10) for name in ("start_us", "end_us")]
    return rows.with_columns(pl.concat_str(["video_id", *ends], separator="_").alias("clip_id"))


def _with_reason(
    rows: pl.DataFrame, checks: dict[str, tuple[pl.Expr, pl.Expr]], *, unique: Sequence[str]
) -> pl.DataFrame:
    """The rows with `reason` and `detail` of the first check that catches them, null where none does.

    Of the rows that pass, those whose `unique` columns were there before are repeats.
    """
    none = pl.lit(None, dtype=pl.String)
    reason, detail = none, none
    for name, (is_bad, text) in reversed(checks.items()):
        reason = pl.when(is_bad).then(pl.lit(name)).otherwise(reason)
        detail = pl.when(is_bad).then(text).otherwise(detail)
    rows = rows.with_columns(reason.alias("reason"), detail.alias("detail"))
    is_kept = pl.col("reason").is_null()
    is_repeat = is_kept & ~pl.struct(*unique, is_kept.alias("is_kept")).is_first_distinct()
    return rows.with_columns(
        pl.when(is_repeat).then(pl.lit("repeat")).otherwise("reason").alias("reason"),
        pl.when(is_repeat).then(pl.lit("an earlier row says the same")).otherwise("detail").alias("detail"),
    )


def _rejects(rows: pl.DataFrame) -> list[Reject]:
    dropped = rows.filter(pl.col("reason").is_not_null())
    return [
        Reject(
            stage=STAGE, reason=reason, video_id=video_id, clip_id=clip_id, path=file, detail=f"line {line}: {detail}"
        )
        for reason, video_id, clip_id, file, line, detail in dropped.select(
            "reason", "video_id", "clip_id", "file", "line", "detail"
        ).iter_rows()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfAva:
    clips: pl.DataFrame
    key_frames: pl.DataFrame
    box_labels: pl.DataFrame
    rejects: Sequence[Reject]
    num_renumbered: int


def _of_ava(frames: Sequence[pl.DataFrame], classes: pl.DataFrame) -> _OfAva:
    if not frames:
        empty = {table: empty_frame(table) for table in ("clips", *_OF_AVA)}
        return _OfAva(
            clips=empty["clips"],
            key_frames=empty["key_frames"],
            box_labels=empty["box_labels"],
            rejects=(),
            num_renumbered=0,
        )
    around = [
        pl.max_horizontal(pl.col("timestamp_us") - HALF_CLIP_US, 0).alias("start_us"),
        (pl.col("timestamp_us") + HALF_CLIP_US).alias("end_us"),
    ]
    rows = _with_clip_id(pl.concat(frames).with_columns(around))
    x1, y1, x2, y2 = (pl.col(name) for name in _BOX)
    is_inside = (x1 >= 0) & (x1 < x2) & (x2 <= 1) & (y1 >= 0) & (y1 < y2) & (y2 <= 1)
    shown = pl.concat_str([pl.col(name).fill_null(0) for name in _BOX], separator=" ")
    rows = _with_reason(
        rows,
        {
            "box": (~is_inside, pl.format("the box {} is inverted or leaves the frame", shown)),
            "class": (
                ~pl.col("class_id").is_in(classes["class_id"].implode()),
                pl.format("class {} is not in the label map", pl.col("class_id").fill_null(0)),
            ),
        },
        unique=[*_KEY_FRAME, *_BOX, "class_id"],
    )
    # A person is there whatever the label says, so boxes of unknown classes count as boxes of the key-frame.
    boxes = _with_person(rows.filter(is_inside))
    num_boxes = boxes.group_by("clip_id").agg(pl.len().cast(pl.Int64).alias("num_boxes"))
    # As in the official evaluator, a key-frame is there once a row names it, be its label good or not.
    clips = rows.unique("clip_id", keep="first", maintain_order=True)
    key_frames = clips.join(num_boxes, on="clip_id", how="left").select(
        "clip_id", *_KEY_FRAME, pl.lit(1.0).alias("score"), pl.col("num_boxes").fill_null(0)
    )
    labelled = rows.filter(pl.col("reason").is_null() & pl.col("x1").is_not_null()).drop("person_id")
    box_labels = labelled.join(boxes, on=["clip_id", *_BOX], how="left", maintain_order="left").select(
        "clip_id", *_KEY_FRAME, "person_id", *_BOX, "class_id", pl.lit("accepted").alias("verdict"),
        pl.lit(0, dtype=pl.Int64).alias("num_yes"), pl.lit(0, dtype=pl.Int64).alias("num_votes"),
    )  # fmt: skip
    return _OfAva(
        clips=clips.select("clip_id", "video_id", "start_us", "end_us"),
        key_frames=key_frames,
        box_labels=box_labels,
        rejects=_rejects(rows),
        num_renumbered=boxes.filter(pl.col("is_renumbered")).height,
    )


def _with_person(rows: pl.DataFrame) -> pl.DataFrame:
    """The distinct boxes of each key-frame with their `person_id`.

    The file's own number stands where, in that key-frame, numbers and boxes go one to one and none is negative (some
    programs write -1 for "unknown"). Elsewhere boxes are counted from 0 in the file's order; `is_renumbered` is true
    where that put away numbers of the file.
    """
    person = pl.col("person_id")
    boxes = rows.group_by("clip_id", *_BOX, maintain_order=True).agg(
        person.first().alias("own"),
        ((person.n_unique() == 1) & (person.null_count() == 0) & (person.min() >= 0)).alias("is_one"),
        person.is_not_null().any().alias("has_any"),
    )
    is_one_each = pl.col("is_one").all() & (pl.col("own").n_unique() == pl.len())
    is_usable = is_one_each.over("clip_id")
    counted = pl.int_range(pl.len(), dtype=pl.Int64).over("clip_id")
    return boxes.with_columns(is_usable.fill_null(value=False).alias("is_usable")).select(
        "clip_id",
        *_BOX,
        pl.when("is_usable").then("own").otherwise(counted).alias("person_id"),
        (~pl.col("is_usable") & pl.col("has_any")).alias("is_renumbered"),
    )


def run_import_annotations(work: Path, *, files: Sequence[Path], label_map: Path | None = None) -> StageSummary:
    """What was imported: the files' clips, candidates, key-frames and box labels stand in the work folder's tables.

    Writes `label_map`, `clips`, `candidates`, with AVA files `key_frames` and `box_labels` (score 1, accepted, no
    votes), and `availability`, which says for each file and video whether `videos` holds it; a video that is not at
    hand is no reject. What an earlier import of annotations wrote is replaced; what was mined stays. The summary
    keeps and rejects rows of the files.

    Args:
        work: made where missing.
        files: of any format that `gesta convert --list` names, merged in this order.
        label_map: as for `read_annotations`.
    Raises:
        BadInput: as `read_annotations`, or a mined class has another name in the label map.
        BadRow: a line of a file is not what it must be.
        Refused: `key_frames` or `box_labels` are there from another stage.
    """
    imported = read_annotations(files, label_map=label_map, videos=_videos(work))
    made = _provenance(work, files=files, label_map=label_map)
    # An earlier import's key-frames are replaced by none where these files have none.
    is_ava = imported.key_frames.height > 0 or _maker(work, "key_frames") == STAGE
    tables = [*_SHARED, *(_OF_AVA if is_ava else ()), "availability"]
    outputs = [*(table_path(work, table) for table in tables), rejects_path(work, STAGE)]
    own = [table_path(work, "availability"), rejects_path(work, STAGE), *_apart(work)]
    # Later stages write the shared tables too, so of those it is enough that they are finished.
    is_done = all(is_current(path, made) for path in own) and all(read_sidecar(path) is not None for path in outputs)
    if not is_done:
        _write(work, imported, tables=tables, made=made, where=label_map or files[0])
    return _summary(imported, outputs=outputs, was_current=is_done)


def plan_import_annotations(work: Path, *, files: Sequence[Path], label_map: Path | None = None) -> StageSummary:
    """What `run_import_annotations` would say with the same arguments; nothing is written.

    Raises:
        GestaError: as `read_annotations`.
    """
    imported = read_annotations(files, label_map=label_map, videos=_videos(work))
    return _summary(imported, outputs=(), was_current=False)


def _videos(work: Path) -> pl.DataFrame:
    return read_table(work, "videos") if table_path(work, "videos").is_file() else empty_frame("videos")


def _apart(work: Path) -> list[Path]:
    return [table_path(work / IMPORTED_FOLDER, table) for table in _SHARED]


def _provenance(work: Path, *, files: Sequence[Path], label_map: Path | None) -> Provenance:
    names = _names_of(files)
    inputs = {name: _sha256_of(path) for name, path in zip(names, files, strict=True)}
    if label_map is not None:
        inputs["--label-map"] = sha256_of_file(label_map)
    if table_path(work, "videos").is_file():
        inputs |= hashes_of(work, ["videos"])
    arguments: dict[str, Json] = {"files": names}
    return made_by(STAGE, arguments=arguments, inputs=inputs)


def _sha256_of(path: Path) -> str:
    """Of a file; of a folder, of its files' names and hashes."""
    if not path.is_dir():
        return sha256_of_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return sha256_of_json({file.relative_to(path).as_posix(): sha256_of_file(file) for file in files})


def _write(work: Path, imported: Imported, *, tables: Sequence[str], made: Provenance, where: Path) -> None:
    for table in _OF_AVA if "key_frames" in tables else ():
        maker = _maker(work, table)
        if maker not in (None, STAGE):
            raise Refused(
                f"table {table!r} of `{maker}` stands here, and an AVA file would replace it",
                where=work,
                mend="Import into a folder of its own",
            )
    frames = {"label_map": imported.label_map, "clips": imported.clips, "candidates": imported.candidates}
    mined = _mined(work)
    merged = {
        "label_map": merge_label_maps(frames["label_map"], mined["label_map"], where=where),
        "clips": _with_others(frames["clips"], mined["clips"], key=["clip_id"]),
        "candidates": _with_others(frames["candidates"], mined["candidates"], key=["clip_id", "class_id"]),
        "key_frames": imported.key_frames,
        "box_labels": imported.box_labels,
    }
    for table in _SHARED:
        write_table(table_path(work / IMPORTED_FOLDER, table), table, frames[table], made_by=made)
    for table in tables:
        if table != "availability":
            write_table(table_path(work, table), table, merged[table], made_by=made)
    write_rejects(work, STAGE, imported.rejects, made_by=made)
    # Last: where it is current, all of this was written.
    write_table(table_path(work, "availability"), "availability", imported.availability, made_by=made)


def _maker(work: Path, table: str) -> str | None:
    """The stage that wrote the table of the work folder; None where there is none."""
    sidecar = read_sidecar(table_path(work, table))
    return None if sidecar is None else str(sidecar["made_by"]["stage"])


def _mined(work: Path) -> dict[str, pl.DataFrame]:
    """What `mine` put into the work folder: candidates of other sources, their clips and their classes."""
    found = {
        table: read_table(work, table) if table_path(work, table).is_file() else empty_frame(table) for table in _SHARED
    }
    candidates = found["candidates"].filter(pl.col("source") != SOURCE)
    return {
        "candidates": candidates,
        "clips": found["clips"].join(candidates, on="clip_id", how="semi"),
        "label_map": found["label_map"].join(candidates, on="class_id", how="semi"),
    }


def _with_others(frame: pl.DataFrame, others: pl.DataFrame, *, key: list[str]) -> pl.DataFrame:
    return pl.concat([frame, others.join(frame, on=key, how="anti")])


def _summary(imported: Imported, *, outputs: Sequence[Path], was_current: bool) -> StageSummary:
    videos = imported.availability.group_by("video_id").agg(pl.col("is_present").any())
    return StageSummary(
        stage=STAGE,
        kept=imported.num_rows - len(imported.rejects),
        rejected=count_reasons(imported.rejects),
        outputs=tuple(str(path) for path in outputs),
        was_current=was_current,
        numbers={
            "num_clips": imported.clips.height,
            "num_candidates": imported.candidates.height,
            "num_key_frames": imported.key_frames.height,
            "num_box_labels": imported.box_labels.height,
            "num_renumbered_boxes": imported.num_renumbered,
            "num_classes": imported.label_map.height,
            "num_videos": videos.height,
            "num_videos_present": videos.filter(pl.col("is_present")).height,
        },
    )
