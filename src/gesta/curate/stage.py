"""The verb `curate`: duplicates found among all clips, one clip a video and class kept."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.curate.components import component_rows, footage_members
from gesta.curate.features import NUM_DIMS, SHORT_SIDE_PX, centered, clip_vectors, text_of_vector, vectors_of_texts
from gesta.curate.footage import Footage, read_footage, shared_footage, step_us_for
from gesta.curate.keep import Standing, check_keep, clip_that_stays, clusters_of, one_per_video, videos_that_stay
from gesta.curate.pairs import alike_pairs
from gesta.curate.vectors_at_hand import one_thread
from gesta.curate.work_tables import (
    OUTPUTS,
    accepted_labels,
    classes_of,
    clips_at_hand,
    reject_unless_there,
    rejects_of_spare,
    reviews_at_hand,
    standing_of,
    summary_of,
    write_outcome,
)
from gesta.schema import BadInput, BadVideo, Duplicate, FrameFeature, Reject
from gesta.shards import map_shards
from gesta.tables import (
    Json,
    Provenance,
    StageSummary,
    empty_frame,
    frame_of,
    hashes_of,
    is_current,
    made_by,
    read_sidecar,
    read_table,
    rejects_path,
    rows_of,
    table_path,
    write_rejects,
    write_table,
)

MIN_COSINE = 0.42
"""Cosine from which a pair is looked at. Source: ours, low on purpose: copies of rendered and real videos (re-encoded,
cropped to half, halved in size, mirrored) have 0.48 and more, and what is let through is looked at again."""
MIN_AGREEMENT = 0.65
"""Likeness of what moves from which a pair is a duplicate. Source: ours; on rendered and real videos copies have 0.7
and more, other videos of the same person before the same wall 0.58 and less."""

_TOOLS = ("av", "numpy", "opencv-python-headless")
_CACHED_CLIPS = 48


def run_curate(
    work: Path,
    *,
    min_cosine: float = MIN_COSINE,
    min_agreement: float = MIN_AGREEMENT,
    keep: str = "best",
    seed: int = 0,
    workers: int | None = None,
    cluster: str | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> StageSummary:
    """What curation did: `frame_features`, `duplicates`, `components` and `kept` from `videos`, `clips`, `clip_labels`.

    All clips whose video is there and decodes are compared, accepted or not, so that a copy is found even when the
    workers did not accept it. Kept are accepted clips of videos that stay, one a video and class, drawn by `seed`.
    Rejected are accepted clips of copies (duplicate), further clips of a video (one-per-video), accepted clips whose
    video is not there (absent), and clips that do not decode (decode). Where people have reviewed copies or a class's
    clips (`reviews`), what they took out goes (duplicate, other-action), and of copies they saw side by side theirs is
    the word.

    Args:
        work: the work folder.
        min_cosine: cosine of two frames from which their clips are looked at more closely, -1 to 1.
        min_agreement: likeness of what moves in two clips from which they are duplicates, -1 to 1.
        keep: of copies that were accepted, "best" = the one with the most positives, then the largest picture;
            "random" = one drawn by `seed`.
        seed: chance for the clip of a video that stays.
        workers: processes; None = as many as there are cores.
        cluster: address of a Ray cluster that shares `work`, or "local"; None = processes.
        on_rows: called with the number of clips, then of pairs, just done.
    Raises:
        MissingTable: `videos`, `clips` or `clip_labels` is not there.
        BadInput: `min_cosine` or `min_agreement` is outside -1 to 1.
        UnknownName: `keep` is neither best nor random.
    """
    for name, value in (("min_cosine", min_cosine), ("min_agreement", min_agreement)):
        if not -1 <= value <= 1:
            raise BadInput(f"{name}={value}", mend="Want -1 to 1")
    check_keep(keep)
    arguments: dict[str, Json] = {"min_cosine": min_cosine, "min_agreement": min_agreement, "keep": keep, "seed": seed}
    has_reviews = read_sidecar(table_path(work, "reviews")) is not None
    inputs = hashes_of(work, ["videos", "clips", "clip_labels", *(["reviews"] if has_reviews else [])])
    provenance = made_by("curate", arguments=arguments, inputs=inputs, tools=_TOOLS)
    outputs = [table_path(work, name) for name in OUTPUTS]
    if all(is_current(path, provenance) for path in (*outputs, rejects_path(work, "curate"))):
        return _summary(work, was_current=True)
    share = functools.partial(map_shards, workers=workers, cluster=cluster, on_rows=on_rows)

    clips = clips_at_hand(work)
    features, broken = _features(work, clips, share=share)
    frames = _frames_of(clips, features)
    pairs = _verified(work, clips, frames, min_cosine=min_cosine, min_agreement=min_agreement, share=share)
    _keep(work, clips, pairs, broken, frames, min_cosine=min_cosine, keep=keep, seed=seed, provenance=provenance)
    shutil.rmtree(work / "shards" / "curate", ignore_errors=True)
    return _summary(work, was_current=False)


def _features(work: Path, clips: pl.DataFrame, *, share: functools.partial) -> tuple[pl.DataFrame, list[Reject]]:
    """Table `frame_features` of the clips, and rejects for those that do not decode, both written.

    They are kept apart from the rest, so that new labels or thresholds do not cost another pass over the videos.
    """
    provenance = made_by(
        "curate",
        arguments={"part": "features", "short_side_px": SHORT_SIDE_PX, "num_dims": NUM_DIMS},
        inputs=hashes_of(work, ["videos", "clips"]),
        tools=_TOOLS,
    )
    path, rejects = table_path(work, "frame_features"), rejects_path(work, "curate-features")
    if not (is_current(path, provenance) and is_current(rejects, provenance)):
        columns = clips.select("clip_id", "video_id", "start_us", "end_us", "path")
        found = share(
            functools.partial(_features_of, work=work.resolve()), columns, outputs=["frame_features", "rejects"],
            folder=work / "shards" / "curate" / "features", made_by=provenance, rows_per_shard=8,
        )  # fmt: skip
        write_table(path, "frame_features", found["frame_features"], made_by=provenance)
        write_rejects(work, "curate-features", rows_of("rejects", found["rejects"]), made_by=provenance)
    return read_table(path, "frame_features"), rows_of("rejects", read_table(rejects, "rejects"))


def _features_of(clips: pl.DataFrame, *, work: Path) -> dict[str, pl.DataFrame]:
    features: list[FrameFeature] = []
    rejects: list[Reject] = []
    with one_thread():
        for row in clips.iter_rows(named=True):
            try:
                times_us, vectors = clip_vectors(work / row["path"], start_us=row["start_us"], end_us=row["end_us"])
            except BadVideo as error:
                rejects.append(
                    Reject(
                        stage="curate", reason=error.reason, video_id=row["video_id"], clip_id=row["clip_id"],
                        path=row["path"], detail=error.problem,
                    )
                )  # fmt: skip
                continue
            features += [
                FrameFeature(clip_id=row["clip_id"], timestamp_us=int(time_us), vector=text_of_vector(vector))
                for time_us, vector in zip(times_us, vectors, strict=True)
            ]
    return {"frame_features": frame_of("frame_features", features), "rejects": frame_of("rejects", rejects)}


@dataclass(frozen=True, slots=True, eq=False)
class _Frames:
    """Clips that decode, in order, and the frames of all of them: vectors [F, D], number and id of each one's clip."""

    clips: pl.DataFrame
    vectors_FD: npt.NDArray[np.float32]
    clip_F: npt.NDArray[np.int64]
    clip_ids_F: list[str]


