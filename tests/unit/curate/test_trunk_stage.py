"""Copies by one vector a clip: what stays, class by class and over all, at any threshold and after reviews."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gesta.cli import main
from gesta.curate.clip_features import write_clip_vectors
from gesta.curate.trunk_stage import min_cosine_of_trunk, run_curate_by_trunk
from gesta.schema import BadInput, Clip, ClipLabel, ClipReview, LabelClass, SplitRow, UnknownName, Video
from gesta.tables import frame_of, made_by, read_rejects, read_table, table_path, write_table

by_hand = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("footage_by_hand.py"))))

MADE = made_by("test", arguments={}, inputs={})
ANGLES = {"a": 0, "b": 8, "c": 16, "d": 90, "e": 95, "f": 45}
"""Degrees of each video's clip in the plane: b is near a and c, which are a chain (cos 8 = 0.990, cos 16 = 0.961)."""


def put(folder, table, rows):
    write_table(table_path(folder, table), table, frame_of(table, rows), made_by=MADE)


def video(name, *, path=None, digest=0):
    return Video(
        video_id=name, path=path or f"{name}.mp4", sha256=f"{digest:064d}", size_bytes=1, container="mp4",
        codec="h264", width_px=192, height_px=144, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False,
        num_frames=50, start_us=0, duration_us=2_000_000, has_audio=False,
    )  # fmt: skip


def at(*degrees):
    turned = np.radians(degrees)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


def made(work, *, clips, labels):
    """Clips {id: (video, degrees)} and labels {(clip, class): positives}; the vectors in `work/vectors.npy`."""
    put(work, "videos", [video(name) for name in sorted({name for name, _ in clips.values()})])
    ordered = [Clip(clip_id=c, video_id=v, start_us=0, end_us=2_000_000) for c, (v, _) in clips.items()]
    put(work, "clips", ordered)
    put(work, "label_map", [LabelClass(class_id=1, name="skiing"), LabelClass(class_id=2, name="diving")])
    rows = [
        ClipLabel(clip_id=c, class_id=k, verdict="accepted", num_yes=n, num_no=0, num_unsure=0, num_broken=0)
        for (c, k), n in labels.items()
    ]
    put(work, "clip_labels", rows)
    write_clip_vectors(work / "vectors.npy", list(clips), at(*(degrees for _, degrees in clips.values())))
    return work


@pytest.fixture
def work(tmp_path):
    """One clip a video; a, b, c and d ski, d, e and f dive."""
    clips = {name: (name.upper(), degrees) for name, degrees in ANGLES.items()}
    skiing, diving = dict.fromkeys("abcd", 1), dict.fromkeys("def", 2)
    labels = {(c, k): 3 for those in (skiing, diving) for c, k in those.items()}
    return made(tmp_path, clips=clips, labels=labels)


def run(work, **options):
    return run_curate_by_trunk(work, features=work / "vectors.npy", workers=1, **options)


def kept(work):
    return {class_id: set(part["clip_id"]) for (class_id,), part in read_table(work, "kept").group_by("class_id")}


def test_a_chain_is_one_component_of_which_one_stays_and_its_least_cosine_is_told(work):
    summary = run(work)
    assert summary.numbers["num_chains"] == 1
    assert summary.rejected == {"duplicate": 3}
    (chain, pair) = read_table(work, "components").rows(named=True)
    assert (chain["num_clips"], chain["num_pairs"], chain["class_id"]) == (3, 2, 1)
    assert chain["least_cosine"] == pytest.approx(np.cos(np.radians(16)), abs=1e-5)
    assert chain["least_cosine"] < chain["min_cosine"] == 0.97
    assert (pair["num_clips"], pair["class_id"]) == (2, 2)
    assert {c: len(those) for c, those in kept(work).items()} == {1: 2, 2: 2}
    assert {"d"} < kept(work)[1]
    assert chain["kept_clip_id"] in kept(work)[1]
    duplicates = read_table(work, "duplicates")
    assert duplicates.select("clip_id_a", "clip_id_b").rows() == [("a", "b"), ("b", "c"), ("d", "e")]
    assert duplicates["cluster"].to_list() == [0, 0, 1]
    assert set(duplicates["num_inliers"]) == {0}


def test_it_is_done_once_and_again_when_the_vectors_change(work):
    run(work)
    assert run(work).was_current
    assert not run(work, seed=1).was_current
    write_clip_vectors(work / "vectors.npy", list(ANGLES), at(0, 50, 100, 150, 200, 250))
    assert not run(work, seed=1).was_current
    assert not len(read_table(work, "duplicates"))


def test_a_class_may_have_a_threshold_of_its_own(work):
    run(work, min_cosine_of={"skiing": 0.995})
    assert kept(work)[1] == {"a", "b", "c", "d"}
    assert len(kept(work)[2]) == 2
    run(work, min_cosine=0.999, min_cosine_of={"1": 0.5})
    assert len(kept(work)[1]) == 2, "an id names a class too"


