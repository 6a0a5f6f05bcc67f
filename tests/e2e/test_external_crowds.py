"""Mechanical Turk and Prolific over HTTP, against stand-ins: from the HIT to the form, from the study to the code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
import sqlalchemy as sa
from tests.crowd_stand_in import MturkStandIn, ProlificStandIn

from gesta.label.external_crowds import (
    Mturk,
    Prolific,
    configure_external,
    external_question_xml,
    forget_external,
    mturk_url,
    prolific_url,
)
from gesta.label.guards import Limits
from gesta.label.items import build_items
from gesta.label.pay import configure_pay, pay_rule_of
from gesta.label.routes_external import CSP
from gesta.label.rules import TASK_SIZES, Rules
from gesta.label.server import RunningServer, running_server
from gesta.label.sql_tables import settings, workers
from gesta.schema import Candidate, Clip, Gold, LabelClass, TrustRule, Video
from gesta.tables import frame_of, made_by, table_path, write_table

SITE = "https://label.example.org"
CODES = {"completion_code": "DONE1", "screened_out_code": "OUT1", "no_consent_code": "NO1", "over_quota_code": "FULL1"}
RULES = Rules(items_per_task={**TASK_SIZES, "clip": 4}, gold_per_task=0, prepared_lease_us=0, kinds=("clip",))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Ten clips, each asked for one action: two tasks of four, and one of two."""
    ids = [f"c{number}" for number in range(10)]
    tables: dict[str, list[Any]] = {
        "videos": [
            Video(
                video_id=f"v{c}", path=f"v{c}.mp4", sha256="0" * 64, size_bytes=1, container="mp4", codec="h264",
                width_px=64, height_px=48, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=100,
                start_us=0, duration_us=4_000_000, has_audio=False,
            )
            for c in ids
        ],
        "clips": [Clip(clip_id=c, video_id=f"v{c}", start_us=0, end_us=4_000_000) for c in ids],
        "candidates": [Candidate(clip_id=c, class_id=1, source="title", query="", score=1.0) for c in ids],
        "label_map": [LabelClass(class_id=1, name="juggling")],
    }  # fmt: skip
    for table, rows in tables.items():
        provenance = made_by("test", arguments={}, inputs={})
        write_table(table_path(tmp_path, table), table, frame_of(table, rows), made_by=provenance)
    build_items(tmp_path)
    return tmp_path


@pytest.fixture
def server(work: Path) -> Iterator[RunningServer]:
    with running_server(work, seed=1, rules=RULES) as running:
        yield running


def _at(server: RunningServer, **token: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token['token']}"} if token else {}
    return httpx.Client(base_url=server.url, headers=headers, trust_env=False)


def _hit(server: RunningServer) -> tuple[MturkStandIn, str]:
    with server.store.writing() as db:
        crowd = configure_external(db, mturk=Mturk()).mturk
    assert crowd is not None
    turk = MturkStandIn()
    return turk, turk.create_hit(external_question_xml(mturk_url(SITE, crowd)))


def _study(server: RunningServer, **codes: str) -> ProlificStandIn:
    with server.store.writing() as db:
        crowd = configure_external(db, prolific=Prolific(**(codes or CODES))).prolific
    assert crowd is not None
    return ProlificStandIn(prolific_url(SITE, crowd), {code: name for name, code in (codes or CODES).items()})


def _open_frame(server: RunningServer, url: str) -> httpx.Response:
    """What the script of the page in the frame sends, from the address that it was opened at."""
    asked = dict(parse_qsl(urlsplit(url).query))
    body = {
        "assignment_id": asked["assignmentId"], "hit_id": asked["hitId"], "worker_id": asked["workerId"],
        "submit_to": asked["turkSubmitTo"], "key": asked.get("key", ""),
    }  # fmt: skip
    with _at(server) as client:
        assert client.get(f"/mturk?{urlsplit(url).query}").status_code == 200
        return client.post("/api/external/mturk", json=body)


def _open_study(server: RunningServer, url: str) -> httpx.Response:
    asked = dict(parse_qsl(urlsplit(url).query))
    body = {
        "participant_id": asked["PROLIFIC_PID"], "study_id": asked["STUDY_ID"], "session_id": asked["SESSION_ID"],
        "key": asked["key"],
    }  # fmt: skip
    with _at(server) as client:
        assert client.get(f"/prolific?{urlsplit(url).query}").status_code == 200
        return client.post("/api/external/prolific", json=body)


