"""The service starts, says why it cannot, ends with its block, and goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.label import export_votes, running_server
from gesta.schema import GestaError, Gold, MissingTable
from gesta.tables import frame_of, read_table, write_table

from .conftest import PROVENANCE, WorkFolder


def _answer_all(url: str, worker_id: str, answer: str = "no") -> int:
    task = httpx.post(f"{url}/api/task", json={"worker_id": worker_id}, trust_env=False).json()["task"]
    answers = [{"item_id": item["item_id"], "answer": answer} for item in task["items"]]
    body = {"worker_id": worker_id, "idempotency_key": f"key-{task['task_id']}", "answers": answers}
    return httpx.post(f"{url}/api/votes", json=body, trust_env=False).json()["num_accepted"]


def test_it_ends_with_its_block_and_leaves_no_thread(work_folder: WorkFolder) -> None:
    before = set(threading.enumerate())
    with running_server(work_folder()) as server:
        assert httpx.get(f"{server.url}/api/progress", trust_env=False).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/api/progress", trust_env=False)
    assert set(threading.enumerate()) <= before


def test_it_ends_when_its_block_raises(work_folder: WorkFolder) -> None:
    with pytest.raises(RuntimeError, match="ours"), running_server(work_folder()) as server:
        raise RuntimeError("ours")
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url, trust_env=False)


def test_a_taken_port_is_said_to_be(work_folder: WorkFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(GestaError, match=f"127.0.0.1:{port}: cannot listen there .* Choose another --port"),
            running_server(work_folder(), port=port),
        ):
            pass


def test_without_items_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(MissingTable, match="no table 'label_map'"), running_server(tmp_path):
        pass


def test_it_goes_on_where_it_stopped(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=4)
    with running_server(work) as server:
        assert _answer_all(server.url, "ann") == 4
    with running_server(work) as server:
        found = httpx.post(f"{server.url}/api/task", json={"worker_id": "ann"}, trust_env=False).json()
        assert found["status"] == "done"
        assert _answer_all(server.url, "bob") == 4
    export_votes(work)
    assert read_table(work, "votes")["worker_id"].to_list() == ["ann"] * 4 + ["bob"] * 4


def test_an_empty_log_is_an_empty_table(work_folder: WorkFolder) -> None:
    work = work_folder()
    summary = export_votes(work)
    assert (summary.kept, len(read_table(work, "votes"))) == (0, 0)
    assert export_votes(work).was_current


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_verb_serves_until_it_is_stopped_and_then_exports(work_folder: WorkFolder, number: signal.Signals) -> None:
    work = work_folder(num_clips=3)
    (work / "gold.csv").write_text("item_id,answer\nclip:c00:1,no\n")
    command = [sys.executable, "-W", "error", "-c", "from gesta.cli import main; main()", "label", str(work)]
    options = ["--port", "0", "--gold", str(work / "gold.csv"), "--json"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("The label page is at http://127.0.0.1:"), line
        assert _answer_all(line.split()[5], "ann") == 3
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    assert err == ""
    assert json.loads(out)["num_votes"] == 3
    votes = read_table(work, "votes")
    assert votes.filter("is_gold")["item_id"].to_list() == ["clip:c00:1"]


def test_the_verb_exports_without_serving(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=2)
    result = CliRunner().invoke(main, ["label", str(work), "--export"])
    assert result.exit_code == 0, result.output
    assert "label: kept 2, rejected 0" in result.output
    assert len(read_table(work, "votes")) == 0


def test_the_verb_simulates_a_crowd(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=5)
    rows = [Gold(item_id=item_id, answer="no") for item_id in read_table(work, "items")["item_id"]]
    write_table(work / "answers.parquet", "gold", frame_of("gold", rows), made_by=PROVENANCE)
    options = ["--simulate", str(work / "answers.parquet"), "--crowd-size", "6", "--seed", "7", "--json"]
    result = CliRunner().invoke(main, ["label", str(work), *options])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.output)
    assert (summary["num_open"], summary["num_rejected"]) == (0, 5)
    assert summary["num_votes"] >= 15


def test_the_verb_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["label", str(tmp_path)])
    assert result.exit_code == 2
    assert "there is no table 'candidates' here. Run `gesta mine` first" in result.output
