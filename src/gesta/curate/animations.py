"""Clusters of copies as animations: all clips of a page side by side and in step, as GIF or WebP.

Clips that share a known stretch of footage are laid along one clock; others are in step by the share of their length,
as their frames are compared.

Legend: F = instants of an animation, H W = height and width in px.
"""

from __future__ import annotations

import functools
import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.curate.animations_page import write_animations_page
from gesta.curate.vectors_at_hand import one_thread
from gesta.curate.work_tables import clips_at_hand, reviews_at_hand
from gesta.schema import BadInput, BadVideo, CopyPage, Duplicate, Reject, UnknownName, copy_pages
from gesta.shards import map_shards
from gesta.tables import (
    StageSummary,
    count_reasons,
    frame_of,
    made_by,
    read_table,
    rows_of,
    sha256_of_json,
    whole_file,
    write_rejects,
)
from gesta.video import read_frames
from gesta.video.sampling import uniform_times

Image = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

FORMATS = ("gif", "webp")
"""What an animation can be; WebP is about a third as large and has all colours."""
NUM_INSTANTS = 25
"""Instants of an animation. Source: Kinetics-400, section 3.4, as many as a trunk compares."""
RATE = Fraction(8)
"""Instants shown a second. Source: ours; 25 of them last 3 s."""
TILE_PX = (192, 144)
"""Width and height of a clip in it. Source: ours; 48 clips then fit on one screen."""
GAP_PX = 4
WEBP_QUALITY = 70


def times_in_step(
    spans: Mapping[str, tuple[int, int]], pairs: Iterable[Duplicate], *, num_instants: int = NUM_INSTANTS
) -> dict[str, Ints]:
    """The instants at which each clip is shown, int64 [F], on its own player's clock.

    Where pairs say which stretches are the same footage, clips that hang together by them run along one clock, over all
    that any two of them share; before its start and after its end a clip stands still. Other clips are shown at even
    shares of their length.

    Args:
        spans: start and end of each clip, in the order in which they are shown.
        pairs: of kind `duplicates`.
        num_instants: F.

    >>> spans = {"a": (0, 100), "b": (40, 240)}
    >>> times_in_step(spans, [], num_instants=2)
    {'a': array([25, 75]), 'b': array([ 90, 190])}
    >>> same = Duplicate(
    ...     clip_id_a="a",
    ...     clip_id_b="b",
    ...     cosine=1,
    ...     num_inliers=9,
    ...     cluster=0,
    ...     kept_clip_id="a",
    ...     start_us_a=0,
    ...     end_us_a=60,
    ...     start_us_b=100,
    ...     end_us_b=160,
    ... )
    >>> times_in_step(spans, [same], num_instants=3)
    {'a': array([10, 30, 50]), 'b': array([110, 130, 150])}
    """
    times = {clip_id: uniform_times(*span, num_frames=num_instants) for clip_id, span in spans.items()}
    partners: dict[str, list[tuple[str, int, int, int]]] = defaultdict(list)
    for pair in pairs:
        a, b = pair.clip_id_a, pair.clip_id_b
        if a in spans and b in spans and pair.start_us_a is not None and pair.start_us_b is not None:
            length_us = (pair.end_us_a or 0) - pair.start_us_a
            partners[a].append((b, pair.start_us_a - pair.start_us_b, pair.start_us_a, length_us))
            partners[b].append((a, pair.start_us_b - pair.start_us_a, pair.start_us_b, length_us))
    later: dict[str, int] = {}
    for first in spans:
        if first in later or first not in partners:
            continue
        later[first], group, waiting = 0, [first], [first]
        shared: list[tuple[int, int]] = []
        while waiting:
            clip_id = waiting.pop()
            for other, shift, start, length in partners[clip_id]:
                # On the clock of the first clip.
                shared.append((start + later[clip_id], start + length + later[clip_id]))
                if other not in later:
                    later[other] = later[clip_id] + shift
                    group.append(other)
                    waiting.append(other)
        clock = uniform_times(min(s for s, _ in shared), max(e for _, e in shared), num_frames=num_instants)
        for clip_id in group:
            start, end = spans[clip_id]
            times[clip_id] = np.clip(clock - later[clip_id], start, end - 1)
    return times


