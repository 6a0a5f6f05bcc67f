"""Which clips stay: duplicates into clusters, one video of each cluster, one clip of a video and class.

A clip that shows two things after one another (a compilation) shares one stretch with one video and another stretch
with another. So what is joined are stretches, not clips: two pairs that meet in a clip belong together when their
stretches of it overlap.
"""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gesta.schema import Duplicate, UnknownName

KEEP = ("best", "random")
"""Which of several copies stays: the one that most speaks for, or a drawn one, as in Kinetics-400, section 3.4."""


def check_keep(keep: str) -> str:
    """The rule by which copies stay.

    Raises:
        UnknownName: it is none of `KEEP`.
    """
    if keep not in KEEP:
        raise UnknownName(what="rule of what stays", name=keep, choices=KEEP)
    return keep


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What speaks for a clip when only one of several copies can stay."""

    video_id: str
    is_accepted: bool
    num_yes: int
    num_px: int


def clusters_of(pairs: Sequence[Duplicate]) -> list[int]:
    """The cluster of each pair, from 0 in the order of the pairs; pairs are one when they share footage.

    Source: the Kinetics-400 paper, section 3.4 (connected components); over stretches of footage, not clips: ours.
    """
    parent = list(range(len(pairs)))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    stretches: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        stretches[pair.clip_id_a].append((_known(pair.start_us_a), _known(pair.end_us_a), number))
        stretches[pair.clip_id_b].append((_known(pair.start_us_b), _known(pair.end_us_b), number))
    for of_clip in stretches.values():
        of_clip.sort()
        for k, (start, end, number) in enumerate(of_clip):
            for other_start, other_end, other in of_clip[k + 1 :]:
                shorter = min(end - start, other_end - other_start)
                if min(end, other_end) - other_start > shorter // 2:
                    parent[max(root(number), root(other))] = min(root(number), root(other))
    names: dict[int, int] = {}
    return [names.setdefault(root(number), len(names)) for number in range(len(pairs))]


def _known(time_us: int | None) -> int:
    if time_us is None:
        raise ValueError("a pair without the stretch it shares")
    return time_us


def videos_that_stay(
    pairs: Sequence[Duplicate],
    clusters: Sequence[int],
    standing: Mapping[str, Standing],
    *,
    chosen: Collection[str] = (),
    gone: Collection[str] = (),
    keep: str = "best",
    seed: int = 0,
) -> tuple[dict[str, str], set[str]]:
    """Videos that go, with the video that stays in their place; and the clusters' videos that stay.

    Videos are taken in the order of their best clip (accepted before others, then fewer clusters, so that a
    compilation goes before what it was made of, then more positives, the larger picture, the id); a video stays unless
    it shares a cluster with one that already does.

    Args:
        pairs: copies that people have not settled.
        clusters: of each pair.
        standing: of every clip of the pairs.
        chosen: clips that people kept: their videos come first and all stay.
        gone: clips that people took out: another stands for each already, so what is alike goes too.
        keep: "random" = chance by `seed` instead of positives and picture.
        seed: of that chance.
    """
    videos_of: dict[int, set[str]] = defaultdict(set)
    clusters_of_video: dict[str, set[int]] = defaultdict(set)
    clips_of_video: dict[str, set[str]] = defaultdict(set)
    for pair, cluster in zip(pairs, clusters, strict=True):
        for clip_id in (pair.clip_id_a, pair.clip_id_b):
            video_id = standing[clip_id].video_id
            videos_of[cluster].add(video_id)
            clusters_of_video[video_id].add(cluster)
            clips_of_video[video_id].add(clip_id)

    num_partners = {
        video_id: len({other for cluster in those for other in videos_of[cluster]})
        for video_id, those in clusters_of_video.items()
    }
    by_people = {standing[clip].video_id for clip in chosen if clip in standing}
    represented = {standing[clip].video_id for clip in gone if clip in standing} - by_people

    def order(video_id: str) -> tuple[object, ...]:
        best = max((standing[clip] for clip in clips_of_video[video_id]), key=lambda s: (s.is_accepted, s.num_yes))
        worth = (-best.num_yes, -best.num_px) if keep == "best" else (draw(video_id, seed=seed),)
        seen = 0 if video_id in by_people else 1 if video_id in represented else 2
        return (seen, not best.is_accepted, num_partners[video_id], *worth, video_id)

    lost: dict[str, str] = {}
    kept: set[str] = set()
    for video_id in sorted(clusters_of_video, key=order):
        partners = {other for cluster in clusters_of_video[video_id] for other in videos_of[cluster]} & kept
        if partners and video_id not in by_people | represented:
            lost[video_id] = min(partners)
        else:
            kept.add(video_id)
    return lost, kept - represented


def draw(name: str, *, seed: int) -> str:
    """A number, as text, that is chance to the name: the least one of several names is drawn evenly among them.

    Drawn so, a name that comes later changes nothing unless it is the one that is drawn.

    >>> min(["a", "b", "c"], key=lambda name: draw(name, seed=7))
    'b'
    """
    return hashlib.sha256(f"curate:{seed}:{name}".encode()).hexdigest()


def clip_that_stays(clip_ids: Sequence[str], standing: Mapping[str, Standing], kept_videos: set[str]) -> str:
    """Of a cluster's clips the one that stands for it: of a video that stays, accepted, most positives, largest, id."""

    def order(clip_id: str) -> tuple[object, ...]:
        one = standing[clip_id]
        return (one.video_id not in kept_videos, not one.is_accepted, -one.num_yes, -one.num_px, clip_id)

    return min(clip_ids, key=order)


def one_per_video(
    accepted: Sequence[tuple[str, str, int]], *, seed: int, chosen: Collection[str] = ()
) -> tuple[list[tuple[str, str, int]], dict[tuple[str, int], str]]:
    """The (clip, video, class) rows that stay, one a video and class, and for each that goes the clip that stays.

    Which of a video's clips stays is chance: a video with one clip draws nothing, and a draw depends on the seed, the
    video and the class only, so that other videos do not change it. Clips in `chosen`, which people kept, come first.
    Source: Kinetics-400 paper, section 3.4: "randomly picking a single clip from amongst those validated".
    """
    by_video: dict[tuple[str, int], list[str]] = defaultdict(list)
    for clip_id, video_id, class_id in accepted:
        by_video[video_id, class_id].append(clip_id)
    kept: list[tuple[str, str, int]] = []
    gone: dict[tuple[str, int], str] = {}
    for (video_id, class_id), clip_ids in sorted(by_video.items()):
        those = sorted(set(clip_ids) & set(chosen)) or sorted(clip_ids)
        drawn = random.Random(f"curate:{seed}:{video_id}:{class_id}").choice(those)
        kept.append((drawn, video_id, class_id))
        gone.update({(clip_id, class_id): drawn for clip_id in clip_ids if clip_id != drawn})
    return sorted(kept), gone