def _frames_of(clips: pl.DataFrame, features: pl.DataFrame) -> _Frames:
    compared = clips.filter(pl.col("clip_id").is_in(features["clip_id"].unique().implode()))
    number_of = {clip_id: number for number, clip_id in enumerate(compared["clip_id"])}
    ordered = features.with_columns(number=pl.col("clip_id").replace_strict(number_of, return_dtype=pl.Int64)).sort(
        "number", "timestamp_us"
    )
    vectors_FD = centered(vectors_of_texts(ordered["vector"]))
    return _Frames(compared, vectors_FD, ordered["number"].to_numpy(), ordered["clip_id"].to_list())


def _verified(
    work: Path, clips: pl.DataFrame, frames: _Frames, *, min_cosine: float, min_agreement: float,
    share: functools.partial,
) -> list[Duplicate]:  # fmt: skip
    """Pairs of clips that show the same footage, without clusters yet, sorted by their ids."""
    compared = frames.clips
    alike = alike_pairs(
        frames.vectors_FD,
        frames.clip_F,
        group_of_clip=compared["video_id"].rank("dense").cast(pl.Int64).to_numpy(),
        min_cosine=min_cosine,
    )
    rows = compared.select("clip_id", "path", "start_us", "end_us")
    candidates = pl.concat(
        [
            rows[alike.a_P].rename(lambda name: f"{name}_a"), rows[alike.b_P].rename(lambda name: f"{name}_b"),
            pl.DataFrame({"cosine": alike.cosine_P.astype(np.float64)}),
        ],
        how="horizontal",
    )  # fmt: skip
    longest_us = max((end - start for start, end in clips.select("start_us", "end_us").iter_rows()), default=0)
    provenance = made_by(
        "curate",
        arguments={"part": "pairs", "min_cosine": min_cosine, "min_agreement": min_agreement},
        inputs=hashes_of(work, ["videos", "clips", "frame_features"]),
        tools=_TOOLS,
    )
    verify = functools.partial(
        _verify, work=work.resolve(), step_us=step_us_for(longest_us), min_agreement=min_agreement
    )
    found = share(
        verify, candidates,
        outputs=["duplicates"], folder=work / "shards" / "curate" / "pairs", made_by=provenance, rows_per_shard=16,
    )  # fmt: skip
    return rows_of("duplicates", found["duplicates"].sort("clip_id_a", "clip_id_b"))


