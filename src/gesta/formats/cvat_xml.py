"""The elements of a CVAT XML 1.1 file: tasks, label specifications, boxes and tags, each with its line.

No document type definitions (entities can blow up a file a billionfold), no depth without end, no guessed numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from gesta.schema import BadInput, BadRow

MAX_DEPTH = 32
"""Elements within elements. Source: ours; CVAT's own files have 8."""

MAX_PX = 1e9
"""Source: ours. No corner lies farther out."""

MAX_FRAME = 1_000_000_000
"""Source: ours; more than a year at 30 frames a second."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}\Z")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?\Z")
_RATE = re.compile(r"([0-9]{1,9})/([0-9]{1,9})\Z")
_STEP = re.compile(r"step\s*=\s*([0-9]{1,9})")
_SHAPES = frozenset({"polygon", "polyline", "points", "cuboid", "skeleton", "mask", "ellipse"})
_TASK_TEXTS = frozenset(
    {"id", "name", "size", "start_frame", "stop_frame", "frame_filter", "subset", "source", "width", "height",
     "frame_rate", "duration_us", "url", "video_id"}
)  # fmt: skip


@dataclass(slots=True)
class CvatTask:
    """What `meta` says of one task: its texts by element name, and the line on which it begins."""

    line: int
    texts: dict[str, str] = field(default_factory=dict)
    number_lines: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class CvatBox:
    """One `<box>`, corners in pixels; `frame` is -1 until an image or the box itself says it."""

    line: int
    frame: int
    corners_px: tuple[float, float, float, float]
    turn_deg: float
    is_key: bool
    is_outside: bool
    values: dict[str, str]


@dataclass(slots=True)
class CvatTrack:
    """One `<track>` with its boxes in the file's order."""

    line: int
    track_id: int
    label: str
    task_id: str | None
    boxes: list[CvatBox] = field(default_factory=list)


@dataclass(slots=True)
class CvatImage:
    """One `<image>`: boxes and tags with their labels."""

    line: int
    frame: int
    size_px: tuple[int, int] | None
    task_id: str | None
    boxes: list[tuple[str, CvatBox]] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@dataclass(slots=True)
class CvatFile:
    """All of a file. `attributes`: by label, the input type of each attribute; `labels`: names in the file's order."""

    tasks: list[CvatTask] = field(default_factory=list)
    size_texts: dict[str, str] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    defaults: dict[str, dict[str, str]] = field(default_factory=dict)
    tracks: list[CvatTrack] = field(default_factory=list)
    images: list[CvatImage] = field(default_factory=list)


def parse_cvat(path: Path) -> CvatFile:
    """The elements of the file.

    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: it is no well-formed XML, has a document type definition, is nested too deep, is not CVAT's, or an
            attribute is missing or no number.
    """
    handler = _Handler(path)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    handler.parser = parser
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = handler.refuse_doctype
    try:
        with path.open("rb") as stream:
            parser.ParseFile(stream)
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=path, mend="Name a file that is there") from error
    except expat.ExpatError as error:
        raise BadRow(
            f"this is no well-formed XML ({expat.ErrorString(error.code)})",
            path=path,
            line=error.lineno,
            mend="Export it from CVAT again as `CVAT for video 1.1`",
        ) from error
    except (LookupError, ValueError) as error:
        raise BadRow(
            f"its encoding cannot be read ({error})", path=path, line=1, mend="Save the file as UTF-8"
        ) from error
    return handler.found


