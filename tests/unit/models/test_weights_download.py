"""Weights by name against a server on this machine that breaks off, lies, stalls and goes on."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from torchvision.models import ResNet50_Weights

from gesta.models import MODELS
from gesta.models.download import fetch_weights, weights_folder
from gesta.models.published import LABELS_400, LABELS_600, PUBLISHED_WEIGHTS, PublishedFile, PublishedWeights
from gesta.schema import BadInput, GestaError, Refused, UnknownName

BYTES = bytes(range(256)) * 12_000
SHA256 = hashlib.sha256(BYTES).hexdigest()
GIT_SHA1 = hashlib.sha1(b"blob %d\0" % len(BYTES) + BYTES).hexdigest()


class WeightServer(ThreadingHTTPServer):
    """Serves `BYTES` at /a/b.bin; `log` has the ranges asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BYTES
        self.etag = '"v1"'
        self.cut_after: int | None = None
        self.stalls = threading.Event()
        self.obeys_ranges = True
        self.shifts_ranges = False
        self.log: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: WeightServer

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.log.append(asked)
        if self.path != "/a/b.bin":
            self.send_error(404)
            return
        body, begin = self.server.body, 0
        if asked and self.server.obeys_ranges and self.headers["If-Range"] in (None, self.server.etag):
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            at = begin + self.server.shifts_ranges
            self.send_header("Content-Range", f"bytes {at}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - begin))
        if self.server.etag:
            self.send_header("ETag", self.server.etag)
        self.end_headers()
        sent = body[begin:]
        if self.server.cut_after is not None:
            self.wfile.write(sent[: self.server.cut_after])
            self.wfile.flush()
            self.server.stalls.wait(20)
            return
        self.wfile.write(sent)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[WeightServer]:
    with WeightServer() as running:
        running.stalls.set()
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.stalls.set()
        running.shutdown()
        thread.join()


def book(server: WeightServer, *, file: PublishedFile | None = None) -> dict[str, PublishedWeights]:
    return {
        "w": PublishedWeights(
            base_url=server.url,
            files=(file or PublishedFile(path="a/b.bin", sha256=SHA256),),
            models=("i3d",),
            classes="kinetics-400",
            licence="Apache-2.0",
            source="a test",
        )
    }


def test_a_file_comes_whole_with_its_progress_and_is_asked_for_once(server: WeightServer, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    fetched = fetch_weights(
        "w", cache_dir=tmp_path, published=book(server), on_progress=lambda *step: seen.append(step)
    )
    assert fetched.path == tmp_path / "w" / "b.bin"
    assert fetched.path.read_bytes() == BYTES
    assert dict(fetched.sha256) == {"a/b.bin": SHA256}
    assert [name for name, _, _ in seen] == ["b.bin"] * len(seen)
    assert [so_far for _, so_far, _ in seen] == sorted({so_far for _, so_far, _ in seen})
    assert seen[-1] == ("b.bin", len(BYTES), len(BYTES))
    fetch_weights("w", cache_dir=tmp_path, published=book(server))
    assert server.log == [None]
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == [".lock", "b.bin"]


def test_a_mirror_serves_in_place_of_the_publisher(server: WeightServer, tmp_path: Path) -> None:
    entry = {"w": replace(book(server)["w"], base_url="https://weights.invalid/")}
    fetched = fetch_weights("w", cache_dir=tmp_path, base_url=server.url.rstrip("/"), published=entry)
    assert fetched.path.read_bytes() == BYTES


@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"', ""])
def test_a_broken_download_goes_on_where_it_ended(server: WeightServer, tmp_path: Path, etag: str) -> None:
    server.cut_after, server.etag = 1_000_000, etag
    with pytest.raises(GestaError, match=rf"1000000 of {len(BYTES)} bytes came\. Run it again: it goes on"):
        fetch_weights("w", cache_dir=tmp_path, published=book(server))
    assert (tmp_path / "w" / "b.bin.part").stat().st_size == 1_000_000
    assert not (tmp_path / "w" / "b.bin").exists()
    server.cut_after = None
    steps: list[int] = []
    fetched = fetch_weights(
        "w", cache_dir=tmp_path, published=book(server), on_progress=lambda _, so_far, __: steps.append(so_far)
    )
    assert fetched.path.read_bytes() == BYTES
    assert server.log == [None, "bytes=1000000-"]
    assert steps[0] > 1_000_000
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == [".lock", "b.bin"]


@pytest.mark.parametrize("change", ["another version", "no ranges"])
def test_what_has_changed_meanwhile_is_fetched_from_the_start(
    server: WeightServer, tmp_path: Path, change: str
) -> None:
    server.cut_after, server.body = 1_000_000, BYTES[::-1]
    with pytest.raises(GestaError):
        fetch_weights("w", cache_dir=tmp_path, published=book(server))
    server.cut_after, server.body = None, BYTES
    if change == "another version":
        server.etag = '"v2"'
    else:
        server.obeys_ranges = False
    assert fetch_weights("w", cache_dir=tmp_path, published=book(server)).path.read_bytes() == BYTES
    # Known by the tag or the answer, at once, not by a hash at the end.
    assert server.log == [None, "bytes=1000000-"]


def test_two_halves_that_do_not_fit_are_fetched_anew_once(server: WeightServer, tmp_path: Path) -> None:
    # The server lies: other bytes under the same tag.
    server.cut_after, server.body = 1_000_000, BYTES[::-1]
    with pytest.raises(GestaError):
        fetch_weights("w", cache_dir=tmp_path, published=book(server))
    server.cut_after, server.body = None, BYTES
    assert fetch_weights("w", cache_dir=tmp_path, published=book(server)).path.read_bytes() == BYTES
    assert server.log == [None, "bytes=1000000-", None]


def test_a_part_that_was_whole_already_takes_its_name(server: WeightServer, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "b.bin.part").write_bytes(BYTES)
    (tmp_path / "w" / "b.bin.part.etag").write_text(server.etag)
    assert fetch_weights("w", cache_dir=tmp_path, published=book(server)).path.read_bytes() == BYTES
    assert server.log == [f"bytes={len(BYTES)}-"]


def test_another_range_than_asked_for_is_not_stored(server: WeightServer, tmp_path: Path) -> None:
    server.cut_after = 1_000_000
    with pytest.raises(GestaError):
        fetch_weights("w", cache_dir=tmp_path, published=book(server))
    server.cut_after, server.shifts_ranges = None, True
    with pytest.raises(GestaError, match="another part was sent than was asked for"):
        fetch_weights("w", cache_dir=tmp_path, published=book(server))
    assert fetch_weights("w", cache_dir=tmp_path, published=book(server)).path.read_bytes() == BYTES


def test_a_wrong_hash_is_never_used(server: WeightServer, tmp_path: Path) -> None:
    server.body = BYTES[:-1] + b"x"
    found = hashlib.sha256(server.body).hexdigest()
    with pytest.raises(BadInput, match=rf"w: b\.bin: what .*/a/b\.bin sent has SHA-256 {found}, and {SHA256} is want"):
        fetch_weights("w", cache_dir=tmp_path, published=book(server))
    assert [path.name for path in (tmp_path / "w").iterdir()] == [".lock"]


def test_a_file_that_was_changed_in_the_cache_is_refused(server: WeightServer, tmp_path: Path) -> None:
    path = fetch_weights("w", cache_dir=tmp_path, published=book(server)).path
    path.write_bytes(BYTES + b"x")
    with pytest.raises(BadInput, match=r"the file in the cache has SHA-256 .*Delete it to fetch it again"):
        fetch_weights("w", cache_dir=tmp_path, published=book(server))
    assert path.exists()


def test_gits_hash_knows_a_file_as_well(server: WeightServer, tmp_path: Path) -> None:
    file = PublishedFile(path="a/b.bin", git_sha1=GIT_SHA1)
    assert fetch_weights("w", cache_dir=tmp_path, published=book(server, file=file)).path.read_bytes() == BYTES
    file = PublishedFile(path="a/b.bin", git_sha1="0" * 40)
    with pytest.raises(BadInput, match=f"has Git's hash {GIT_SHA1}, and 0+ is wanted"):
        fetch_weights("w", cache_dir=tmp_path / "other", published=book(server, file=file))


def test_the_first_digits_of_a_hash_will_do_where_no_more_are_known(server: WeightServer, tmp_path: Path) -> None:
    known = book(server, file=PublishedFile(path="a/b.bin", sha256_begins=SHA256[:8]))
    assert fetch_weights("w", cache_dir=tmp_path, published=known).sha256 == {"a/b.bin": SHA256}
    wrong = book(server, file=PublishedFile(path="a/b.bin", sha256_begins="00000000"))
    with pytest.raises(
        BadInput, match=f"has SHA-256 {SHA256}, and one from 00000000 on is wanted.*It was deleted; try"
    ):
        fetch_weights("w", cache_dir=tmp_path / "other", published=wrong)


def test_where_no_hash_is_known_the_message_gives_the_one_found(server: WeightServer, tmp_path: Path) -> None:
    file = PublishedFile(path="a/b.bin")
    with pytest.raises(BadInput, match=rf"has SHA-256 {SHA256}, and none is known.*fetch it with that value as sha256"):
        fetch_weights("w", cache_dir=tmp_path, published=book(server, file=file))
    mine = {"a/b.bin": SHA256.upper()}
    assert fetch_weights("w", cache_dir=tmp_path, published=book(server, file=file), sha256=mine).path.exists()


def test_an_absent_file_and_a_strange_name_say_so(server: WeightServer, tmp_path: Path) -> None:
    file = PublishedFile(path="a/none.bin", sha256=SHA256)
    with pytest.raises(
        BadInput, match=r"w: none\.bin: http.*/a/none\.bin answered 404 Not Found\. See whether the addr"
    ):
        fetch_weights("w", cache_dir=tmp_path, published=book(server, file=file))
    with pytest.raises(UnknownName, match="no published weights 'x'"):
        fetch_weights("x", cache_dir=tmp_path, published=book(server))
    with pytest.raises(BadInput, match="'file:///etc' is no address of a server"):
        fetch_weights("w", cache_dir=tmp_path, published=book(server), base_url="file:///etc")


def test_a_silent_server_is_given_up_and_the_part_kept(server: WeightServer, tmp_path: Path) -> None:
    server.cut_after = 100_000
    server.stalls.clear()
    with pytest.raises(GestaError, match=r"was silent for 0\.3 s\. Run it again: it goes on where it stopped"):
        fetch_weights("w", cache_dir=tmp_path, published=book(server), timeout_s=0.3)
    server.stalls.set()
    server.cut_after = None
    assert fetch_weights("w", cache_dir=tmp_path, published=book(server)).path.read_bytes() == BYTES


def test_no_way_to_the_server(tmp_path: Path, server: WeightServer) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(
            GestaError, match=r"there is no way to http.*refused.*give a mirror's address with base_url"
        ):
            fetch_weights("w", cache_dir=tmp_path, published=book(server), base_url=url)


def test_a_full_disk_is_told_before_and_during(
    server: WeightServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 5))  # type: ignore[attr-defined]
    with pytest.raises(GestaError, match=rf"the disk is full: {len(BYTES)} bytes are to come and 5 are free"):
        fetch_weights("w", cache_dir=tmp_path, published=book(server))
    monkeypatch.undo()
    (tmp_path / "w" / "b.bin.part").symlink_to("/dev/full")
    with pytest.raises(GestaError, match=r"the disk is full: No space left on device\. Make room and run it again"):
        fetch_weights("w", cache_dir=tmp_path, published=book(server))


def test_two_at_once_fetch_one_file_once(server: WeightServer, tmp_path: Path) -> None:
    # A lock belongs to the open file, so that two threads exclude each other as two processes do.
    begin = threading.Barrier(2)

    def fetch(_: int) -> bytes:
        begin.wait()
        return fetch_weights("w", cache_dir=tmp_path, published=book(server)).path.read_bytes()

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(fetch, range(2))) == [BYTES, BYTES]
    assert server.log == [None]


