"""Studies: nested subsets, counts as they are given, a cut study that goes on to the same scores."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.predict.study import Setting, checked_counts, study_samples_per_class, study_transfer, subset_of
from gesta.schema import BadInput
from gesta.train.clips.augment import ClipAugment
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.recipe import ClipRecipe
from gesta.train.clips.sets import ClipExample, clip_set, sub_set

RECIPE = ClipRecipe(
    name="tiny", model="frame_r18_small", frames=ClipFrames(num_frames=1, side_px=18, side="short", crop_px=16),
    augment=ClipAugment(flip=False), epochs=2, clips_per_batch=4, base_lr=0.05, precision="float32", compile="off",
    per_class=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two classes of six clips, one picture each."""
    home, examples, rng = tmp_path_factory.mktemp("pictures"), [], np.random.default_rng(0)
    for number in range(12):
        folder = home / f"v{number}"
        folder.mkdir()
        picture = rng.integers(0, 128, (18, 20, 3), dtype=np.uint8) + np.uint8(100 * (number % 2))
        cv2.imwrite(str(folder / "000.png"), picture)
        examples.append(
            ClipExample(clip_id=f"c{number}", video_id=folder.name, path=folder, start_us=0, end_us=40_000,
                        label=number % 2)
        )  # fmt: skip
    return clip_set(examples, classes={1: "dark", 2: "bright"})


@given(st.lists(st.integers(1, 2000), unique=True, min_size=1), st.booleans(), st.randoms())
def test_counts_ascend_and_all_comes_last(numbers, has_all, random):
    words = [str(number) for number in numbers] + (["all"] if has_all else [])
    random.shuffle(words)
    assert checked_counts(words) == (*sorted(numbers), *([None] if has_all else []))


@pytest.mark.parametrize("words", [["0"], ["-1"], ["1.5"], ["many"], [""], ["²"], ["1", " 1"], ["all", "all"], []])
def test_counts_that_are_none_are_refused(words):
    with pytest.raises(BadInput, match=r"a count is|the counts are"):
        checked_counts(words)


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 99))
def test_smaller_subsets_lie_within_larger_ones(clips, one, other, seed):
    small, large = (subset_of(clips, count, seed=seed) for count in sorted((one, other)))
    assert {example.clip_id for example in small.examples} <= {example.clip_id for example in large.examples}
    assert len(small) == 2 * min(one, other, 6)
    assert subset_of(clips, None, seed=seed) is clips


class Cut(RuntimeError):
    pass


def test_a_cut_study_goes_on_to_the_same_scores(clips, tmp_path):
    tested = {"val": sub_set(clips, range(4))}

    def study(out, on_epoch=None):
        setting = Setting(recipe=RECIPE, device="cpu", threads=1, on_epoch=on_epoch)
        return study_samples_per_class(clips, tested=tested, out=out, counts=(2, None), setting=setting)

    epochs: list[int] = []

    def cut(num):
        epochs.append(num)
        if sum(epochs) == 3:  # the second model's first epoch is done
            raise Cut

    whole = study(tmp_path / "whole")
    assert [(run.name, run.num_clips, run.mean_per_class) for run in whole] == [("2", 4, 2.0), ("all", 12, 6.0)]
    made = [json.loads((run.model.parent / "train.json").read_text()) for run in whole]
    assert [one["numbers"]["num_clips"] for one in made] == [4, 12], "the recipe's own choice of clips has no say"
    with pytest.raises(Cut):
        study(tmp_path / "cut", cut)
    rest: list[int] = []
    again = study(tmp_path / "cut", rest.append)
    assert [run.was_current for run in again] == [True, False]
    assert sum(rest) == 4, "progress counts every epoch once"
    for one, other in zip(whole, again, strict=True):
        assert (one.scores["val"] / "scores.csv").read_bytes() == (other.scores["val"] / "scores.csv").read_bytes()


def test_nothing_to_study_is_said(clips, tmp_path):
    setting = Setting(recipe=RECIPE)
    with pytest.raises(BadInput, match="nothing to study"):
        study_samples_per_class(clips, tested={}, out=tmp_path, counts=(1,), setting=setting)
    with pytest.raises(BadInput, match="nothing to study"):
        study_samples_per_class(clips, tested={"val": clips}, out=tmp_path, counts=(), setting=setting)
    with pytest.raises(BadInput, match="no split to transfer to"):
        study_transfer(tmp_path / "model.pt", {}, out=tmp_path, setting=setting)
