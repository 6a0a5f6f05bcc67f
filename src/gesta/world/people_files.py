"""The text files of a world of several people, in the layouts of AVA, AVA-Kinetics and Kinetics.

This room writes them itself: it stands below the readers, which the tests set against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gesta.schema import US_PER_S
from gesta.tables import Json, write_json, write_text
from gesta.world.people import SPLITS, PeopleTake
from gesta.world.people_acts import ACT_CLASSES
from gesta.world.people_detector import Proposal
from gesta.world.people_film import Pixels

WORLD_FILE = "world.json"
LABEL_MAP = "label_map.pbtxt"

CLIP_NAMES = {
    "shake": "shaking hands", "give": "giving a thing", "take": "giving a thing", "reach": "reaching out",
    "hold": "holding out a thing", "wave": "waving hand", "clap": "applauding", "point": "pointing",
    "stand": "standing", "walk": "walking", "sit": "sitting", "crouch": "crouching", "bend": "bowing",
    "jump": "jumping",
}  # fmt: skip
"""The class of a short clip as a whole, by the word of what it mainly shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPerson:
    """A person at a key-frame: number in the video, box, and the words of what is done."""

    person: int
    box: Pixels
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFrameTruth:
    """A key-frame: who is there, what the detector found, and whether it counts."""

    timestamp_us: int
    persons: tuple[LabelledPerson, ...]
    proposals: tuple[Proposal, ...]
    is_excluded: bool


def label_map_text(words: Iterable[str]) -> str:
    """The classes of these words by id, as AVA publishes its own."""
    known = sorted((ACT_CLASSES[word] for word in words), key=lambda one: one.class_id)
    return "".join(
        f'label {{\n  name: "{one.name}"\n  label_id: {one.class_id}\n  label_type: {one.category}\n}}\n'
        for one in known
    )


def ava_lines(video_id: str, truths: Sequence[KeyFrameTruth]) -> list[str]:
    """AVA's rows: whole seconds of four digits, three decimals, a person's number last; no row where nobody is."""
    rows = []
    for truth in truths:
        for person in () if truth.is_excluded else truth.persons:
            box = ",".join(f"{corner:.3f}" for corner in person.box)
            rows += [f"{video_id},{_padded(truth)},{box},{number},{person.person}" for number in _ids(person)]
    return rows


def ava_kinetics_lines(video_id: str, truths: Sequence[KeyFrameTruth]) -> list[str]:
    """AVA-Kinetics' rows: times and boxes of six decimals; two columns alone where nobody is."""
    rows = []
    for truth in truths:
        seconds = f"{truth.timestamp_us / US_PER_S:.6f}"
        if not truth.persons:
            rows.append(f"{video_id},{seconds}")
        for person in truth.persons:
            box = ",".join(f"{corner:.6f}" for corner in person.box)
            rows += [f"{video_id},{seconds},{box},{number}" for number in _ids(person)]
    return rows


def proposal_lines(video_id: str, truths: Sequence[KeyFrameTruth]) -> list[str]:
    """The detector's rows: video, seconds, box, score; two columns alone where it found nobody."""
    rows = []
    for truth in truths:
        key = f"{video_id},{_padded(truth)}"
        boxes = [",".join(f"{corner:.6f}" for corner in one.box) + f",{one.score:.6f}" for one in truth.proposals]
        rows += [f"{key},{box}" for box in boxes] or [key]
    return rows


def excluded_lines(video_id: str, truths: Sequence[KeyFrameTruth]) -> list[str]:
    """AVA's list of key-frames that do not count."""
    return [f"{video_id},{_padded(truth)}" for truth in truths if truth.is_excluded]


def kinetics_line(take: PeopleTake) -> str:
    """A clip's row in Kinetics' layout: the whole file."""
    end_us = round(take.num_frames * US_PER_S / take.fps)
    end = f"{end_us / US_PER_S:.6f}".rstrip("0").rstrip(".")
    return f"{CLIP_NAMES[take.label]},{take.video.video_id},0,{end},{take.video.split}"


def _padded(truth: KeyFrameTruth) -> str:
    whole, rest = divmod(truth.timestamp_us, US_PER_S)
    return f"{whole:04d}" if rest == 0 else f"{truth.timestamp_us / US_PER_S:.6f}"


def _ids(person: LabelledPerson) -> list[int]:
    return sorted(ACT_CLASSES[word].class_id for word in person.words)


def write_people_files(
    folder: Path, takes: Sequence[PeopleTake], truths: dict[str, list[KeyFrameTruth]], *, words: Sequence[str],
    seed: int,
) -> None:  # fmt: skip
    """Write the label map, each part's files of each split, and `world.json`, which names them all.

    `world.json` has, of each split, a list of parts; the keys of a part are those of an `AvaSource` of
    `gesta.train.persons`, the paths relative to the folder. A split of films without a cut near a key-frame has no list
    of excluded ones.
    """
    write_text(folder / LABEL_MAP, label_map_text(words))
    splits: dict[str, Json] = {}
    for split in SPLITS:
        parts: list[Json] = []
        for part in ("ava", "kinetics"):
            mine = [take for take in takes if (take.video.split, take.video.part) == (split, part)]
            if mine:
                parts.append(_write_part(folder, part, split, mine, truths))
        splits[split] = parts
    classes: list[Json] = [
        {"word": word, "class_id": one.class_id, "name": one.name, "category": one.category}
        for word, one in sorted(ACT_CLASSES.items(), key=lambda item: item[1].class_id)
        if word in words
    ]
    write_json(
        folder / WORLD_FILE,
        {"kind": "people", "seed": seed, "label_map": LABEL_MAP, "classes": classes, "splits": splits},
    )


def _write_part(
    folder: Path, part: str, split: str, takes: Sequence[PeopleTake], truths: dict[str, list[KeyFrameTruth]]
) -> Json:
    names: dict[str, Json] = {
        "part": part, "labels": f"{part}/{part}_{split}.csv", "videos": f"{part}/videos", "label_map": LABEL_MAP,
        "excluded": None, "included": None, "proposals": f"{part}/{part}_{split}_proposals.csv", "clip_labels": None,
    }  # fmt: skip
    label_lines = ava_lines if part == "ava" else ava_kinetics_lines
    rows: list[str] = []
    proposals: list[str] = []
    excluded: list[str] = []
    for take in takes:
        video_id = take.video.video_id
        rows += label_lines(video_id, truths[video_id])
        proposals += proposal_lines(video_id, truths[video_id])
        excluded += excluded_lines(video_id, truths[video_id]) if part == "ava" else []
    write_text(folder / str(names["labels"]), _text(rows))
    write_text(folder / str(names["proposals"]), _text(proposals))
    if excluded:
        names["excluded"] = f"ava/ava_{split}_excluded_timestamps.csv"
        write_text(folder / str(names["excluded"]), _text(excluded))
    if part == "kinetics":
        names["clip_labels"] = f"kinetics/kinetics_{split}_clips.csv"
        lines = ["label,youtube_id,time_start,time_end,split", *(kinetics_line(take) for take in takes)]
        write_text(folder / str(names["clip_labels"]), _text(lines))
    return names


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
