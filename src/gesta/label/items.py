"""What is asked: the items table from the tables that each kind is made of, the known answers, and the scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from gesta.label.class_edits import finish_edits
from gesta.label.item_sources import (
    STAGE,
    asked_candidates,
    clip_items,
    frame_items,
    person_items,
    proposed_box_items,
    suggestion_items,
    tracked_box_items,
)
from gesta.label.kinds import check_answer
from gesta.label.review_items import class_items, cluster_items
from gesta.schema import ANSWERS_OF, DONE, BadInput, BadRow, Reject, UnknownName
from gesta.tables import (
    Json,
    Provenance,
    StageSummary,
    count_reasons,
    empty_frame,
    hashes_of,
    is_current,
    made_by,
    read_sidecar,
    read_table,
    rejects_path,
    table_path,
    write_rejects,
    write_table,
)

__all__ = ["KINDS_BY_DEFAULT", "build_items", "import_gold", "import_scores"]

KINDS_BY_DEFAULT = ("clip", "box")
"""The kinds of question that are asked of candidates and tracked persons, before any consensus."""

_NEEDED: Mapping[str, tuple[str, ...]] = {
    "clip": ("candidates", "clips", "label_map"),
    "suggestion": ("clip_labels", "label_map"),
    "frame": ("key_frames", "boxes"),
    "person": (),
    "box": ("label_map",),
    "cluster": ("duplicates",),
    "class": ("clip_labels", "label_map"),
}
_USED: Mapping[str, tuple[str, ...]] = {
    "person": ("key_frame_boxes", "key_frames", "tracks"),
    "box": ("proposed_labels", "candidates", "clips", "key_frames", "tracks"),
    "cluster": ("reviews",),
    "class": ("kept", "clip_scores", "fold_scores", "label_issues", "duplicates", "reviews"),
}
"""The tables that each kind is made of: those that must be there, and those that are read where they are."""


def build_items(work: Path, *, kinds: Sequence[str] = KINDS_BY_DEFAULT, lowest_frac: float = 1.0) -> StageSummary:
    """Write the items table: the questions of these kinds anew, those of other kinds as they stand in it.

    clip: every candidate. suggestion: clips that workers rejected with a majority of no. frame: every key-frame.
    person: the persons that workers verified there, else the tracked ones. box: every action that raters proposed for
    a person; before there are such, every candidate's class and every person tracked at its clip's key-frame.
    cluster: copies that `curate` found. class: pages of the clips that a class has. What was reviewed stays and is
    not asked again.

    Where `detect` has not run there are no box items. A candidate whose clip or class is unknown is rejected
    (`no-clip`, `no-class`).

    Args:
        work: the work folder.
        kinds: some of the kinds of question.
        lowest_frac: of each class's clips only so many of the least sure are reviewed; 1 = all.
    Raises:
        MissingTable: a table that a kind is made of is not there; the message names the verb that makes it.
        UnknownName: a kind is none.
        BadInput: no kind is named, `lowest_frac` is not above 0 and up to 1, or the label map calls a proposed action
            otherwise than AVA does.
        Refused: a class that a split made has come to mean another.
    """
    for kind in kinds:
        if kind not in ANSWERS_OF:
            raise UnknownName(what="kind of item", name=kind, choices=ANSWERS_OF)
    if not kinds:
        raise BadInput("no kind of item is named", where=work, mend=f"Name some of {', '.join(ANSWERS_OF)}")
    if any(table in (*_NEEDED[kind], *_USED.get(kind, ())) for kind in kinds for table in ("candidates", "label_map")):
        # What an interrupted edit of classes left undone, or `mine` undid.
        finish_edits(work)
    others = _items_that_stay(work, kinds)
    provenance = _provenance(work, kinds=kinds, others=others, lowest_frac=lowest_frac)
    outputs = (table_path(work, "items"), rejects_path(work, STAGE))
    if all(is_current(path, provenance) for path in outputs):
        rejected = read_table(outputs[1], "rejects")["reason"].value_counts()
        return _summary(read_table(work, "items"), dict(rejected.iter_rows()), was_current=True)
    is_proposed = table_path(work, "proposed_labels").is_file()
    needs_candidates = "clip" in kinds or ("box" in kinds and not is_proposed)
    asked, rejects = asked_candidates(work) if needs_candidates else (empty_frame("candidates"), [])
    sources: Mapping[str, Callable[[], pl.DataFrame]] = {
        "clip": lambda: clip_items(asked),
        "suggestion": lambda: suggestion_items(work),
        "frame": lambda: frame_items(work),
        "person": lambda: person_items(work),
        "box": lambda: proposed_box_items(work) if is_proposed else tracked_box_items(asked, work),
        "cluster": lambda: cluster_items(work),
        "class": lambda: class_items(work, lowest_frac=lowest_frac),
    }
    made = [sources[kind]() for kind in ANSWERS_OF if kind in kinds]
    frame = pl.concat([others, *made]).unique("item_id", keep="first", maintain_order=True)
    write_table(outputs[0], "items", frame, made_by=provenance)
    write_rejects(work, STAGE, rejects, made_by=provenance)
    return _summary(frame, count_reasons(rejects), was_current=False)


def _items_that_stay(work: Path, kinds: Sequence[str]) -> pl.DataFrame:
    # Rounds follow one another: the votes on an earlier round's items must keep their items, and what reviewers took
    # out is no longer in the tables that the next round is made of.
    path = table_path(work, "items")
    if read_sidecar(path) is None or not path.is_file():
        return empty_frame("items")
    is_reviewed = pl.lit(value=False)
    if table_path(work, "reviews").is_file():
        is_reviewed = pl.col("item_id").is_in(read_table(work, "reviews")["item_id"].unique().implode())
    return read_table(work, "items").filter(~pl.col("kind").is_in(list(kinds)) | is_reviewed)


def _provenance(work: Path, *, kinds: Sequence[str], others: pl.DataFrame, lowest_frac: float) -> Provenance:
    needed = {table for kind in kinds for table in _NEEDED[kind]}
    used = {table for kind in kinds for table in _USED.get(kind, ())}
    present = {table for table in used if read_sidecar(table_path(work, table)) is not None}
    arguments: dict[str, Json] = {"kinds": sorted(kinds), **({"lowest_frac": lowest_frac} if lowest_frac < 1 else {})}
    if len(others):
        text = "\n".join(sorted(json.dumps(row) for row in others.iter_rows()))
        arguments["other_items"] = hashlib.sha256(text.encode()).hexdigest()
    return made_by(STAGE, arguments=arguments, inputs=hashes_of(work, sorted(needed | present)))


def _summary(frame: pl.DataFrame, rejected: Mapping[str, int], *, was_current: bool) -> StageSummary:
    kinds = dict(frame["kind"].value_counts().iter_rows())
    return StageSummary(
        stage=STAGE,
        kept=len(frame),
        rejected=rejected,
        outputs=("items.parquet", f"rejects/{STAGE}.parquet"),
        was_current=was_current,
        numbers={
            f"num_{kind}_items": kinds.get(kind, 0)
            for kind in ANSWERS_OF
            if kind in KINDS_BY_DEFAULT or kinds.get(kind, 0)
        },
    )


def import_gold(work: Path, *, gold: Path) -> StageSummary:
    """Write the gold table from a file with the columns item_id, answer and perhaps detail (csv, jsonl or parquet).

    The detail is JSON, as a worker's answer has it. A row whose item is unknown is rejected (`no-item`, in
    `rejects/gold.parquet`).

    Raises:
        MissingTable: the file or the items table is not there.
        BadRow: an answer or a detail is none of its item's kind, or an item is named twice; the message names the
            line (lines from 1, the header is line 1; in other files than csv the row plus 1).
        WrongSchema: the columns are others.
    """
    items = {row["item_id"]: row for row in read_table(work, "items").iter_rows(named=True)}
    frame = read_table(gold, "gold", may_lack=["detail"])
    seen: set[str] = set()
    details = []
    for line, (item_id, answer, detail) in enumerate(frame.iter_rows(), start=2):
        try:
            details.append(_checked_gold(items.get(item_id), answer, detail))
        except BadInput as error:
            raise BadRow(error.problem, path=gold, line=line, mend=error.mend) from error
        if item_id in seen:
            raise BadRow(f"item {item_id!r} is there twice", path=gold, line=line, mend="Drop one of the lines")
        seen.add(item_id)
    is_known = frame["item_id"].is_in(list(items))
    rejects = [
        Reject(stage="gold", reason="no-item", path=str(gold), detail=f"no item {item_id}")
        for item_id in frame.filter(~is_known)["item_id"]
    ]
    kept = frame.with_columns(pl.Series("detail", details, dtype=pl.String)).filter(is_known)
    provenance = made_by("gold", arguments={}, inputs=hashes_of(work, ["items"]))
    write_table(table_path(work, "gold"), "gold", kept, made_by=provenance)
    write_rejects(work, "gold", rejects, made_by=provenance)
    return StageSummary(
        stage="gold", kept=len(kept), rejected=count_reasons(rejects), outputs=("gold.parquet", "rejects/gold.parquet")
    )


def _checked_gold(item: Mapping[str, object] | None, answer: str, detail: str | None) -> str | None:
    """The detail in its canonical form.

    Raises:
        BadInput: the answer or the detail is none of the item's kind.
    """
    if item is None:
        known = sorted({answer for answers in ANSWERS_OF.values() for answer in answers})
        if answer not in known:
            raise BadInput(f"{answer!r} is no answer", mend=f"Want one of {', '.join(known)}")
        return detail
    kind, shown = str(item["kind"]), json.loads(str(item["detail"] or "{}"))
    if answer not in ANSWERS_OF[kind]:
        raise BadInput(f"{answer!r} is no answer", mend=f"Want one of {', '.join(ANSWERS_OF[kind])}")
    if detail is None:
        # Only the answer is known, as of a key-frame that is broken, or not.
        return None
    try:
        parsed = json.loads(detail)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the detail is no JSON ({error})", mend="Write it as docs/label-kinds.md says") from error
    if answer != DONE:
        raise BadInput(f"{answer!r} has no known detail", mend="Leave the detail empty")
    num_clips, num_proposals = len(shown.get("clips", ())), len(shown.get("boxes", ()))
    return check_answer(kind, answer, None, parsed, num_clips=num_clips, num_proposals=num_proposals)


def import_scores(work: Path, *, scores: Path) -> StageSummary:
    """Write the table `clip_scores` from a file with the columns clip_id, class_id, score (csv, jsonl or parquet).

    A row whose clip or class is unknown is rejected (`no-clip`, `no-class`, in `rejects/scores.parquet`).

    Raises:
        MissingTable: the file, the clips or the label map is not there.
        WrongSchema: the columns are others.
        BadInput: a clip and class is scored twice, or a score is no finite number.
    """
    frame = read_table(scores, "clip_scores")
    if not frame["score"].is_finite().all():
        number = int(frame["score"].is_finite().not_().arg_max() or 0)
        raise BadInput(f"the score in row {number} is no finite number", where=scores, mend="Leave such rows out")
    is_clip = frame["clip_id"].is_in(read_table(work, "clips")["clip_id"].implode())
    is_class = frame["class_id"].is_in(read_table(work, "label_map")["class_id"].implode())
    rejects = [
        Reject(stage="scores", reason="no-clip", clip_id=clip_id, path=str(scores), detail="`clips` lacks the clip")
        for clip_id in frame.filter(~is_clip)["clip_id"]
    ] + [
        Reject(stage="scores", reason="no-class", clip_id=clip_id, path=str(scores), detail=f"no class {class_id}")
        for clip_id, class_id in frame.filter(is_clip & ~is_class).select("clip_id", "class_id").iter_rows()
    ]
    kept = frame.filter(is_clip & is_class)
    provenance = made_by("scores", arguments={}, inputs=hashes_of(work, ["clips", "label_map"]))
    write_table(table_path(work, "clip_scores"), "clip_scores", kept, made_by=provenance)
    write_rejects(work, "scores", rejects, made_by=provenance)
    return StageSummary(
        stage="scores",
        kept=len(kept),
        rejected=count_reasons(rejects),
        outputs=("clip_scores.parquet", "rejects/scores.parquet"),
    )