def _work_off(server: RunningServer, token: str, *, num: int = 4) -> dict[str, Any]:
    """Answer so many questions of the task; what finishing gives then."""
    with _at(server, token=token) as client:
        task = client.post("/api/task", json={}).json()
        if task["status"] == "task":
            answers = [
                {"slot": item["slot"], "answer": "yes", "spent_ms": 5000}
                for item in task["task"]["items"]
                if item["slot"] not in task["task"]["answered"]
            ]
            told = {"task_id": task["task"]["task_id"], "idempotency_key": f"key-{token[:20]}-{num}"}
            client.post("/api/answers", json={**told, "answers": answers[:num]}).raise_for_status()
        return dict(client.post("/api/external/finish", json={}).raise_for_status().json())


def test_a_hit_from_its_question_to_its_form(server: RunningServer) -> None:
    turk, hit_id = _hit(server)
    assignment_id = turk.accept(hit_id, "A1WORKER")
    opened = _open_frame(server, turk.frame_url(hit_id, assignment_id)).json()
    assert opened["outcome"] == "work"
    assert opened["worker_id"].startswith("mturk-")
    assert _work_off(server, opened["token"], num=3)["outcome"] == "unfinished"
    done = _work_off(server, opened["token"])
    assert (done["outcome"], done["num_answers"]) == ("finished", 4)
    assert done["leaving"]["url"] == "https://workersandbox.mturk.com/mturk/externalSubmit"
    assert turk.external_submit(urlencode(done["leaving"]["fields"]))[0] == 302
    assert turk.assignments[assignment_id].answer == {"num_answers": "4"}
    with _at(server, token=opened["token"]) as client:
        assert client.post("/api/task", json={}).status_code == 401, "one task an assignment"
    again = _open_frame(server, turk.frame_url(hit_id, assignment_id)).json()
    assert (again["outcome"], again["token"], again["leaving"]) == ("finished", None, done["leaving"])
    assert turk.external_submit(urlencode(done["leaving"]["fields"]))[0] == 400, "the stand-in takes it once"


def test_the_preview_makes_nobody_a_worker(server: RunningServer) -> None:
    turk, hit_id = _hit(server)
    query = urlsplit(turk.frame_url(hit_id)).query
    with _at(server) as client:
        page = client.get(f"/mturk?{query}")
        assert page.status_code == 200
        assert "/static/mturk.js" in page.text
        assert "/static/app.js" not in page.text
        body = {"assignment_id": "ASSIGNMENT_ID_NOT_AVAILABLE", "worker_id": "A1", "submit_to": "https://www.mturk.com"}
        key = dict(parse_qsl(query))["key"]
        refused = client.post("/api/external/mturk", json={**body, "key": key})
    assert refused.status_code == 422
    assert "Accept the HIT first" in refused.json()["error"]["message"]
    with server.store.reading() as db:
        assert db.execute(sa.select(workers).where(workers.c.origin == "mturk")).all() == []


def test_only_amazons_sites_may_frame_the_page_and_get_its_form(server: RunningServer) -> None:
    _hit(server)
    with _at(server) as client:
        headers = client.get("/mturk").headers
        usual = client.get("/").headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["frame-ancestors"].split() == [
        "https://worker.mturk.com", "https://workersandbox.mturk.com", "https://www.mturk.com",
        "https://requester.mturk.com", "https://requestersandbox.mturk.com",
    ]  # fmt: skip
    assert policy["form-action"].split() == [
        "https://www.mturk.com", "https://workersandbox.mturk.com", "https://worker.mturk.com",
    ]  # fmt: skip
    assert "x-frame-options" not in headers
    assert usual["x-frame-options"] == "DENY"
    # But for these two directives the policy is the one of every page.
    bare = CSP.format(form_action="'none'", ancestors="'none'")
    assert usual["content-security-policy"] == bare


def test_a_returned_assignment_comes_again_with_another_worker(server: RunningServer) -> None:
    turk, hit_id = _hit(server)
    assignment_id = turk.accept(hit_id, "A1")
    first = _open_frame(server, turk.frame_url(hit_id, assignment_id)).json()
    _work_off(server, first["token"], num=1)
    turk.give_back(assignment_id)
    assert turk.accept(hit_id, "A2") == assignment_id, "as Mechanical Turk does"
    second = _open_frame(server, turk.frame_url(hit_id, assignment_id)).json()
    assert second["outcome"] == "work"
    with _at(server, token=first["token"]) as client:
        assert client.post("/api/task", json={}).status_code == 401
    assert _work_off(server, second["token"])["outcome"] == "finished"


