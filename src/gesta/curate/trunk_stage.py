"""The verb `curate` with a trunk: copies by one vector a clip, class by class as Kinetics was cleaned, or over all.

Legend: N = clips of classes that are compared, D = length of a vector.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.curate.compared import (
    Compared,
    Rules,
    compared_rows,
    copies_among,
    groups_of,
    least_cosines_of,
    who_goes,
)
from gesta.curate.components import Members, component_rows
from gesta.curate.keep import Standing, check_keep, one_per_video
from gesta.curate.nearest import Pairs, components
from gesta.curate.trunks import WITHOUT_WEIGHTS
from gesta.curate.vectors_at_hand import VectorsAtHand, feature_vectors, trunk_vectors
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
from gesta.schema import BadInput, Duplicate, Reject, Reviews, UnknownName
from gesta.shards import map_shards
from gesta.tables import (
    Json,
    StageSummary,
    empty_frame,
    frame_of,
    hashes_of,
    is_current,
    made_by,
    read_sidecar,
    read_table,
    rejects_path,
    sha256_of_file,
    table_path,
)

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

MIN_COSINE = 0.97
"""Cosine from which two clips are copies. Source: Kinetics-400 paper, section 3.4, for Inception-V1."""
ACROSS = ("class", "all")
"""What is compared with what: the clips of one class, as in the paper, or all clips, whatever their classes."""
NO_THRESHOLDS: Mapping[str, float] = {}
"""Every class has the same threshold."""
_TOOLS = ("numpy",)


def run_curate_by_trunk(
    work: Path,
    *,
    trunk: str = "perceptual-hash",
    weights: Path | None = None,
    features: Path | None = None,
    min_cosine: float | None = None,
    min_cosine_of: Mapping[str, float] = NO_THRESHOLDS,
    crops: bool | None = None,
    across: str = "class",
    keep: str = "random",
    release: Path | None = None,
    seed: int = 0,
    workers: int | None = None,
    cluster: str | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> StageSummary:
    """What curation did: tables `duplicates`, `components` and `kept` from `videos`, `clips` and `clip_labels`.

    One accepted clip a video and class is drawn by `seed`. Those of one class (or all) whose vectors have a cosine of
    `min_cosine` or more are copies; of each connected component one stays. Vectors are made once for each clip and kept
    in `clip_vectors/`, so another threshold or seed costs no pass over the videos. Where people have reviewed copies
    (`reviews`), theirs is the word, at any threshold: a clip that they kept stays and is drawn first, one that they
    took out goes, and what is alike to either goes too unless they saw it beside one that stays.

    Args:
        work: the work folder.
        trunk: as `trunk_named` takes it.
        weights: a file of the trunk's weights.
        features: a file of vectors made elsewhere, in the trunk's place: `feature_vectors` reads it.
        min_cosine: from which two clips are copies; None = the trunk's own (`min_cosine_of_trunk`).
        min_cosine_of: another threshold for some classes, by name or id.
        crops: whether each whole picture is compared with parts of the others' pictures too, so that cropped copies are
            found; None = with the perceptual hash, whose vectors of parts are cheap.
        across: "class" = inside each class; "all" = over all clips. Two clips of different classes are then copies from
            the higher of their classes' thresholds on.
        keep: which of a component stays: "random" = drawn by `seed`, "best" = the one with the most positives.
        release: an earlier release: its clips come before others, those of test first.
        seed: chance.
        workers: processes; None = as many as there are cores.
        cluster: address of a Ray cluster that shares `work`, or "local"; None = processes.
        on_rows: called with the number of clips just done.
    Raises:
        MissingTable: `videos`, `clips` or `clip_labels` is not there, or with class names `label_map`.
        BadInput: a threshold is not above 0 and at most 1, or trunk, weights or features do not fit one another.
        UnknownName: there is no such trunk, class, or choice for `across` or `keep`.
        MissingExtra: the trunk's library is not installed.
        GestaError: weights could not be downloaded.
    Source: Kinetics-400 paper, section 3.4; comparing all clips, earlier releases and reviews: ours.
    """
    check_keep(keep)
    if across not in ACROSS:
        raise UnknownName(what="way to compare", name=across, choices=ACROSS)
    limit = min_cosine_of_trunk(trunk if features is None else "") if min_cosine is None else min_cosine
    limits = _thresholds(work, min_cosine_of)
    for value in (limit, *limits.values()):
        if not 0 < value <= 1:
            raise BadInput(f"min_cosine={value}", mend="Want above 0 and at most 1")
    split_of_video = None if release is None else _splits_of(release)
    share = functools.partial(map_shards, workers=workers, cluster=cluster, on_rows=on_rows)

    clips, labels = clips_at_hand(work), accepted_labels(work)
    wanted = clips.filter(pl.col("clip_id").is_in(labels["clip_id"].unique().implode()))
    if features is not None:
        vectors = feature_vectors(features, wanted)
    else:
        by_parts = trunk == "perceptual-hash" if crops is None else crops
        vectors = trunk_vectors(work, wanted, trunk=trunk, weights=weights, crops=by_parts, share=share)
    arguments: dict[str, Json] = {
        "trunk": None if features else trunk, "vectors": sha256_of_file(vectors.path), "min_cosine": limit,
        "min_cosine_of": {str(class_id): value for class_id, value in sorted(limits.items())}, "across": across,
        "keep": keep, "splits": split_of_video, "seed": seed,
    }  # fmt: skip
    has_reviews = read_sidecar(table_path(work, "reviews")) is not None
    inputs = hashes_of(work, ["videos", "clips", "clip_labels", *(["reviews"] if has_reviews else [])])
    provenance = made_by("curate", arguments=arguments, inputs=inputs, tools=_TOOLS)
    outputs = [*(table_path(work, name) for name in OUTPUTS), rejects_path(work, "curate")]
    was_current = all(is_current(path, provenance) for path in outputs)
    if not was_current:
        _curate(
            work, clips, labels, vectors, Rules(limit, limits, across, keep, seed, split_of_video),
            write=functools.partial(write_outcome, work, provenance=provenance),
        )  # fmt: skip
    shutil.rmtree(work / "shards" / "curate", ignore_errors=True)
    numbers: dict[str, Json] = {"min_cosine": limit}
    if release is not None:
        found = read_table(work, "components")
        numbers["num_components_across_splits"] = int((found["num_splits"] > 1).sum())
    return summary_of(
        work, rejected_by=("curate",), features=str(vectors.path), numbers=numbers, was_current=was_current
    )


OWN_MIN_COSINE: Mapping[str, float] = {"perceptual-hash": 0.7, "sketch": 0.9}
"""Thresholds of trunks whose cosines mean something else than a network's. Source: ours, `benchmarks/copies.py`."""


