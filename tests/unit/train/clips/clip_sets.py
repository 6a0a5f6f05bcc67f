"""Sets of clips with something wrong in them."""

from __future__ import annotations

from pathlib import Path

from gesta.train.clips import ClipSet, clip_set
from gesta.train.clips.sets import with_path


def broken(clips: ClipSet, numbers: list[int], folder: Path) -> ClipSet:
    """The set, those clips' files being no videos."""
    bad = folder / "broken.mp4"
    bad.write_bytes(b"no video at all, whatever its name says")
    examples = [with_path(one, bad) if n in numbers else one for n, one in enumerate(clips.examples)]
    return clip_set(examples, classes=dict(zip(clips.class_ids, clips.class_names, strict=True)))