def side_by_side(tiles: Sequence[Sequence[Image]]) -> list[Image]:
    """The frames of an animation, uint8 [H, W, 3]: clip by clip in rows, each with its number, as the review counts.

    Args:
        tiles: of each clip its frames, all of one number; any sizes.
    """
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    width, height = TILE_PX
    size = (rows * (height + GAP_PX) + GAP_PX, columns * (width + GAP_PX) + GAP_PX, 3)
    # Encoders take even sides only.
    size = (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
    shown = []
    for instant in range(len(tiles[0])):
        picture = np.full(size, 24, np.uint8)
        for place, frames in enumerate(tiles):
            y = GAP_PX + (place // columns) * (height + GAP_PX)
            x = GAP_PX + (place % columns) * (width + GAP_PX)
            picture[y : y + height, x : x + width] = _fitted(frames[instant], str(place + 1))
        shown.append(picture)
    return shown


def _fitted(frame_HW3: Image, number: str) -> Image:
    width, height = TILE_PX
    scale = min(width / frame_HW3.shape[1], height / frame_HW3.shape[0])
    size = (max(1, round(frame_HW3.shape[1] * scale)), max(1, round(frame_HW3.shape[0] * scale)))
    small = cv2.resize(frame_HW3, size, interpolation=cv2.INTER_AREA)
    tile = np.zeros((height, width, 3), np.uint8)
    x, y = (width - size[0]) // 2, (height - size[1]) // 2
    tile[y : y + size[1], x : x + size[0]] = small
    cv2.rectangle(tile, (0, 0), (12 + 11 * len(number), 20), (24, 24, 24), -1)
    cv2.putText(tile, number, (6, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return tile


def write_animation(path: Path, frames: Sequence[Image], *, rate: Fraction = RATE) -> Path:
    """`path`, an animation that plays for ever, by the ending of its name GIF or WebP; appears whole.

    Args:
        path: the file.
        frames: uint8 [H, W, 3] RGB, one or more of one size.
        rate: frames a second.
    Raises:
        BadInput: the name has another ending, or there is no frame.
    """
    kind = path.suffix.removeprefix(".")
    if kind not in FORMATS or not frames:
        raise BadInput(f"{len(frames)} frames for {path.name}", mend="Want one or more, and .gif or .webp")
    with whole_file(path) as temporary, av.open(str(temporary), "w", format=kind, options={"loop": "0"}) as container:
        if kind == "webp":
            stream = container.add_stream("libwebp_anim", rate=rate)
            stream.pix_fmt, stream.options = "yuv420p", {"quality": str(WEBP_QUALITY)}
            pictures: Iterable[av.VideoFrame] = (av.VideoFrame.from_ndarray(frame, format="rgb24") for frame in frames)
        else:
            stream = container.add_stream("gif", rate=rate)
            stream.pix_fmt = "pal8"
            pictures = _in_256_colours(frames, rate)
        stream.height, stream.width = frames[0].shape[:2]
        for number, picture in enumerate(pictures):
            picture.pts, picture.time_base = number, 1 / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def _in_256_colours(frames: Sequence[Image], rate: Fraction) -> Iterable[av.VideoFrame]:
    """The frames with one palette that fits all of them; GIF's own would fit none."""
    height, width = frames[0].shape[:2]
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat("rgb24", width, height), time_base=1 / rate
    )
    split, making, using = graph.add("split"), graph.add("palettegen"), graph.add("paletteuse", "dither=bayer")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(using, 0, 0)
    split.link_to(making, 1, 0)
    making.link_to(using, 0, 1)
    using.link_to(sink)
    graph.configure()
    for number, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        picture.pts, picture.time_base = number, 1 / rate
        source.push(picture)
    source.push(None)
    while True:
        try:
            picture = graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
        yield picture


def animation_path(work: Path, item_id: str, kind: str) -> Path:
    """Where the animation of a review's item lies.

    >>> animation_path(Path("work"), "cluster:3554d2b8a1e34099", "webp").as_posix()
    'work/animations/cluster-3554d2b8a1e34099.webp'
    """
    return work / "animations" / f"{item_id.replace(':', '-')}.{kind}"


def run_animations(
    work: Path,
    *,
    formats: Sequence[str] = ("webp",),
    workers: int | None = None,
    cluster: str | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> StageSummary:
    """An animation of each page of copies that people have not settled, and a page of HTML with all of them.

    They lie in `animations/`, under the name of the item that the review asks; what lies there already is not made
    again. A clip that does not decode is left dark.

    Args:
        work: a work folder in which copies were looked for.
        formats: gif, webp or both.
        workers: processes; None = as many as there are cores.
        cluster: address of a Ray cluster that shares `work`, or "local"; None = processes.
        on_rows: called with the number of animations just done.
    Raises:
        MissingTable: `curate` has not run.
        UnknownName: a format is neither gif nor webp.
    Source: Kinetics-700-2020, section 2: clusters of duplicates are looked at by people; as animations: ours.
    """
    for kind in formats:
        if kind not in FORMATS:
            raise UnknownName(what="format of animations", name=kind, choices=FORMATS)
    pairs = rows_of("duplicates", read_table(work, "duplicates"))
    clips = clips_at_hand(work)
    pages = copy_pages(pairs, reviews_at_hand(work))
    facts_of = {row["clip_id"]: row for row in clips.iter_rows(named=True)}
    todo = [page for page in pages if not all(animation_path(work, page.item_id, kind).is_file() for kind in formats)]
    of_cluster: dict[int, list[Duplicate]] = defaultdict(list)
    for pair in pairs:
        of_cluster[pair.cluster].append(pair)
    table = pl.DataFrame(
        {"number": range(len(todo)), "item_id": [page.item_id for page in todo]},
        schema={"number": pl.Int64(), "item_id": pl.String()},
    )
    plans = [_plan(page, of_cluster[page.cluster], facts_of) for page in todo]
    provenance = made_by(
        "curate",
        arguments={"part": "animations", "formats": list(formats), "plans": sha256_of_json(repr(plans))},
        inputs={},
        tools=("av", "numpy", "opencv-python-headless"),
    )
    (work / "animations").mkdir(exist_ok=True)
    found = map_shards(
        functools.partial(_draw, work=work.resolve(), formats=tuple(formats), plans=plans),
        table, outputs=["rejects"], folder=work / "shards" / "curate-animations", made_by=provenance,
        rows_per_shard=4, workers=workers, cluster=cluster, on_rows=on_rows,
    )  # fmt: skip
    shutil.rmtree(work / "shards" / "curate-animations", ignore_errors=True)
    rejects = rows_of("rejects", found["rejects"])
    if todo:
        write_rejects(work, "curate-animations", rejects, made_by=provenance)
    page = write_animations_page(work, pages, kind="webp" if "webp" in formats else "gif")
    return StageSummary(
        stage="animations", kept=len(pages), rejected=count_reasons(rejects), outputs=(str(page),),
        was_current=not todo, numbers={"num_animations": len(pages) * len(formats)},
    )  # fmt: skip


_Plan = tuple[str, tuple[tuple[str, str, str, tuple[int, ...]], ...]]
"""Item, and of each clip its id, video, file and the instants that are shown."""


def _plan(page: CopyPage, pairs: Sequence[Duplicate], facts_of: Mapping[str, Mapping[str, object]]) -> _Plan:
    known = {clip_id: facts_of[clip_id] for clip_id in page.clip_ids if clip_id in facts_of}
    spans = {clip_id: (int(str(row["start_us"])), int(str(row["end_us"]))) for clip_id, row in known.items()}
    times = times_in_step(spans, pairs)
    shown = tuple(
        (clip_id, str(known[clip_id]["video_id"]), str(known[clip_id]["path"]), tuple(times[clip_id].tolist()))
        if clip_id in known
        else (clip_id, "", "", ())
        for clip_id in page.clip_ids
    )
    return page.item_id, shown


def _draw(rows: pl.DataFrame, *, work: Path, formats: Sequence[str], plans: Sequence[_Plan]) -> dict[str, pl.DataFrame]:
    rejects: list[Reject] = []
    with one_thread():
        for number in rows["number"]:
            item_id, clips = plans[number]
            tiles = []
            for clip_id, video_id, path, times in clips:
                try:
                    if not path:
                        raise BadVideo("its video is not in the work folder", where=clip_id, reason="absent")
                    tiles.append(list(read_frames(work / path, times, short_side_px=TILE_PX[1])))
                except BadVideo as error:
                    tiles.append([np.zeros((*TILE_PX[::-1], 3), np.uint8)] * NUM_INSTANTS)
                    rejects.append(
                        Reject(
                            stage="curate", reason=error.reason, video_id=video_id, clip_id=clip_id, path=path,
                            detail=f"not in the animation {item_id}: {error.problem}",
                        )
                    )  # fmt: skip
            frames = side_by_side(tiles)
            for kind in formats:
                write_animation(animation_path(work, item_id, kind), frames)
    return {"rejects": frame_of("rejects", rejects)}