def test_the_work_runs_out(server: RunningServer) -> None:
    turk, hit_id = _hit(server)
    outcomes = []
    for _ in range(4):
        assignment_id = turk.accept(hit_id, "A1")
        opened = _open_frame(server, turk.frame_url(hit_id, assignment_id)).json()
        done = _work_off(server, opened["token"])
        outcomes.append((done["outcome"], done["num_answers"]))
    assert outcomes == [("finished", 4), ("finished", 4), ("finished", 2), ("nothing", 0)]
    assert done["leaving"] is None
    assert done["message"].endswith("Please return the HIT.")


def test_prolific_from_the_study_to_each_of_its_codes(server: RunningServer) -> None:
    study = _study(server)
    for number in range(3):
        opened = _open_study(server, study.study_url("5f3pid", f"65sess{number}")).json()
        assert opened["worker_id"].startswith("prolific-")
        done = _work_off(server, opened["token"])
        assert study.complete(f"65sess{number}", done["leaving"]["url"]) == "completion_code"
        assert done["leaving"]["code"] == "DONE1"
    opened = _open_study(server, study.study_url("5f3pid", "65sess9")).json()
    assert study.complete("65sess9", _work_off(server, opened["token"])["leaving"]["url"]) == "over_quota_code"

    asked = dict(parse_qsl(urlsplit(study.study_url("other", "65sess10")).query))
    body = {"participant_id": "other", "session_id": "65sess10", "key": asked["key"]}
    with _at(server) as client:
        declined = client.post("/api/external/prolific/decline", json=body).json()
    assert study.complete("65sess10", declined["leaving"]["url"]) == "no_consent_code"
    with server.store.reading() as db:
        assert len(db.execute(sa.select(workers).where(workers.c.origin == "prolific")).all()) == 1

    owner = server.token_of("owner")
    with _at(server, token=owner) as client:
        client.post(f"/api/owner/workers/{opened['worker_id']}/ban", json={"reason": "x"}).raise_for_status()
    barred = _open_study(server, study.study_url("5f3pid", "65sess11")).json()
    assert (barred["outcome"], barred["token"]) == ("barred", None)
    assert study.complete("65sess11", barred["leaving"]["url"]) == "screened_out_code"


def test_without_a_code_people_are_asked_to_return(server: RunningServer) -> None:
    study = _study(server, completion_code="C1")
    body = {"participant_id": "p", "session_id": "s"}
    key = dict(parse_qsl(urlsplit(study.study_url("p", "s")).query))["key"]
    with _at(server) as client:
        declined = client.post("/api/external/prolific/decline", json={**body, "key": key}).json()
    assert declined["leaving"] is None
    assert declined["message"].endswith("Please return the submission on Prolific.")


def test_who_fails_gold_is_paid_for_the_task_and_screened_out_of_the_next(work: Path) -> None:
    gold = [Gold(item_id=f"clip:c{number}:1", answer="no") for number in range(5)]
    provenance = made_by("test", arguments={}, inputs={})
    write_table(table_path(work, "gold"), "gold", frame_of("gold", gold), made_by=provenance)
    rules = Rules(
        items_per_task={**TASK_SIZES, "clip": 4}, gold_per_task=2, prepared_lease_us=0, kinds=("clip",),
        trust=TrustRule(min_gold=1),
    )  # fmt: skip
    with running_server(work, seed=1, rules=rules) as server:
        study = _study(server)
        opened = _open_study(server, study.study_url("5f3pid", "65sess")).json()
        done = _work_off(server, opened["token"])
        assert study.complete("65sess", done["leaving"]["url"]) == "completion_code"
        barred = _open_study(server, study.study_url("5f3pid", "65next")).json()
    assert study.complete("65next", barred["leaving"]["url"]) == "screened_out_code"


def test_everything_is_off_until_it_is_switched_on(server: RunningServer) -> None:
    body = {"assignment_id": "X", "worker_id": "A", "submit_to": "https://www.mturk.com"}
    person = {"participant_id": "p", "session_id": "s"}
    calls = [
        ("GET", "/mturk", None), ("GET", "/prolific", None), ("POST", "/api/external/mturk", body),
        ("POST", "/api/external/prolific", person), ("POST", "/api/external/prolific/decline", person),
    ]  # fmt: skip
    with server.store.writing() as db:
        configure_external(db, mturk=Mturk())
        forget_external(db)
    with _at(server) as client:
        for method, path, told in calls:
            reply = client.request(method, path, json=told)
            assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not-configured"), path