def min_cosine_of_trunk(trunk: str) -> float:
    """The threshold of a trunk unless another is asked for.

    >>> min_cosine_of_trunk("inception-v1")
    0.97
    """
    assert set(OWN_MIN_COSINE) == set(WITHOUT_WEIGHTS)
    return OWN_MIN_COSINE.get(trunk, MIN_COSINE)


def _thresholds(work: Path, min_cosine_of: Mapping[str, float]) -> dict[int, float]:
    """Thresholds by class id."""
    if not min_cosine_of:
        return {}
    classes = {
        name: class_id for class_id, name in read_table(work, "label_map").select("class_id", "name").iter_rows()
    }
    known = {**{str(class_id): class_id for class_id in classes.values()}, **classes}
    for name in min_cosine_of:
        if name not in known:
            raise UnknownName(what="class", name=name, choices=classes)
    return {known[name]: value for name, value in min_cosine_of.items()}


def _splits_of(release: Path) -> dict[str, str]:
    return dict(read_table(release, "splits").select("video_id", "split").iter_rows())


def _curate(
    work: Path, clips: pl.DataFrame, labels: pl.DataFrame, vectors: VectorsAtHand, rules: Rules, *,
    write: Callable[..., None],
) -> None:  # fmt: skip
    reviewed, standing = reviews_at_hand(work), standing_of(clips, labels)
    video_of = {clip_id: one.video_id for clip_id, one in standing.items()}
    there, rejects = reject_unless_there(labels, video_of, reviewed)
    rejects += vectors.rejects
    lost = {reject.clip_id for reject in vectors.rejects}
    drawn, spare = one_per_video([row for row in there if row[0] not in lost], seed=rules.seed, chosen=reviewed.chosen)
    rejects += rejects_of_spare(spare, video_of)
    # What people took out is compared too: it stays out, but a further copy is known by it.
    ghosts = [
        (clip_id, video_of[clip_id], class_id)
        for clip_id, class_id in labels.select("clip_id", "class_id").iter_rows()
        if clip_id in reviewed.gone and clip_id in vectors.row_of and (clip_id, class_id) not in reviewed.gone_from
    ]
    with tempfile.TemporaryDirectory() as folder:
        compared = compared_rows([*drawn, *ghosts], vectors, rules, scratch=Path(folder))
        pairs = copies_among(compared, video_of, rules)
        groups = components(len(compared.clip_ids), pairs)
        least = least_cosines_of(compared, groups)
    settled = np.array(
        [
            reviewed.settles(compared.clip_ids[a], compared.clip_ids[b])
            for a, b in zip(pairs.a_P, pairs.b_P, strict=True)
        ],
        dtype=bool,
    )
    open_pairs = Pairs(pairs.a_P[~settled], pairs.b_P[~settled], pairs.cosine_P[~settled])
    goes = who_goes(compared, open_pairs, standing, reviewed, rules)
    kept = []
    for clip_id, video_id, class_id in drawn:
        other = goes.get((clip_id, None if rules.across == "all" else class_id))
        if other is None:
            kept.append((clip_id, video_id, class_id))
            continue
        detail = f"class {class_id}: a copy of clip {other}"
        rejects.append(Reject(stage="curate", reason="duplicate", video_id=video_id, clip_id=clip_id, detail=detail))
    stays_for: dict[str, frozenset[int]] = {}
    for clip_id, _, class_id in kept:
        stays_for[clip_id] = stays_for.get(clip_id, frozenset()) | {class_id}
    duplicates, found = _tables(compared, pairs, groups, least, _Staying(stays_for, standing, reviewed))
    write(
        duplicates=duplicates,
        components=component_rows(found, standing, classes_of(labels), rules.split_of_video),
        kept=kept, rejects=rejects,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Staying:
    """The classes that each clip stays for, and what speaks for it."""

    classes_of: Mapping[str, frozenset[int]]
    standing: Mapping[str, Standing]
    reviewed: Reviews

    def first(self, clip_ids: Iterable[str], class_id: int | None) -> str | None:
        """Of these clips the one that stands for them in the class (None = in any); None where none stays."""
        those = [
            clip_id
            for clip_id in clip_ids
            if (classes := self.classes_of.get(clip_id)) and (class_id is None or class_id in classes)
        ]

        def order(clip_id: str) -> tuple[object, ...]:
            return (clip_id not in self.reviewed.chosen, -self.standing[clip_id].num_yes, clip_id)

        return min(those, key=order, default=None)


def _tables(
    compared: Compared, pairs: Pairs, groups: Ints, least: Mapping[int, float], staying: _Staying
) -> tuple[pl.DataFrame, list[Members]]:
    """Table `duplicates`, its clusters over clips whatever the class, and the components."""
    if not len(pairs.a_P):
        return empty_frame("duplicates"), []
    clip_ids = sorted(set(compared.clip_ids))
    number = {clip_id: place for place, clip_id in enumerate(clip_ids)}
    place_N = np.array([number[clip_id] for clip_id in compared.clip_ids], dtype=np.int64)
    low_P = np.minimum(place_N[pairs.a_P], place_N[pairs.b_P])
    high_P = np.maximum(place_N[pairs.a_P], place_N[pairs.b_P])
    roots = components(len(clip_ids), Pairs(low_P, high_P, pairs.cosine_P)).tolist()
    cluster_of = {root: cluster for cluster, root in enumerate(sorted({roots[place] for place in low_P.tolist()}))}
    in_cluster: dict[int, list[str]] = {}
    for place, root in enumerate(roots):
        if root in cluster_of:
            in_cluster.setdefault(cluster_of[root], []).append(clip_ids[place])
    kept_of = {cluster: staying.first(members, None) or members[0] for cluster, members in in_cluster.items()}
    # A pair of clips of two classes is found twice.
    rows = {
        (low, high): Duplicate(
            clip_id_a=clip_ids[low], clip_id_b=clip_ids[high], cosine=round(min(cosine, 1.0), 6), num_inliers=0,
            cluster=cluster_of[roots[low]], kept_clip_id=kept_of[cluster_of[roots[low]]],
        )
        for low, high, cosine in zip(low_P.tolist(), high_P.tolist(), pairs.cosine_P.tolist(), strict=True)
    }  # fmt: skip
    num_pairs = dict(zip(*np.unique(groups[pairs.a_P], return_counts=True), strict=True))
    found = []
    for name, members in groups_of(groups).items():
        class_id = None if compared.class_N is None else int(compared.class_N[members[0]])
        names = tuple(compared.clip_ids[row] for row in members)
        found.append(
            Members(
                cluster=cluster_of[roots[place_N[members[0]]]], class_id=class_id, clip_ids=names,
                num_pairs=int(num_pairs[name]), min_cosine=float(compared.limit_N[members].max()),
                least_cosine=least[name], kept_clip_id=staying.first(names, class_id),
            )
        )  # fmt: skip
    return frame_of("duplicates", [rows[key] for key in sorted(rows)]), found
