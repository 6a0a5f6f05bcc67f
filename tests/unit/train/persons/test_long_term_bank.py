"""A feature bank from end to end: written, learnt with, scored with; cut and gone on with; what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from tests.unit.train.clips.small_run import are_equal
from tests.unit.train.persons.film_memory import (
    EARLY_US,
    LATE_US,
    SPEC,
    checkpoint_of,
    crowded_bank,
    key_frames,
    memory_recipe,
)
from tests.unit.train.persons.small_persons_run import weights_of

from gesta.models.feature_bank import FeatureBankSpec, bank_of, read_bank, windows_of, write_bank
from gesta.models.person_heads import PersonHead
from gesta.predict import person_bank, person_score_stage
from gesta.predict.person_bank import best_first, run_bank
from gesta.predict.person_score_stage import run_score_persons
from gesta.predict.streams.loading import load_person_scorer
from gesta.schema import BadInput
from gesta.tables import read_rejects, read_table
from gesta.train.clips.loop import Saving
from gesta.train.persons.banks import check_bank, open_banks, with_windows
from gesta.train.persons.batches import person_batches
from gesta.train.persons.checkpoints import load_person_checkpoint, person_model_of
from gesta.train.persons.rows import persons_to_model
from gesta.train.persons.task import person_task
from gesta.train.persons.train import plan_train_persons, run_train_persons

TRAIN, VAL = range(16), range(16, 24)


class Cut(Exception):
    pass


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films, a checkpoint that a bank is written with, and the banks of both sets."""
    folder = tmp_path_factory.mktemp("memory")
    checkpoint = checkpoint_of(folder / "short.pt")
    for name, numbers in (("train", TRAIN), ("val", VAL)):
        run_bank(checkpoint, key_frames(folder, numbers, (EARLY_US, LATE_US)), out=folder / name, device="cpu")
    return folder


def train(home: Path, out: Path, recipe, **call):
    given = {"banks": [home / "train", home / "val"]} if recipe.head.bank is not None else {}
    return run_train_persons(
        key_frames(home, TRAIN), out=out, recipe=recipe, device="cpu", seed=2, threads=1, **(given | call)
    )


def share_right(home: Path, model: Path, out: Path, banks=()) -> float:
    """Of the validation films, how many get the higher score for what they showed early."""
    run_score_persons(model, key_frames(home, VAL), out=out, least_score=0.0, device="cpu", banks=banks)
    best = read_table(out, "detections").sort("score").group_by("video_id").last()
    is_right = best["class_id"] == best["video_id"].str.strip_prefix("film").cast(pl.Int64) % 2 + 1
    assert len(is_right) == len(VAL)
    return float(is_right.mean())


@pytest.mark.parametrize("operator", ["non-local", "max", "mean"])
def test_what_another_key_frame_showed_is_learnt_with_the_bank(home, tmp_path, operator):
    recipe = memory_recipe(bank=dataclasses.replace(SPEC, operator=operator))
    train(home, tmp_path / "run", recipe, val=key_frames(home, VAL))
    epochs = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert epochs[-1]["val_loss"] < 0.5, "validation is shown the bank too: guessing costs 0.69"
    assert share_right(home, tmp_path / "run/model.pt", tmp_path / "scores", [home / "val"]) == 1


def test_without_the_bank_nobody_could_know(home, tmp_path):
    train(home, tmp_path / "run", memory_recipe(bank=None))
    assert share_right(home, tmp_path / "run/model.pt", tmp_path / "scores") == 0.5


def test_a_bank_that_saw_the_late_key_frames_alone_is_no_help(home, tmp_path):
    run_bank(home / "short.pt", key_frames(home, range(24)), out=tmp_path / "late", device="cpu")
    train(home, tmp_path / "run", memory_recipe(), banks=[tmp_path / "late"])
    assert share_right(home, tmp_path / "run/model.pt", tmp_path / "scores", [tmp_path / "late"]) == 0.5


@pytest.fixture(scope="module")
def crowded(home, tmp_path_factory) -> Path:
    width = read_bank(home / "train/bank.pt").features_MD.shape[1]
    return crowded_bank(tmp_path_factory.mktemp("crowd") / "bank.pt", num_films=24, width=width)


