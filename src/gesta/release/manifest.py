"""The manifest: every file of a release with its hash, and the check that they are still those files."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from gesta.schema import BadInput
from gesta.tables import Json, StageSummary, sha256_of_file, sha256_of_json, write_json

MANIFEST = "manifest.json"
CROISSANT = "croissant.json"


def files_below(folder: Path) -> dict[str, dict[str, Json]]:
    """Hash (SHA-256, hex) and size of each file below the folder but the manifest, by POSIX path."""
    files: dict[str, dict[str, Json]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST:
            files[name] = file_facts(path)
    return files


def file_facts(path: Path) -> dict[str, Json]:
    """Hash (SHA-256, hex) and size of a file."""
    return {"sha256": sha256_of_file(path), "size_bytes": path.stat().st_size}


def content_hash(files: Mapping[str, Any]) -> str:
    """SHA-256 of the names and hashes of the files but those that describe others.

    These are the sidecars, which also say which versions wrote them, and `croissant.json`, which may say a day.

    >>> content_hash({"a.csv": {"sha256": "1"}}) == content_hash({"a.csv": {"sha256": "1"}, "a.csv.json": {}})
    True
    """
    return sha256_of_json({name: facts["sha256"] for name, facts in files.items() if not is_description(name, files)})


def is_description(name: str, files: Container[str]) -> bool:
    """Whether a file of a release describes others of it: a sidecar, or the Croissant file."""
    return name == CROISSANT or (name.endswith(".json") and name.removesuffix(".json") in files)


def write_manifest(folder: Path, manifest: Mapping[str, Json]) -> None:
    """The manifest of a folder, written last."""
    write_json(folder / MANIFEST, manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a release.

    Raises:
        BadInput: there is none, or it is not one of gesta's.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BadInput("this is no release: it has no manifest.json", where=folder, mend="Make one: gesta release WORK")
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError as error:
        raise BadInput(
            f"cannot be read as JSON ({error})", where=path, mend="Take the release from its source"
        ) from error
    if not isinstance(manifest, dict) or "content_sha256" not in manifest or "files" not in manifest:
        raise BadInput("this is not a manifest of gesta's", where=path, mend="Make a release: gesta release WORK")
    return manifest


def verify_release(release: Path) -> StageSummary:
    """How many files of a release are as the manifest says; all of them, or it raises.

    Raises:
        BadInput: a file is changed, missing, or not in the manifest; the message names the first five.
    """
    manifest = read_manifest(release)
    wanted, found = manifest["files"], files_below(release)
    problems = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    problems += [f"{name} is not in the manifest" for name in sorted(found.keys() - wanted.keys())]
    problems += [f"{name} was changed" for name in sorted(wanted.keys() & found.keys()) if wanted[name] != found[name]]
    if not problems and content_hash(wanted) != manifest["content_sha256"]:
        problems = [f"{MANIFEST} was changed"]
    if problems:
        more = f", and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise BadInput(
            f"the release is not as it was made: {', '.join(problems[:5])}{more}",
            where=release,
            mend="Take it from its source again, or make it under another version",
        )
    return StageSummary(
        stage="release",
        kept=len(wanted),
        outputs=(str(release),),
        numbers={"version": manifest["version"], "content_sha256": manifest["content_sha256"], "is_whole": True},
    )
