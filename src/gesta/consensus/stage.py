"""The verb `consensus`: votes and gold into clip labels, box labels and worker quality."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gesta.consensus.verdicts import (
    box_verdicts,
    clip_verdicts,
    item_verdicts,
    vote_fates,
    worker_quality,
    worker_trust,
)
from gesta.schema import ANSWERS, PROTOCOLS, Reject, TrustRule
from gesta.tables import (
    Json,
    Provenance,
    StageSummary,
    count_reasons,
    empty_frame,
    hashes_of,
    is_current,
    made_by,
    read_table,
    rejects_path,
    rows_of,
    table_path,
    write_rejects,
    write_table,
)

_DEFAULT_TRUST = TrustRule()
_OUTPUTS = ("clip_labels", "box_labels", "workers")


def run_consensus(work: Path, *, trust: TrustRule = _DEFAULT_TRUST) -> StageSummary:
    """What consensus did: tables `clip_labels`, `box_labels`, `workers` from `items`, `votes`, `gold` and `clips`.

    Kept are the accepted labels. Rejected are labels voted down, still open, or never asked for since their clip was
    not accepted (`box-` before the reason for boxes), and votes that did not count, gathered by worker
    (untrusted-worker) or by item (unknown-item, repeated, past-the-stop). A work folder without `gold` has no known
    answers: every worker is trusted.

    Raises:
        MissingTable: `items`, `votes` or `clips` is not there.
    """
    has_gold = table_path(work, "gold").is_file()
    provenance = made_by(
        "consensus",
        arguments={
            "min_gold": trust.min_gold,
            "min_accuracy": trust.min_accuracy,
            "protocols": {
                kind: [rule.max_votes, rule.accept_yes, rule.stop_at] for kind, rule in sorted(PROTOCOLS.items())
            },
        },
        inputs=hashes_of(work, ["items", "votes", "clips", *(["gold"] if has_gold else [])]),
    )
    paths = [table_path(work, name) for name in _OUTPUTS]
    if all(is_current(path, provenance) for path in (*paths, rejects_path(work, "consensus"))):
        return _summary(work, was_current=True)
    items, votes, clips = (read_table(work, name) for name in ("items", "votes", "clips"))
    gold = read_table(work, "gold") if has_gold else empty_frame("gold")

    trusted = worker_trust(votes, gold, trust=trust)
    fates = vote_fates(items, votes, gold, workers=trusted)
    verdicts = item_verdicts(items, fates, gold)
    tables = {
        "clip_labels": clip_verdicts(verdicts),
        "box_labels": box_verdicts(verdicts, clips),
        "workers": worker_quality(trusted, votes, verdicts, gold),
    }
    _write(work, tables, _rejects(verdicts, fates, clips, tables["workers"]), provenance)
    return _summary(work, was_current=False)


def _write(work: Path, tables: dict[str, pl.DataFrame], rejects: list[Reject], provenance: Provenance) -> None:
    for name, frame in tables.items():
        write_table(table_path(work, name), name, frame, made_by=provenance)
    write_rejects(work, "consensus", rejects, made_by=provenance)


def _rejects(verdicts: pl.DataFrame, fates: pl.DataFrame, clips: pl.DataFrame, workers: pl.DataFrame) -> list[Reject]:
    """Labels that were not accepted, and votes that did not count."""
    rejects = []
    accepted = set(
        verdicts.filter(pl.col("kind") == "clip", pl.col("verdict") == "accepted").select("clip_id", "class_id").rows()
    )
    lost = verdicts.filter(pl.col("verdict") != "accepted").join(
        clips.select("clip_id", "video_id"), on="clip_id", how="left", maintain_order="left"
    )
    for row in lost.iter_rows(named=True):
        reason = "open" if row["verdict"] == "open" else "voted-down"
        if row["kind"] == "box" and reason == "open" and (row["clip_id"], row["class_id"]) not in accepted:
            reason = "not-asked"  # people are asked about only in clips that show the action
        counts = ", ".join(f"{row[f'num_{answer}']} {answer}" for answer in ANSWERS)
        rejects.append(
            Reject(
                stage="consensus",
                reason=f"box-{reason}" if row["kind"] == "box" else reason,
                video_id=row["video_id"],
                clip_id=row["clip_id"],
                detail=f"{row['item_id']}: counted votes {counts}",
            )
        )
    for row in workers.filter(~pl.col("is_trusted")).iter_rows(named=True):
        detail = (
            f"worker {row['worker_id']} had {row['num_gold_right']} of {row['num_gold']} gold answers right; "
            f"{row['num_votes']} votes are set aside"
        )
        rejects.append(Reject(stage="consensus", reason="untrusted-worker", detail=detail))
    dropped = fates.filter(pl.col("fate").is_in(["unknown-item", "repeated", "past-the-stop"]))
    for item_id, reason, count in dropped.group_by("item_id", "fate").len().iter_rows():
        detail = f"{item_id}: {count} votes did not count"
        rejects.append(Reject(stage="consensus", reason=reason, detail=detail))
    return rejects


def _summary(work: Path, *, was_current: bool) -> StageSummary:
    clip_labels, box_labels, workers = (read_table(work, name) for name in _OUTPUTS)
    accepted = {
        name: int((labels["verdict"] == "accepted").sum())
        for name, labels in (("clip_labels", clip_labels), ("box_labels", box_labels))
    }
    numbers: dict[str, Json] = {
        "clip_labels_accepted": accepted["clip_labels"],
        "box_labels_accepted": accepted["box_labels"],
        "num_workers": len(workers),
        "num_untrusted_workers": int((~workers["is_trusted"]).sum()),
        "num_votes": int(workers["num_votes"].sum()),
    }
    rejects = rows_of("rejects", read_table(rejects_path(work, "consensus"), "rejects"))
    return StageSummary(
        stage="consensus",
        kept=sum(accepted.values()),
        rejected=count_reasons(rejects),
        outputs=tuple(str(table_path(work, name)) for name in _OUTPUTS),
        was_current=was_current,
        numbers=numbers,
    )
