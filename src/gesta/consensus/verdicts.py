"""Verdicts from votes: whose votes count, which votes count, and what they amount to.

Pure functions over frames of the tables `items`, `votes` and `gold`. Votes are replayed in the order of `vote_id`,
item by item, as the service took them in:

1. votes of workers that the trust rule bars are set aside, the earlier ones too;
2. of several votes of one worker on one item the first counts;
3. an item's votes count until its protocol has decided it; what arrives after the stop is not counted;
4. an item whose answer is known (gold) takes that answer's verdict, and none of its votes count.

So verdicts do not depend on how the votes on different items are interleaved, nor on the workers' names.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.consensus.early_stop import replay
from gesta.consensus.vote_arrays import vote_arrays
from gesta.schema import ANSWERS, DONE, PROTOCOLS, Protocol, TrustRule
from gesta.tables import table_kind

_COUNTS = [f"num_{answer}" for answer in ANSWERS]


def worker_trust(votes: pl.DataFrame, gold: pl.DataFrame, *, trust: TrustRule) -> pl.DataFrame:
    """Every worker of `votes`: worker_id, num_votes, num_gold, num_gold_right, median_spent_ms, is_trusted.

    Sorted by worker_id; each gold item counts once a worker, by the first answer.
    Source: `TrustRule`.
    """
    first = votes.sort("vote_id").unique(["item_id", "worker_id"], keep="first", maintain_order=True)
    known = first.join(gold.select("item_id", known="answer"), on="item_id", how="inner")
    on_gold = known.group_by("worker_id").agg(
        num_gold=pl.len().cast(pl.Int64), num_gold_right=(pl.col("answer") == pl.col("known")).sum().cast(pl.Int64)
    )
    workers = votes.group_by("worker_id").agg(
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


def vote_fates(
    items: pl.DataFrame,
    votes: pl.DataFrame,
    gold: pl.DataFrame,
    *,
    workers: pl.DataFrame,
    protocols: Mapping[str, Protocol] = PROTOCOLS,
) -> pl.DataFrame:
    """Every vote with its `fate`, sorted by vote_id.

    The fates, the first that applies: unknown-item (no such item), gold (the answer was known), untrusted-worker,
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
        votes.join(kinds, on="item_id", how="left")
        .join(gold.select("item_id", known="answer"), on="item_id", how="left")
        .join(workers.select("worker_id", "is_trusted"), on="worker_id", how="left")
        .sort("vote_id")
    )
    early = (
        pl.when(pl.col("kind").is_null()).then(pl.lit("unknown-item"))
        .when(pl.col("known").is_not_null()).then(pl.lit("gold"))
        .when(~pl.col("is_trusted")).then(pl.lit("untrusted-worker"))
        .when(~pl.struct("item_id", "worker_id").is_first_distinct()).then(pl.lit("repeated"))
    )  # fmt: skip
    joined = joined.with_columns(fate=early)
    is_asked_N = joined["fate"].is_null().to_numpy()
    is_counted_N = np.zeros(len(joined), np.bool_)
    is_counted_N[is_asked_N] = _are_before_the_stop(joined.filter(pl.Series(is_asked_N)), protocols=protocols)
    late = pl.when(pl.Series(is_counted_N)).then(pl.lit("counted")).otherwise(pl.lit("past-the-stop"))
    return joined.select(*votes.columns, fate=pl.coalesce("fate", late))


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
        protocols[kind].verdict(dict(zip(ANSWERS, counts, strict=True)))
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
        gold: rows of table `gold`; their items are accepted if the answer is yes, else rejected.
        protocols: the protocol of each kind of item.
    """
    counts = (
        fates.filter(pl.col("fate") == "counted")
        .group_by("item_id")
        .agg([(pl.col("answer") == answer).sum().cast(pl.Int64).alias(f"num_{answer}") for answer in ANSWERS])
    )
    counted = items.join(counts, on="item_id", how="left", maintain_order="left").with_columns(
        pl.col(_COUNTS).fill_null(0)
    )
    known = gold.select(
        "item_id", known=pl.when(pl.col("answer") == "yes").then(pl.lit("accepted")).otherwise(pl.lit("rejected"))
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

    Agreement is over a worker's votes, counted or not, on items without a known answer that were decided: a yes
    agrees with accepted, any other answer with rejected.
    """
    decided = verdicts.filter(pl.col("verdict") != "open").join(gold, on="item_id", how="anti")
    agreement = (
        votes.join(decided.select("item_id", "verdict"), on="item_id", how="inner")
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
