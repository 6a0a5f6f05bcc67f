"""`gesta predict` on images, streams and what cannot be opened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.unit.predict.persons_stand_in import SQUARES, scorer_of, write_film

from gesta.cli import main
from gesta.cli.predict import stopping
from gesta.detect import DETECTORS


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a film, and a model and a detector that stand in for trained ones."""
    import gesta.predict

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gesta.predict, "load_person_scorer", lambda *args, **kwargs: scorer_of())
    monkeypatch.setitem(DETECTORS, "hog", lambda weights: SQUARES)
    (tmp_path / "model.pt").touch()
    write_film(tmp_path / "film.mp4", seconds=1.5)
    return tmp_path


def run(*words):
    return CliRunner().invoke(main, ["predict", "model.pt", *words, "--out", "seen"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["camera:77"], "camera:77: there is no such camera here, or another program has it"),
        (["rtsp://a:b@127.0.0.1:9/x"], "rtsp://127.0.0.1:9/x: it cannot be opened"),
        (["gopher://host/x"], "no such kind of address 'gopher'"),
        (["film.mp4", "--retries", "2"], "film.mp4: --retries is for streams"),
        (["film.mp4", "--stop-after-s", "2"], "film.mp4: --stop-after-s is for streams"),
        (["film.mp4", "--fps", "30"], "it has its own frames a second"),
        (["film.mp4", "--top-k", "2"], "this model is of persons, and has no --top-k"),
        (["film.mp4", "--show"], "no window can be opened"),
        (["film.mp4", "--serve", "8765:x"], "'8765:x' is no address. Want HOST:PORT"),
        (["nowhere.mp4"], "there is no such file or folder"),
        (["shots/x_%d.png"], "no image fits"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(place, words, said):
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_model_of_clips_watches_no_stream(place):
    result = CliRunner().invoke(main, ["predict", "i3d-rgb-k400", "camera:0", "--out", "seen"])
    assert result.exit_code == 2
    assert "a model of whole clips labels files" in result.stderr
    result = CliRunner().invoke(main, ["predict", "i3d-rgb-k400", "film.mp4", "--out", "seen", "--rows", "csv"])
    assert "this model labels whole clips, and has no --rows" in result.stderr


def test_a_film_with_rows_and_without_a_video(place):
    result = run("film.mp4", "--rows", "csv", "--rows", "ava", "--no-video", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["outputs"] == ["film.json", "film.csv", "film.ava.csv"]
    assert not (place / "seen" / "film.mp4").exists()


def test_a_page_plays_a_film_and_says_where_it_is(place):
    result = run("film.mp4", "--serve", "127.0.0.1:0", "--json")
    assert result.exit_code == 0, result.output
    assert "The page is at http://127.0.0.1:" in result.stderr
    assert "Watching film.mp4; Ctrl-C stops and writes what was seen" in result.stderr
    assert json.loads(result.stdout)["outputs"] == ["film.jsonl"]


def test_a_dry_run_opens_nothing(place):
    result = run("rtsp://127.0.0.1:9/x", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "would look for bright, red in 1 videos and write to seen" in result.stdout
    assert not (place / "seen").exists()


def test_the_first_signal_stops_and_the_second_one_ends():
    before = signal.getsignal(signal.SIGTERM)
    with stopping(None) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(5)
        assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGTERM) == before
    with stopping(0.01) as stop:
        assert stop.wait(5)


WATCH = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
import gesta.predict
from gesta.detect import DETECTORS
from tests.unit.predict.persons_stand_in import SQUARES, scorer_of
gesta.predict.load_person_scorer = lambda *args, **kwargs: scorer_of()
DETECTORS["hog"] = lambda weights: SQUARES
from gesta.cli import main
main(sys.argv[1:], standalone_mode=True)
"""


def test_ctrl_c_writes_what_was_seen(place):
    write_film(place / "long.mp4", seconds=60)
    command = [
        "predict",
        "model.pt",
        "long.mp4",
        "--out",
        "seen",
        "--serve",
        "127.0.0.1:0",
        "--stride-s",
        "0.5",
        "--json",
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", WATCH, *command],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    rows = place / "seen" / "long.jsonl"
    deadline = time.monotonic() + 90
    while not (rows.is_file() and len(rows.read_text().splitlines()) >= 3):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    assert json.loads(out)["kept"] == len(lines) - 1 >= 3
    assert lines[-1]["end_us"] < 60_000_000
    ends = [line["start_us"] for line in lines[1:]]
    assert ends == sorted(set(ends))
