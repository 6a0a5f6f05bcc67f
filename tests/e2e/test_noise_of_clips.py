"""A clip recipe trained on each fold scores every clip that it did not see, and goes on where it was cut."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gesta.cli.noise_clips import RecipeRun, recipe_scorer
from gesta.curate.noise.folds import read_scored_labels, run_folds
from gesta.curate.noise.issues import run_issues
from gesta.schema import Clip, Kept, LabelClass, Video
from gesta.tables import frame_of, made_by, read_table, table_path, write_table
from gesta.train.clips import recipes
from gesta.world import render_motions

CONTROLS = ("doing push-ups", "holding an umbrella", "riding a scooter")
"""Classes that one frame tells, so that a few clips teach them."""


def put(work: Path, table: str, rows: list) -> None:
    write_table(table_path(work, table), table, frame_of(table, rows), made_by=made_by("test", arguments={}, inputs={}))


def noisy_world(work: Path) -> dict[str, int]:
    """The true class of each clip; every eighth is labelled with the next class."""
    render_motions(work, seed=5, num_videos=24, classes=CONTROLS, workers=1)
    truth = {
        row["video_id"]: (CONTROLS.index(row["title"]) + 1, row["path"])
        for row in read_table(work, "truth_videos").iter_rows(named=True)
    }
    put(work, "label_map", [LabelClass(class_id=n, name=name) for n, name in enumerate(CONTROLS, start=1)])
    rows = [
        Video(
            video_id=name, path=path, sha256="0" * 64, size_bytes=1, container="mp4", codec="h264", width_px=96,
            height_px=72, rotation_deg=0, fps_num=15, fps_den=1, is_vfr=False, num_frames=24, start_us=0,
            duration_us=1_600_000, has_audio=False,
        )
        for name, (_, path) in truth.items()
    ]  # fmt: skip
    put(work, "videos", rows)
    put(work, "clips", [Clip(clip_id=name, video_id=name, start_us=0, end_us=1_600_000) for name in truth])
    labels = {
        name: class_id % 3 + 1 if n % 8 == 0 else class_id for n, (name, (class_id, _)) in enumerate(truth.items())
    }
    put(work, "kept", [Kept(clip_id=name, video_id=name, class_id=class_id) for name, class_id in labels.items()])
    return {name: class_id for name, (class_id, _) in truth.items()}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_recipe_scores_what_it_did_not_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = dataclasses.replace(recipes.find_clip_recipe("frame_r18_world"), epochs=1)
    monkeypatch.setitem(recipes.CLIP_RECIPES, quick.name, lambda: quick)
    truth = noisy_world(tmp_path)
    run = RecipeRun(recipe=quick.name, seed=0, device="cpu", num_workers=0, threads=1, start=None, caches=True)
    scorer, done = recipe_scorer(tmp_path, run=run), []

    def cut(fold):
        if len(done) == 1:
            done.append("cut")
            raise KeyboardInterrupt
        done.append(fold.number)
        return scorer(fold)

    with pytest.raises(KeyboardInterrupt):
        run_folds(tmp_path, scorer=cut, classifier={"recipe": quick.name}, num_folds=3)
    summary = run_folds(tmp_path, scorer=cut, classifier={"recipe": quick.name}, num_folds=3)
    assert done == [0, "cut", 1, 2]
    assert (summary.kept, summary.rejected) == (24, {})
    scored = read_scored_labels(tmp_path)
    assert scored.class_ids == (1, 2, 3)
    np.testing.assert_allclose(scored.scores_NK.sum(axis=1), 1, atol=1e-5)
    # Three models, each trained from the same weights on other clips, do not say the same of all.
    assert len(np.unique(scored.scores_NK[:, 0])) > 12
    assert not list((tmp_path / "noise" / "folds").iterdir())
    assert run_issues(tmp_path, rule="argmax").kept == len(read_table(tmp_path, "label_issues"))
    assert set(truth) == set(scored.rows["clip_id"])
