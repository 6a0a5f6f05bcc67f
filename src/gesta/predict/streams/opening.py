"""What a text or path names: a video, images in order, a camera, a stream, standard input."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from gesta.predict.streams.pictures import PictureSource
from gesta.predict.streams.shots import FileSource, FrameSource, ImageSource, Uint8s
from gesta.predict.streams.streamed import (
    CameraSource,
    Patience,
    StreamSource,
    is_url,
    url_source,
)
from gesta.schema import BadInput
from gesta.train.clips.footage import IMAGE_ENDINGS
from gesta.video import VIDEO_ENDINGS

IMAGE_FPS = 25.0
"""Images a second where nothing is said. Source: `gesta.train.clips.ClipSource`, what training takes them for."""

STANDARD_INPUT = "-"

Footage = str | Path | Iterable[Uint8s]
"""A video file, a folder or pattern of images, `camera:0`, an address, `-`; or pictures themselves."""


def is_stream(what: str) -> bool:
    """Whether it names something that is read once: a camera, an address, standard input.

    >>> [is_stream(each) for each in ("camera:0", "rtsp://door/1", "-", "party.mp4")]
    [True, True, True, False]
    """
    return what == STANDARD_INPUT or what.startswith("camera:") or is_url(what)


def is_images(what: str | Path) -> bool:
    """Whether it names images in order: a pattern (`frames/img_%05d.jpg`, `frames/*.png`), or a folder of them.

    A folder that holds a video, itself or further down, is one of videos.
    """
    path = Path(what)
    if path.is_dir():
        endings = {file.suffix.lower() for file in path.rglob("*") if file.is_file()}
        here = any(file.suffix.lower() in IMAGE_ENDINGS for file in path.iterdir())
        return here and not endings & set(VIDEO_ENDINGS)
    return path.suffix.lower() in IMAGE_ENDINGS and not (is_stream(str(what)))


def open_source(
    what: Footage,
    *,
    fps: float | None = None,
    live: bool | None = None,
    patience: Patience | None = None,
    stop: threading.Event | None = None,
) -> FrameSource:
    """The source that is named, opened.

    Args:
        what: a video file; images in order, as `is_images` tells them; `camera:0` or `camera:/dev/video2`; an
            address that FFmpeg reads; `-`, standard input; or pictures, uint8 [H, W, 3] RGB.
        fps: images or pictures a second; None = `IMAGE_FPS`.
        live: of an address: whether it goes on by itself; None = told by its kind.
        patience: with an address that goes on by itself.
        stop: set to end a stream or camera.
    Raises:
        BadVideo: a file cannot be read.
        BadInput: there is no such file, or `fps` is given for what has its own.
        GestaError: an address or a camera cannot be opened.
    """
    rate = Fraction(IMAGE_FPS if fps is None else fps).limit_denominator(1001)
    if not isinstance(what, str | Path):
        return PictureSource(pictures=iter(what), fps=rate)
    text = str(what)
    if is_images(what):
        return ImageSource(called=Path(what).name, paths=_images_of(Path(what)), fps=rate)
    if fps is not None:
        raise BadInput("it has its own frames a second", where=text, mend="Leave --fps out; it is for images")
    if text.startswith("camera:"):
        where = text.partition(":")[2]
        return CameraSource(number=int(where) if where.isdigit() else where, stop=stop or threading.Event())
    if text == STANDARD_INPUT:
        source = StreamSource(
            called="stdin", what=sys.stdin.buffer, is_live=bool(live), stop=stop or threading.Event(),
            patience=Patience(retries=0),
        )  # fmt: skip
        source.open_first()
        return source
    if is_url(text):
        return url_source(text, patience=patience, live=live, stop=stop)
    path = Path(what)
    if path.is_dir():
        raise BadInput("this is a folder, and no folder of images", where=path, mend="Name one video")
    return FileSource(path)


def _images_of(path: Path) -> list[Path]:
    """The images of a folder, or those that fit a pattern, in the order of the last number in their names.

    Raises:
        BadInput: none fits.
    """
    if path.is_file():
        return [path]
    if path.is_dir():
        # Listed anew each time, in the order of `gesta.train.clips.footage.image_paths`: images may have been added.
        found = [file for file in path.iterdir() if file.suffix.lower() in IMAGE_ENDINGS]
    else:
        wild = r"%0?\d*d|\*"
        parts = [re.escape(part) for part in re.split(wild, path.name)]
        wilds = [r".*" if each == "*" else r"\d+" for each in re.findall(wild, path.name)]
        pattern = re.compile("".join(part + each for part, each in zip(parts, [*wilds, ""], strict=True)) + r"\Z")
        found = [file for file in path.parent.iterdir() if pattern.match(file.name)] if path.parent.is_dir() else []
    if not found:
        raise BadInput("no image fits", where=path, mend="Name a folder, or a pattern such as frames/img_%05d.jpg")
    return sorted(found, key=lambda file: (int((re.findall(r"\d+", file.stem) or ["0"])[-1]), file.name))
