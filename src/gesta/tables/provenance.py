"""What made a table: the stage, its arguments, the tools' versions and the hashes of what it read."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gesta

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What made a table. No clock in it: the same inputs and arguments give the same sidecar, byte for byte."""

    stage: str
    arguments: Mapping[str, Json]
    inputs: Mapping[str, str]
    tools: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all of it: equal where the outputs must be equal."""
        return sha256_of_json(self.as_json())

    def as_json(self) -> dict[str, Json]:
        """The parts as plain JSON values."""
        return {
            "stage": self.stage,
            "arguments": dict(self.arguments),
            "inputs": dict(self.inputs),
            "tools": dict(self.tools),
        }


def made_by(
    stage: str, *, arguments: Mapping[str, Json], inputs: Mapping[str, str], tools: Sequence[str] = ()
) -> Provenance:
    """A provenance with gesta's, Python's and polars' versions, and those of the distributions in `tools`.

    Raises:
        importlib.metadata.PackageNotFoundError: a name in `tools` is not installed (our own claim).
    """
    versions = {"gesta": gesta.__version__, "python": platform.python_version()}
    for name in sorted({"polars", *tools}):
        versions[name] = importlib.metadata.version(name)
    return Provenance(stage=stage, arguments=arguments, inputs=inputs, tools=versions)


def sha256_of_json(value: Json) -> str:
    """SHA-256 (hex) of a JSON value, written with sorted keys and no spaces.

    >>> sha256_of_json({"b": 1, "a": 2}) == sha256_of_json({"a": 2, "b": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, read in blocks of a mebibyte."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
