"""A page for the eye: frames of clips taken for another class, of labels held to be wrong, of groups inside a class.

Whether a confusion is one of names, of labels or of the model only, people see; the page puts the clips side by side.

Legend: N = labels, F = frames of a clip, H W = height and width in px.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.curate.noise.folds import ScoredLabels, read_scored_labels
from gesta.schema import BadInput, BadVideo, MissingExtra, MissingTable
from gesta.tables import StageSummary, read_table, table_path, write_text
from gesta.video import read_frames
from gesta.video.sampling import uniform_times

NUM_FRAMES, HEIGHT_PX, QUALITY = 4, 90, 80
"""Frames of a clip, their height, and of the JPEG. Source: ours; a strip as wide as a laptop's half."""

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:78rem;padding:0 1rem;color:#1d2433;background:#fff}
h2{margin:2.2rem 0 .4rem;border-bottom:1px solid #d5dae3}h3{margin:1.2rem 0 .3rem;font-size:1rem}
.strips{display:flex;flex-wrap:wrap;gap:.6rem}figure{margin:0}figcaption{font-size:.78rem;color:#505a6e}
img{display:block;border-radius:6px}
@media(prefers-color-scheme:dark){body{background:#14181f;color:#e6e9ef}figcaption{color:#a3adbd}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Strip:
    clip_id: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    title: str
    strips: tuple[_Strip, ...]


def run_look(
    work: Path,
    *,
    out: Path | None = None,
    top: int = 20,
    clips_each: int = 6,
    on_clips: Callable[[int], None] | None = None,
) -> StageSummary:
    """What was written: one page of what `class_confusions`, `label_issues` and `group_tests` say, with frames in it.

    Kept are the clips shown. Rejected are clips that do not decode (decode) or have no file (missing); the page says
    so in their place.

    Args:
        work: the work folder.
        out: the page; None = `noise/look.html` of the work folder.
        top: rows of each part at most.
        clips_each: clips of a row at most.
        on_clips: called with 1 after each clip.
    Raises:
        MissingTable: none of the three tables is there, or no labels, scores, clips or videos.
        BadInput: `top` or `clips_each` is below 1.
    """
    if min(top, clips_each) < 1:
        raise BadInput(f"top={top}, clips_each={clips_each}", mend="Want at least 1")
    parts = {
        "Classes that are taken for another": list(_confusions(work, top=top, clips_each=clips_each)),
        "Labels that are held to be wrong": list(_issues(work, top=top, clips_each=clips_each)),
        "Classes that fall into groups": list(_groups(work, top=top, clips_each=clips_each)),
    }
    if not any(table_path(work, name).is_file() for name in ("class_confusions", "label_issues", "group_tests")):
        raise MissingTable(table="class_confusions", where=work, verb="noise confusions")
    clips = read_table(work, "clips").join(read_table(work, "videos").select("video_id", "path"), on="video_id")
    places = {
        row["clip_id"]: (work / row["path"], row["start_us"], row["end_us"]) for row in clips.iter_rows(named=True)
    }
    rejected: dict[str, int] = {}
    body: list[str] = []
    num_shown = 0
    for heading, rows in parts.items():
        body += [f"<h2>{html.escape(heading)}</h2>"] if rows else []
        for row in rows:
            body.append(f"<h3>{html.escape(row.title)}</h3><div class=strips>")
            for strip in row.strips:
                picture, reason = _picture(places.get(strip.clip_id))
                num_shown += reason is None
                if reason is not None:
                    rejected[reason] = rejected.get(reason, 0) + 1
                caption = html.escape(f"{strip.clip_id} {strip.note}")
                body.append(f"<figure>{picture}<figcaption>{caption}</figcaption></figure>")
                if on_clips is not None:
                    on_clips(1)
            body.append("</div>")
    path = out or work / "noise" / "look.html"
    title = "Noisy classes"
    write_text(
        path,
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1>{''.join(body) or '<p>Nothing was found.</p>'}</html>\n",
    )
    return StageSummary(stage="noise look", kept=num_shown, rejected=rejected, outputs=(str(path),))


def _confusions(work: Path, *, top: int, clips_each: int) -> Iterator[_Row]:
    if not table_path(work, "class_confusions").is_file():
        return
    scored = read_scored_labels(work)
    frame = read_table(work, "class_confusions").sort("num_taken", "overlap_frac", descending=True).head(top)
    place = {class_id: n for n, class_id in enumerate(scored.class_ids)}
    for row in frame.iter_rows(named=True):
        if row["class_id"] not in place or row["other_class_id"] not in place:
            continue
        one, other = place[row["class_id"]], place[row["other_class_id"]]
        names = [scored.names.get(row[key], str(row[key])) for key in ("class_id", "other_class_id")]
        title = f"{names[0]}: {row['num_taken']} of {row['num_clips']} taken for {names[1]}"
        yield _Row(title=title, strips=_surest(scored, label=one, shown=other, num=clips_each, taken=True))
        strips = _surest(scored, label=other, shown=other, num=clips_each, taken=False)
        yield _Row(title=f"beside them, {names[1]} at its surest", strips=strips)


def _surest(scored: ScoredLabels, *, label: int, shown: int, num: int, taken: bool) -> tuple[_Strip, ...]:
    likeliest_N = scored.scores_NK.argmax(axis=1)
    is_in_N = scored.places_N == label
    if taken:
        is_in_N &= likeliest_N == shown
    members = np.flatnonzero(is_in_N)
    order = members[np.argsort(-scored.scores_NK[members, shown], kind="stable")][:num]
    return tuple(
        _Strip(clip_id=scored.rows["clip_id"][int(n)], note=f"{scored.scores_NK[n, shown]:.2f}") for n in order
    )


def _issues(work: Path, *, top: int, clips_each: int) -> Iterator[_Row]:
    if not table_path(work, "label_issues").is_file():
        return
    names = dict(read_table(work, "label_map").select("class_id", "name").iter_rows())
    issues = read_table(work, "label_issues").sort("rank")
    counts = issues.group_by("class_id").len().sort("len", "class_id", descending=[True, False]).head(top)
    for class_id, number in counts.iter_rows():
        part = issues.filter(class_id=class_id).head(clips_each)
        strips = tuple(
            _Strip(clip_id=row["clip_id"], note=f"{names.get(row['suggested_class_id'], '')}?")
            for row in part.iter_rows(named=True)
        )
        yield _Row(title=f"{names.get(class_id, class_id)}: {number} labels", strips=strips)


def _groups(work: Path, *, top: int, clips_each: int) -> Iterator[_Row]:
    if not table_path(work, "group_tests").is_file():
        return
    names = dict(read_table(work, "label_map").select("class_id", "name").iter_rows())
    tests = read_table(work, "group_tests").filter(pl.col("num_groups") > 1).sort("adjusted_p", "class_id").head(top)
    members = read_table(work, "class_groups")
    for test in tests.iter_rows(named=True):
        for group in range(test["num_groups"]):
            part = members.filter(class_id=test["class_id"], group=group).sort("cosine", descending=True)
            strips = tuple(_Strip(clip_id=clip_id, note="") for clip_id in part.head(clips_each)["clip_id"])
            name = names.get(test["class_id"], test["class_id"])
            yield _Row(title=f"{name}: group {group + 1}, {len(part)} clips", strips=strips)


def _picture(place: tuple[Path, int, int] | None) -> tuple[str, str | None]:
    """The clip's frames side by side as an image element, or a word in its place and why."""
    if place is None or not place[0].is_file():
        return "<em>no file</em>", "missing"
    path, start_us, end_us = place
    try:
        frames = read_frames(path, uniform_times(start_us, end_us, num_frames=NUM_FRAMES), short_side_px=HEIGHT_PX)
    except BadVideo:
        return "<em>does not decode</em>", "decode"
    return f'<img alt="" height={HEIGHT_PX} src="data:image/jpeg;base64,{_jpeg(frames)}">', None


def _jpeg(frames_FHW3: npt.NDArray[np.uint8]) -> str:
    """Frames uint8 [F, H, W, 3] side by side as JPEG in base64.

    Raises:
        MissingExtra: OpenCV is not installed.
    """
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="video", module="cv2") from error
    strip_HW3 = np.concatenate(list(frames_FHW3), axis=1)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(strip_HW3, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return base64.b64encode(data.tobytes()).decode()
