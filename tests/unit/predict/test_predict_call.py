"""`gesta.predict(...)`, and what is written of persons: JSON against a golden, rows, resumed folders."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from tests.unit.predict.persons_stand_in import NAMES, SQUARES, TimedSource, find_squares, scorer_of, write_film

import gesta
from gesta.detect import DETECTORS
from gesta.formats.ava import read_ava_csv
from gesta.predict.call import Prediction
from gesta.predict.streams.drive import Eyes
from gesta.predict.streams.rows import CSV_COLUMNS
from gesta.predict.videos import run_predict
from gesta.predict.watching import Views, run_watch, stem_of
from gesta.schema import BadInput, BadVideo, Refused, UnknownName

GOLDEN = Path(__file__).parents[2] / "golden" / "person_stream"


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    (folder / "deep").mkdir()
    write_film(folder / "a.mp4")
    write_film(folder / "deep" / "b.mp4", fps="25", seconds=1.2)
    write_film(folder / "c.mkv", fps="10", seconds=0.4)
    return folder


@pytest.fixture
def squares(monkeypatch):
    monkeypatch.setitem(DETECTORS, "hog", lambda weights: SQUARES)


def test_the_room_can_be_called_and_gives_moments_then_persons(films):
    prediction = gesta.predict(films / "a.mp4", model=scorer_of(), detector=SQUARES, stride_s=0.5)
    assert isinstance(prediction, Prediction)
    assert prediction.class_names == NAMES
    moments = list(prediction)
    assert [moment.time_s for moment in moments] == [0.25, 0.75, 1.25, 1.75, 2.25, 2.75]
    person = moments[0].persons[0]
    assert list(person.actions) == sorted(person.actions, key=person.actions.get, reverse=True)
    assert person.top(1, min_score=0.99) == []
    assert list(prediction) == []
    assert [story.person_id for story in prediction.persons()] == [0, 1]
    assert prediction.as_json()["video"]["num_frames"] == 36


def test_other_names_of_the_package_are_as_ever():
    with pytest.raises(AttributeError, match="module 'gesta' has no attribute 'prediction'"):
        _ = gesta.prediction
    assert gesta.predict.run_predict is run_predict


def test_what_cannot_be_predicted_is_said(films, tmp_path):
    with pytest.raises(BadInput, match="labels whole clips and knows no persons"):
        gesta.predict(films / "a.mp4", model="i3d-rgb-k400")
    with pytest.raises(BadInput, match="there is no such checkpoint"):
        gesta.predict(films / "a.mp4", model=tmp_path / "model.pt")
    with pytest.raises(BadInput, match="stride_s=0"):
        gesta.predict(films / "a.mp4", model=scorer_of(), stride_s=0)
    with pytest.raises(UnknownName, match="no recipe 'slow'"):
        gesta.predict(films / "a.mp4", model=tmp_path / "w.pyth", recipe="slow")
    with pytest.raises(BadInput, match="there is no such file of weights"):
        gesta.predict(films / "a.mp4", model=tmp_path / "w.pyth", recipe="slowfast_small_world")


def golden_source() -> TimedSource:
    """Two squares for 2.2 s at 10 frames a second; the second one hides from 0.9 s to 1.3 s."""
    from tests.unit.predict.persons_stand_in import picture_at

    def picture(time_us):
        return picture_at(time_us, is_there=lambda who, at_us: who == 0 or not 900_000 <= at_us < 1_300_000)

    return TimedSource([number * 100_000 for number in range(22)], 2_200_000, picture=picture)


def test_the_json_is_the_golden_one():
    import threading

    eyes = Eyes(detector=find_squares, min_score=0.5, stride_us=500_000)
    made = Prediction(
        source=golden_source(), scorer=scorer_of(), eyes=eyes, min_score=0.3, _stop=threading.Event()
    ).as_json()
    wanted = json.loads((GOLDEN / "two_squares.json").read_text())
    assert json.loads((GOLDEN / "about.json").read_text()).keys() == {"program", "rule", "versions"}
    assert made["classes"] == wanted["classes"]
    assert made["video"] == wanted["video"]
    assert [person["boxes"] for person in made["persons"]] == [person["boxes"] for person in wanted["persons"]]
    assert any(box["interpolated"] for box in wanted["persons"][1]["boxes"])
    for person, other in zip(made["persons"], wanted["persons"], strict=True):
        for row, its in zip(person["actions"], other["actions"], strict=True):
            assert row.pop("scores") == pytest.approx(its.pop("scores"), abs=2e-6)
            assert row == its
        for row, its in zip(person["intervals"], other["intervals"], strict=True):
            assert row.pop("mean_score") == pytest.approx(its.pop("mean_score"), abs=2e-6)
            assert row == its


def test_rows_say_what_the_json_says(films, tmp_path, squares):
    run_predict(scorer_of(), videos=films / "a.mp4", out=tmp_path, rows=("jsonl", "csv", "ava"), draws=False)
    result = json.loads((tmp_path / "a.json").read_bytes())
    wanted = {
        (row["timestamp_us"], person["person_id"], class_id): score
        for person in result["persons"]
        for row in person["actions"]
        for class_id, score in zip((3, 7), row["scores"], strict=True)
    }
    with (tmp_path / "a.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == CSV_COLUMNS
    found = {
        (round(float(row["time_s"]) * 1e6), int(row["person_id"]), int(row["class_id"])): float(row["score"])
        for row in rows
    }
    assert found == {key: score for key, score in wanted.items() if score >= 0.3}
    ava = read_ava_csv(tmp_path / "a.ava.csv", column_8="score")
    assert set(ava["video_id"]) == {"a"}
    assert sorted(ava["score"]) == sorted(wanted.values())
    head, *lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert head["kind"] == "source"
    assert [line["timestamp_us"] for line in lines] == [500_000, 1_500_000, 2_500_000]
    assert lines[0]["persons"][0]["actions"] == {
        name: wanted[500_000, 0, class_id]
        for class_id, name in sorted(zip((3, 7), NAMES, strict=True), key=lambda pair: -wanted[500_000, 0, pair[0]])
        if wanted[500_000, 0, class_id] >= 0.3
    }


def test_an_unknown_kind_of_rows_is_said(films, tmp_path):
    with pytest.raises(UnknownName, match=r"no kind of rows 'xml'.*ava, csv, jsonl"):
        run_predict(scorer_of(), videos=films, out=tmp_path, rows=("xml",))


def test_a_folder_shares_batches_and_says_of_each_file_what_it_says_alone(films, tmp_path, squares):
    import dataclasses

    scorer, sizes = scorer_of(), []

    def score(views):
        sizes.append(len(views))
        return scorer.score(views)

    counting = dataclasses.replace(scorer, score=score)
    summary = run_predict(counting, videos=films, out=tmp_path / "all", draws=False)
    assert summary.kept == 3
    assert sizes == [5]
    for name in ("a.mp4", "c.mkv", "deep/b.mp4"):
        run_predict(scorer, videos=films / name, out=tmp_path / "one", draws=False)
        paths = (tmp_path / "one" / Path(name).name, tmp_path / "all" / name)
        one, both = (json.loads(path.with_suffix(".json").read_bytes()) for path in paths)
        assert one["persons"] == both["persons"]


def test_a_killed_run_goes_on_behind_the_last_finished_file(films, tmp_path, squares):
    import dataclasses

    folder = tmp_path / "in"
    shutil.copytree(films, folder)
    (folder / "b_broken.mp4").write_bytes(b"no film")
    scorer, num_calls = scorer_of(), [0]

    def dies(views):
        num_calls[0] += 1
        if num_calls[0] > 1:
            raise KeyboardInterrupt
        return scorer.score(views)

    # One view a batch and moments every 0.4 s: it dies within the second batch, in the first file.
    killed = dataclasses.replace(scorer, score=dies)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run_predict(killed, videos=folder, out=out, stride_s=0.3, rows=("csv",), draws=False)
    assert not list(out.rglob("*.json")) + list(out.rglob("*.tmp*")) + list(out.rglob("*.csv"))
    first = run_predict(scorer, videos=folder, out=out, stride_s=0.3, rows=("csv",), draws=False)
    assert (first.kept, first.was_current, sum(first.rejected.values())) == (3, False, 1)
    (out / "deep" / "b.csv").unlink()
    seen = []
    again = run_predict(
        dataclasses.replace(scorer, score=lambda views: seen.append(len(views)) or scorer.score(views)),
        videos=folder, out=out, stride_s=0.3, rows=("csv",), draws=False,
    )  # fmt: skip
    assert sum(seen) == 4
    assert not again.was_current
    assert again.outputs == first.outputs
    assert run_predict(scorer, videos=folder, out=out, stride_s=0.3, rows=("csv",), draws=False).was_current


def test_images_are_one_source_of_a_run(tmp_path, squares):
    import cv2

    (tmp_path / "shots").mkdir()
    for number in range(8):
        from tests.unit.predict.persons_stand_in import picture_at

        cv2.imwrite(str(tmp_path / "shots" / f"{number}.png"), picture_at(number * 250_000)[..., ::-1])
    summary = run_predict(scorer_of(), videos=tmp_path / "shots", out=tmp_path / "out", fps=4)
    assert set(summary.outputs) == {"shots.json", "shots.mp4"}
    assert run_predict(scorer_of(), videos=tmp_path / "shots", out=tmp_path / "out", fps=4).was_current
    cv2.imwrite(str(tmp_path / "shots" / "8.png"), picture_at(0)[..., ::-1])
    assert not run_predict(scorer_of(), videos=tmp_path / "shots", out=tmp_path / "out", fps=4).was_current


def test_a_file_that_somebody_watches_is_played_and_written_row_by_row(films, tmp_path, squares):
    links, moments = [], []
    summary = run_watch(
        scorer_of(), source=films / "deep" / "b.mp4", out=tmp_path, stride_s=0.5,
        views=Views(draws=True, serve="127.0.0.1:0", on_link=links.append), rows=("jsonl", "csv"),
        on_moment=moments.append,
    )  # fmt: skip
    assert set(summary.outputs) == {"b.jsonl", "b.csv", "b.mp4"}
    assert summary.kept == len(moments)
    assert links[0].startswith("http://127.0.0.1:")
    lines = (tmp_path / "b.jsonl").read_text().splitlines()
    assert len(lines) == 1 + len(moments)
    assert json.loads(lines[-1])["latency_us"] >= 0
    with pytest.raises(Refused, match=r"b\.jsonl: rows of an earlier run are here"):
        run_watch(scorer_of(), source=films / "deep" / "b.mp4", out=tmp_path, views=Views(serve="127.0.0.1:0"))


def test_a_source_that_nobody_watches_is_read_as_fast_as_it_goes(films, tmp_path, squares):
    summary = run_watch(scorer_of(), source=films / "a.mp4", out=tmp_path)
    assert summary.as_json()["persons"] == 2
    assert summary.as_json()["most_latency_us"] is None
    assert (tmp_path / "a.jsonl").is_file()


def test_a_file_without_a_frame_to_show_is_said(tmp_path, squares):
    (tmp_path / "x.mp4").write_bytes(b"nothing")
    with pytest.raises(BadVideo, match="is no video"):
        run_predict(scorer_of(), videos=tmp_path / "x.mp4", out=tmp_path / "out")
    assert stem_of("http://host/live/a.m3u8") == "http-host-live-a.m3u8"