def test_a_cut_run_ends_in_the_same_bits(home, crowded, tmp_path):
    recipe = memory_recipe(epochs=2)

    def cut(line):
        if line["step"] == 3:
            raise Cut

    train(home, tmp_path / "whole", recipe, banks=[crowded])
    with pytest.raises(Cut):
        train(home, tmp_path / "cut", recipe, banks=[crowded], on_step=cut, saving=Saving(every_steps=1))
    steps = []
    train(home, tmp_path / "cut", recipe, banks=[crowded], on_step=steps.append)
    assert [line["step"] for line in steps] == [3, 4]
    assert are_equal(weights_of(tmp_path / "whole/model.pt"), weights_of(tmp_path / "cut/model.pt"))


def test_windows_are_the_key_frames_own_and_draws_change_with_the_epoch(home, crowded):
    persons, bank = key_frames(home, TRAIN), open_banks([crowded])
    recipe = memory_recipe()
    with person_batches(
        persons, frames=recipe.frames, augment=None, boxes=recipe.boxes, numbers=[(3, 0, 5)], seed=0, epoch=0,
        num_workers=0,
    ) as batches:  # fmt: skip
        batch = next(batches)
    shown = with_windows(batch, persons, bank=bank, spec=SPEC)
    wanted = windows_of(read_bank(crowded), [(f"film{number}", LATE_US) for number in (3, 0, 5)], spec=SPEC)
    assert torch.equal(shown.bank_BLD.float(), wanted)
    replaced = with_windows(dataclasses.replace(batch, shown=(5, 0, 3)), persons, bank=bank, spec=SPEC)
    assert torch.equal(replaced.bank_BLD.float(), wanted.flip(0)), "of the one that stands in"
    drawn = [with_windows(batch, persons, bank=bank, spec=SPEC, seed=1, epoch=epoch).bank_BLD for epoch in range(4)]
    assert len({tuple(one.flatten().tolist()) for one in drawn}) > 1
    again = with_windows(batch, persons, bank=bank, spec=SPEC, seed=1, epoch=2)
    assert torch.equal(again.bank_BLD, drawn[2])


def test_the_loops_batches_have_the_bank_of_their_seed_and_epoch(home, crowded):
    persons, bank = key_frames(home, TRAIN), open_banks([crowded])
    task = person_task(persons, bank=bank)
    call = {"recipe": memory_recipe(), "numbers": [(3, 0), (5,)], "source": None, "seed": 7, "epoch": 1}
    found = {}
    for num_workers in (0, 1):
        with task.batches(persons, num_workers=num_workers, **call) as batches:
            found[num_workers] = [one.bank_BLD for one in batches]
    assert [len(one) for one in found[0]] == [2, 1]
    assert all(torch.equal(one, other) for one, other in zip(found[0], found[1], strict=True))


def test_a_bank_holds_what_the_model_sees_of_each_person(home):
    bank = read_bank(home / "train/bank.pt")
    assert len(bank.video_ids) == 16
    assert bank.times_M.tolist() == [EARLY_US, LATE_US] * 16
    early = bank.features_MD[::2].astype(np.float32)
    kinds = [int(name.removeprefix("film")) % 2 for name in bank.video_ids]
    red, green = early[np.array(kinds) == 0], early[np.array(kinds) == 1]
    assert np.ptp(red, axis=0).max() < 0.1 * np.abs(red.mean(axis=0) - green.mean(axis=0)).max()
    recipe, persons = memory_recipe(bank=None), key_frames(home, TRAIN, (EARLY_US, LATE_US))
    model = person_model_of(load_person_checkpoint(home / "short.pt"))
    with person_batches(
        persons, frames=recipe.frames, augment=None, boxes=recipe.boxes, numbers=[(2,)], seed=0, epoch=0,
        num_workers=0, which="truth",
    ) as batches:  # fmt: skip
        inputs = persons_to_model(next(batches), frames=recipe.frames, device="cpu")
    with torch.inference_mode():
        wanted = model.person_features(*inputs).numpy()
    place = list(bank.video_ids).index("film1")
    np.testing.assert_allclose(bank.features_MD[2 * place], wanted[0], atol=2e-3, rtol=2e-3)


def test_detected_persons_come_best_first_and_the_least_score_counts(home, tmp_path):
    persons = key_frames(home, range(2))
    assert best_first(persons).examples[0].proposals_M5[:, 4].tolist() == [0.8, 0.4]
    for least, num in ((0.1, 2), (0.5, 1), (0.95, 1)):
        run_bank(home / "short.pt", persons, out=tmp_path / str(least), boxes="proposals", least_score=least,
                 device="cpu")  # fmt: skip
        assert len(read_bank(tmp_path / str(least) / "bank.pt").features_MD) == 2 * num
    both, one = (read_bank(tmp_path / name / "bank.pt").features_MD for name in ("0.1", "0.5"))
    assert np.array_equal(both[::2], one), "the best of each key-frame stands first"
    assert not np.array_equal(both[0], both[1])


