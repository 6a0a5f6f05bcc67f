"""The actions that raters proposed for boxed persons (AVA-Kinetics 1.2, step 4)."""

from __future__ import annotations

from collections import Counter

import polars as pl

from gesta.consensus.standing import details_of
from gesta.schema import ProposedLabel
from gesta.tables import frame_of


def proposed_labels(
    verdicts: pl.DataFrame, fates: pl.DataFrame, gold: pl.DataFrame, clips: pl.DataFrame
) -> pl.DataFrame:
    """Rows of table `proposed_labels`: every action that any of a person's raters proposed, and how many did.

    Of a person whose actions are known those are taken, as of no rater.

    Args:
        verdicts: what `item_verdicts` gave.
        fates: what `vote_fates` gave.
        gold: rows of table `gold`.
        clips: rows of table `clips`.
    Source: AVA-Kinetics paper, section 1.2, steps 4 and 5: all that at least 3 raters propose is verified.
    """
    video_of = dict(clips.select("clip_id", "video_id").iter_rows())
    said = details_of("person", verdicts, fates, gold)
    rows = []
    for item in verdicts.filter(pl.col("kind") == "person").iter_rows(named=True):
        raters = said.get(item["item_id"])
        if not raters or item["clip_id"] not in video_of:
            continue
        num_raters = sum(worker_id is not None for worker_id, _ in raters)
        counts = Counter(class_id for _, detail in raters for class_id in set(detail.get("class_ids", [])))
        rows += [
            ProposedLabel(
                clip_id=item["clip_id"], video_id=video_of[item["clip_id"]], timestamp_us=item["timestamp_us"],
                person_id=item["person_id"], x1=item["x1"], y1=item["y1"], x2=item["x2"], y2=item["y2"],
                class_id=class_id, num_proposed=min(num_proposed, num_raters), num_raters=num_raters,
            )
            for class_id, num_proposed in sorted(counts.items())
        ]  # fmt: skip
    return frame_of("proposed_labels", rows)
