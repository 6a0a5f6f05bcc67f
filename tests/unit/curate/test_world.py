"""Planted duplicates of a rendered world."""

import pytest

from gesta.curate import run_curate
from gesta.import_.folder import run_import_folder
from gesta.mine import run_mine
from gesta.tables import empty_frame, made_by, read_table, table_path, write_table
from gesta.world import render_world, score_duplicates


@pytest.mark.slow
@pytest.mark.parametrize("seed", [31, 32])
def test_planted_duplicates_are_found_and_nothing_else_is_merged(tmp_path, seed):
    world, work = tmp_path / "world", tmp_path / "work"
    work.mkdir()
    render_world(world, seed=seed, num_videos=60)
    run_import_folder(work, folder=world / "videos")
    run_mine(work, actions=world / "actions.txt", clip_s=3, unmatched="all")
    made = made_by("test", arguments={}, inputs={})
    write_table(table_path(work, "clip_labels"), "clip_labels", empty_frame("clip_labels"), made_by=made)
    run_curate(work)
    score = score_duplicates(world, duplicates=read_table(work, "duplicates"), clips=read_table(work, "clips"))
    assert score.num_false_merges == 0
    assert score.num_found >= 0.9 * score.num_planted
