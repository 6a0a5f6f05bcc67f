"""The verb `consensus`: votes and gold into labels, boxes, proposals, suggestions, reviews and worker quality."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from gesta.consensus.frames import key_frame_boxes
from gesta.consensus.merges import Judged, judge, read_merges
from gesta.consensus.persons import proposed_labels
from gesta.consensus.reviews import clip_reviews, suggestions
from gesta.consensus.verdicts import box_verdicts, clip_verdicts, worker_quality
from gesta.schema import (
    ANSWERS,
    CLIP_PROTOCOL,
    PROTOCOLS,
    BadInput,
    Protocol,
    Reject,
    TrustRule,
    standing_edits,
)
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
    rows_of,
    sha256_of_file,
    table_path,
    write_rejects,
    write_table,
)

_DEFAULT_TRUST = TrustRule()
_READ_WHERE_THERE = ("class_edits", "label_map", "worker_rulings")
_OUTPUTS = ("clip_labels", "box_labels", "workers")
_OUTPUT_OF = {
    "frame": "key_frame_boxes", "person": "proposed_labels", "suggestion": "suggestions", "cluster": "reviews",
    "class": "reviews",
}  # fmt: skip
"""The table that the answers to each kind of item amount to, beyond clip and box labels."""


def run_consensus(
    work: Path,
    *,
    trust: TrustRule = _DEFAULT_TRUST,
    clip_protocol: Protocol = CLIP_PROTOCOL,
    merges: Path | None = None,
) -> StageSummary:
    """What consensus did: tables `clip_labels`, `box_labels`, `workers` from `items`, `votes`, `gold` and `clips`.

    Where there are votes of those kinds also `key_frame_boxes`, `proposed_labels`, `suggestions` and `reviews`. Votes
    on a class that became another (`class_edits`, and `merges`) count for the other one. What the owner of the campaign
    decided of a worker (`worker_rulings`) goes before what gold says.

    Kept are the accepted labels and the rows of those tables. Rejected are labels voted down, still open, or never
    asked for since their clip was not accepted (the kind before the reason, but for clips), persons that too few
    workers drew, clips that reviewers took out, and votes that did not count, gathered by worker (untrusted-worker)
    or by item (unknown-item, bad-answer, repeated, past-the-stop). A work folder without `gold` has no known answers:
    every worker is trusted.

    Args:
        trust: whose votes count.
        clip_protocol: the rule for clips.
        merges: csv file with the columns old,new: ids or names of classes.
    Raises:
        MissingTable: `items`, `votes` or `clips` is not there; or `merges` or suggestions need `label_map`.
        BadInput: the rule or the merges are none.
    """
    if not (1 <= clip_protocol.accept_yes <= clip_protocol.max_votes and clip_protocol.stop_at >= 1):
        raise BadInput(
            f"{clip_protocol.accept_yes} positives of at most {clip_protocol.max_votes} votes, stopping at "
            f"{clip_protocol.stop_at}",
            mend="Want 1 <= accept_yes <= max_votes and 1 <= stop_at",
        )
    protocols = {**PROTOCOLS, "clip": clip_protocol}
    optional = ["gold"] if table_path(work, "gold").is_file() else []
    optional += [name for name in _READ_WHERE_THERE if read_sidecar(table_path(work, name)) is not None]
    provenance = _provenance(work, optional=optional, trust=trust, protocols=protocols, merges=merges)
    items, votes, clips = (read_table(work, name) for name in ("items", "votes", "clips"))
    outputs = [*_OUTPUTS, *_further_outputs(work, items, votes)]
    paths = [table_path(work, name) for name in outputs]
    if all(is_current(path, provenance) for path in (*paths, rejects_path(work, "consensus"))):
        return _summary(work, outputs, was_current=True)
    gold = read_table(work, "gold") if "gold" in optional else empty_frame("gold")
    judged = judge(
        items, votes, gold, trust=trust, protocols=protocols, merges=_all_merges(work, merges), rulings=_rulings(work)
    )
    tables, rejects = _tables(judged, clips, work, outputs=outputs)
    rejects += _rejects(judged, clips, tables["workers"], edited=_edited_classes(work))
    for name in outputs:
        write_table(table_path(work, name), name, tables[name], made_by=provenance)
    write_rejects(work, "consensus", rejects, made_by=provenance)
    return _summary(work, outputs, was_current=False)


def _provenance(
    work: Path, *, optional: list[str], trust: TrustRule, protocols: Mapping[str, Protocol], merges: Path | None
) -> Provenance:
    inputs = hashes_of(work, ["items", "votes", "clips", *optional])
    if merges is not None:
        inputs["--merges"] = sha256_of_file(merges)
    rules: dict[str, Json] = {
        kind: [rule.max_votes, rule.accept_yes, rule.stop_at] for kind, rule in sorted(protocols.items())
    }
    arguments: dict[str, Json] = {
        "min_gold": trust.min_gold, "min_accuracy": trust.min_accuracy, "protocols": rules,
    }  # fmt: skip
    return made_by("consensus", arguments=arguments, inputs=inputs)


def _further_outputs(work: Path, items: pl.DataFrame, votes: pl.DataFrame) -> list[str]:
    """The tables beyond clip and box labels that these votes amount to, and those that are there and may be stale."""
    voted = items.join(votes.select("item_id"), on="item_id", how="semi")
    wanted = {_OUTPUT_OF[kind] for kind in voted["kind"].unique() if kind in _OUTPUT_OF}
    on_clips = votes.filter(pl.col("detail").is_not_null()).join(voted.filter(kind="clip"), on="item_id", how="semi")
    if len(on_clips):
        wanted.add("suggestions")
    return [name for name in dict.fromkeys(_OUTPUT_OF.values()) if name in wanted or table_path(work, name).is_file()]


def _all_merges(work: Path, file: Path | None) -> dict[int, int]:
    merges: dict[int, int] = {}
    if table_path(work, "class_edits").is_file():
        edits = standing_edits(rows_of("class_edits", read_table(work, "class_edits")))
        merges.update({edit.old_class_id: edit.new_class_id for edit in edits if edit.what == "merge"})
    if file is not None:
        merges.update(read_merges(file, read_table(work, "label_map")))
    return merges


def _rulings(work: Path) -> dict[str, bool]:
    if not table_path(work, "worker_rulings").is_file():
        return {}
    return dict(read_table(work, "worker_rulings").select("worker_id", "is_trusted").iter_rows())


def _tables(
    judged: Judged, clips: pl.DataFrame, work: Path, *, outputs: list[str]
) -> tuple[dict[str, pl.DataFrame], list[Reject]]:
    """Every output table by name, and the rejects of those that drop rows of their own."""
    verdicts, fates, gold = judged.verdicts, judged.fates, judged.gold
    tables = {
        "clip_labels": clip_verdicts(verdicts),
        "box_labels": box_verdicts(verdicts, clips),
        "workers": worker_quality(judged.workers, judged.votes, verdicts, gold),
    }
    rejects: list[Reject] = []
    if "key_frame_boxes" in outputs:
        tables["key_frame_boxes"], not_drawn = key_frame_boxes(verdicts, fates, gold, clips)
        rejects += not_drawn
    if "proposed_labels" in outputs:
        tables["proposed_labels"] = proposed_labels(verdicts, fates, gold, clips)
    if "reviews" in outputs:
        tables["reviews"], taken_out = clip_reviews(verdicts, fates, gold)
        rejects += taken_out
    if "suggestions" in outputs:
        tables["suggestions"] = suggestions(judged.items, fates, read_table(work, "label_map"))
    return tables, rejects


def _edited_classes(work: Path) -> set[str]:
    """The ids of classes that are asked for no more, as the ids of items end with them."""
    if not table_path(work, "class_edits").is_file():
        return set()
    journal = rows_of("class_edits", read_table(work, "class_edits"))
    standing = standing_edits(journal)
    gone = {edit.old_class_id for edit in standing if edit.what in ("split", "merge", "remove")}
    # What an undone split or branch made is gone too.
    made = {edit.new_class_id for edit in journal if edit.what in ("split", "branch")}
    gone |= made - {edit.new_class_id for edit in standing}
    return {str(class_id) for class_id in gone}


def _rejects(judged: Judged, clips: pl.DataFrame, workers: pl.DataFrame, *, edited: set[str]) -> list[Reject]:
    """Labels that were not accepted, and votes that did not count."""
    rejects = []
    verdicts = judged.verdicts
    accepted = set(
        verdicts.filter(pl.col("kind") == "clip", pl.col("verdict") == "accepted").select("clip_id", "class_id").rows()
    )
    gated = set(verdicts.filter(pl.col("kind") == "clip").select("clip_id", "class_id").rows()) - accepted
    lost = verdicts.filter(pl.col("verdict") != "accepted").join(
        clips.select("clip_id", "video_id"), on="clip_id", how="left", maintain_order="left"
    )
    for row in lost.iter_rows(named=True):
        reason = "open" if row["verdict"] == "open" else "voted-down"
        # People are asked about only in clips that show the action, unless raters proposed it for the person.
        is_gated = row["kind"] == "box" and row["detail"] is None and (row["clip_id"], row["class_id"]) in gated
        if reason == "open" and is_gated:
            reason = "not-asked"
        counts = ", ".join(f"{row[f'num_{answer}']} {answer}" for answer in ANSWERS)
        rejects.append(
            Reject(
                stage="consensus",
                reason=reason if row["kind"] == "clip" else f"{row['kind']}-{reason}",
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
    dropped = judged.fates.filter(pl.col("fate").is_in(["unknown-item", "bad-answer", "repeated", "past-the-stop"]))
    for item_id, reason, count in dropped.group_by("item_id", "fate").len().iter_rows():
        detail = f"{item_id}: {count} votes did not count"
        if reason == "unknown-item" and item_id.rpartition(":")[2] in edited:
            reason, detail = "class-edited", f"{detail}: the class is asked for no more"
        rejects.append(Reject(stage="consensus", reason=reason, detail=detail))
    return rejects


def _summary(work: Path, outputs: list[str], *, was_current: bool) -> StageSummary:
    tables = {name: read_table(work, name) for name in outputs}
    workers = tables.pop("workers")
    kept = {
        name: int((table["verdict"] == "accepted").sum()) if "verdict" in table.columns
        else int(table["is_kept"].sum()) if name == "reviews" else len(table)
        for name, table in tables.items()
    }  # fmt: skip
    numbers: dict[str, Json] = {
        "clip_labels_accepted": kept["clip_labels"],
        "box_labels_accepted": kept["box_labels"],
        **{f"num_{name}": count for name, count in kept.items() if name not in _OUTPUTS and name != "reviews"},
        **({"num_clips_taken_out": len(tables["reviews"]) - kept["reviews"]} if "reviews" in tables else {}),
        "num_workers": len(workers),
        "num_untrusted_workers": int((~workers["is_trusted"]).sum()),
        "num_votes": int(workers["num_votes"].sum()),
    }
    rejects = rows_of("rejects", read_table(rejects_path(work, "consensus"), "rejects"))
    return StageSummary(
        stage="consensus",
        kept=sum(kept.values()),
        rejected=count_reasons(rejects),
        outputs=tuple(str(table_path(work, name)) for name in outputs),
        was_current=was_current,
        numbers=numbers,
    )
