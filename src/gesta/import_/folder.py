"""A folder of video files made the `videos` table; files that cannot be shown go to rejects with a reason."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from gesta.schema import BadInput, BadVideo, Reject, Video
from gesta.shards import map_shards
from gesta.tables import (
    StageSummary,
    count_reasons,
    empty_frame,
    frame_of,
    is_current,
    made_by,
    read_table,
    rejects_path,
    rows_of,
    sha256_of_file,
    sha256_of_json,
    table_path,
    write_rejects,
    write_table,
)
from gesta.video import VIDEO_ENDINGS, probe

STAGE = "import"
SIDECAR_ENDING = ".info.json"
"""Ending of yt-dlp's metadata files. Source: yt-dlp, option --write-info-json."""

_SEPARATORS = re.compile(r"[\s_.\-]+")


def run_import_folder(
    work: Path,
    *,
    folder: Path,
    recursive: bool = True,
    workers: int | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> StageSummary:
    """What was imported: `videos` holds every file of `folder` that a decoder can show, rejects all others.

    A video's id is its file name without the ending; its title is what a yt-dlp sidecar `<name>.info.json` says,
    else the name with its separators as spaces. Names that begin with a dot, the sidecars of videos that are there,
    and the work folder itself are passed over; byte-identical files are kept (`curate` finds them).

    Reject reasons: `not-video` (unknown ending, or no video in it whatever its name), `empty`, `truncated` (an MP4 or
    MOV without its index), `open`, `no-video` (sound only), `no-frames`, `decode`, `same-id` (an earlier file, in the
    order of paths, has the name), `name` (not UTF-8), `sidecar` (an unreadable sidecar: the video stays).

    Args:
        recursive: look into subfolders.
        on_rows: called with the number of files that are done.
    Raises:
        BadInput: `folder` is no folder, or holds no file.
    """
    files = list_files(folder, recursive=recursive, work=work)
    if not files:
        raise BadInput("holds no files", where=folder, mend="Give a folder of video files")
    hashes = [sha256_of_file(folder / file) for file in files]
    provenance = made_by(
        STAGE,
        # The table's paths are relative to the work folder, so where it lies is an input of the table.
        arguments={"recursive": recursive, "folder": os.path.relpath(folder, work)},
        inputs={"files": sha256_of_json([[repr(name), sha] for name, sha in zip(files, hashes, strict=True)])},
        tools=["av"],
    )
    videos_path = table_path(work, "videos")
    if is_current(videos_path, provenance) and is_current(rejects_path(work, STAGE), provenance):
        return _summary(work, was_current=True)
    named, rejects = _with_utf8_names(files, hashes)
    done = map_shards(
        partial(probe_files, folder=folder.resolve(), work=work.resolve()),
        pl.DataFrame(named, schema={"file": pl.String(), "sha256": pl.String()}, orient="row"),
        outputs=("videos", "rejects"),
        folder=work / "shards" / STAGE,
        made_by=provenance,
        workers=workers,
        on_rows=on_rows,
    )
    kept, same = _first_of_each_id(done["videos"])
    write_table(videos_path, "videos", kept, made_by=provenance)
    write_rejects(work, STAGE, [*rejects, *rows_of("rejects", done["rejects"]), *same], made_by=provenance)
    shutil.rmtree(work / "shards" / STAGE)
    return _summary(work, was_current=False)


def _summary(work: Path, *, was_current: bool) -> StageSummary:
    rejects = rows_of("rejects", read_table(rejects_path(work, STAGE), "rejects"))
    videos = read_table(work, "videos")
    return StageSummary(
        stage=STAGE,
        kept=len(videos),
        rejected=count_reasons(rejects),
        outputs=(str(table_path(work, "videos")), str(rejects_path(work, STAGE))),
        was_current=was_current,
        numbers={"duration_s": int(videos["duration_us"].sum()) / 1e6, "num_frames": int(videos["num_frames"].sum())},
    )


def list_files(folder: Path, *, recursive: bool, work: Path) -> list[str]:
    """The files to import, POSIX paths relative to `folder`, sorted.

    Raises:
        BadInput: `folder` is no folder.
    """
    if not folder.is_dir():
        raise BadInput("is no folder", where=folder, mend="Give a folder of video files")
    own = work.resolve()
    found = []
    for path in folder.rglob("*") if recursive else folder.glob("*"):
        relative = path.relative_to(folder)
        is_ours = own != folder.resolve() and own in path.resolve().parents
        if path.is_file() and not is_ours and not any(part.startswith(".") for part in relative.parts):
            found.append(relative.as_posix())
    present = {_stem_path(file) for file in found if _is_video_name(file)}
    return sorted(
        file for file in found if not (file.endswith(SIDECAR_ENDING) and file.removesuffix(SIDECAR_ENDING) in present)
    )


def _is_video_name(file: str) -> bool:
    return Path(file).suffix.lower() in VIDEO_ENDINGS


def _stem_path(file: str) -> str:
    return file.removesuffix(Path(file).suffix)


def _with_utf8_names(files: Sequence[str], hashes: Sequence[str]) -> tuple[list[tuple[str, str]], list[Reject]]:
    named, rejects = [], []
    for file, sha256 in zip(files, hashes, strict=True):
        shown = file.encode(errors="replace").decode()
        if shown == file:
            named.append((file, sha256))
        else:
            rejects.append(Reject(stage=STAGE, reason="name", path=shown, detail="the file's name is not UTF-8"))
    return named, rejects


def probe_files(rows: pl.DataFrame, *, folder: Path, work: Path) -> Mapping[str, pl.DataFrame]:
    """Frames `videos` and `rejects` of some files: `rows` has columns `file` (relative to `folder`) and `sha256`."""
    videos: list[Video] = []
    rejects: list[Reject] = []
    for file, sha256 in rows.select("file", "sha256").iter_rows():
        path = folder / file
        video_id = Path(file).stem
        relative = Path(os.path.relpath(path, work)).as_posix()
        if not _is_video_name(file):
            detail = f"its name does not end like a video's ({Path(file).suffix or 'no ending'})"
            rejects.append(Reject(stage=STAGE, reason="not-video", path=relative, detail=detail))
            continue
        title, trouble = _title_of(path)
        if trouble:
            beside = relative.removesuffix(path.suffix) + SIDECAR_ENDING
            rejects.append(Reject(stage=STAGE, reason="sidecar", video_id=video_id, path=beside, detail=trouble))
        try:
            videos.append(_video_row(path, video_id=video_id, relative=relative, sha256=sha256, title=title))
        except BadVideo as error:
            rejects.append(
                Reject(stage=STAGE, reason=error.reason, video_id=video_id, path=relative, detail=error.problem)
            )
    return {
        "videos": frame_of("videos", videos) if videos else empty_frame("videos"),
        "rejects": frame_of("rejects", rejects) if rejects else empty_frame("rejects"),
    }


def _video_row(path: Path, *, video_id: str, relative: str, sha256: str, title: str) -> Video:
    facts = probe(path)
    return Video(
        video_id=video_id,
        path=relative,
        sha256=sha256,
        size_bytes=path.stat().st_size,
        container=facts.container,
        codec=facts.codec,
        width_px=facts.width_px,
        height_px=facts.height_px,
        rotation_deg=facts.rotation_deg,
        fps_num=facts.fps.numerator,
        fps_den=facts.fps.denominator,
        is_vfr=facts.is_vfr,
        num_frames=facts.num_frames,
        start_us=facts.start_us,
        duration_us=facts.duration_us,
        has_audio=facts.has_audio,
        title=title,
        source="folder",
    )


def _title_of(path: Path) -> tuple[str, str]:
    """The video's title, and what is wrong with its sidecar (empty when nothing is)."""
    own = title_of_name(path.stem)
    sidecar = path.with_name(path.stem + SIDECAR_ENDING)
    if not sidecar.is_file():
        return own, ""
    try:
        value: Any = json.loads(sidecar.read_bytes())
    except ValueError as error:
        return own, f"its sidecar {sidecar.name} is no JSON ({error}); the title is the file's name"
    title = value.get("title") if isinstance(value, dict) else None
    if not isinstance(title, str) or not title.strip():
        return own, f"its sidecar {sidecar.name} has no title; the title is the file's name"
    return title.strip(), ""


def title_of_name(stem: str) -> str:
    """A file name's words: separators become single spaces; the name itself where nothing else is in it.

    >>> title_of_name("arm_wrestling-final.v2"), title_of_name("--")
    ('arm wrestling final v2', '--')
    """
    return _SEPARATORS.sub(" ", stem).strip() or stem


def _first_of_each_id(videos: pl.DataFrame) -> tuple[pl.DataFrame, list[Reject]]:
    """The rows whose id no row before has, in the order of files, and a reject for each other."""
    kept = videos.unique("video_id", keep="first", maintain_order=True)
    first_path = dict(kept.select("video_id", "path").iter_rows())
    same = [
        Reject(
            stage=STAGE,
            reason="same-id",
            video_id=video_id,
            path=path,
            detail=f"{first_path[video_id]} has the same name; rename one of them",
        )
        for video_id, path in videos.select("video_id", "path").iter_rows()
        if first_path[video_id] != path
    ]
    return kept, same
