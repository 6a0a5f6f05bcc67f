"""Who may do what at the running service: every role and route, links, guesses, other people's work, and no secrets.

The matrix lists every route of the app. A new route fails the first test until it is listed with who may use it.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Mount

from gesta.label.app import create_app
from gesta.label.guards import NO_LIMITS, Limits
from gesta.label.server import RunningServer, running_server

from .label_world import NASTY, NUM_GOLD, SOURCE, Person, client_of, links_of, make_work

ROLES = ("nobody", "worker", "reviewer", "owner")
EVERYBODY = frozenset(ROLES)
SIGNED_IN = frozenset(ROLES[1:])
READERS = frozenset(ROLES[2:])
OWNER = frozenset(ROLES[3:])

_TASK = "0" * 32
_KEY = "k" * 16
_ANSWER = {"slot": 0, "answer": "yes"}

MATRIX: dict[tuple[str, str], tuple[frozenset[str], str, Any]] = {
    # (method, route): who may, an address, a body
    ("GET", "/"): (EVERYBODY, "/", None),
    ("GET", "/join"): (EVERYBODY, "/join", None),
    ("GET", "/owner"): (EVERYBODY, "/owner", None),
    ("GET", "/api/openapi.json"): (EVERYBODY, "/api/openapi.json", None),
    ("POST", "/api/join"): (EVERYBODY, "/api/join", {"invite": "INVITE", "worker_id": "NEW"}),
    ("GET", "/api/labels"): (EVERYBODY, "/api/labels", None),
    ("GET", "/mturk"): (EVERYBODY, "/mturk", None),
    ("GET", "/prolific"): (EVERYBODY, "/prolific", None),
    ("POST", "/api/external/mturk"): (
        EVERYBODY, "/api/external/mturk", {"assignment_id": "a", "worker_id": "w", "submit_to": "https://x.example"},
    ),
    ("POST", "/api/external/prolific"): (
        EVERYBODY, "/api/external/prolific", {"participant_id": "p", "session_id": "s"},
    ),
    ("POST", "/api/external/prolific/decline"): (
        EVERYBODY, "/api/external/prolific/decline", {"participant_id": "p", "session_id": "s"},
    ),
    ("POST", "/api/external/finish"): (SIGNED_IN, "/api/external/finish", {}),
    ("GET", "/api/actions"): (SIGNED_IN, "/api/actions", None),
    ("GET", "/api/me"): (SIGNED_IN, "/api/me", None),
    ("PUT", "/api/me/prefs"): (SIGNED_IN, "/api/me/prefs", {"prefs": {}}),
    ("POST", "/api/task"): (SIGNED_IN, "/api/task", {}),
    ("POST", "/api/answers"): (
        SIGNED_IN, "/api/answers", {"task_id": _TASK, "idempotency_key": _KEY, "answers": [_ANSWER]},
    ),
    ("POST", "/api/return"): (SIGNED_IN, "/api/return", {"task_id": _TASK}),
    ("GET", "/api/answers/recent"): (SIGNED_IN, "/api/answers/recent", None),
    ("PUT", "/api/answers/{task_id}/{slot}"): (SIGNED_IN, f"/api/answers/{_TASK}/0", _ANSWER),
    ("GET", "/api/owner/board"): (READERS, "/api/owner/board", None),
    ("GET", "/api/owner/board/workers"): (READERS, "/api/owner/board/workers", None),
    ("GET", "/api/owner/health"): (READERS, "/api/owner/health", None),
    ("GET", "/api/owner/disputed"): (READERS, "/api/owner/disputed", None),
    ("GET", "/api/owner/suggestions"): (READERS, "/api/owner/suggestions", None),
    ("GET", "/api/owner/skill"): (READERS, "/api/owner/skill", None),
    ("GET", "/api/owner/events"): (READERS, "/api/owner/events", None),
    ("GET", "/api/owner/classes"): (READERS, "/api/owner/classes", None),
    ("GET", "/api/owner/workers"): (READERS, "/api/owner/workers", None),
    ("GET", "/api/owner/invites"): (READERS, "/api/owner/invites", None),
    ("GET", "/api/owner/pay"): (OWNER, "/api/owner/pay", None),
    ("GET", "/api/owner/pay.csv"): (OWNER, "/api/owner/pay.csv", None),
    ("GET", "/api/owner/pay/assignments.csv"): (OWNER, "/api/owner/pay/assignments.csv", None),
    ("GET", "/api/owner/crowds"): (OWNER, "/api/owner/crowds", None),
    ("PUT", "/api/owner/crowds"): (OWNER, "/api/owner/crowds", {"mturk": True}),
    ("DELETE", "/api/owner/crowds"): (OWNER, "/api/owner/crowds", None),
    ("PUT", "/api/owner/pay/rule"): (OWNER, "/api/owner/pay/rule", {"unit": "answer", "amount": "0.01"}),
    ("POST", "/api/owner/classes/{class_id}/split"): (OWNER, "/api/owner/classes/999/split", {"into": ["a", "b"]}),
    ("POST", "/api/owner/classes/{class_id}/{action}"): (OWNER, "/api/owner/classes/1/resume", {}),
    ("PUT", "/api/owner/classes/{class_id}/threshold"): (
        OWNER, "/api/owner/classes/1/threshold", {"threshold_frac": 0.0},
    ),
    ("PUT", "/api/owner/threshold"): (OWNER, "/api/owner/threshold", {"threshold_frac": 0.0}),
    ("POST", "/api/owner/invites"): (OWNER, "/api/owner/invites", {"note": "for the matrix"}),
    ("DELETE", "/api/owner/invites/{invite_id}"): (OWNER, "/api/owner/invites/0000", None),
    ("POST", "/api/owner/workers/{worker_id}/token"): (OWNER, "/api/owner/workers/victim/token", {}),
    ("POST", "/api/owner/workers/{worker_id}/{action}"): (OWNER, "/api/owner/workers/victim/pause", {}),
}  # fmt: skip

SIGNED = {
    "/media/{task_id}/{slot}.mp4": f"/media/{_TASK}/0.mp4",
    "/media/{task_id}/{slot}/{n}.mp4": f"/media/{_TASK}/0/0.mp4",
    "/media/{task_id}/{slot}/frame/{offset}.jpg": f"/media/{_TASK}/0/frame/0.jpg",
    "/media/{task_id}/{slot}/all.webp": f"/media/{_TASK}/0/all.webp",
    "/media/{task_id}/{slot}.json": f"/media/{_TASK}/0.json",
}
"""Routes that ask for a signed link and not for a token: without one they are closed to everybody."""


class Service:
    """A running service and somebody of each role."""

    def __init__(self, server: RunningServer, client: httpx.Client) -> None:
        self.server, self.client = server, client
        self.routes = routes_of(server)
        self.tokens = {role: server.token_of(f"the-{role}", role=role) for role in ROLES[1:]}
        self.people = {role: Person(client, self.tokens.get(role)) for role in ROLES}
        self.num_made = 0

    def somebody(self, role: str = "worker") -> Person:
        """A new person of that role."""
        self.num_made += 1
        return Person(self.client, self.server.token_of(f"{role}-{self.num_made}", role=role))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    work = make_work(tmp_path_factory.mktemp("label"))
    with running_server(work, limits=NO_LIMITS) as server, client_of(server.url) as client:
        server.token_of("victim")
        yield Service(server, client)


def routes_of(server: RunningServer) -> set[tuple[str, str]]:
    """Every method and route of the app, but HEAD beside GET."""
    app = create_app(server.service)
    found = set()
    for route in app.routes:
        if isinstance(route, Mount):
            assert route.path == "/static"
            continue
        methods = set(getattr(route, "methods", ())) - {"HEAD"}
        found |= {(method, route.path) for method in methods}  # type: ignore[attr-defined]
    return found


def code_of(response: httpx.Response) -> str:
    """The code of a refusal, once it is found to have the one shape."""
    told = response.json()
    assert set(told) == {"error"}, response.text
    assert set(told["error"]) == {"code", "message"}
    return str(told["error"]["code"])


# ---- the matrix ------------------------------------------------------------------------------------------------------


def test_the_matrix_lists_every_route(service: Service) -> None:
    listed = set(MATRIX) | {("GET", route) for route in SIGNED}
    found = service.routes
    assert found - listed == set(), "routes of which nobody has said who may use them"
    assert len(found) > 30


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("method", "route"), MATRIX)
def test_who_may_and_may_not(service: Service, method: str, route: str, role: str) -> None:
    if (method, route) not in service.routes:
        pytest.skip("not a route of this service")
    may, path, body = MATRIX[(method, route)]
    if route == "/api/join":
        invite = service.people["owner"].post("/api/owner/invites", {}).json()["code"]
        body = {"invite": invite, "worker_id": f"joiner-{role}"}
    response = service.people[role].call(method, path, body)
    if role in may:
        assert response.status_code not in (401, 403, 405, 415)
        assert response.status_code < 500 or code_of(response) == "no-skill"
    else:
        expected = (401, "no-token") if role == "nobody" else (403, "not-for-you")
        assert (response.status_code, code_of(response)) == expected


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", SIGNED)
@pytest.mark.parametrize("query", ["", "?e=99999999999&s=AAAAAAAAAAAAAAAAAAAAAA", "?e=0&s="])
def test_a_token_opens_no_media(service: Service, route: str, role: str, query: str) -> None:
    if ("GET", route) not in service.routes:
        pytest.skip("not a route of this service")
    response = service.people[role].get(SIGNED[route] + query)
    assert (response.status_code, code_of(response)) == (403, "bad-link")


@pytest.mark.parametrize(("method", "route"), [key for key, (may, _, _) in MATRIX.items() if "nobody" not in may])
@pytest.mark.parametrize("token", ["x", "null", "a" * 43, "é", "' OR 1=1 --"])
def test_a_wrong_token_opens_nothing(service: Service, method: str, route: str, token: str) -> None:
    _, path, body = MATRIX[(method, route)]
    if (method, route) not in service.routes:
        pytest.skip("not a route of this service")
    headers = {"Authorization": f"Bearer {token}".encode()}
    response = service.people["nobody"].call(method, path, body, headers=headers)
    assert response.status_code == 401


# ---- other people's work ---------------------------------------------------------------------------------------------


def test_workers_see_and_touch_only_their_own_work(service: Service) -> None:
    ann, bob = service.somebody(), service.somebody()
    mine = ann.task()["task"]
    assert bob.send(mine).status_code in (200, 404)
    assert ann.task()["task"]["answered"] == [], "nothing of it was taken"
    assert bob.post("/api/return", {"task_id": mine["task_id"]}).json() == {"is_returned": False}
    assert ann.task()["task"]["task_id"] == mine["task_id"]
    assert set(ann.send(mine).json()["results"][0]) == {"slot", "status"}
    seen = ann.get("/api/answers/recent").json()
    assert len(seen) == min(10, len(mine["items"]))
    assert bob.get("/api/answers/recent").json() == []
    one = seen[0]
    address = f"/api/answers/{one['task_id']}/{one['slot']}"
    body = {"slot": one["slot"], "answer": "broken"}
    refused = bob.call("PUT", address, body, headers={"If-Match": f'"{one["etag"]}"'})
    assert refused.status_code == 404
    for slot in (99, 999):
        other = {"slot": slot, "answer": "broken"}
        response = ann.call("PUT", f"/api/answers/{one['task_id']}/{slot}", other, headers={"If-Match": '"0"'})
        assert response.status_code == 404


def test_paused_and_barred_workers_get_no_work_and_lose_no_page(service: Service) -> None:
    name, owner = "somebody-paused", service.people["owner"]
    ann = Person(service.client, service.server.token_of(name))
    task = ann.task()["task"]
    assert owner.post(f"/api/owner/workers/{name}/pause", {"reason": NASTY}).json()["state"] == "paused"
    assert ann.task()["status"] == "paused"
    assert ann.get("/api/me").json()["state"] == "paused"
    assert ann.send(task).status_code == 200, "what was done is taken"
    assert owner.post(f"/api/owner/workers/{name}/resume", {}).json()["state"] == "active"
    assert owner.post(f"/api/owner/workers/{name}/ban", {"reason": "spam"}).json()["state"] == "barred"
    assert ann.task()["status"] == "barred"
    assert owner.post(f"/api/owner/workers/{name}/resume", {}).json()["state"] == "active"
    reopened = owner.post(f"/api/owner/workers/{name}/reopen", {}).json()
    assert (reopened["worker_id"], reopened["state"]) == (name, "active")
    assert reopened["archived_as"].startswith(f"{name}~")
    assert ann.get("/api/me").json()["num_answers"] == 0, "the same token, a new beginning"
    token = owner.post(f"/api/owner/workers/{name}/token", {}).json()["token"]
    assert ann.get("/api/me").status_code == 401
    assert Person(service.client, token).get("/api/me").json()["worker_id"] == name
    assert owner.post("/api/owner/workers/the-owner/ban", {}).status_code == 409
    events = owner.get("/api/owner/events").json()
    assert token not in json.dumps(events)


# ---- what a task tells -----------------------------------------------------------------------------------------------


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        return [_shape(inner) for inner in value[:1]]
    return re.sub(r"[0-9a-f]{32}|[0-9]+|\?.*", "#", value) if isinstance(value, str) else type(value).__name__


def test_tasks_of_every_kind_play_and_tell_nothing_of_their_source(tmp_path: Path) -> None:
    with running_server(make_work(tmp_path), limits=NO_LIMITS) as server, client_of(server.url) as client:
        _check_every_kind(Person(client, server.token_of("ada", role="reviewer")), Person(client))


def _check_every_kind(ada: Person, nobody: Person) -> None:
    kinds: dict[str, Any] = {}
    shapes: dict[str, set[str]] = {}
    while (told := ada.task())["status"] == "task":
        task = told["task"]
        text = json.dumps(task)
        assert SOURCE not in text
        assert not re.search(r"clip:|frame:|person:|box:|cluster_id|item_id|clip_id|video_id|gold", text)
        for item in task["items"]:
            kinds[item["kind"]] = item
            shapes.setdefault(item["kind"], set()).add(json.dumps(_shape({**item, "action": ""})))
        ada.send(task).raise_for_status()
    assert NUM_GOLD >= 4, "each task of clips has gold in it"
    assert set(kinds) == {"clip", "suggestion", "frame", "person", "box", "cluster", "class"}
    assert all(len(found) == 1 for found in shapes.values()), "gold looks as the rest does"
    for question in kinds.values():
        for link in links_of(question)[:6]:
            response = nobody.get(link)
            assert response.status_code == 200, (link, response.text)
            text = f"{response.headers}".lower()
            assert SOURCE not in text
            assert "last-modified" not in response.headers
            assert "content-disposition" not in response.headers
    assert kinds["frame"]["boxes"] == [{"x1": 0.25, "y1": 0.25, "x2": 0.5, "y2": 0.75, "score": 0.9}]
    assert [frame["offset"] for frame in kinds["frame"]["frames"]] == list(range(-25, 26))
    assert kinds["person"]["box"] == [0.25, 0.25, 0.5, 0.75]
    assert (kinds["box"]["duration_s"], kinds["box"]["key_time_s"]) == (2.0, 1.0)
    assert nobody.get(kinds["box"]["path_url"]).json()["points"][0] == [0.0, 0.25, 0.25, 0.5, 0.75]
    assert [clip["similarity"] for clip in kinds["cluster"]["clips"]] == [[[1, 0.9]], [[0, 0.9], [2, 0.8]], [[1, 0.8]]]
    assert [(clip["n"], clip["score"], clip["near"]) for clip in kinds["class"]["clips"]][:2] == [
        (0, 1.0, None),
        (1, 0.9, 0),
    ]


def test_answers_sent_one_by_one_do_not_tell_which_were_gold(tmp_path: Path) -> None:
    with running_server(make_work(tmp_path), limits=NO_LIMITS) as server, client_of(server.url) as client:
        eve = Person(client, server.token_of("eve"))
        told = []
        while (task := eve.task()["task"])["kind"] != "clip":
            eve.send(task)
        for slot in range(len(task["items"]) - 1):
            told.append(eve.send({**task, "items": [task["items"][slot]]}).json()["gold"])
            told.append(eve.get("/api/me").json()["gold"])
        assert eve.post("/api/return", {"task_id": task["task_id"]}).json() == {"is_returned": True}
        assert [*told, eve.get("/api/me").json()["gold"]] == [{"accuracy": None, "is_low": False}] * (len(told) + 1)
        assert server.service.book.by_name["eve"].num_gold > 0
        again = eve.task()["task"]
        assert again["kind"] == "clip"
        assert eve.send(again).json()["gold"] == {"accuracy": 0.0, "is_low": True}, "told once a task is finished"


# ---- links -----------------------------------------------------------------------------------------------------------


def test_forged_links_open_nothing(service: Service) -> None:
    ann, bob = service.somebody(), service.somebody()
    question = ann.task()["task"]["items"][0]
    link = question["media_url"]
    other = bob.task()["task"]["task_id"]
    path, query = link.split("?")
    task_id = path.split("/")[2]
    assert ann.get(link).status_code == 200
    signed = query.split("&s=")[1]
    for forged in (
        path,
        f"{path}?{query.replace('e=', 'e=1')}",
        f"{path}?{query[:-1]}",
        f"{path}?{query[:-1]}{'A' if query[-1] != 'A' else 'B'}",
        f"/media/{task_id}/1.mp4?{query}",
        f"/media/{other}/0.mp4?{query}",
        f"/media/{other}/0.json?{query}",
        f"/media/item/0.mp4?{query}",
        f"/media/{task_id}/00.mp4?{query}",
        f"/media/{task_id}%2f..%2f{task_id}/0.mp4?{query}",
        f"/media/..%2f..%2flabels.sqlite/0.mp4?{query}",
        f"/media/{task_id}/%00.mp4?{query}",
        f"/media/{task_id}/0%00.mp4?{query}",
        f"/media/%ff%fe/0.mp4?{query}",
        f"{path}?e=1e9&s={signed}",
        f"{path}?e={'9' * 5000}&s={signed}",
        f"{path}?e=-1&s={signed}",
    ):
        response = ann.get(forged)
        assert response.status_code in (403, 404, 422), (forged, response.status_code)
        assert code_of(response) in ("bad-link", "bad-input", "not-found")
    assert ann.get(f"/media/{task_id}/0/0.mp4?{query}").status_code == 404, "a clip question has one clip"
    is_frame = question["kind"] == "frame"
    assert ann.get(f"/media/{task_id}/0/frame/0.jpg?{query}").status_code == (200 if is_frame else 404)
    assert ann.get(f"/media/{task_id}/0/frame/26.jpg?{query}").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/.%00./app.py",
     "/static/..%5capp.py", "/../labels.sqlite", "/static/%ff", "//etc/passwd", "/static/" + "a" * 3000],
)  # fmt: skip
def test_no_static_path_leads_out(service: Service, path: str) -> None:
    request = httpx.Request("GET", service.server.url)
    request.url = request.url.copy_with(raw_path=path.encode())
    response = service.client.send(request)
    assert (response.status_code, code_of(response)) == (404, "not-found")


def test_links_end(tmp_path: Path) -> None:
    now = [1_700_000_000_000_000]
    with (
        running_server(make_work(tmp_path), limits=NO_LIMITS, now_us=lambda: now[0]) as server,
        client_of(server.url) as client,
    ):
        ann = Person(client, server.token_of("ann"))
        question = ann.task()["task"]["items"][0]
        again = ann.task()["task"]["items"][0]
        assert question == again, "the same links, so the browser's cache has the clip"
        assert ann.get(question["media_url"]).status_code == 200
        now[0] += 13 * 3600 * 1_000_000
        response = ann.get(question["media_url"])
        assert (response.status_code, code_of(response)) == (403, "bad-link")


def test_media_come_in_ranges_and_are_not_sent_twice(service: Service) -> None:
    http = service.people["nobody"]
    task = service.somebody().task()["task"]
    link = task["items"][0]["media_url"]
    whole = http.get(link)
    size = len(whole.content)
    assert whole.content[4:8] == b"ftyp"
    assert (whole.headers["accept-ranges"], whole.headers["content-type"]) == ("bytes", "video/mp4")
    assert "private" in whole.headers["cache-control"]
    for span, expected in (
        ("bytes=10-19", (10, 20)),
        (f"bytes={size - 5}-", (size - 5, size)),
        ("bytes=-7", (size - 7, size)),
        ("bytes=0-", (0, size)),
        (f"bytes=5-{size * 9}", (5, size)),
    ):
        part = http.get(link, headers={"Range": span})
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes {expected[0]}-{expected[1] - 1}/{size}"
        assert part.content == whole.content[slice(*expected)]
    for span in (f"bytes={size}-", "bytes=-0"):
        beyond = http.get(link, headers={"Range": span})
        assert (beyond.status_code, code_of(beyond)) == (416, "no-such-range")
        assert beyond.headers["content-range"] == f"bytes */{size}"
    for span in ("lines=1-2", "bytes=a-b", "bytes=5-2", "bytes=0-1,5-9", "bytes=-", ""):
        assert http.get(link, headers={"Range": span}).status_code == 200
    etag = whole.headers["etag"]
    for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        unchanged = http.get(link, headers={"If-None-Match": known})
        assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", etag)
    assert http.get(link, headers={"If-None-Match": '"other"'}).status_code == 200
    assert http.get(link, headers={"Range": "bytes=0-1", "If-Range": etag}).status_code == 206
    assert http.get(link, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).status_code == 200
    head = http.call("HEAD", link)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(size))
    assert http.call("HEAD", link.replace("&s=", "&s=x")).status_code == 403


def test_a_cut_that_is_gone_from_the_disk_is_made_again(service: Service) -> None:
    task = service.somebody().task()["task"]
    link = task["items"][0]["media_url"]
    http, media, book = service.people["nobody"], service.server.service.media, service.server.service.book
    whole = http.get(link)
    stretch = media.stretch_of(book.question(book.tasks[task["task_id"]].seqs[0]))
    (media.cuts.folder / stretch.file_name).unlink()
    again = http.get(link)
    assert (again.status_code, again.headers["etag"]) == (200, whole.headers["etag"])
    assert again.content == whole.content


def test_the_rest_of_a_task_is_cut_once_its_first_clip_is_wanted_and_not_before(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    with running_server(work, limits=NO_LIMITS) as server, client_of(server.url) as client:
        ann, media, book = Person(client, server.token_of("ann")), server.service.media, server.service.book

        def is_cut(task: dict[str, Any]) -> bool:
            questions = [book.question(seq) for seq in book.tasks[task["task_id"]].seqs]
            names = [media.stretch_of(question).file_name for question in questions]
            return all((media.cuts.folder / name).is_file() for name in names)

        while (task := ann.task()["task"])["kind"] != "clip":
            ann.send(task)
        assert not media.cuts.folder.exists(), "whoever looks at nothing has nothing cut"
        ann.get(task["items"][0]["media_url"])
        for _ in range(600):
            if is_cut(task):
                break
            time.sleep(0.05)
        assert is_cut(task)
        ann.send(task)
        following = book.by_name["ann"].task
        assert following is not None
        for _ in range(600):
            if is_cut({"task_id": following.task_id}):
                break
            time.sleep(0.05)
        assert is_cut(ann.task()["task"]), "the next task before it is fetched"


# ---- guesses, secrets, and what people write -------------------------------------------------------------------------


def test_guessing_invites_and_tokens_is_slow(tmp_path: Path) -> None:
    limits = Limits(wrong_rate_per_s=0.001, wrong_burst=10)
    with running_server(make_work(tmp_path), limits=limits) as server, client_of(server.url) as client:
        assert server.invite_link is not None
        code = server.invite_link.split("#")[1].removeprefix("invite=")
        http = Person(client)
        token = http.post("/api/join", {"invite": code, "worker_id": "early"}).json()["token"]
        told = [http.post("/api/join", {"invite": f"guess-{k}", "worker_id": "eve"}) for k in range(15)]
        assert [r.status_code for r in told] == [403] * 10 + [429] * 5
        assert code_of(told[0]) == "bad-invite"
        assert int(told[-1].headers["retry-after"]) >= 1
        late = http.post("/api/join", {"invite": code, "worker_id": "late"})
        assert late.status_code == 429, "a right guess is not told either"
        assert http.get("/api/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_what_people_write_comes_back_as_text_only(service: Service) -> None:
    owner, ann = service.people["owner"], service.somebody()
    ann.tasks()
    owner.post("/api/owner/invites", {"note": NASTY})
    texts = [
        *(owner.get(f"/api/owner/{name}") for name in ("board", "classes", "suggestions", "invites", "events")),
        ann.get("/api/answers/recent"),
        ann.post("/api/join", {"invite": NASTY, "worker_id": NASTY}),
        ann.get(f"/{NASTY}"),
        owner.post(f"/api/owner/workers/{NASTY}/pause", {"reason": NASTY}),
        owner.post("/api/owner/classes/1/resume", {"reason": NASTY}),
    ]
    assert sum("onerror" in response.text for response in texts) >= 5
    for response in texts:
        assert response.headers["content-type"].startswith("application/json")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in response.headers["content-security-policy"]


def test_names_that_are_none_are_refused(service: Service) -> None:
    code = service.people["owner"].post("/api/owner/invites", {}).json()["code"]
    for name in (NASTY, "", "a b", "x" * 65, "gate", "a\u0000", "the-owner"):
        response = service.people["nobody"].post("/api/join", {"invite": code, "worker_id": name})
        assert (response.status_code, code_of(response)) in ((422, "bad-input"), (409, "name-taken"))


def test_settings_come_back_as_they_went(service: Service) -> None:
    http = service.somebody()
    prefs = {"keys": {"yes": "\u0000"}, "text": NASTY, "n": [1.5, None, True]}
    assert http.call("PUT", "/api/me/prefs", {"prefs": prefs}).json() == {"prefs": prefs}
    assert http.get("/api/me").json()["prefs"] == prefs
    for body in ('{"prefs": {"a": NaN}}', '{"prefs": {"a": "\\ud800"}}', '{"prefs": {"a": "%s"}}' % ("x" * 40_000)):
        headers = {"Content-Type": "application/json"}
        response = http.call("PUT", "/api/me/prefs", raw=body, headers=headers)
        assert (response.status_code, code_of(response)) == (422, "bad-input")
    assert http.get("/api/me").json()["prefs"] == prefs


def test_the_pages_need_nothing_that_the_policy_forbids(service: Service) -> None:
    http = service.people["nobody"]
    for path in ("/", "/join", "/owner"):
        page = http.get(path)
        if page.status_code == 404:
            continue
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert not re.search(r"\son\w+\s*=|\sstyle\s*=|<style|javascript:", page.text)
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page.text))
        assert "http://" not in page.text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in page.text


def test_no_secret_is_ever_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with (
        caplog.at_level(logging.DEBUG),
        running_server(make_work(tmp_path), limits=NO_LIMITS) as server,
        client_of(server.url) as client,
    ):
        logging.getLogger("sqlalchemy.engine").setLevel(logging.WARNING)
        assert server.owner_link is not None
        assert server.invite_link is not None
        owner_token = server.owner_link.split("token=")[1]
        code = server.invite_link.split("#")[1].removeprefix("invite=")
        owner = Person(client, owner_token)
        token = owner.post("/api/join", {"invite": code, "worker_id": "ann"}).json()["token"]
        ann = Person(client, token)
        task = ann.task()["task"]
        link = task["items"][0]["media_url"]
        ann.get(link)
        ann.get(link.replace("&s=", "&s=x"))
        ann.send(task)
        new = owner.post("/api/owner/workers/ann/token", {}).json()["token"]
        made = owner.post("/api/owner/invites", {}).json()["code"]
        Person(client, token).get("/api/me")
        owner.get("/nothing?token=" + new)
        owner.post("/api/join", {"invite": code, "worker_id": "ann"})
        secrets = [owner_token, code, token, new, made, link.split("&s=")[1], server.service.secret.hex()]
        assert len({*secrets}) == len(secrets)
        assert not any(secret in repr(server) for secret in secrets[-1:])
    logged = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in caplog.records)
    for secret in secrets:
        assert secret not in logged


# ---- odd bytes -------------------------------------------------------------------------------------------------------

ODD = {
    "nul": '"a\\u0000bcdefgh"',
    "half a pair": '"\\ud800abcdefgh"',
    "huge": "9" * 400,
    "large": str(2**63),
    "nan": "NaN",
    "infinite": "-Infinity",
    "deep": "[" * 700 + "]" * 700,
    "deep object": '{"a":' * 300 + "1" + "}" * 300,
    "odd key": '{"\\u0000":1,"\\ud800":2}',
    "null": "null",
    "empty": '""',
    "long": '"' + "x" * 20_000 + '"',
}
"""JSON texts, one of which is put in the place of every value in turn."""


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _leaves(one, (*path, key))


def _with(value: Any, path: tuple[Any, ...], put: Any) -> Any:
    if not path:
        return put
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _with(copy[path[0]], path[1:], put)
    return copy


def _odd_bodies(body: Any) -> Iterator[str]:
    for path in _leaves(body):
        for text in ODD.values():
            yield json.dumps(_with(body, path, "@@")).replace('"@@"', text)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_byte_takes_the_service_down(tmp_path: Path, request: pytest.FixtureRequest, kind: str) -> None:
    """One request that the database refuses would fail with everybody's answers in the same transaction."""
    url = str(request.getfixturevalue("postgres_url")) if kind == "postgresql" else None
    work = make_work(tmp_path)
    with running_server(work, limits=NO_LIMITS, database=url) as server, client_of(server.url) as client:
        ann, owner = (
            Person(client, server.token_of(name, role=role)) for name, role in (("ann", "worker"), ("o", "owner"))
        )
        task = ann.task()["task"]
        detailed = {**_ANSWER, "answer": "no", "detail": {"suggestion": "s", "more": [1]}, "spent_ms": 1}
        bodies = {key: (path, body) for key, (_, path, body) in MATRIX.items() if body is not None}
        bodies["POST", "/api/answers"] = (
            "/api/answers", {"task_id": task["task_id"], "idempotency_key": _KEY, "answers": [detailed]},
        )  # fmt: skip
        bodies["PUT", "/api/me/prefs"] = ("/api/me/prefs", {"prefs": {"a": 1}})
        routes = routes_of(server)
        for (method, route), (path, body) in bodies.items():
            if (method, route) not in routes:
                continue
            who = ann if "/owner/" not in route else owner
            for text in _odd_bodies(body):
                headers = {"Content-Type": "application/json", "If-Match": '"0"'}
                response = who.call(method, path, raw=text, headers=headers)
                assert response.status_code < 500, (method, path, text[:300], response.text)
            for part in ("%00", "a%00b", "%ff", "9" * 30, "%ed%a0%80"):
                odd = re.sub(r"/(0{8,}|0|1|999|victim|0000)(?=/|$)", f"/{part}", path)
                response = who.call(method, odd, body, headers={"If-Match": '"0"'})
                assert response.status_code < 500, (method, odd, response.text)
        assert server.service.desk.health.num_failures == 0
        assert ann.task()["status"] == "task"