def test_classes_are_kept_apart_unless_all_are_compared(work):
    clips = {"a": ("A", 0), "b": ("B", 1), "x": ("X", 90)}
    made(work, clips=clips, labels={("a", 1): 3, ("b", 2): 3, ("x", 1): 3})
    run(work)
    assert kept(work) == {1: {"a", "x"}, 2: {"b"}}
    run(work, across="all", keep="best")
    assert kept(work) == {1: {"a", "x"}}
    (row,) = read_table(work, "components").rows(named=True)
    assert (row["class_id"], row["num_classes"]) == (None, 2)
    run(work, across="all", min_cosine_of={"diving": 0.99999})
    assert kept(work) == {1: {"a", "x"}, 2: {"b"}}, "of two classes' thresholds the higher holds"


def test_two_clips_of_one_video_are_no_copies(work):
    made(work, clips={"a": ("A", 0), "b": ("A", 0)}, labels={("a", 1): 3, ("b", 2): 3})
    run(work, across="all")
    assert kept(work) == {1: {"a"}, 2: {"b"}}


def test_one_clip_a_video_is_drawn_before_clips_are_compared(work):
    clips = {"a1": ("A", 0), "a2": ("A", 45), "b": ("B", 0)}
    made(work, clips=clips, labels=dict.fromkeys([("a1", 1), ("a2", 1), ("b", 1)], 3))
    found = set()
    for seed in range(12):
        summary = run(work, seed=seed)
        assert summary.rejected["one-per-video"] == 1
        found.add((frozenset(kept(work)[1]), summary.rejected.get("duplicate", 0)))
    assert found == {(frozenset({"a1"}), 1), (frozenset({"b"}), 1), (frozenset({"a2", "b"}), 0)}


def test_the_best_one_stays_where_it_is_asked_for_and_a_drawn_one_otherwise(work):
    labels = {("a", 1): 3, ("b", 1): 5, ("c", 1): 4}
    made(work, clips={name: (name.upper(), ANGLES[name]) for name in "abc"}, labels=labels)
    drawn = set()
    for seed in range(20):
        run(work, seed=seed)
        (stays,) = kept(work)[1]
        drawn.add(stays)
    assert drawn == {"a", "b", "c"}
    run(work, keep="best")
    assert kept(work)[1] == {"b"}


def test_what_was_released_stays_first_and_that_of_test_before_that_of_train(work, tmp_path):
    release = tmp_path / "v1"
    release.mkdir()
    put(
        release,
        "splits",
        [SplitRow(clip_id="c", video_id="C", split="train"), SplitRow(clip_id="b", video_id="B", split="test")],
    )
    for seed in range(6):
        summary = run(work, release=release, seed=seed)
        assert kept(work)[1] == {"b", "d"}
    assert summary.numbers["num_components_across_splits"] == 1
    assert read_table(work, "components")["num_splits"].to_list() == [2, 0]


def review(work, said, *, item="i"):
    facts = {"num_workers": 1, "num_keep": 1}
    rows = read_table(work, "reviews").rows(named=True) if table_path(work, "reviews").is_file() else []
    rows = [ClipReview(**row) for row in rows]
    rows += [ClipReview(item_id=item, clip_id=c, kind="cluster", is_kept=stays, **facts) for c, stays in said.items()]
    put(work, "reviews", rows)


@pytest.mark.parametrize("min_cosine", [0.9, 0.95, 0.97, 0.985])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_people_decided_holds_at_any_threshold(work, min_cosine, seed):
    review(work, {"a": True, "b": False, "c": True})
    run(work, min_cosine=min_cosine, seed=seed)
    assert kept(work)[1] == {"a", "c", "d"}, "they saw that a and c are not the same"
    detail = read_rejects(work).filter(clip_id="b")["detail"].to_list()
    assert detail == ["class 1: people who reviewed it took it out"]
    assert run(work, min_cosine=min_cosine, seed=seed).was_current


def test_a_copy_that_comes_later_goes_for_what_people_decided(work):
    """x is like b, which people took out for a; y like c, which they kept."""
    clips = {name: (name.upper(), ANGLES[name]) for name in "abc"} | {"x": ("X", 5), "y": ("Y", 23)}
    made(work, clips=clips, labels={(name, 1): 3 for name in clips})
    review(work, {"a": True, "b": False, "c": True})
    for seed in range(4):
        run(work, min_cosine=0.99, seed=seed)
        assert kept(work)[1] == {"a", "c"}
    details = read_rejects(work).filter(reason="duplicate").sort("clip_id")["detail"].to_list()
    assert details[-1] == "class 1: a copy of clip c"


