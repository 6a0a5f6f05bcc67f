"""What reviewers decided of clips side by side, and what workers suggested instead of the action asked for."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator

import polars as pl

from gesta.consensus.standing import details_of
from gesta.schema import ClipReview, Reject, Suggestion
from gesta.tables import frame_of

REASONS = {"cluster": "duplicate", "class": "other-action"}
"""Why a clip goes that a reviewer of a cluster does not keep, or one of a class's page removes."""


def clip_reviews(verdicts: pl.DataFrame, fates: pl.DataFrame, gold: pl.DataFrame) -> tuple[pl.DataFrame, list[Reject]]:
    """Rows of table `reviews`, and a reject for each clip that goes.

    A clip goes when more than half of the reviewers would drop it; of a cluster one stays always, the one that most
    would keep.

    Args:
        verdicts: what `item_verdicts` gave.
        fates: what `vote_fates` gave.
        gold: rows of table `gold`.
    Source: Kinetics-700-2020 paper, section 2, and Kinetics-400 paper, section 3.4, had one reviewer; more: ours.
    """
    rows: list[ClipReview] = []
    for kind in REASONS:
        said = details_of(kind, verdicts, fates, gold)
        shown = verdicts.filter(pl.col("kind") == kind).select("item_id", "class_id", "detail")
        for item_id, class_id, text in shown.iter_rows():
            if not said.get(item_id):
                continue
            entries = json.loads(text)["clips"]
            clip_ids = [entry if isinstance(entry, str) else entry["clip_id"] for entry in entries]
            dropped = _times_dropped([detail for _, detail in said[item_id]], kind=kind, num_clips=len(clip_ids))
            num_said = len(said[item_id])
            best = min(range(len(clip_ids)), key=lambda n: (dropped[n], n))
            num_workers = sum(worker_id is not None for worker_id, _ in said[item_id])
            for n, clip_id in enumerate(clip_ids):
                is_kept = 2 * dropped[n] <= num_said or (kind == "cluster" and n == best)
                rows.append(
                    ClipReview(
                        item_id=item_id, clip_id=clip_id, kind=kind, class_id=class_id, is_kept=is_kept,
                        num_workers=num_workers, num_keep=max(0, num_workers - dropped[n]),
                        reason="" if is_kept else REASONS[kind],
                    )
                )  # fmt: skip
    rejects = [
        Reject(
            stage="consensus",
            reason=f"{row.kind}-{row.reason}",
            clip_id=row.clip_id,
            detail=f"{row.item_id}: {row.num_keep} of {row.num_workers} reviewers would keep it",
        )
        for row in rows
        if not row.is_kept
    ]
    return frame_of("reviews", rows), rejects


def _times_dropped(details: list, *, kind: str, num_clips: int) -> list[int]:
    """How many of the reviewers would drop each clip."""
    times = [0] * num_clips
    for detail in details:
        gone = set(detail.get("remove", [])) if kind == "class" else set(range(num_clips)) - set(detail.get("keep", []))
        for n in gone & set(range(num_clips)):
            times[n] += 1
    return times


def folded(text: str) -> str:
    """The text as it is counted: composed, without regard to case, single spaces.

    >>> folded("  Peeling   an Orange ")
    'peeling an orange'
    """
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def suggestions(items: pl.DataFrame, fates: pl.DataFrame, label_map: pl.DataFrame) -> pl.DataFrame:
    """Rows of table `suggestions`: what workers named instead of the action asked for, counted.

    Counted are the answers to suggestion items and the suggestions that came with a no to a clip, those past the stop
    too; words stay as they were written ("peeling", not "peel"), but for case and spaces.

    Args:
        items: rows of table `items`.
        fates: what `vote_fates` gave.
        label_map: rows of table `label_map`; a suggestion that is a class's name carries its id.
    Source: Kinetics-400 paper, section 3.1.
    """
    class_of = {folded(name): class_id for class_id, name in label_map.select("class_id", "name").iter_rows()}
    workers: dict[str, list[str]] = defaultdict(list)
    asked: dict[str, Counter[int]] = defaultdict(Counter)
    example: dict[str, str] = {}
    for text, worker_id, clip_id, class_id in _suggested(items, fates):
        workers[text].append(worker_id)
        example.setdefault(text, clip_id)
        if class_id is not None:
            asked[text][class_id] += 1
    rows = [
        Suggestion(
            text=text,
            num=len(by),
            num_workers=len(set(by)),
            clip_id=example[text],
            instead_of_class_id=min(asked[text], key=lambda k: (-asked[text][k], k)) if asked[text] else None,
            class_id=class_of.get(text),
        )
        for text, by in workers.items()
    ]
    return frame_of("suggestions", rows)


def _suggested(items: pl.DataFrame, fates: pl.DataFrame) -> Iterator[tuple[str, str, str, int | None]]:
    """Text, worker, clip and class asked for, of each suggestion in order of arrival."""
    stands = fates.filter(pl.col("fate").is_in(["counted", "past-the-stop"]), pl.col("detail").is_not_null())
    asked = items.filter(pl.col("kind").is_in(["clip", "suggestion"])).select("item_id", "clip_id", "class_id")
    joined = stands.join(asked, on="item_id", how="inner").sort("vote_id")
    for worker_id, clip_id, class_id, detail in joined.select("worker_id", "clip_id", "class_id", "detail").iter_rows():
        said = json.loads(detail)
        text = folded(str(said.get("text") or said.get("suggestion") or ""))
        if text:
            yield text, worker_id, clip_id, class_id
