"""What a release can say of itself in the terms of Croissant's RAI vocabulary: from tables, votes and stages alone."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from gesta.release.card import limits_of
from gesta.release.plan import Plan
from gesta.schema import PROTOCOLS

_STEPS = {
    "import": "video files were probed; what could not be decoded was left out",
    "mine": "clips that may show a class were proposed, from titles or as windows of a fixed length",
    "detect": "persons were detected in each clip and linked to tracks, and one key-frame a clip was chosen",
    "consensus": "answers of people were counted; those who failed questions with known answers do not count",
    "curate": "clips that show the same footage as another were left out",
}
"""What each stage did, in the order of the line."""


def responsible_texts(
    *,
    plan: Plan,
    stages: Sequence[Mapping[str, Any]],
    workers: pl.DataFrame | None,
    votes: pl.DataFrame | None,
    rejects: pl.DataFrame,
) -> dict[str, str | tuple[str, ...]]:
    """Texts by property of the RAI vocabulary; what the tables do not say is left out.

    Args:
        plan: what the release holds.
        stages: table, stage and arguments of each input table.
        workers: table `workers`, None where there were none.
        votes: table `votes`, the log of answers, None where there is none.
        rejects: what the stages before the release dropped.
    """
    has_people = workers is not None and len(workers) > 0
    ran = {str(stage["stage"]) for stage in stages}
    texts: dict[str, str | tuple[str, ...]] = {
        "dataCollection": _collection(plan, ran),
        "dataCollectionType": ("Software Collection", *(["Manual Human Curator"] if has_people else [])),
        "dataCollectionRawData": f"{len(plan.tables['videos']):,} video files. They are not part of the release; "
        "`videos` names each by path and SHA-256.",
        "dataManipulationProtocol": "Videos are used as they are. Times are microseconds on the player's clock, boxes "
        "are fractions of the displayed frame.",
        "dataPreprocessingProtocol": tuple(f"{stage}: {text}" for stage, text in _STEPS.items() if stage in ran),
        "dataAnnotationProtocol": _protocol(plan, has_people=has_people),
        "dataReleaseMaintenancePlan": "A release never changes: other content gets another version. `manifest.json` "
        "lists every file with its SHA-256, and `gesta release --verify` checks them.",
        "personalSensitiveInformation": ("The videos show people. Boxes and actions of theirs are recorded; titles of "
                                         "videos are kept as they were found.",),
        "dataBiases": _biases(plan),
        "dataLimitations": tuple(limits_of(plan)),
        "dataUseCases": ("Training, validation and testing of models that recognise human actions in video.",),
        "annotationsPerItem": _per_item(votes, has_people=has_people),
    }  # fmt: skip
    if len(rejects):
        texts["dataCollectionMissingData"] = _missing(rejects)
    if len(plan.tables["tracks"]):
        texts["dataImputationProtocol"] = _imputed(plan.tables["tracks"])
    if has_people and workers is not None:
        texts["dataAnnotationPlatform"] = ("gesta label: one question a page, in a web browser",)
        texts["dataAnnotationAnalysis"] = _analysis(workers)
        texts["annotatorDemographics"] = ("Not recorded: workers are known by a name of their choice only.",)
        texts |= _timeframe(votes)
    tools = _tools(stages)
    return {**texts, **({"machineAnnotationTools": tools} if tools else {})}


def _collection(plan: Plan, ran: set[str]) -> str:
    clips = plan.tables["clips"]
    steps = [text for stage, text in _STEPS.items() if stage in ran]
    how = f" How: {'; '.join(steps)}." if steps else ""
    return f"{len(clips):,} clips of {len(plan.tables['videos']):,} videos.{how}"


def _protocol(plan: Plan, *, has_people: bool) -> str:
    if not has_people:
        return "The labels were imported; no answers of people were recorded."
    clip, box = PROTOCOLS["clip"], PROTOCOLS["box"]
    text = (
        "Workers were shown a clip and asked whether they can see a human performing one action (yes, no, unsure or "
        f"broken). It was accepted at {clip.accept_yes} positives of at most {clip.max_votes} answers, and given up "
        f"once {clip.stop_at} equal other answers were in (Kinetics-400, section 3.3)."
    )
    if len(plan.tables["box_labels"]):
        text += (
            f" An action of a boxed person was accepted at {box.accept_yes} positives of at most {box.max_votes} "
            "answers (AVA-Kinetics, section 1.2)."
        )
    return text


def _per_item(votes: pl.DataFrame | None, *, has_people: bool) -> str:
    """How many answers an item got, from the log; else what the protocol allows."""
    if not has_people:
        return "Not recorded: the labels were imported."
    if votes is None or not len(votes.filter(~pl.col("is_gold"))):
        return "; ".join(f"at most {rule.max_votes} answers a {kind}" for kind, rule in PROTOCOLS.items())
    kind = pl.col("item_id").str.split(":").list.first()
    counts = votes.filter(~pl.col("is_gold")).group_by("item_id").len().with_columns(kind.alias("kind"))
    parts = []
    for name in counts["kind"].unique().sort():
        numbers = sorted(counts.filter(kind=name)["len"].to_list())
        parts.append(
            f"{name}: {numbers[0]} to {numbers[-1]} answers an item, median {statistics.median(numbers):g}, "
            f"{len(numbers):,} items"
        )
    return "; ".join(parts)


def _analysis(workers: pl.DataFrame) -> tuple[str, ...]:
    trusted = workers.filter("is_trusted")
    num_gold, num_right = int(workers["num_gold"].sum()), int(workers["num_gold_right"].sum())
    lines = [
        f"{int(workers['num_votes'].sum()):,} answers by {len(workers):,} workers, of whom {len(trusted):,} were "
        "trusted; labels are the verdicts, single answers are not part of the release."
    ]
    if num_gold:
        lines.append(f"{100 * num_right / num_gold:.1f} % of {num_gold:,} answers with a known answer were right.")
    agreement: list[float] = trusted["agreement"].drop_nulls().to_list()
    if agreement:
        mean = 100 * sum(agreement) / len(agreement)
        lines.append(f"Trusted workers agree with the verdicts in {mean:.1f} % of their answers.")
    return tuple(lines)


def _timeframe(votes: pl.DataFrame | None) -> dict[str, tuple[str, ...]]:
    """The days of the first and the last answer, where answers have a time."""
    times: list[int] = [] if votes is None else votes.filter(pl.col("cast_at_us") > 0)["cast_at_us"].to_list()
    if not times:
        return {}
    ends = (datetime.fromtimestamp(time // 1_000_000, tz=UTC) for time in (min(times), max(times)))
    return {"dataCollectionTimeframe": tuple(end.strftime("%Y-%m-%dT%H:%M:%SZ") for end in ends)}


def _missing(rejects: pl.DataFrame) -> str:
    counts = rejects.group_by("stage", "reason").agg(pl.len().alias("rows")).sort("stage", "reason")
    parts = [f"{row['rows']:,} at {row['stage']} ({row['reason']})" for row in counts.iter_rows(named=True)]
    return f"Left out on the way: {', '.join(parts)}."


def _imputed(tracks: pl.DataFrame) -> str:
    num = int(tracks["is_interpolated"].sum())
    return (
        f"{num:,} of {len(tracks):,} track boxes lie between two detections on a straight line; "
        "`tracks.is_interpolated` says which. Nothing else was filled in."
    )


def _biases(plan: Plan) -> tuple[str, ...]:
    totals = plan.counts.group_by("class_id", "name", maintain_order=True).agg(pl.col("num_clips").sum())
    most, least = totals.sort("num_clips", "name")[-1], totals.sort("num_clips", "name")[:1]
    return (
        "Titles and detectors chose what people were asked about.",
        f"Clips a class: {most['num_clips'][0]:,} ({most['name'][0]}) down to {least['num_clips'][0]:,} "
        f"({least['name'][0]}).",
    )


def _tools(stages: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    tools = []
    for stage in stages:
        name = stage["arguments"].get("detector") if stage["stage"] == "detect" else None
        if isinstance(name, str):
            tools.append(f"gesta detect with the person detector {name!r}")
    return tuple(dict.fromkeys(tools))
