"""Verdicts from votes: whose votes count, which votes count, and what they amount to.

Pure functions over frames of the tables `items`, `votes` and `gold`. Votes are replayed in the order of `vote_id`,
item by item, as the service took them in:

1. votes of workers that the trust rule bars are set aside, the earlier ones too;
2. of several votes of one worker on one item the first counts; what the worker made of it later (a revision) stands
   in its place, but gold is judged by what was said first;
3. an item's votes count until its protocol has decided it; what arrives after the stop is not counted;
4. an item whose answer is known (gold) takes that answer's verdict, and none of its votes count.

An answer `done`, whose substance is in the vote's detail, counts as positive: `num_yes`.

So verdicts do not depend on how the votes on different items are interleaved, nor on the workers' names.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.consensus.early_stop import replay
from gesta.consensus.standing import revisions, standing_votes
from gesta.consensus.vote_arrays import vote_arrays
from gesta.schema import ANSWERS, ANSWERS_OF, DONE, PROTOCOLS, Protocol, TrustRule, is_right
from gesta.tables import table_kind

POSITIVE = (ANSWERS[0], DONE)
"""The answers that speak for an item, each to its own kinds."""

_COUNTS = [f"num_{answer}" for answer in ANSWERS]
_SAID = {f"num_{answer}": POSITIVE if answer in POSITIVE else (answer,) for answer in ANSWERS}


def worker_trust(
    votes: pl.DataFrame, gold: pl.DataFrame, *, trust: TrustRule, items: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Every worker of `votes`: worker_id, num_votes, num_gold, num_gold_right, median_spent_ms, is_trusted.

    Sorted by worker_id; each gold item counts once a worker, by the first answer; revisions are no votes.

    Args:
        votes: rows of table `votes`.
        gold: rows of table `gold`.
        trust: who is trusted.
        items: rows of table `items`, which say of what kind an item is; without them a known answer's detail is not
            looked at.
    Source: `TrustRule`; `gesta.schema.is_right` says what is right.
    """
    later = revisions(votes)
    cast = votes.join(later, on="vote_id", how="anti") if len(later) else votes
    first = cast.sort("vote_id").unique(["item_id", "worker_id"], keep="first", maintain_order=True)
    on_gold = (
        _judged_gold(first, gold, items)
        .group_by("worker_id")
        .agg(num_gold=pl.len().cast(pl.Int64), num_gold_right=pl.col("is_right").sum().cast(pl.Int64))
    )
    workers = cast.group_by("worker_id").agg(
        num_votes=pl.len().cast(pl.Int64), median_spent_ms=pl.col("spent_ms").median().round().cast(pl.Int64)
    )
    workers = workers.join(on_gold, on="worker_id", how="left").with_columns(
        pl.col("num_gold", "num_gold_right").fill_null(0)
    )
    is_trusted = [
        trust.is_trusted(num_gold=num_gold, num_gold_right=num_right)
        for num_gold, num_right in workers.select("num_gold", "num_gold_right").iter_rows()
    ]
    return workers.with_columns(is_trusted=pl.Series(is_trusted, dtype=pl.Boolean)).sort("worker_id")


def _judged_gold(first: pl.DataFrame, gold: pl.DataFrame, items: pl.DataFrame | None) -> pl.DataFrame:
    """The first answers to gold, with `is_right`."""
    with_detail = pl.col("detail") if "detail" in gold.columns else pl.lit(None, dtype=pl.String)
    known = gold.select("item_id", known="answer", known_detail=with_detail)
    met = first.join(known, on="item_id", how="inner").with_columns(is_right=pl.col("answer") == pl.col("known"))
    if items is None or "detail" not in met.columns or not met["known_detail"].count():
        return met
    # Only what has a known detail needs a closer look; of millions of votes that is next to none.
    met = met.join(items.select("item_id", "kind"), on="item_id", how="left", maintain_order="left")
    columns = ("kind", "known", "known_detail", "answer", "detail", "is_right")
    judged = [
        is_right(kind, gold_answer=known, gold_detail=known_detail, answer=answer, detail=detail)
        if kind is not None and known_detail is not None
        else is_same
        for kind, known, known_detail, answer, detail, is_same in met.select(columns).iter_rows()
    ]
    return met.with_columns(is_right=pl.Series(judged, dtype=pl.Boolean))