def test_a_cut_bank_goes_on_and_a_finished_one_is_not_written_again(home, tmp_path, monkeypatch):
    monkeypatch.setattr(person_score_stage, "KEY_FRAMES_PER_PART", 3)
    monkeypatch.setattr(person_score_stage, "KEY_FRAMES_PER_BATCH", 1)
    monkeypatch.setattr(person_bank, "batches_of", lambda numbers: [(number,) for number in numbers])
    persons, counts = key_frames(home, range(8)), []

    def cut(num: int) -> None:
        counts.append(num)
        if sum(counts) == 7:
            raise Cut

    with pytest.raises(Cut):
        run_bank(home / "short.pt", persons, out=tmp_path / "cut", device="cpu", on_key_frames=cut)
    assert not (tmp_path / "cut/bank.pt").exists()
    seen = []
    run_bank(home / "short.pt", persons, out=tmp_path / "cut", device="cpu", on_key_frames=seen.append)
    assert seen == [6, 1, 1]
    assert not (tmp_path / "cut/parts").exists()
    run_bank(home / "short.pt", persons, out=tmp_path / "whole", device="cpu")
    assert (tmp_path / "cut/bank.pt").read_bytes() == (tmp_path / "whole/bank.pt").read_bytes()
    assert run_bank(home / "short.pt", persons, out=tmp_path / "whole", device="cpu").was_current
    assert not run_bank(home / "short.pt", key_frames(home, range(7)), out=tmp_path / "whole", device="cpu").was_current


