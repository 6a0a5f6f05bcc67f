"""A file that names the parts of a data set of persons: for each split one or more `AvaSource`, in TOML or JSON.

    [[train]]
    part = "ava"
    labels = "ava_train_v2.2.csv"
    videos = "ava/videos"
    excluded = "ava_train_excluded_timestamps_v2.2.csv"
    proposals = "ava_dense_proposals_train.pkl"

    [[train]]
    part = "kinetics"
    labels = "kinetics_train_v1.0.csv"
    videos = "kinetics/videos"
    clip_labels = "kinetics700_train.csv"

    [[val]]
    ...

Paths are relative to the file's folder. Keys are the fields of `AvaSource`; null is as left out. The `world.json` of
`gesta world --kind people` is such a file too: its splits lie below the key `splits`.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gesta.schema import BadInput
from gesta.train.persons.ava import AvaSource

SUFFIXES = (".toml", ".json")
_PATHS = ("labels", "videos", "label_map", "excluded", "included", "proposals", "clip_labels")
_KEYS = tuple(field.name for field in dataclasses.fields(AvaSource))
_WANTED = tuple(
    field.name
    for field in dataclasses.fields(AvaSource)
    if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
)


def read_parts_file(path: Path) -> dict[str, tuple[AvaSource, ...]]:
    """The parts of each split, in the file's order.

    Raises:
        BadInput: it is neither TOML nor JSON, a split is no list of parts, or a part lacks a key, has one too many or
            names a file that is not there.
        UnknownName: a part's `files` or `proposal_times` is none of the choices.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(
            f"this is no {path.suffix[1:].upper()} ({error})", where=path, mend="See docs/train-persons.md"
        ) from error
    if isinstance(values, dict) and isinstance(values.get("splits"), dict):
        values = values["splits"]
    if not isinstance(values, dict) or not values:
        raise BadInput("it names no split", where=path, mend="Want [[train]] and its keys; see docs/train-persons.md")
    found = {}
    for split, parts in values.items():
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise BadInput(f"{split!r} is no list of parts", where=path, mend=f"Want [[{split}]] and its keys")
        found[split] = tuple(_source(part, split=split, path=path) for part in parts)
    return found


def _source(values: Mapping[str, Any], *, split: str, path: Path) -> AvaSource:
    strange = [key for key in values if key not in _KEYS]
    lacking = [key for key in _WANTED if key not in values]
    if strange or lacking:
        what = f"has {strange[0]!r}" if strange else f"lacks {lacking[0]!r}"
        raise BadInput(f"a part of {split!r} {what}", where=path, mend=f"Keys are {', '.join(_KEYS)}")
    given = {key: value for key, value in values.items() if value is not None}
    for key in _PATHS:
        if key in given:
            given[key] = path.parent / str(given[key])
            if not given[key].exists():
                raise BadInput(
                    f"{key} of part {values['part']!r} is not there: {values[key]}", where=path,
                    mend=f"Paths are relative to {path.parent}",
                )  # fmt: skip
    if isinstance(given.get("stretch_us"), list):
        given["stretch_us"] = tuple(given["stretch_us"])
    return AvaSource(**given)
