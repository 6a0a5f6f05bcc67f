"""`gesta board`: beside the database and through a running service, the same numbers and the same actions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.unit.label.conftest import WorkFolder, work_folder
from tests.unit.label.desk_trial import PLAIN, trial

from gesta.cli.board import command
from gesta.label.server import RunningServer, running_server
from gesta.schema import BadInput, GestaError, Refused, UnknownName

__all__ = ["work_folder"]


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    """The command's outcome; errors of ours come through."""
    result = CliRunner().invoke(command, [str(argument) for argument in arguments], env=env)
    if isinstance(result.exception, GestaError):
        raise result.exception
    return result


@pytest.fixture
def work(work_folder: WorkFolder) -> Path:
    """Six clips of three actions, half of them answered by two workers, the database closed again."""
    made = work_folder(num_clips=6)
    with trial(made, f"sqlite:///{made}/labels.sqlite", rules=replace(PLAIN)) as desk:
        desk.work_off("ann", "yes")
        desk.work_off("bob", "no")
    return made


@pytest.fixture
def server(work: Path) -> Iterator[RunningServer]:
    """The service at work on it."""
    with running_server(work, rules=PLAIN) as running:
        yield running


def test_the_board_is_printed_from_the_database(work: Path) -> None:
    text = run(work, "--show", "overview", "--show", "classes", "--show", "workers").output
    assert "Decided    0 of 6 questions, - accepted" in text
    assert "Answers    12" in text
    assert "action 1  active  gate  0" in text
    assert [line.split()[:3] for line in text.splitlines() if line.startswith(("ann", "bob"))] == [
        ["ann", "active", "6"], ["bob", "active", "6"],
    ]  # fmt: skip
    assert run(work).output.count("\n") == 7, "the overview alone"


def test_json_holds_every_part(work: Path) -> None:
    found = json.loads(run(work, "--json").output)
    assert {"board", "workers", "disputed", "suggestions", "events", "done"} == set(found)
    assert found["board"]["totals"]["num_cast"] == 12
    assert len(found["disputed"]) == 6


def test_classes_and_workers_are_acted_on_beside_the_database(work: Path) -> None:
    text = run(work, "--pause", "class:action 2", "--ban", "worker:bob", "--reason", "asleep").output
    assert text.splitlines() == [
        "class:action 2: pause done, it is paused now", "worker:bob: ban done, it is barred now",
    ]  # fmt: skip
    found = json.loads(run(work, "--json").output)
    assert [row["state"] for row in found["board"]["gates"]] == ["active", "paused", "active"]
    assert {row["worker_id"]: row["state"] for row in found["workers"]} == {"ann": "active", "bob": "barred"}
    assert found["board"]["totals"]["num_answers"] == 6
    assert {(row["actor"], row["what"]) for row in found["events"]} == {
        ("operator", "class-paused"), ("operator", "worker-barred"),
    }  # fmt: skip
    run(work, "--resume", "class:2", "--resume", "worker:bob")
    assert json.loads(run(work, "--json").output)["board"]["totals"]["num_answers"] == 12


def test_a_running_service_is_read_beside_and_acted_on_through_its_address(server: RunningServer, work: Path) -> None:
    assert "0 of 6 questions" in run(work).output
    with pytest.raises(Refused, match=r"another service is working on this database.*Act through it: give --url"):
        run(work, "--pause", "class:1")
    link = str(server.owner_link)
    text = run("--url", link, "--drop", "class:action 3", "--pause", "worker:ann", env={"GESTA_TOKEN": link}).output
    assert "worker:ann: pause done, it is paused now" in text
    found = json.loads(run("--url", server.url, "--token", link, "--json").output)
    assert [row["state"] for row in found["board"]["gates"]] == ["active", "active", "dropped"]
    assert found["board"]["totals"] == json.loads(run(work, "--json").output)["board"]["totals"]


def test_a_name_cannot_paint_the_terminal(work: Path) -> None:
    from gesta.cli.board import _TEXTS

    row = {"class_name": "a\x1b[31m", "text": "b\rc\x9b", "num_votes": 2}
    assert _TEXTS["suggestions"]({"suggestions": [row]}).splitlines()[1].split() == ["a?[31m", "b?c?", "2"]


def test_what_cannot_be_is_refused_in_words(work: Path, tmp_path: Path, server: RunningServer) -> None:
    with pytest.raises(BadInput, match=r"--ban 'class:action 1'\. Want worker:NAME"):
        run(work, "--ban", "class:action 1")
    with pytest.raises(BadInput, match=r"--pause 'gardening'\. Want class:NAME or worker:NAME"):
        run(work, "--pause", "gardening")
    with pytest.raises(BadInput, match=r"nobody has labelled here yet"):
        run(tmp_path)
    assert "give WORK or --url" in run().output
    assert "--url needs --token" in run("--url", "http://127.0.0.1:9", env={"GESTA_TOKEN": ""}).output
    with pytest.raises(GestaError, match=r"cannot be reached \(ConnectError\)"):
        run("--url", "http://127.0.0.1:9", "--token", "x")
    with pytest.raises(GestaError, match=r"the service refused: This token is not known here"):
        run("--url", server.url, "--token", "x")
    with pytest.raises(UnknownName, match=r"no class 'dancing'.*action 1"):
        run("--url", server.url, "--token", str(server.owner_link), "--pause", "class:dancing")
