"""Which format an annotation file has, from its first line that is not blank."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gesta.formats.delimited import read_cells
from gesta.formats.kinetics import HEADER
from gesta.formats.numbers import seconds_to_us
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