def vote_fates(
    items: pl.DataFrame,
    votes: pl.DataFrame,
    gold: pl.DataFrame,
    *,
    workers: pl.DataFrame,
    protocols: Mapping[str, Protocol] = PROTOCOLS,
) -> pl.DataFrame:
    """Every vote with its `fate`, sorted by vote_id.

    The fates, the first that applies: revision (it replaces an earlier vote, which says here what it says),
    unknown-item (no such item), bad-answer (none of the item's kind), gold (the answer was known), untrusted-worker,
    repeated (the worker answered the item before), past-the-stop (the item was decided), counted.

    Args:
        items: rows of table `items`.
        votes: rows of table `votes`.
        gold: rows of table `gold`.
        workers: worker_id and is_trusted, as `worker_trust` gives them.
        protocols: the protocol of each kind of item.
    """
    kinds = items.select("item_id", "kind")
    joined = (
        standing_votes(votes)
        .join(kinds, on="item_id", how="left")
        .join(gold.select("item_id", known="answer"), on="item_id", how="left")
        .join(workers.select("worker_id", "is_trusted"), on="worker_id", how="left")
        .sort("vote_id")
    )
    strange = [
        (pl.col("kind") == kind) & (pl.col("answer") == answer)
        for kind, answer in joined.select("kind", "answer").unique().drop_nulls().sort("kind", "answer").iter_rows()
        if answer not in ANSWERS_OF[kind]
    ]
    is_of_kind = ~pl.any_horizontal(strange) if strange else pl.lit(value=True)
    early = (
        pl.when(pl.col("kind").is_null()).then(pl.lit("unknown-item"))
        .when(~is_of_kind).then(pl.lit("bad-answer"))
        .when(pl.col("known").is_not_null()).then(pl.lit("gold"))
        .when(~pl.col("is_trusted")).then(pl.lit("untrusted-worker"))
        .when(~pl.struct("item_id", "worker_id").is_first_distinct()).then(pl.lit("repeated"))
    )  # fmt: skip
    joined = joined.with_columns(fate=early)
    is_asked_N = joined["fate"].is_null().to_numpy()
    is_counted_N = np.zeros(len(joined), np.bool_)
    is_counted_N[is_asked_N] = _are_before_the_stop(joined.filter(pl.Series(is_asked_N)), protocols=protocols)
    late = pl.when(pl.Series(is_counted_N)).then(pl.lit("counted")).otherwise(pl.lit("past-the-stop"))
    judged = joined.select(*votes.columns, fate=pl.coalesce("fate", late))
    replacing = revisions(votes).with_columns(fate=pl.lit("revision"))
    return pl.concat([judged, replacing]).sort("vote_id") if len(replacing) else judged


def _are_before_the_stop(votes: pl.DataFrame, *, protocols: Mapping[str, Protocol]) -> npt.NDArray[np.bool_]:
    """Whether each vote arrived before its item was decided by the protocol of its `kind` [N]; in order of arrival."""
    arrays = vote_arrays(votes, answers=(*ANSWERS, DONE))
    protocol_I = np.empty(arrays.num_items, np.int8)
    protocol_I[arrays.item_N] = votes["kind"].cast(pl.Enum(list(protocols))).to_physical().to_numpy()
    return replay(arrays, protocols=list(protocols.values()), protocol_I=protocol_I).is_used_N


