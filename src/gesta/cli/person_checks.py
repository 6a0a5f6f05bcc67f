"""The check of labelled persons before a training or a benchmark: printed, and a stop where going on is pointless."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from gesta.lint.findings import Finding
from gesta.lint.person_releases import check_release
from gesta.lint.person_sets import findings_text, is_severe
from gesta.lint.person_sources import SourceFiles, check_ava_sources
from gesta.schema import BadInput, BadVideo

force_option = click.option(
    "--force", "is_forced", is_flag=True, help="Go on although the check of the labels says that it is pointless."
)


def checked_sources(
    train: Sequence[SourceFiles],
    *,
    val: Sequence[SourceFiles] = (),
    class_ids: Sequence[int] | None = None,
    least_score: float = 0.9,
    is_forced: bool = False,
) -> list[Finding]:
    """What is wrong with the files that are to be learnt from, printed on standard error.

    Args:
        train: parts to learn from.
        val: parts to measure on.
        class_ids: classes that are to be learnt; None = those of the label maps.
        least_score: of proposals that are used.
        is_forced: go on whatever was found.
    Raises:
        BadInput: something makes the training pointless, and `is_forced` is not set.
    """
    found = check_ava_sources(train, val=val, class_ids=class_ids, least_score=least_score, measure=span_us)
    return said_findings(found, is_forced=is_forced)


def checked_release(
    release: Path,
    *,
    split: str = "train",
    val: str | None = None,
    class_ids: Sequence[int] | None = None,
    least_score: float = 0.9,
    is_forced: bool = False,
) -> list[Finding]:
    """What is wrong with a release that is to be learnt from, printed on standard error.

    Args:
        release: folder of a released version.
        split: what is learnt from.
        val: what is measured on; None = nothing.
        class_ids: classes that are to be learnt; None = those with an accepted label.
        least_score: of tracks that are used as proposals.
        is_forced: go on whatever was found.
    Raises:
        MissingTable: the folder lacks a table of a release.
        BadInput: something makes the training pointless, and `is_forced` is not set.
    """
    found = check_release(release, split=split, val=val, class_ids=class_ids, least_score=least_score)
    return said_findings(found, is_forced=is_forced)


def said_findings(found: Sequence[Finding], *, is_forced: bool) -> list[Finding]:
    """The findings, printed on standard error.

    Raises:
        BadInput: one is severe, and `is_forced` is not set.
    """
    if found:
        click.echo(findings_text(found), err=True)
    if is_severe(found) and not is_forced:
        severe = [one for one in found if one.severity == "error"]
        raise BadInput(
            f"{severe[0].message} ({severe[0].code})", where=severe[0].where,
            mend=f"{severe[0].mend}. {len(severe)} such finding{'' if len(severe) == 1 else 's'}; --force goes on",
        )  # fmt: skip
    return list(found)


def span_us(path: Path) -> tuple[int, int] | None:
    """Start and end of a video file in microseconds of its player's clock; None where it cannot be read."""
    from gesta.video import probe

    try:
        facts = probe(path)
    except BadVideo:
        return None
    return facts.start_us, facts.start_us + facts.duration_us
