"""Which answer of a worker stands: the last revision, at the place of the first answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

_BALLOT = ["item_id", "worker_id"]
_REVISED = ("answer", "lasts_whole_clip", "detail")


def standing_votes(votes: pl.DataFrame) -> pl.DataFrame:
    """The first answers, in order of arrival, each with what its worker last said in its stead.

    Later rows of revision 0 by the same worker on the same item stay; whoever counts takes the first. The result's
    `revision` is 0 throughout, so to do it twice changes nothing.

    Args:
        votes: rows of table `votes`; where `revision` is missing nothing was revised.
    """
    ordered = votes.sort("vote_id")
    if not _has_revisions(votes):
        return ordered
    is_first = pl.col("revision") == pl.col("revision").min().over(_BALLOT)
    revised = [name for name in _REVISED if name in votes.columns]
    last = (
        ordered.sort("revision", "vote_id")
        .unique(_BALLOT, keep="last", maintain_order=True)
        .select(*_BALLOT, *(pl.col(name).alias(f"last_{name}") for name in revised))
    )
    return (
        ordered.filter(is_first)
        .join(last, on=_BALLOT, how="left", maintain_order="left")
        .with_columns([pl.col(f"last_{name}").alias(name) for name in revised], revision=pl.lit(0, dtype=pl.Int64))
        .select(votes.columns)
    )


def revisions(votes: pl.DataFrame) -> pl.DataFrame:
    """The votes that replace an earlier one of the same worker, in order of arrival."""
    if not _has_revisions(votes):
        return votes.clear()
    return votes.sort("vote_id").filter(pl.col("revision") > pl.col("revision").min().over(_BALLOT))


def _has_revisions(votes: pl.DataFrame) -> bool:
    return "revision" in votes.columns and bool((votes["revision"] > 0).any())


def details_of(
    kind: str, verdicts: pl.DataFrame, fates: pl.DataFrame, gold: pl.DataFrame
) -> dict[str, list[tuple[str | None, Mapping[str, Any]]]]:
    """Who said what, by item, of the accepted items of a kind: worker id and parsed detail, in order of arrival.

    A known answer stands alone, without a worker.
    """
    accepted = verdicts.filter(pl.col("kind") == kind, pl.col("verdict") == "accepted").select("item_id")
    found: dict[str, list[tuple[str | None, Mapping[str, Any]]]] = {item_id: [] for item_id in accepted["item_id"]}
    known = gold.join(accepted, on="item_id", how="semi")
    for item_id, text in known.select("item_id", "detail").iter_rows() if "detail" in gold.columns else ():
        if text is not None:
            found[item_id].append((None, json.loads(text)))
    counted = fates.filter(pl.col("fate") == "counted", pl.col("answer") == "done", pl.col("detail").is_not_null())
    for item_id, worker_id, text in (
        counted.join(accepted, on="item_id", how="semi").sort("vote_id").select(*_BALLOT, "detail").iter_rows()
    ):
        found[item_id].append((worker_id, json.loads(text)))
    return found
