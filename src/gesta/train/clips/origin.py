"""Where a run comes from: what decides its weights, as one fingerprint that a cut or finished run is known by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gesta.tables import Json, Provenance, made_by, sha256_of_file
from gesta.train.clips.tasks import AnyRecipe, Data
from gesta.train.devices import pick_clip_precision, pick_device


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A recipe, a seed, a device and a precision, with the provenance that names them and the data."""

    recipe: AnyRecipe
    seed: int
    device: str
    precision: str
    made: Provenance


def origin_of(
    recipe: AnyRecipe,
    *,
    data: Data,
    val: Data | None,
    seed: int,
    device: str,
    start: Path | str | None,
    files: Mapping[str, str] | None = None,
) -> Origin:
    """What decides the run; the number of processes, workers and threads is no part of it.

    `files` are hashes of what else does, by name.

    Raises:
        UnknownName: no such device, or `start` is neither a file nor the name of published weights.
        GestaError: CUDA is asked for and there is none.
    """
    place = pick_device(device)
    precision = pick_clip_precision(recipe.precision, device=place)
    arguments: dict[str, Json] = {
        "recipe": json.loads(json.dumps(recipe.as_json())),
        "seed": seed,
        "device": place,
        "precision": precision,
    }
    inputs = {"clips": data.sha256, **(files or {})}
    if val is not None:
        inputs["val"] = val.sha256
    if start is not None:
        inputs["start"] = _hash_of_start(start)
    made = made_by("train", arguments=arguments, inputs=inputs, tools=["torch", "torchvision"])
    return Origin(recipe=recipe, seed=seed, device=place, precision=precision, made=made)


def _hash_of_start(start: Path | str) -> str:
    path = Path(start)
    if path.is_file():
        return sha256_of_file(path)
    if path.exists():
        return f"folder {path.name}"
    return f"published {start}"