def test_people_s_choice_is_drawn_first_among_a_video_s_clips(work):
    clips = {f"a{n}": ("A", 40 * n) for n in range(8)}
    made(work, clips=clips, labels={(name, 1): 3 for name in clips})
    review(work, {"a5": True})
    for seed in range(4):
        run(work, seed=seed)
        assert kept(work)[1] == {"a5"}


def test_wrong_choices_are_refused(work):
    with pytest.raises(UnknownName, match="no class 'swimming'"):
        run(work, min_cosine_of={"swimming": 0.9})
    with pytest.raises(UnknownName, match="no way to compare 'some'"):
        run(work, across="some")
    with pytest.raises(UnknownName, match="no rule of what stays 'first'"):
        run(work, keep="first")
    with pytest.raises(BadInput, match=r"min_cosine=1\.5\. Want above 0 and at most 1"):
        run(work, min_cosine_of={"skiing": 1.5})
    with pytest.raises(BadInput, match=r"Want \.npy or \.parquet"):
        run_curate_by_trunk(work, features=work / "vectors.txt")
    write_clip_vectors(work / "vectors.npy", ["z"], at(0))
    with pytest.raises(BadInput, match="the features of none of the clips"):
        run(work)


def test_a_clip_without_features_is_rejected(work):
    write_clip_vectors(work / "vectors.npy", list("abcde"), at(*list(ANGLES.values())[:5]))
    assert run(work).rejected["no-features"] == 1
    assert "f" not in kept(work)[2]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 359), min_size=2, max_size=12), st.sampled_from([0.9, 0.97, 0.999]))
def test_one_of_each_component_stays_as_a_plain_reading_has_it(tmp_path_factory, degrees, min_cosine):
    work = tmp_path_factory.mktemp("law")
    names = [f"c{n:02d}" for n in range(len(degrees))]
    made(
        work, clips={n: (n.upper(), d) for n, d in zip(names, degrees, strict=True)}, labels={(n, 1): 3 for n in names}
    )
    run(work, min_cosine=min_cosine)
    group = {name: {name} for name in names}
    vectors = at(*degrees).astype(np.float64)
    for i, one in enumerate(names):
        for j, other in enumerate(names[:i]):
            if vectors[i] @ vectors[j] >= min_cosine:
                joined = group[one] | group[other]
                group.update(dict.fromkeys(joined, joined))
    stays = kept(work)[1]
    assert all(len(members & stays) == 1 for members in group.values())
    assert len(read_table(work, "components")) == len({min(g) for g in group.values() if len(g) > 1})
    for row in read_table(work, "components").iter_rows(named=True):
        places = [names.index(name) for name in group[row["kept_clip_id"]]]
        assert row["least_cosine"] == pytest.approx((vectors[places] @ vectors[places].T).min(), abs=2e-6)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    by_hand.write(folder / "one.mp4", by_hand.film(1, 1))
    by_hand.write(folder / "one_mirrored.mp4", by_hand.flipped(by_hand.film(1, 1)))
    by_hand.write(folder / "other.mp4", by_hand.film(2, 2))
    (folder / "broken.mp4").write_text("not a video")
    return folder


@pytest.fixture
def filmed(files, tmp_path):
    names = ["one", "one_mirrored", "other", "broken"]
    put(tmp_path, "videos", [video(name, path=str(files / f"{name}.mp4"), digest=n) for n, name in enumerate(names)])
    clips = [Clip(clip_id=f"{name}-0", video_id=name, start_us=0, end_us=2_000_000) for name in names]
    put(tmp_path, "clips", clips)
    put(tmp_path, "label_map", [LabelClass(class_id=1, name="skiing")])
    put(tmp_path, "clip_labels", [accepted(clip) for clip in clips])
    return tmp_path


def accepted(clip):
    return ClipLabel(
        clip_id=clip.clip_id, class_id=1, verdict="accepted", num_yes=3, num_no=0, num_unsure=0, num_broken=0
    )


def test_vectors_of_a_trunk_are_made_once_and_new_clips_added(filmed, monkeypatch):
    counted = []
    summary = run_curate_by_trunk(filmed, trunk="perceptual-hash", workers=1, on_rows=counted.append)
    assert (summary.kept, summary.rejected["duplicate"], sum(counted)) == (2, 1, 4)
    (broken,) = read_rejects(filmed).filter(clip_id="broken-0").rows(named=True)
    assert broken["path"].endswith("broken.mp4")
    assert not (filmed / "shards" / "curate").exists()
    first = {path.name: path.read_bytes() for path in (filmed / "clip_vectors").iterdir()}

    counted.clear()
    run_curate_by_trunk(filmed, trunk="perceptual-hash", workers=1, seed=5, on_rows=counted.append)
    assert counted == [], "another seed costs no pass over the videos"
    clips = read_table(filmed, "clips").rows(named=True)
    put(
        filmed,
        "clips",
        [*(Clip(**row) for row in clips), Clip(clip_id="late", video_id="other", start_us=0, end_us=900_000)],
    )
    labels = [ClipLabel(**row) for row in read_table(filmed, "clip_labels").rows(named=True)]
    labels.append(
        ClipLabel(clip_id="late", class_id=1, verdict="accepted", num_yes=3, num_no=0, num_unsure=0, num_broken=0)
    )
    put(filmed, "clip_labels", labels)
    summary = run_curate_by_trunk(filmed, trunk="perceptual-hash", workers=1, on_rows=counted.append)
    assert sum(counted) == 1, "only the new clip is read"
    assert summary.rejected["one-per-video"] == 1
    again = {path.name: path.read_bytes() for path in (filmed / "clip_vectors").iterdir()}
    assert first.keys() == again.keys()