def test_the_key_keeps_strangers_out_and_guessing_ends(work: Path) -> None:
    limits = Limits(wrong_burst=3, wrong_rate_per_s=0.001)
    with running_server(work, rules=RULES, limits=limits) as server:
        _hit(server)
        body = {"assignment_id": "X", "worker_id": "A", "submit_to": "https://www.mturk.com", "key": "guess"}
        with _at(server) as client:
            codes = [client.post("/api/external/mturk", json=body).status_code for _ in range(5)]
    assert codes == [403, 403, 403, 429, 429]


def test_no_secret_is_in_a_worker_s_way(server: RunningServer) -> None:
    study = _study(server)
    url = study.study_url("5f3pid", "65sess")
    opened = _open_study(server, url).json()
    assert opened["leaving"] is None, "the code before the work"
    assert opened["token"] not in url
    other = _open_study(server, study.study_url("5f3other", "65other")).json()
    with _at(server, token=other["token"]) as client:
        told = json.dumps([client.get("/api/me").json(), client.post("/api/task", json={}).json()])
    for secret in ("5f3pid", "65sess", opened["worker_id"], opened["token"], "DONE1"):
        assert secret not in told


def test_the_owner_alone_sees_what_is_owed(server: RunningServer) -> None:
    turk, hit_id = _hit(server)
    opened = _open_frame(server, turk.frame_url(hit_id, turk.accept(hit_id, "A1WORKER"))).json()
    _work_off(server, opened["token"])
    worker = _open_frame(server, turk.frame_url(hit_id, turk.accept(hit_id, "A2"))).json()["token"]
    paths = ("/api/owner/pay", "/api/owner/pay.csv", "/api/owner/pay/assignments.csv")
    for token, status in ((worker, 403), (server.token_of("rita", role="reviewer"), 403)):
        with _at(server, token=token) as client:
            assert [client.get(path).status_code for path in paths] == [status] * 3
            assert client.put("/api/owner/pay/rule", json={"per": "task", "amount": "1"}).status_code == status
    with _at(server) as client:
        assert [client.get(path).status_code for path in paths] == [401] * 3
    with _at(server, token=server.token_of("owner")) as client:
        missing = client.get("/api/owner/pay")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "no-pay-rule")
        assert client.put("/api/owner/pay/rule", json={"per": "task", "amount": "x"}).status_code == 422
        client.put("/api/owner/pay/rule", json={"per": "task", "amount": "0.50"}).raise_for_status()
        report = client.get("/api/owner/pay").json()
        assert [line["external_id"] for line in report["workers"]] == ["A1WORKER"]
        assert (report["owed"], report["cost"]["total"]) == ("0.50", "0.50")
        lines = client.get("/api/owner/pay/assignments.csv")
        assert lines.headers["content-type"] == "text/csv; charset=utf-8"
        assert lines.headers["content-disposition"] == 'attachment; filename="assignments.csv"'
        assert "A1WORKER" in lines.text
        assert "0.50" in client.get("/api/owner/pay.csv").text
    with server.store.reading() as db:
        assert db.execute(sa.select(settings.c.value).where(settings.c.name == "pay")).scalar() is not None
    with server.store.writing() as db:
        configure_pay(db, pay_rule_of({"per": "hour", "amount": "9"}))


def test_the_owner_switches_crowds_on_and_off(server: RunningServer) -> None:
    with _at(server, token=server.token_of("rita", role="reviewer")) as client:
        for method in ("GET", "PUT", "DELETE"):
            assert client.request(method, "/api/owner/crowds", json={}).status_code == 403, "a key is in it"
    with _at(server, token=server.token_of("owner")) as client:
        assert client.get("/api/owner/crowds").json() == {"mturk": None, "prolific": None, "addresses": {}}
        codes = {"completion_code": "C1", "over_quota_code": "FULL1"}
        told = client.put(
            f"/api/owner/crowds?service_url={SITE}", json={"mturk": True, "prolific": codes}
        ).raise_for_status()
        addresses = told.json()["addresses"]
        assert MturkStandIn().create_hit(addresses["mturk_question"])
        assert addresses["prolific_url"].startswith(f"{SITE}/prolific?key=")
        again = client.put("/api/owner/crowds", json={"prolific": {"completion_code": "C2"}}).json()
        assert (again["prolific"]["completion_code"], again["prolific"]["over_quota_code"]) == ("C2", "FULL1")
        assert again["mturk"] == told.json()["mturk"]
        assert client.get("/api/owner/crowds?service_url=http://x.org").status_code == 422
        assert client.put("/api/owner/crowds", json={"prolific": {"completion_code": "C 2"}}).status_code == 422
        client.delete("/api/owner/crowds").raise_for_status()
        assert client.get("/mturk").status_code == 404
        events = client.get("/api/owner/events").json()
    assert "C2" not in json.dumps(events), "a code is in the diary"