def _with_verdict(frame: pl.DataFrame, *, protocols: Mapping[str, Protocol]) -> pl.DataFrame:
    """The frame with the protocol's `verdict` of each row's kind and counts (the same code as the service's)."""
    states = frame.select("kind", *_COUNTS).unique()
    verdicts = [
        protocols[kind].verdict(dict(zip((protocols[kind].positive, *ANSWERS[1:]), counts, strict=True)))
        for kind, *counts in states.select("kind", *_COUNTS).iter_rows()
    ]
    verdict = pl.Series("verdict", verdicts, dtype=pl.String)
    return frame.join(states.with_columns(verdict), on=["kind", *_COUNTS], how="left", maintain_order="left")


def item_verdicts(
    items: pl.DataFrame, fates: pl.DataFrame, gold: pl.DataFrame, *, protocols: Mapping[str, Protocol] = PROTOCOLS
) -> pl.DataFrame:
    """The items, in their order, with num_yes, num_no, num_unsure, num_broken, num_votes and `verdict`.

    Args:
        items: rows of table `items`.
        fates: what `vote_fates` gave for them; the votes with fate "counted" are counted.
        gold: rows of table `gold`; their items are accepted if the answer is yes or done, else rejected.
        protocols: the protocol of each kind of item.
    """
    counts = (
        fates.filter(pl.col("fate") == "counted")
        .group_by("item_id")
        .agg([pl.col("answer").is_in(list(said)).sum().cast(pl.Int64).alias(name) for name, said in _SAID.items()])
    )
    counted = items.join(counts, on="item_id", how="left", maintain_order="left").with_columns(
        pl.col(_COUNTS).fill_null(0)
    )
    known = gold.select(
        "item_id",
        known=pl.when(pl.col("answer").is_in(list(POSITIVE))).then(pl.lit("accepted")).otherwise(pl.lit("rejected")),
    )
    judged = _with_verdict(counted, protocols=protocols).join(known, on="item_id", how="left", maintain_order="left")
    return judged.with_columns(
        verdict=pl.coalesce("known", "verdict"), num_votes=pl.sum_horizontal(_COUNTS).cast(pl.Int64)
    ).drop("known")


def clip_verdicts(verdicts: pl.DataFrame) -> pl.DataFrame:
    """Rows of table `clip_labels` from the clip items of `item_verdicts`."""
    clips = verdicts.filter(pl.col("kind") == "clip")
    return clips.select(table_kind("clip_labels").polars_schema.keys()).sort("clip_id", "class_id")


def box_verdicts(verdicts: pl.DataFrame, clips: pl.DataFrame) -> pl.DataFrame:
    """Rows of table `box_labels` from the box items of `item_verdicts`, with their clip's video."""
    boxes = verdicts.filter(pl.col("kind") == "box").join(
        clips.select("clip_id", "video_id"), on="clip_id", how="inner"
    )
    columns = list(table_kind("box_labels").polars_schema)
    return boxes.select(columns).sort("clip_id", "timestamp_us", "person_id", "class_id")


def worker_quality(
    workers: pl.DataFrame, votes: pl.DataFrame, verdicts: pl.DataFrame, gold: pl.DataFrame
) -> pl.DataFrame:
    """Rows of table `workers`: what `worker_trust` gave, with gold accuracy and agreement with the verdicts.

    Agreement is over a worker's standing votes, counted or not, on clips and boxes without a known answer that were
    decided: a yes agrees with accepted, any other answer with rejected. Other kinds are not agreed on by yes and no.
    """
    is_decided = (pl.col("verdict") != "open") & pl.col("kind").is_in(["clip", "box"])
    decided = verdicts.filter(is_decided).join(gold, on="item_id", how="anti")
    agreement = (
        standing_votes(votes)
        .join(decided.select("item_id", "verdict"), on="item_id", how="inner")
        .group_by("worker_id")
        .agg(agreement=((pl.col("answer") == "yes") == (pl.col("verdict") == "accepted")).mean())
    )
    accuracy = pl.when(pl.col("num_gold") > 0).then(pl.col("num_gold_right") / pl.col("num_gold"))
    return (
        workers.with_columns(gold_accuracy=accuracy.cast(pl.Float64))
        .join(agreement, on="worker_id", how="left")
        .select(table_kind("workers").polars_schema.keys())
        .sort("worker_id")
    )
