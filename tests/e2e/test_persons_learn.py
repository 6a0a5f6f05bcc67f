"""On rendered people, models of persons learn what people do, and only one that looks beyond the box tells partners.

A hand shaken and a hand reached out to nobody are the same picture inside the box of who does it
(tests/unit/world/test_people.py), so a head on the box alone can rank the one above the other only by what a cell sees
past the box's edge. Asserted: margins over chance, over a run on shuffled labels and over the head without context.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gesta.evaluate import frame_map_of
from gesta.models.person_heads import PersonHead
from gesta.models.trunks import TrunkSpec
from gesta.predict.person_scores import score_person_set, truth_of
from gesta.train.clips.frames import ClipFrames
from gesta.train.persons import PersonAugment, PersonSet, join_sets, read_ava_persons
from gesta.train.persons.checkpoints import load_person_checkpoint, person_model_of
from gesta.train.persons.parts_file import read_parts_file
from gesta.train.persons.prepared import prepare_key_frames, with_prepared
from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.train import run_train_persons
from gesta.world import render_people

SHAKE, REACH = 68, 59

MARGIN = 0.1
"""Least gain of average precision over chance and over shuffled labels. Source: ours."""

TINY = PersonRecipe(
    name="tiny", trunk=TrunkSpec(name="r3d_small"), head=PersonHead(dropout=0.2, prior=0.1),
    frames=ClipFrames(num_frames=4, rate=30.0, stride=8, side="short", side_px=64, crop_px=64),
    augment=PersonAugment(scale_px=(64, 64), crop="center", jitter_frames=False, color_frac=0.5), epochs=26,
    clips_per_batch=8,
    optimiser="adamw", base_lr=2e-3, weight_decay=0.05, decayed="matrices", schedule="cosine", warmup_epochs=1,
    clip_norm=5.0, precision="float32", compile="off",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class World:
    """Key-frames to learn from and to test on, decoded once."""

    train: PersonSet
    test: PersonSet


def world_of(folder: Path, *, words: tuple[str, ...], num_long: int, num_short: int) -> World:
    render_people(
        folder, seed=0, num_long=num_long, num_short=num_short, width_px=64, height_px=64, words=words,
        short_s=(2.2, 2.4), workers=1,
    )  # fmt: skip
    parts = read_parts_file(folder / "world.json")
    sets = {}
    for split, changes in (("train", TINY.augment), ("val", TINY.augment), ("test", None)):
        persons, rejects = read_ava_persons(parts[split])
        assert [one for one in rejects if one.reason != "excluded"] == []
        cache = folder / "cache" / split
        prepare_key_frames(persons, out=cache, frames=TINY.frames, augment=changes)
        sets[split] = with_prepared(persons, cache, frames=TINY.frames, augment=changes)
    return World(train=join_sets([sets["train"], sets["val"]]), test=sets["test"])


def average_precisions(
    world: World, recipe: PersonRecipe, *, out: Path, train: PersonSet | None = None
) -> dict[int, float]:
    """The average precision of each class on the test key-frames."""
    run_train_persons(train or world.train, out=out, recipe=recipe, seed=0, device="cpu", threads=1)
    model = person_model_of(load_person_checkpoint(out / "model.pt"), device="cpu")
    found, rejects = score_person_set(model, world.test, recipe=recipe)
    assert rejects == []
    scored = frame_map_of(truth_of(world.test), found, class_ids=world.test.class_ids)
    return {one: scored.of_class(one) for one in scored.class_ids}


def with_context(recipe: PersonRecipe) -> PersonRecipe:
    return dataclasses.replace(recipe, name="context", head=dataclasses.replace(recipe.head, context=True))


def shuffled(persons: PersonSet) -> PersonSet:
    """The same key-frames with the persons' labels dealt out anew."""
    targets_NK = np.concatenate([example.targets_NK for example in persons.examples])
    np.random.default_rng(0).shuffle(targets_NK)
    ends = np.cumsum([len(example.boxes_N4) for example in persons.examples])
    dealt = np.split(targets_NK, ends[:-1])
    examples = tuple(
        dataclasses.replace(example, targets_NK=targets)
        for example, targets in zip(persons.examples, dealt, strict=True)
    )
    return dataclasses.replace(persons, examples=examples)


def chance_of(world: World) -> dict[int, float]:
    """The share of persons of each class: the average precision of scores drawn at random."""
    targets_NK = np.concatenate([example.targets_NK for example in world.test.examples])
    return {one: float(share) for one, share in zip(world.test.class_ids, targets_NK.mean(axis=0), strict=True)}


@pytest.mark.timeout(900)
def test_people_never_seen_are_told_apart_by_what_they_do(tmp_path: Path) -> None:
    world = world_of(tmp_path / "world", words=("stand", "shake", "reach"), num_long=0, num_short=300)
    found, chance = average_precisions(world, with_context(TINY), out=tmp_path / "context"), chance_of(world)
    assert found[SHAKE] >= chance[SHAKE] + MARGIN
    assert (found[REACH] + found[SHAKE]) / 2 >= (chance[REACH] + chance[SHAKE]) / 2 + MARGIN


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_head_that_sees_the_partner_tells_a_shaken_hand_and_shuffled_labels_teach_nothing(tmp_path: Path) -> None:
    world = world_of(tmp_path / "world", words=("stand", "shake", "reach"), num_long=0, num_short=300)
    context = average_precisions(world, with_context(TINY), out=tmp_path / "context")
    plain = average_precisions(world, TINY, out=tmp_path / "plain")
    nothing = average_precisions(world, with_context(TINY), out=tmp_path / "nothing", train=shuffled(world.train))
    assert context[SHAKE] > plain[SHAKE]
    assert context[SHAKE] >= nothing[SHAKE] + MARGIN
    assert nothing[SHAKE] <= chance_of(world)[SHAKE] + MARGIN