@functools.lru_cache(maxsize=_CACHED_CLIPS)
def _footage(path: Path, start_us: int, end_us: int, step_us: int) -> Footage:
    return read_footage(path, start_us=start_us, end_us=end_us, step_us=step_us)


def _verify(pairs: pl.DataFrame, *, work: Path, step_us: int, min_agreement: float) -> dict[str, pl.DataFrame]:
    found: list[Duplicate] = []
    with one_thread():
        for row in pairs.iter_rows(named=True):
            # Sorted by id, so that the row does not depend on the order of the clips in the comparison.
            one, other = sorted("ab", key=lambda side: row[f"clip_id_{side}"])
            try:
                a, b = (
                    _footage(work / row[f"path_{side}"], row[f"start_us_{side}"], row[f"end_us_{side}"], step_us)
                    for side in (one, other)
                )
            except BadVideo:
                # The sampled frames decoded and others do not: such a clip is compared no further, and stays.
                continue
            shared = shared_footage(a, b, min_agreement=min_agreement)
            if shared is None:
                continue
            found.append(
                Duplicate(
                    clip_id_a=row[f"clip_id_{one}"], clip_id_b=row[f"clip_id_{other}"], cosine=row["cosine"],
                    num_inliers=shared.num_inliers, cluster=-1, kept_clip_id="", agreement=shared.agreement,
                    is_mirrored=shared.is_mirrored, start_us_a=shared.start_us_a, end_us_a=shared.end_us_a,
                    start_us_b=shared.start_us_b, end_us_b=shared.end_us_b,
                )
            )  # fmt: skip
    return {"duplicates": frame_of("duplicates", found)}


def _keep(
    work: Path, clips: pl.DataFrame, pairs: Sequence[Duplicate], broken: Sequence[Reject], frames: _Frames, *,
    min_cosine: float, keep: str, seed: int, provenance: Provenance,
) -> None:  # fmt: skip
    labels, reviewed = accepted_labels(work), reviews_at_hand(work)
    standing = standing_of(clips, labels)
    video_of = {clip_id: one.video_id for clip_id, one in standing.items()}
    clusters = clusters_of(pairs)
    unsettled = [number for number, pair in enumerate(pairs) if not reviewed.settles(pair.clip_id_a, pair.clip_id_b)]
    gone_videos, kept_videos = videos_that_stay(
        [pairs[number] for number in unsettled], [clusters[number] for number in unsettled], standing,
        chosen=reviewed.chosen, gone=reviewed.gone, keep=keep, seed=seed,
    )  # fmt: skip
    kept_videos |= {video_of[clip_id] for clip_id in reviewed.chosen & standing.keys()}

    there, rejects = reject_unless_there(labels, video_of, reviewed)
    stay: list[tuple[str, str, int]] = []
    undecodable = {reject.clip_id for reject in broken}
    for clip_id, video_id, class_id in there:
        if video_id in gone_videos:
            other = gone_videos[video_id]
            why = "which stays" if other in kept_videos else "which people took out for another copy"
            detail = f"class {class_id}: the same footage as video {other}, {why}"
            rejects.append(
                Reject(stage="curate", reason="duplicate", video_id=video_id, clip_id=clip_id, detail=detail)
            )
        elif clip_id not in undecodable:
            stay.append((clip_id, video_id, class_id))
    kept, spare = one_per_video(stay, seed=seed, chosen=reviewed.chosen)
    rejects += rejects_of_spare(spare, video_of)
    duplicates = _with_clusters(pairs, clusters, standing, kept_videos)
    components = component_rows(
        footage_members(duplicates, frames.vectors_FD, frames.clip_ids_F, min_cosine=min_cosine),
        standing, classes_of(labels), None,
    )  # fmt: skip
    write_outcome(work, duplicates=duplicates, components=components, kept=kept, rejects=rejects, provenance=provenance)


def _with_clusters(
    pairs: Sequence[Duplicate], clusters: Sequence[int], standing: Mapping[str, Standing], kept_videos: set[str]
) -> pl.DataFrame:
    frame = frame_of("duplicates", pairs).with_columns(cluster=pl.Series(clusters, dtype=pl.Int64))
    if not len(frame):
        return empty_frame("duplicates")
    stays = {
        number: clip_that_stays(sorted({*part["clip_id_a"], *part["clip_id_b"]}), standing, kept_videos)
        for (number,), part in frame.group_by("cluster")
    }
    return frame.with_columns(kept_clip_id=pl.col("cluster").replace_strict(stays, return_dtype=pl.String))


def _summary(work: Path, *, was_current: bool) -> StageSummary:
    return summary_of(
        work, rejected_by=("curate", "curate-features"), features=str(table_path(work, "frame_features")), numbers={},
        was_current=was_current,
    )  # fmt: skip
