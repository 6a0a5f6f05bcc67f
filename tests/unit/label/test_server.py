"""The service starts, says why it cannot, ends with its block, and goes on where it was."""

from __future__ import annotations

import json
import os
import re
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
from gesta.schema import ClipLabel, GestaError, Gold, MissingTable, Refused
from gesta.tables import frame_of, read_table, write_table

from .conftest import PROVENANCE, WorkFolder, write


def _client(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)


def _answer_all(client: httpx.Client, answer: str = "no") -> int:
    task = client.post("/api/task", json={}).json()["task"]
    answers = [{"slot": item["slot"], "answer": answer} for item in task["items"]]
    body = {"task_id": task["task_id"], "idempotency_key": f"key-{task['task_id']}", "answers": answers}
    return int(client.post("/api/answers", json=body).json()["num_accepted"])


def test_it_ends_with_its_block_and_leaves_no_thread(work_folder: WorkFolder) -> None:
    before = set(threading.enumerate())
    with running_server(work_folder()) as server:
        assert httpx.get(server.url, trust_env=False).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url, trust_env=False)
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


def test_a_second_service_on_the_database_is_refused(work_folder: WorkFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gesta.label.database_lock.PATIENCE_S", 0.1)
    work = work_folder()
    with (
        running_server(work),
        pytest.raises(Refused, match="another service is working on this database"),
        running_server(work),
    ):
        pass


def test_without_items_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(MissingTable, match=r"no table '(items|label_map)'"), running_server(tmp_path):
        pass


def test_it_goes_on_where_it_stopped_and_knows_its_people(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=4)
    with running_server(work) as server:
        assert server.owner_link is not None
        assert server.invite_link is not None
        code = server.invite_link.partition("#")[2]
        joined = httpx.post(f"{server.url}/api/join", json={"invite": code, "worker_id": "ann"}, trust_env=False)
        token = joined.json()["token"]
        with _client(server.url, token) as ann:
            assert _answer_all(ann) == 4
    with running_server(work) as server:
        assert (server.owner_link, server.invite_link) == (None, None), "links are told once"
        with _client(server.url, token) as ann, _client(server.url, server.token_of("bob")) as bob:
            assert ann.post("/api/task", json={}).json()["status"] == "done"
            assert _answer_all(bob) == 4
            assert server.num_open == 4
    export_votes(work)
    votes = read_table(work, "votes")
    assert votes["worker_id"].to_list() == ["ann"] * 4 + ["bob"] * 4
    assert votes["revision"].to_list() == [0] * 8


def test_a_new_token_ends_the_old_one(work_folder: WorkFolder) -> None:
    with running_server(work_folder()) as server:
        old, new = server.token_of("ann"), server.token_of("ann")
        with _client(server.url, old) as before, _client(server.url, new) as after:
            assert before.get("/api/me").status_code == 401
            assert after.get("/api/me").json()["worker_id"] == "ann"


def test_an_empty_log_is_an_empty_table(work_folder: WorkFolder) -> None:
    work = work_folder()
    summary = export_votes(work)
    assert (summary.kept, len(read_table(work, "votes"))) == (0, 0)
    assert export_votes(work).was_current


def test_a_task_tells_what_the_page_needs_and_nothing_of_gold_or_source(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=30, num_classes=30)
    write(work, "gold", [Gold(item_id=f"clip:c{n:02d}:{1 + n}", answer="no") for n in range(10)])
    with running_server(work) as server, _client(server.url, server.token_of("ann")) as ann:
        reply = ann.post("/api/task", json={})
        told = reply.json()
        assert told["status"] == "task"
        items = told["task"]["items"]
        assert [item["slot"] for item in items] == list(range(20))
        assert len({frozenset(item) for item in items}) == 1, "an item of known answer has other fields"
        assert not re.search(r'"v?c\d\d"|clip:c|gold_|"seq', reply.text), reply.text
        ids = server.item_ids_of(told["task"]["task_id"])
        assert len(ids) == 20
        assert told == ann.post("/api/task", json={}).json(), "the same task, and the same addresses"


def test_the_recent_answers_can_be_changed_once_each_way(work_folder: WorkFolder) -> None:
    with running_server(work_folder(num_clips=30)) as server, _client(server.url, server.token_of("ann")) as ann:
        assert _answer_all(ann) == 20
        recent = ann.get("/api/answers/recent").json()
        assert [answer["slot"] for answer in recent] == list(range(19, 9, -1)), "the last ten, newest first"
        first = recent[0]
        address = f"/api/answers/{first['task_id']}/{first['slot']}"
        body = {"slot": first["slot"], "answer": "yes", "lasts_whole_clip": True}
        assert ann.put(address, json=body).status_code == 428
        changed = ann.put(address, json=body, headers={"If-Match": f'"{first["etag"]}"'})
        assert (changed.status_code, changed.json()) == (200, {"etag": "1"})
        stale = ann.put(address, json=body, headers={"If-Match": f'"{first["etag"]}"'})
        assert (stale.status_code, stale.json()["error"]["code"]) == (409, "stale")
        assert ann.get("/api/answers/recent").json()[0]["answer"] == "yes"
        with _client(server.url, server.token_of("bob")) as bob:
            foreign = bob.put(address, json=body, headers={"If-Match": '"1"'})
            assert (foreign.status_code, foreign.json()["error"]["code"]) == (404, "not-found")


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
        lines = [process.stderr.readline() for _ in range(4)]
        assert lines[0].startswith("The label page is at http://127.0.0.1:"), lines
        url, code = lines[0].split()[-1], lines[2].strip().partition("#")[2]
        joined = httpx.post(f"{url}/api/join", json={"invite": code, "worker_id": "ann"}, trust_env=False)
        with _client(url, joined.json()["token"]) as ann:
            assert _answer_all(ann) == 3
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


def test_the_verb_asks_for_the_final_filter_by_a_classifiers_scores(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=6, num_classes=2)
    lines = ["clip_id,class_id,score", *(f"c{n:02d},{1 + n % 2},0.{n + 1}" for n in range(6))]
    (work / "scores.csv").write_text("\n".join(lines) + "\n")
    labels = [
        ClipLabel(
            clip_id=f"c{n:02d}", class_id=1 + n % 2, verdict="accepted", num_yes=3, num_no=0, num_unsure=0,
            num_broken=0,
        )
        for n in range(6)
    ]  # fmt: skip
    write(work, "clip_labels", labels)
    options = ["--ask", "class", "--scores", str(work / "scores.csv"), "--export"]
    result = CliRunner().invoke(main, ["label", str(work), *options])
    assert result.exit_code == 0, result.output
    pages = read_table(work, "items").filter(kind="class").sort("class_id")["detail"].to_list()
    ranked = [[clip["clip_id"] for clip in json.loads(page)["clips"]] for page in pages]
    assert ranked == [["c04", "c02", "c00"], ["c05", "c03", "c01"]]
