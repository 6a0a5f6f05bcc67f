"""The error tree: everything that a user can mend.

GestaError
├── BadInput          a file, row, video or argument that cannot be what was meant
│   ├── BadRow        one row of a text file, with its line
│   ├── BadVideo      a video that cannot be probed or decoded
│   └── WrongSchema   a table whose columns are not those of its kind
├── UnknownName       a name that is not among the choices
├── MissingTable      a stage was run before the one that writes what it reads
├── MissingExtra      a dependency of an optional part is not installed
└── Refused           doing it would lose something that is there

`gesta.cli` alone catches `GestaError`, prints one line and exits 2. Anything else is a defect of gesta and keeps
its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class GestaError(Exception):
    """Something the user can mend: what is wrong, where, and how to mend it."""

    def __init__(self, problem: str, *, where: str | Path = "", mend: str = "") -> None:
        self.problem = problem
        self.where = str(where)
        self.mend = mend
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"{self.where}: {self.problem}" if self.where else self.problem
        return f"{text}. {self.mend}" if self.mend else text

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders in worker pools; keyword-only arguments need help to be pickled.
        return (_rebuild, (type(self), self.problem, self.where, self.mend))


def _rebuild(kind: type[GestaError], problem: str, where: str, mend: str) -> GestaError:
    error = GestaError.__new__(kind)
    GestaError.__init__(error, problem, where=where, mend=mend)
    return error


class BadInput(GestaError):
    """A file or value that cannot be what was meant."""


class BadRow(BadInput):
    """One row of a text file is wrong; `where` is `path:line`, lines counted from 1."""

    def __init__(self, problem: str, *, path: str | Path, line: int, mend: str = "") -> None:
        super().__init__(problem, where=f"{path}:{line}", mend=mend)


class BadVideo(BadInput):
    """A video that cannot be probed or decoded; `reason` is the short code that `rejects` tables carry."""

    def __init__(self, problem: str, *, where: str | Path, reason: str = "decode", mend: str = "") -> None:
        super().__init__(problem, where=where, mend=mend)
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_video, (self.problem, self.where, self.reason, self.mend))


def _rebuild_video(problem: str, where: str, reason: str, mend: str) -> BadVideo:
    return BadVideo(problem, where=where, reason=reason, mend=mend)


class WrongSchema(BadInput):
    """A table whose columns are not those of its kind."""


class UnknownName(GestaError):
    """A name that is not among the choices; the message lists them and guesses what was meant."""

    def __init__(self, *, what: str, name: str, choices: Iterable[str], where: str | Path = "") -> None:
        known = sorted(choices)
        near = difflib.get_close_matches(name, known, n=1)
        guess = f"Did you mean {near[0]!r}? " if near else ""
        super().__init__(f"no {what} {name!r}", where=where, mend=f"{guess}There are: {', '.join(known) or 'none'}")


class MissingTable(GestaError):
    """A stage was run before the one that writes the table it reads."""

    def __init__(self, *, table: str, where: str | Path, verb: str) -> None:
        super().__init__(f"there is no table {table!r} here", where=where, mend=f"Run `gesta {verb}` first")


class MissingExtra(GestaError):
    """A dependency of an optional part is not installed."""

    def __init__(self, *, extra: str, module: str) -> None:
        super().__init__(
            f"this needs the Python module {module!r}, which is not installed",
            mend=f"Run: pip install 'gesta[{extra}]'",
        )


class Refused(GestaError):
    """Doing it would lose something that is there."""
