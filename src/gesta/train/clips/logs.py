"""The log of a run: one JSON object a line, and the same numbers as curves for TensorBoard where it is installed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gesta.tables import Json, write_text

LINE_KEYS = ("clips_per_s", "data_wait_frac", "mfu_frac")
"""What every line carries."""

Line = dict[str, Json]

NO_TENSORBOARD = "tensorboard is not installed, so there are no curves; run: pip install 'gesta[tensorboard]'"


def read_log(path: Path, *, last_step: int | None = None) -> list[Line]:
    """The lines of a log, up to those of step `last_step`; a last line that a kill cut in half is left out."""
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            break
        if last_step is None or line["step"] <= last_step:
            lines.append(line)
    return lines


@contextmanager
def open_log(
    out: Path, *, last_step: int, is_first: bool, on_note: Callable[[str], None] | None = None
) -> Iterator[Callable[[Mapping[str, Json]], None]]:
    """A function that appends a line to `out/log.jsonl` and its numbers to `out/tb`; lines after `last_step` go.

    Args:
        out: the run's folder.
        last_step: the step that the run goes on from; 0 begins anew.
        is_first: whether this process writes; the others' lines go nowhere.
        on_note: told once where TensorBoard is not installed.
    Raises:
        ValueError: a line lacks one of `LINE_KEYS` (our own claim).
    """
    if not is_first:
        yield lambda _line: None
        return
    path = out / "log.jsonl"
    kept = read_log(path, last_step=last_step) if last_step else []
    write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
    curves = None
    if importlib.util.find_spec("tensorboard") is not None:
        from torch.utils.tensorboard import SummaryWriter  # the extra is optional, and its import slow

        curves = SummaryWriter(str(out / "tb"), purge_step=last_step)
    elif on_note is not None:
        on_note(NO_TENSORBOARD)
    with path.open("a", encoding="utf-8") as stream:

        def write(line: Mapping[str, Json]) -> None:
            missing = [key for key in (*LINE_KEYS, "step", "kind") if key not in line]
            if missing:
                raise ValueError(f"a line of the log without {missing}")
            stream.write(json.dumps(dict(line)) + "\n")
            stream.flush()
            if curves is not None:
                for name, value in line.items():
                    if isinstance(value, int | float) and name != "step":
                        curves.add_scalar(f"{line['kind']}/{name}", value, line["step"])

        try:
            yield write
        finally:
            if curves is not None:
                curves.close()
