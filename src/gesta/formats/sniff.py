"""Which format an annotation file has: from its ending, its first line, or the keys at the top of its JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gesta.formats.corrected_ucf101 import is_corrected
from gesta.formats.delimited import read_cells, read_lines
from gesta.formats.json_values import read_json
from gesta.formats.kinetics import HEADER
from gesta.formats.numbers import seconds_to_us, to_integers
from gesta.formats.safe_pickle import read_pickle
from gesta.schema import BadInput


def annotation_format_of(path: Path) -> Literal["kinetics", "ava"]:
    """`kinetics` for a file with a Kinetics header, `ava` for AVA, AVA-Kinetics and detections files.

    Raises:
        BadInput: there is no such file, it cannot be read, it is empty, or it is neither.
    """
    first = read_cells(path, max_cells=len(HEADER), max_lines=1)
    if not first.height:
        raise BadInput("the file is empty", where=path, mend="Want a Kinetics csv or an AVA csv")
    cells = [str(cell).strip() for cell in first.row(0)[2:] if cell is not None]
    if any(cell in HEADER for cell in cells):
        return "kinetics"
    if len(cells) > 1 and seconds_to_us(first["cell_1"]).null_count() == 0:
        return "ava"
    raise BadInput(
        "neither a Kinetics csv nor an AVA csv",
        where=path,
        mend=f"A Kinetics csv begins with a header such as {','.join(HEADER[:5])}; the second column of an AVA csv is "
        "a number of seconds",
    )


_KEYS = {
    "@context": "croissant",
    "database": "activitynet",
    "results": "activitynet-predictions",
    "images": "coco-vid",
    "labels": "fiftyone-temporal",
}
"""What a key at the top of a JSON object tells."""


def format_of(path: Path) -> str:
    """The name in `FORMATS` of what the file or folder looks like.

    Raises:
        BadInput: it cannot be read, or looks like none of them.
    """
    if path.is_dir():
        return _format_of_folder(path)
    if path.suffix in (".pkl", ".pickle"):
        value = read_pickle(path)
        are_tubes = isinstance(value, dict) and "gttubes" in value
        return "action-tubes" if are_tubes or is_corrected(value) else "proposals"
    if path.suffix == ".xml":
        return "cvat"
    if path.suffix == ".json":
        return _format_of_json(path)
    lines = read_lines(path).head(1)
    first = lines["text"][0] if lines.height else ""
    if path.suffix == ".pbtxt" or (first.split("{")[0].strip() in ("label", "item") and "{" in first):
        return "label-map"
    if "," in first:
        return _format_of_csv(path)
    is_pair = len(first.split()) > 1 and first.split()[-1].isdigit()
    if is_pair or path.stem.startswith(("trainlist", "testlist")):
        return "path-labels" if not path.stem.startswith(("trainlist", "testlist")) else "ucf101"
    if path.suffix == ".txt" and first:
        return "label-map"
    raise _unknown(path)


def _unknown(path: Path) -> BadInput:
    return BadInput("it looks like no format that is known", where=path, mend="Name its format: --from (see --list)")


def _format_of_folder(folder: Path) -> str:
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise BadInput(f"cannot be listed ({error.strerror})", where=folder, mend="Name another folder") from error
    if any(name.startswith(("trainlist", "testlist", "classInd")) for name in names):
        return "ucf101"
    if any("_test_split" in name for name in names):
        return "hmdb51"
    return "cvat" if any(name.endswith(".xml") for name in names) else "video-folder"


def _format_of_json(path: Path) -> str:
    value = read_json(path)
    if isinstance(value, list):
        return "label-studio"
    if not isinstance(value, dict):
        raise _unknown(path)
    found = next((name for key, name in _KEYS.items() if key in value), None)
    entries = [entry for entry in value.values() if isinstance(entry, dict)]
    if found is None and any("annotations" in entry or {"subset", "url"} <= set(entry) for entry in entries):
        return "kinetics-json"
    if found is None:
        raise _unknown(path)
    return found


def _format_of_csv(path: Path) -> str:
    first = read_cells(path, max_cells=8, max_lines=1)
    if first["num_cells"][0] == 6 and first["cell_1"][0] not in HEADER:
        return "proposals"
    name = annotation_format_of(path)
    if name == "kinetics":
        return name
    has_person = to_integers(first["cell_7"]).null_count() == 0
    return "detections" if first["num_cells"][0] == 8 and not has_person else "ava"
