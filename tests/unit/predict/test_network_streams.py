"""Streams over the network, from servers of this test: RTSP, HTTP with and without an end, MPEG-TS over UDP."""

from __future__ import annotations

import socket
import socketserver
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.unit.predict.persons_stand_in import write_film

from gesta.predict.streams.streamed import Patience, url_source
from gesta.schema import GestaError
from gesta.video import read_frames

QUICK = Patience(open_s=10, read_s=3, retries=0, pause_s=0.01)
FFMPEG = "ffmpeg"


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4", fps="25", seconds=2)


class _Film(BaseHTTPRequestHandler):
    """The film with its length, or without (`/live`), as a server of live streams sends it."""

    def do_GET(self):
        if self.path.startswith("/none"):
            self.send_error(404)
            return
        data = self.server.film if self.path.startswith("/film") else self.server.stream
        self.send_response(200)
        if self.path.startswith("/film"):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def http(film):
    from tests.unit.predict.test_stream_sources import transport_stream

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Film)
    server.film, server.stream = film.read_bytes(), transport_stream(film)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_film_over_http_has_an_end_and_is_waited_for(http, film):
    source = url_source(f"{http}/film.mp4?key=secret", patience=QUICK)
    assert not source.is_live
    assert source.name == f"{http}/film.mp4"
    shots = list(source.shots(None))
    assert [shot.time_us for shot in shots] == [number * 40_000 for number in range(50)]
    assert (shots[7].picture(None) == read_frames(film, [280_000])[0]).all()


def test_a_stream_over_http_without_a_length_is_live(http):
    source = url_source(f"{http}/live.ts", patience=QUICK)
    assert source.is_live
    assert len(list(source.shots(None))) == 50
    assert not url_source(f"{http}/live.ts", patience=QUICK, live=False).is_live


def test_an_address_without_a_film_is_said(http):
    with pytest.raises(GestaError, match=r"/none: it cannot be opened \(Server returned 404"):
        url_source(f"{http}/none", patience=QUICK)


def test_a_server_that_says_nothing_is_not_waited_for_for_ever():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        with pytest.raises(GestaError, match="it cannot be opened"):
            url_source(url, patience=Patience(open_s=0.5, read_s=0.5, retries=0))


# ---- RTSP: a server small enough to stand here; FFmpeg makes its RTP packets -----------------------------------------


class RtspServer(socketserver.ThreadingTCPServer):
    """One film at any path, RTP interleaved in the TCP connection. Source: RFC 2326, sections 10 and 10.12."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, film: Path, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), RtspCaller)
        self.film, self.folder, self.num_plays = film, folder, 0
        self.url = f"rtsp://127.0.0.1:{self.server_address[1]}/film"


class RtspCaller(socketserver.StreamRequestHandler):
    """Answers one caller."""

    def handle(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets:
            packets.bind(("127.0.0.1", 0))
            packets.settimeout(5)
            target = f"rtp://127.0.0.1:{packets.getsockname()[1]}?pkt_size=1200"
            description = self.server.folder / f"{packets.getsockname()[1]}.sdp"
            command = [FFMPEG, "-loglevel", "error", "-re", "-i", str(self.server.film), "-c", "copy", "-an"]
            sender = None
            try:
                while head := self._request():
                    method, number = head[0].split()[0], next(h for h in head if h.lower().startswith("cseq"))
                    if method == "DESCRIBE":
                        made = [*command, "-t", "0.1", "-f", "rtp", "-sdp_file", str(description), target]
                        subprocess.run(made, check=True, capture_output=True)
                        body = description.read_text().partition("SDP:\n")[2] or description.read_text()
                        lines = [line for line in body.splitlines() if not line.startswith("c=")]
                        body = "\r\n".join([*lines, "a=control:track", ""])
                        self._answer(number, f"Content-Type: application/sdp\r\nContent-Length: {len(body)}", body)
                        self._drain(packets)
                    elif method == "SETUP":
                        self._answer(number, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 7")
                    elif method == "PLAY":
                        self._answer(number, "Session: 7\r\nRange: npt=0.000-")
                        self.server.num_plays += 1
                        sender = subprocess.Popen([*command, "-f", "rtp", target], stdout=subprocess.DEVNULL)
                        self._relay(packets, sender)
                        return
                    else:
                        self._answer(number, "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\nSession: 7")
            finally:
                if sender is not None:
                    sender.kill()
                    sender.wait()

    def _request(self) -> list[str]:
        lines = []
        while (line := self.rfile.readline().decode().strip()) or not lines:
            if not line:
                return []
            lines.append(line)
        return lines

    def _answer(self, number: str, headers: str, body: str = "") -> None:
        self.wfile.write(f"RTSP/1.0 200 OK\r\n{number}\r\n{headers}\r\n\r\n{body}".encode())

    def _drain(self, packets: socket.socket) -> None:
        packets.settimeout(0)
        try:
            while True:
                packets.recv(2048)
        except BlockingIOError:
            packets.settimeout(5)

    def _relay(self, packets: socket.socket, sender: subprocess.Popen) -> None:
        packets.settimeout(0.3)
        while True:
            try:
                data = packets.recv(2048)
            except TimeoutError:
                if sender.poll() is not None:
                    return
                continue
            try:
                self.wfile.write(b"$\0" + len(data).to_bytes(2, "big") + data)
            except OSError:
                return


def test_rtsp_is_watched_and_opened_again_when_it_ends(film, tmp_path):
    with RtspServer(film, tmp_path) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        source = url_source(
            server.url.replace("rtsp://", "rtsp://admin:secret@"),
            patience=Patience(open_s=10, read_s=5, retries=1, pause_s=0.01),
        )
        assert source.is_live
        assert source.name == server.url
        shots = []
        for shot in source.shots(None):
            shots.append(shot)
            if source.num_reopened and len(shots) > 60:
                source.stop.set()
        server.shutdown()
    assert server.num_plays == 2
    times_us = [shot.time_us for shot in shots]
    assert times_us == sorted(set(times_us))
    assert shots[0].picture(None).shape == (128, 192, 3)
    assert 900_000 < times_us[24] - times_us[0] < 1_100_000


def test_datagrams_are_joined_wherever_they_are(film):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"udp://127.0.0.1:{port}"
    command = [FFMPEG, "-loglevel", "error", "-re", "-stream_loop", "9", "-i", str(film), "-c", "copy", "-f", "mpegts"]
    sender = subprocess.Popen([*command, f"{url}?pkt_size=1316"])
    try:
        source = url_source(url, patience=QUICK)
        shots = []
        for shot in source.shots(None):
            shots.append(shot)
            if len(shots) == 40:
                source.stop.set()
    finally:
        sender.kill()
        sender.wait()
    assert len(shots) == 40
    assert shots[-1].time_us > 1_000_000