def test_who_waits_too_long_for_the_lock_is_told(server: WeightServer, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    with (tmp_path / "w" / ".lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="another process is fetching these weights"):
            fetch_weights("w", cache_dir=tmp_path, published=book(server), patience_s=0.2)


def test_the_folder_of_weights_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GESTA_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights_folder() == tmp_path / "gesta" / "weights"
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path / "mine"))
    assert weights_folder() == tmp_path / "mine" / "weights"


@pytest.mark.parametrize("name", sorted(PUBLISHED_WEIGHTS))
def test_every_publication_can_be_known_by_a_hash(name: str) -> None:
    entry = PUBLISHED_WEIGHTS[name]
    assert entry.base_url.startswith("https://")
    assert entry.base_url.endswith("/")
    assert entry.licence
    assert set(entry.models) <= set(MODELS)
    assert len({Path(file.path).name for file in entry.files}) == len(entry.files)
    for file in entry.files:
        assert file.sha256 or file.git_sha1, file
        assert len(file.sha256 or "0" * 64) == 64
        assert len(file.git_sha1 or "0" * 40) == 40
    if name.startswith("resnet50"):
        urls = {weights.url for weights in ResNet50_Weights}
        (file,) = entry.files
        assert entry.base_url + file.path in urls
        # torchvision writes the first eight digits of the hash into the name.
        assert f"resnet50-{str(file.sha256)[:8]}.pth" == file.path


def test_the_lists_of_classes_are_the_ones_whose_hash_is_kept(shared: Path) -> None:
    for file, name in ((LABELS_400, "i3d_label_map_400.txt"), (LABELS_600, "label_map_k600.txt")):
        data = (shared / "annotations/kinetics" / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file.sha256
        assert len(data) == file.size_bytes