class _Handler:
    """State of the parse. Elements are known by name and by what they stand in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found = CvatFile()
        self.parser: expat.XMLParserType
        self.stack: list[str] = []
        self.texts: list[str] = []
        self.task: CvatTask | None = None
        self.spec: dict[str, str] = {}
        self.label = ""
        self.track: CvatTrack | None = None
        self.image: CvatImage | None = None
        self.values: dict[str, str] | None = None
        self.attribute_name = ""

    @property
    def line(self) -> int:
        return self.parser.CurrentLineNumber

    def refuse(self, problem: str, mend: str) -> BadRow:
        return BadRow(problem, path=self.path, line=self.line, mend=mend)

    def refuse_doctype(self, *_: object) -> None:
        raise self.refuse("a document type definition is not read", "Remove the <!DOCTYPE ...>; CVAT writes none")

    def text(self, data: str) -> None:
        self.texts.append(data)

    def start(self, name: str, given: dict[str, str]) -> None:
        if not self.stack and name != "annotations":
            raise self.refuse(f"the file begins with <{name}>, want <annotations>", "Export `CVAT for video 1.1`")
        if len(self.stack) >= MAX_DEPTH:
            raise self.refuse(f"elements are nested more than {MAX_DEPTH} deep", "CVAT's files have 8 levels")
        self.texts.clear()
        within = self.stack[-1] if self.stack else ""
        if "meta" in self.stack:
            self._start_in_meta(name, within)
        elif name == "track" and within == "annotations":
            self._start_track(given)
        elif name == "image" and within == "annotations":
            self._start_image(given)
        elif name == "box" and within in ("track", "image"):
            self._start_box(given)
        elif name == "tag" and self.image is not None and within == "image":
            self.values = {}
            self.image.tags.append((self._given(given, "label", "tag"), self.values))
        elif name == "attribute" and within in ("box", "tag"):
            self.attribute_name = self._given(given, "name", name)
        self.stack.append(name)

    def end(self, name: str) -> None:
        self.stack.pop()
        text = "".join(self.texts)
        self.texts.clear()
        if "meta" in self.stack:
            self._end_in_meta(name, text)
        elif name == "attribute" and self.values is not None and self.stack[-1] in ("box", "tag"):
            self.values[self.attribute_name] = text
        elif name in ("box", "tag"):
            self.values = None
        elif name == "track":
            self.track = None
        elif name == "image":
            self.image = None

    def _start_in_meta(self, name: str, within: str) -> None:
        if name in ("task", "job") and within in ("meta", "tasks"):
            self.task = CvatTask(line=self.line)
            self.found.tasks.append(self.task)
        elif name in ("label", "attribute"):
            self.spec = {}
            if name == "label":
                self.label = ""

    def _end_in_meta(self, name: str, text: str) -> None:
        within = self.stack[-1]
        if within == "label" and name == "name":
            self.label = text
            self.found.labels.append(text)
            self.found.attributes.setdefault(text, {})
            self.found.defaults.setdefault(text, {})
        elif within == "attribute":
            self.spec[name] = text
        elif name == "attribute" and within == "attributes" and "name" in self.spec:
            attribute = self.spec["name"]
            self.found.attributes.setdefault(self.label, {})[attribute] = self.spec.get("input_type", "").strip()
            self.found.defaults.setdefault(self.label, {})[attribute] = self.spec.get("default_value", "")
        elif name in _TASK_TEXTS and (within in ("task", "job", "original_size") or name == "source"):
            texts = self.found.size_texts if self.task is None else self.task.texts
            texts[name] = text
            if self.task is not None:
                self.task.number_lines[name] = self.line
        elif name in ("task", "job") and within in ("meta", "tasks"):
            self.task = None

    def _start_track(self, given: dict[str, str]) -> None:
        label = self._given(given, "label", "track")
        track_id = self._whole(self._given(given, "id", "track"), "a track's id")
        self.track = CvatTrack(line=self.line, track_id=track_id, label=label, task_id=given.get("task_id"))
        self.found.tracks.append(self.track)

    def _start_image(self, given: dict[str, str]) -> None:
        size = None
        if "width" in given and "height" in given:
            size = (self._whole(given["width"], "an image's width"), self._whole(given["height"], "an image's height"))
            if min(size) < 1:
                raise self.refuse("an image has no area", "Write its width and height in pixels")
        frame = self._frame(self._given(given, "id", "image"), "an image's id")
        self.image = CvatImage(line=self.line, frame=frame, size_px=size, task_id=given.get("task_id"))
        self.found.images.append(self.image)

    def _start_box(self, given: dict[str, str]) -> None:
        x1, y1, x2, y2 = (self._decimal(self._given(given, name, "box"), name) for name in ("xtl", "ytl", "xbr", "ybr"))
        frame = -1 if self.track is None else self._frame(self._given(given, "frame", "box"), "a box's frame")
        self.values = {}
        box = CvatBox(
            line=self.line,
            frame=frame,
            corners_px=(x1, y1, x2, y2),
            turn_deg=self._decimal(given.get("rotation", "0"), "rotation"),
            is_key=given.get("keyframe", "1") == "1",
            is_outside=given.get("outside", "0") == "1",
            values=self.values,
        )
        if self.track is not None:
            self.track.boxes.append(box)
        elif self.image is not None:
            self.image.boxes.append((self._given(given, "label", "box"), box))

    def _given(self, given: dict[str, str], name: str, element: str) -> str:
        if name not in given:
            raise self.refuse(f"this <{element}> has no {name}", f'Write it as <{element} {name}="...">')
        return given[name]

    def _whole(self, text: str, what: str) -> int:
        if _WHOLE.match(text.strip()) is None:
            raise self.refuse(f"{what} is {text[:40]!r}, want a whole number", "Write it in digits")
        return int(text)

    def _frame(self, text: str, what: str) -> int:
        frame = self._whole(text, what)
        if not 0 <= frame < MAX_FRAME:
            raise self.refuse(f"{what} is {frame}, no number of a frame", "Frames count from 0")
        return frame

    def _decimal(self, text: str, what: str) -> float:
        if _DECIMAL.match(text.strip()) is None or not abs(value := float(text)) <= MAX_PX:
            raise self.refuse(f"{what} is {text[:40]!r}, want a number of pixels or degrees", "Write it like 103.25")
        return value


def whole_of(task: CvatTask, name: str, *, path: Path, least: int = 0) -> int | None:
    """The whole number that a task's element says, None where it is absent or blank.

    Raises:
        BadRow: it says something else, or less than `least`.
    """
    text = task.texts.get(name, "").strip()
    if not text:
        return None
    if _WHOLE.match(text) is None or not least <= int(text) <= MAX_FRAME:
        raise BadRow(
            f"{name} is {text[:40]!r}, want a whole number from {least}",
            path=path,
            line=task.number_lines.get(name, task.line),
            mend=f"Write it like <{name}>{max(least, 320)}</{name}>",
        )
    return int(text)


def rate_of(task: CvatTask, *, path: Path) -> tuple[int, int] | None:
    """Numerator and denominator of the frame rate that gesta notes in a task, None where there is none.

    Raises:
        BadRow: it is no fraction above 0.
    """
    text = task.texts.get("frame_rate", "").strip()
    if not text:
        return None
    match = _RATE.match(text)
    if match is None or not int(match[1]) or not int(match[2]):
        raise BadRow(
            f"frame_rate is {text[:40]!r}, want a fraction",
            path=path,
            line=task.number_lines.get("frame_rate", task.line),
            mend="Write it like 30000/1001",
        )
    return int(match[1]), int(match[2])


def step_of(task: CvatTask) -> int:
    """Every how many frames the task has one (`frame_filter`, `step=5`); 1 where nothing is said."""
    match = _STEP.search(task.texts.get("frame_filter", ""))
    return max(int(match[1]), 1) if match else 1