def test_films_that_cannot_be_read_are_listed_and_have_nobody(home, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    persons = key_frames(home, range(4))
    examples = [dataclasses.replace(one, path=tmp_path / "broken.mp4") if one.video_id == "film2" else one
                for one in persons.examples]  # fmt: skip
    broken = dataclasses.replace(persons, examples=tuple(examples))
    summary = run_bank(home / "short.pt", broken, out=tmp_path / "out", device="cpu")
    assert (summary.kept, sum(summary.rejected.values())) == (3, 1)
    assert read_rejects(tmp_path / "out")["video_id"].to_list() == ["film2"]
    bank = open_banks([tmp_path / "out"])
    assert not bank.videos["film2"].window("film2", timestamp_us=LATE_US, spec=SPEC).any()
    check_bank(memory_recipe(), bank, [broken])
    nothing = dataclasses.replace(broken, examples=tuple(one for one in examples if one.video_id == "film2"))
    with pytest.raises(BadInput, match="no key-frame could be read"):
        run_bank(home / "short.pt", nothing, out=tmp_path / "nothing", device="cpu")
    bare = dataclasses.replace(persons.examples[0], proposals_M5=np.zeros((0, 5)))
    nobody = dataclasses.replace(persons, examples=(bare,))
    with pytest.raises(BadInput, match="no key-frame has a proposal"):
        run_bank(home / "short.pt", nobody, out=tmp_path, boxes="proposals")


def test_the_bank_is_part_of_what_made_the_model(home, crowded, tmp_path):
    recipe = memory_recipe(epochs=1)
    train(home, tmp_path / "run", recipe)
    made = load_person_checkpoint(tmp_path / "run/model.pt")
    bank = open_banks([home / "val", home / "train"])
    assert made.bank == bank.said(), "in whatever order they are named"
    assert made.bank["model_sha256"] == read_bank(home / "val/bank.pt").origin["checkpoint"]
    said = json.loads((tmp_path / "run/train.json").read_text())
    assert bank.sha256 in json.dumps(said)
    assert train(home, tmp_path / "run", recipe, banks=[home / "val", home / "train"]).was_current
    assert not train(home, tmp_path / "run", recipe, banks=[crowded]).was_current
    plain = train(home, tmp_path / "plain", memory_recipe(bank=None, epochs=1))
    assert plain.kept
    assert load_person_checkpoint(tmp_path / "plain/model.pt").bank == {}


def test_banks_that_do_not_fit_are_refused(home, tmp_path):
    persons, val = key_frames(home, TRAIN), key_frames(home, VAL)
    recipe, banks = memory_recipe(epochs=1), [home / "train", home / "val"]

    def refused(words: str, recipe=recipe, **call) -> None:
        with pytest.raises(BadInput, match=words):
            run_train_persons(persons, out=tmp_path / "no", recipe=recipe, device="cpu", **call)
        with pytest.raises(BadInput, match=words):
            plan_train_persons(persons, recipe=recipe, device="cpu", val=call.get("val"), banks=call.get("banks", ()))

    refused(r"'memory' reads a feature bank, and none is given\. Write one with `gesta bank`")
    refused("'memory' reads no feature bank, and one is given", memory_recipe(bank=None), banks=banks)
    wide = memory_recipe(bank=dataclasses.replace(SPEC, num_bank_features=5))
    refused(r"has \d+ features a person, and recipe 'memory' reads 5", wide, banks=banks)
    context = memory_recipe(head=PersonHead(context=True, bank=SPEC))
    refused(r"has \d+ features a person, and recipe 'memory' reads \d+", context, banks=banks)
    refused("8 of 24 videos are not in the feature bank, the first is 'film16'", val=val, banks=banks[:1])
    refused("key-frame film0 at 500000 us is in another of the banks too", banks=[home / "train", home / "train"])
    other = checkpoint_of(tmp_path / "other.pt", seed=1)
    run_bank(other, val, out=tmp_path / "other", device="cpu")
    refused("this bank .* is of another model than", banks=[home / "train", tmp_path / "other"])
    refused("there is no such feature bank", banks=[tmp_path / "none"])
    with pytest.raises(BadInput, match="no feature bank is named"):
        open_banks([])


def test_a_model_with_a_bank_is_not_scored_or_predicted_with_without_it(home, tmp_path):
    train(home, tmp_path / "run", memory_recipe(epochs=1))
    model, val = tmp_path / "run/model.pt", key_frames(home, VAL)
    with pytest.raises(BadInput, match="reads a feature bank, and none is given"):
        run_score_persons(model, val, out=tmp_path, device="cpu")
    with pytest.raises(BadInput, match=r"videos are not in the feature bank"):
        run_score_persons(model, val, out=tmp_path, device="cpu", banks=[home / "train"])
    run_bank(checkpoint_of(tmp_path / "other.pt", seed=1), val, out=tmp_path / "other", device="cpu")
    with pytest.raises(BadInput, match="written by another model than the one that was learnt with"):
        run_score_persons(model, val, out=tmp_path, device="cpu", banks=[tmp_path / "other"])
    with pytest.raises(BadInput, match=r"run/model\.pt: .*reads a feature bank, which no video or stream brings along"):
        load_person_scorer(model)
    with pytest.raises(BadInput, match="reads no feature bank, and one is given"):
        run_score_persons(home / "short.pt", val, out=tmp_path, device="cpu", banks=[home / "val"])


def test_banks_of_the_same_films_are_joined(home, tmp_path):
    for name, time_us in (("early", EARLY_US), ("late", LATE_US)):
        run_bank(home / "short.pt", key_frames(home, range(2), (time_us,)), out=tmp_path / name, device="cpu")
    both = open_banks([tmp_path / "late", tmp_path / "early" / "bank.pt"])
    whole = open_banks([home / "train"])
    for video_id in ("film0", "film1"):
        found, wanted = (
            bank.videos[video_id].window(video_id, timestamp_us=LATE_US, spec=SPEC) for bank in (both, whole)
        )
        assert np.array_equal(found, wanted)


def test_windows_are_read_where_rows_of_films_are_mixed(tmp_path):
    bank = bank_of({("a", 0): np.ones((1, 2)), ("b", 0): np.full((2, 2), 2.0), ("a", 1_000_000): np.full((1, 2), 3.0)})
    order = np.array([3, 0, 2, 1])
    mixed = dataclasses.replace(
        bank, videos_M=bank.videos_M[order], times_M=bank.times_M[order], features_MD=bank.features_MD[order]
    )
    found = open_banks([write_bank(tmp_path / "mixed.pt", mixed)])
    spec = FeatureBankSpec(window_s=4, max_per_second=2, num_hidden=2)
    for video_id in "ab":
        wanted = bank.window(video_id, timestamp_us=0, spec=spec)
        assert np.array_equal(found.videos[video_id].window(video_id, timestamp_us=0, spec=spec), wanted)
