"""Votes and workers: what was answered, how items ended, and how good each worker was."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from gesta.report.line import Tables, rows_or_none, stacked
from gesta.schema import ANSWERS, VERDICTS

MAX_WORKERS_LISTED = 40


def vote_bars(tables: Tables) -> list[dict[str, Any]]:
    """For clip and box items: answers given, verdicts, and counted votes an item took, each as parts of a bar."""
    votes, items = rows_or_none(tables, "votes"), rows_or_none(tables, "items")
    set_aside = rows_or_none(tables, "workers").filter(~pl.col("is_trusted"))
    kinds = votes.join(items.select("item_id", "kind"), on="item_id", how="left")
    bars = []
    for kind, table, question in (
        ("clip", "clip_labels", "Can you see a human performing the action?"),
        ("box", "box_labels", "Is the person in the box performing it?"),
    ):
        of_kind = kinds.filter(kind=kind)
        if not len(of_kind):
            continue
        answers = Counter(of_kind["answer"].to_list())
        labels = rows_or_none(tables, table)
        verdicts = Counter(labels["verdict"].to_list())
        asked = of_kind.filter(~pl.col("is_gold")).join(set_aside, on="worker_id", how="anti")
        per_item = Counter(asked.group_by("item_id").len()["len"].to_list())
        bars.append({
            "kind": kind,
            "question": question,
            "num_votes": len(of_kind),
            "num_gold": int(of_kind["is_gold"].sum()),
            "answers": stacked([(name, answers[name]) for name in ANSWERS], whole=len(of_kind)),
            "num_labels": len(labels),
            "verdicts": stacked([(name, verdicts[name]) for name in VERDICTS], whole=len(labels)),
            "per_item": stacked([(str(number), per_item[number]) for number in sorted(per_item)], whole=len(asked)),
        })  # fmt: skip
    return bars


def worker_rows(tables: Tables) -> dict[str, Any]:
    """The workers from the most votes to the fewest, untrusted ones first, and their totals."""
    workers = rows_or_none(tables, "workers")
    ordered = workers.sort(["is_trusted", "num_votes", "worker_id"], descending=[False, True, False])
    return {
        "rows": ordered.head(MAX_WORKERS_LISTED).to_dicts(),
        "all": ordered.to_dicts(),
        "num": len(workers),
        "num_barred": len(workers.filter(~pl.col("is_trusted"))),
        "num_votes": int(workers["num_votes"].sum()),
        "num_left_out": max(len(workers) - MAX_WORKERS_LISTED, 0),
    }
