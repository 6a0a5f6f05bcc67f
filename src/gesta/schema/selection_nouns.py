"""The nouns of choosing what to annotate: which clips, for the sake of which weak classes."""

from __future__ import annotations

from dataclasses import dataclass

from gesta.schema.errors import BadInput
from gesta.schema.nouns import column

SELECTION_REASONS = ("related", "uniform")
"""Why a clip is chosen. Source: AVA-Kinetics paper, section 1.2 (related classes first, then uniform from the rest)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedClip:
    """One clip that is chosen to be annotated, and why."""

    clip_id: str = column("clip that is chosen")
    class_id: int = column("its class in the source, as in that label map")
    name: str = column("name of that class")
    reason: str = column("related (its class was matched to a weak class) or uniform (drawn from the rest)")
    targets: str = column("names of the weak classes that its class was matched to, '; ' between; empty when uniform")

    def __post_init__(self) -> None:
        """Refuse a reason that is not one of the known.

        Raises:
            BadInput: the reason is unknown.
        """
        if self.reason not in SELECTION_REASONS:
            raise BadInput(f"{self.reason!r} is no reason", mend=f"Want one of {', '.join(SELECTION_REASONS)}")
