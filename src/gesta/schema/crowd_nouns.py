"""The nouns of what a crowd's answers amount to beyond yes and no, and of what is put to it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gesta.schema.errors import BadInput
from gesta.schema.nouns import check_box, column


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFrameBox:
    """One person of a key-frame, as workers' boxes merge (AVA-Kinetics 1.2, step 3)."""

    clip_id: str = column("clip whose key-frame was shown")
    video_id: str = column("its video")
    timestamp_us: int = column("key-frame, microseconds on the player's clock")
    person_id: int = column("counted from 0 within the key-frame, from left to right")
    x1: float = column("left, fraction of the frame's width; median of the workers'")
    y1: float = column("top, fraction of the frame's height; median")
    x2: float = column("right, fraction of the frame's width; median")
    y2: float = column("bottom, fraction of the frame's height; median")
    num_workers: int = column("workers whose boxes of the key-frame were merged")
    num_agree: int = column("of them drew this person")
    origin: str = column("proposal when most of them took a detector's box, else drawn")

    def __post_init__(self) -> None:
        check_box(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedLabel:
    """One action that raters proposed for a boxed person, to be verified (AVA-Kinetics 1.2, step 4)."""

    clip_id: str = column("clip that was shown")
    video_id: str = column("its video")
    timestamp_us: int = column("key-frame, microseconds on the player's clock")
    person_id: int = column("person within the clip or key-frame")
    x1: float = column("left, fraction of the frame's width")
    y1: float = column("top, fraction of the frame's height")
    x2: float = column("right, fraction of the frame's width")
    y2: float = column("bottom, fraction of the frame's height")
    class_id: int = column("action, one of AVA's 80")
    num_proposed: int = column("raters who proposed it")
    num_raters: int = column("raters who were asked")

    def __post_init__(self) -> None:
        check_box(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """An action that workers named instead of the one they were asked for (K400 3.1)."""

    text: str = column("as suggested, lower case, single spaces")
    num: int = column("times it was suggested")
    num_workers: int = column("workers who suggested it")
    clip_id: str = column("an example: the clip it was suggested for first")
    instead_of_class_id: int | None = column("the action most of them were asked for", default=None)
    class_id: int | None = column("class of that name, where the label map has one", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipReview:
    """What reviewers decided of one clip of a cluster of copies (K700-2020 2) or of a class's page (K400 3.4)."""

    item_id: str = column("cluster or page that was shown")
    clip_id: str = column("clip in it")
    kind: str = column("cluster or class")
    class_id: int | None = column("action of a page; null for a cluster", default=None)
    is_kept: bool = column("whether it stays: fewer than half of the reviewers would drop it")
    num_workers: int = column("reviewers")
    num_keep: int = column("of them would keep it")
    reason: str = column("of a clip that goes: duplicate or other-action; else empty", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRuling:
    """What the owner of a campaign decided of a worker, whatever gold says."""

    worker_id: str = column("unique")
    is_trusted: bool = column("whether the worker's votes count")
    reason: str = column("in the owner's words", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipScore:
    """How sure a classifier is that a clip shows an action; ranks the clips of the final filter (K400 3.4)."""

    clip_id: str = column("clip")
    class_id: int = column("action")
    score: float = column("higher is surer; any scale")


EDITS = ("split", "branch", "merge", "rename", "remove", "undo")
"""What can be done to a class: others take its place (split), stand beside it (branch), or it becomes another (merge);
it gets another name (rename), is asked for no more (remove), or what was done before is taken back (undo).

Source: Kinetics-400 paper, sections 3.3 (split) and 3.4 (merge, split, remove); branch, rename and undo: ours.
"""

_TO_ANOTHER = ("split", "branch", "merge")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassEdit:
    """One thing done to a class: a split or branch has a row for each new class, anything else one row."""

    edit_id: int = column("order of the edits, from 1; rows of one split share it")
    what: str = column("split, branch, merge, rename, remove or undo")
    old_class_id: int = column("class that it was done to; after a branch it is asked for still")
    old_name: str = column("its name")
    new_class_id: int = column("class that is asked for in its place; the same after rename, remove and undo")
    new_name: str = column("its name")
    clip_ids: str | None = column("JSON: clips that a split sends out again; else null", default=None)
    undoes_edit_id: int | None = column("of an undo: the edit that is taken back, which may be an undo", default=None)
    reason: str | None = column("in the words of whoever did it", default=None)

    def __post_init__(self) -> None:
        if self.what not in EDITS:
            raise BadInput(f"{self.what!r} is nothing done to a class", mend=f"Want one of {', '.join(EDITS)}")
        if self.what in _TO_ANOTHER and self.old_class_id == self.new_class_id:
            raise BadInput(f"class {self.old_class_id} cannot become itself", mend="Name another class")
        if (self.what == "undo") != (self.undoes_edit_id is not None):
            raise BadInput(f"edit {self.edit_id}: {self.what} of edit {self.undoes_edit_id}", mend="An undo names one")


def standing_edits(edits: Sequence[ClassEdit]) -> list[ClassEdit]:
    """The edits that count, in their order: neither undone nor an undo. An undo that was undone itself undoes nothing.

    >>> split, undo = (
    ...     ClassEdit(edit_id=1, what="remove", old_class_id=7, old_name="a", new_class_id=7, new_name="a"),
    ...     ClassEdit(
    ...         edit_id=2, what="undo", old_class_id=7, old_name="a", new_class_id=7, new_name="a", undoes_edit_id=1
    ...     ),
    ... )
    >>> len(standing_edits([split])), len(standing_edits([split, undo]))
    (1, 0)
    """
    undone: set[int] = set()
    standing: list[ClassEdit] = []
    for edit in sorted(edits, key=lambda each: each.edit_id, reverse=True):
        if edit.edit_id in undone:
            continue
        if edit.undoes_edit_id is not None:
            undone.add(edit.undoes_edit_id)
        else:
            standing.append(edit)
    return sorted(standing, key=lambda each: (each.edit_id, each.new_class_id))
