"""Clips compared by their vectors, inside each class or all with all, and which of the copies go.

Legend: N = rows compared, D = length of a vector, P = pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gesta.curate.crop_views import least_by_views, pairs_by_views
from gesta.curate.keep import Standing, draw
from gesta.curate.nearest import Pairs, components, least_cosines, pairs_within
from gesta.curate.vectors_at_hand import VectorsAtHand
from gesta.schema import Reviews

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

SPLIT_ORDER = ("test", "val", "train")
"""Of copies in an earlier release the one in the first of these splits stays: what scored models is not lost."""


@dataclass(frozen=True, slots=True)
class Rules:
    """By what clips are compared and stay."""

    min_cosine: float
    min_cosine_of: Mapping[int, float]
    across: str
    keep: str
    seed: int
    split_of_video: Mapping[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compared:
    """What is compared: one row a clip, or a clip and class, in the order of class and clip.

    Attributes:
        clip_ids: of each row.
        class_N: int64 [N], the row's class; None where all clips are compared.
        vectors_ND: float32 [N, D]; with views all of a clip's, one behind the other.
        limit_N: float64 [N], the row's threshold.
        num_views: of each clip.
    """

    clip_ids: tuple[str, ...]
    class_N: Ints | None
    vectors_ND: Floats
    limit_N: npt.NDArray[np.float64]
    num_views: int = 1

    def views(self) -> Floats:
        """The vectors by view, float32 [N, V, D]."""
        return self.vectors_ND.reshape(len(self.clip_ids), self.num_views, -1)


def compared_rows(
    rows: Sequence[tuple[str, str, int]], vectors: VectorsAtHand, rules: Rules, *, scratch: Path
) -> Compared:
    """The rows with their vectors, which stay on the disk."""
    limits: dict[str, float] = {}
    for clip_id, _, class_id in rows:
        limits[clip_id] = max(limits.get(clip_id, 0.0), rules.min_cosine_of.get(class_id, rules.min_cosine))
    if rules.across == "all":
        clip_ids = sorted(limits)
        class_N, limit_N = None, np.array([limits[clip_id] for clip_id in clip_ids], dtype=np.float64)
    else:
        ordered = sorted((class_id, clip_id) for clip_id, _, class_id in set(rows))
        clip_ids = [clip_id for _, clip_id in ordered]
        class_N = np.array([class_id for class_id, _ in ordered], dtype=np.int64)
        limit_N = np.array(
            [rules.min_cosine_of.get(class_id, rules.min_cosine) for class_id, _ in ordered], dtype=np.float64
        )
    places = np.array([vectors.row_of[clip_id] for clip_id in clip_ids], dtype=np.int64)
    gathered = vectors.vectors_ND
    if not np.array_equal(places, np.arange(len(gathered))):
        shape = (len(places), gathered.shape[1])
        target = np.lib.format.open_memmap(scratch / "compared.npy", mode="w+", dtype=np.float32, shape=shape)
        for start in range(0, len(places), 4096):
            target[start : start + 4096] = gathered[places[start : start + 4096]]
        gathered = target
    return Compared(
        clip_ids=tuple(clip_ids), class_N=class_N, vectors_ND=gathered, limit_N=limit_N, num_views=vectors.num_views
    )


def copies_among(compared: Compared, video_of: Mapping[str, str], rules: Rules) -> Pairs:
    """Copies among what is compared; two clips of one video are none."""
    if not len(compared.clip_ids):
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))
    if compared.num_views > 1:
        found = _pairs_by_views(compared)
        limit_P = np.maximum(compared.limit_N[found.a_P], compared.limit_N[found.b_P])
    elif compared.class_N is None:
        found = pairs_within(compared.vectors_ND, min_cosine=float(compared.limit_N.min()))
        limit_P = np.maximum(compared.limit_N[found.a_P], compared.limit_N[found.b_P])
    else:
        found = pairs_within(
            compared.vectors_ND, min_cosine=rules.min_cosine, groups=compared.class_N,
            min_cosine_of=dict(rules.min_cosine_of),
        )  # fmt: skip
        limit_P = compared.limit_N[found.a_P]
    video_N = np.array([video_of[clip_id] for clip_id in compared.clip_ids])
    wanted = (found.cosine_P >= limit_P) & (video_N[found.a_P] != video_N[found.b_P])
    return Pairs(found.a_P[wanted], found.b_P[wanted], found.cosine_P[wanted])


def _pairs_by_views(compared: Compared) -> Pairs:
    """Pairs inside each class, or among all, from the lowest threshold of the class on."""
    classes = np.zeros(len(compared.clip_ids), np.int64) if compared.class_N is None else compared.class_N
    found = []
    for class_id in np.unique(classes):
        rows_R = np.flatnonzero(classes == class_id)
        limit = float(compared.limit_N[rows_R].min())
        found.append(pairs_by_views(compared.views(), rows_R, min_cosine=limit))
    return Pairs(*(np.concatenate([getattr(part, name) for part in found]) for name in ("a_P", "b_P", "cosine_P")))


def least_cosines_of(compared: Compared, component_N: Ints) -> dict[int, float]:
    """The lowest cosine of any two members of each component, by the component's name."""
    if compared.num_views == 1:
        return least_cosines(compared.vectors_ND, component_N)
    return {
        name: least_by_views(compared.views(), np.array(rows, dtype=np.int64))
        for name, rows in groups_of(component_N).items()
    }


def groups_of(component_N: Ints) -> dict[int, list[int]]:
    """The rows of each component of two or more."""
    members: dict[int, list[int]] = {}
    for row, name in enumerate(component_N.tolist()):
        members.setdefault(name, []).append(row)
    return {name: rows for name, rows in members.items() if len(rows) > 1}


def who_goes(
    compared: Compared, pairs: Pairs, standing: Mapping[str, Standing], reviewed: Reviews, rules: Rules
) -> dict[tuple[str, int | None], str]:
    """The clips (and classes) that go, each with the clip that it is a copy of and that stays, or went for another."""
    goes: dict[tuple[str, int | None], str] = {}
    for rows in groups_of(components(len(compared.clip_ids), pairs)).values():
        clip_ids = [compared.clip_ids[row] for row in rows]
        chosen = [clip_id for clip_id in clip_ids if clip_id in reviewed.chosen]
        gone = [clip_id for clip_id in clip_ids if clip_id in reviewed.gone]
        stands = min(chosen or gone or clip_ids, key=lambda clip_id: _order(clip_id, standing, rules))
        class_id = None if compared.class_N is None else int(compared.class_N[rows[0]])
        stay = {*chosen, stands}
        goes.update({(clip_id, class_id): stands for clip_id in clip_ids if clip_id not in stay})
    return goes


def _order(clip_id: str, standing: Mapping[str, Standing], rules: Rules) -> tuple[object, ...]:
    """The least stays."""
    one = standing[clip_id]
    split = (rules.split_of_video or {}).get(one.video_id)
    released = SPLIT_ORDER.index(split) if split in SPLIT_ORDER else len(SPLIT_ORDER)
    worth = (-one.num_yes, -one.num_px) if rules.keep == "best" else (draw(clip_id, seed=rules.seed),)
    return (released, *worth, clip_id)
