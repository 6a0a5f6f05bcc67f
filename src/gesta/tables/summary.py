"""What a stage did, in one line: kept, rejected and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gesta.schema import Reject
from gesta.tables.provenance import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSummary:
    """What a stage did: rows kept, rows dropped by reason, files written, and other numbers worth saying."""

    stage: str
    kept: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    was_current: bool = False
    numbers: Mapping[str, Json] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The verb's closing line.

        >>> StageSummary(stage="detect", kept=9812, rejected={"probe": 120, "short": 68}).line
        'detect: kept 9,812, rejected 188 (probe 120, short 68)'
        """
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(self.rejected.items()))
        total = sum(self.rejected.values())
        text = f"{self.stage}: kept {self.kept:,}, rejected {total:,}" + (f" ({reasons})" if reasons else "")
        return text + (" - already done" if self.was_current else "")

    def as_json(self) -> dict[str, Json]:
        """The parts as plain JSON values, for `--json`."""
        return {
            "stage": self.stage,
            "kept": self.kept,
            "rejected": dict(self.rejected),
            "outputs": list(self.outputs),
            "was_current": self.was_current,
            **dict(self.numbers),
        }


def count_reasons(rejects: Iterable[Reject]) -> dict[str, int]:
    """Rejects by reason, reasons in alphabetical order."""
    counts = Counter(reject.reason for reject in rejects)
    return dict(sorted(counts.items()))