def test_a_cropped_copy_is_found_by_parts_and_is_no_chain(filmed):
    by_hand.write(filmed / "cut.mp4", by_hand.cropped(by_hand.film(1, 1)))
    videos = [Video(**row) for row in read_table(filmed, "videos").rows(named=True)]
    clips = [Clip(**row) for row in read_table(filmed, "clips").rows(named=True)]
    cut = Clip(clip_id="cut-0", video_id="cut", start_us=0, end_us=2_000_000)
    put(filmed, "videos", [*videos, video("cut", path="cut.mp4", digest=9)])
    put(filmed, "clips", [*clips, cut])
    put(filmed, "clip_labels", [accepted(clip) for clip in (*clips, cut)])
    assert run_curate_by_trunk(filmed, trunk="perceptual-hash", crops=False, workers=1).kept == 3
    summary = run_curate_by_trunk(filmed, trunk="perceptual-hash", workers=1)
    assert summary.kept == 2
    (group,) = read_table(filmed, "components").rows(named=True)
    assert group["num_clips"] == 3
    assert group["least_cosine"] > group["min_cosine"] == 0.7
    assert summary.numbers["num_chains"] == 0
    with pytest.raises(BadInput, match="the trunk sketch has no vectors of parts"):
        run_curate_by_trunk(filmed, trunk="sketch", crops=True)


def test_more_workers_give_the_same_bytes(filmed):
    run_curate_by_trunk(filmed, trunk="perceptual-hash", workers=1)
    before = {path.name: path.read_bytes() for path in filmed.rglob("*.*") if path.is_file()}
    for path in (filmed / "clip_vectors").iterdir():
        path.unlink()
    table_path(filmed, "kept").unlink()
    run_curate_by_trunk(filmed, trunk="perceptual-hash", workers=2)
    assert before == {path.name: path.read_bytes() for path in filmed.rglob("*.*") if path.is_file()}


def test_features_by_windows_are_averaged_inside_a_clip(tmp_path):
    import polars as pl

    from gesta.curate.vectors_at_hand import feature_vectors

    times = {"start_us": [0, 10, 20, 30], "end_us": [10, 20, 30, 40]}
    windows = pl.DataFrame({"video_id": ["v"] * 4, **times, "vector": [[1.0], [2.0], [4.0], [9.0]]})
    windows.write_parquet(tmp_path / "f.parquet")
    spans = {"start_us": [0, 32, 0], "end_us": [20, 33, 5]}
    clips = pl.DataFrame({"clip_id": list("abc"), "video_id": ["v", "v", "w"], **spans, "path": ["p"] * 3})
    found = feature_vectors(tmp_path / "f.parquet", clips)
    assert found.vectors_ND[found.row_of["a"]] == 1.5
    assert found.vectors_ND[found.row_of["b"]] == 9.0, "the nearest window where none has its middle inside"
    assert [reject.clip_id for reject in found.rejects] == ["c"]


def test_the_threshold_is_the_trunk_s_own():
    assert min_cosine_of_trunk("inception-v1") == min_cosine_of_trunk("timm:resnet50") == 0.97
    assert min_cosine_of_trunk("perceptual-hash") != 0.97


def test_the_verb(work):
    arguments = [
        "curate",
        str(work),
        "--features",
        str(work / "vectors.npy"),
        "--min-cosine-of",
        "skiing=0.995",
        "--json",
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert '"num_chains": 0' in result.output
    wrong = CliRunner().invoke(main, ["curate", str(work), "--trunk", "sketch", "--min-cosine-of", "skiing"])
    assert "write it like skiing=0.99" in wrong.output
    wrong = CliRunner().invoke(main, ["curate", str(work), "--across", "all"])
    assert "--across needs --trunk or --features" in wrong.output
    wrong = CliRunner().invoke(main, ["curate", str(work), "--trunk", "sketch", "--min-agreement", "0.5"])
    assert "--min-agreement is of the footage check" in wrong.output
