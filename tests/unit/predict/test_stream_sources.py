"""Sources: files, images, pictures, addresses, cameras; what each says and how each fails."""

from __future__ import annotations

import io
import socket
import threading
from fractions import Fraction

import cv2
import numpy as np
import pytest
from tests.unit.predict.persons_stand_in import HEIGHT, SQUARES, WIDTH, picture_at, scorer_of, write_film

from gesta.predict.call import predict
from gesta.predict.streams.opening import is_images, is_stream, open_source
from gesta.predict.streams.pictures import PictureSource
from gesta.predict.streams.shots import FileSource, ImageSource
from gesta.predict.streams.streamed import CameraSource, Patience, StreamSource, public_name, url_source
from gesta.schema import BadInput, BadVideo, GestaError
from gesta.video import read_frames

QUICK = Patience(open_s=2, read_s=2, retries=0, pause_s=0.01)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_film(tmp_path_factory.mktemp("film") / "film.mp4")


def told_by(prediction):
    return [(m.start_us, m.end_us, m.time_us, [(p.person_id, p.box, p.scores) for p in m.persons]) for m in prediction]


def write_images(folder, *, num=36, name="img_{:05d}.png"):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(num):
        picture = picture_at(round(number * 1e6 / 12))
        cv2.imwrite(str(folder / name.format(number + 1)), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return folder


def test_a_file_gives_the_frames_that_reading_gives(film):
    source = FileSource(film)
    wanted = np.array([0, 500_000, 1_234_567])
    shots = list(source.shots(lambda start_us, end_us: wanted))
    assert [shot.time_us for shot in shots] == [0, 500_000, 1_166_667]
    frames = read_frames(film, wanted)
    assert all((shot.picture(None) == frame).all() for shot, frame in zip(shots, frames, strict=True))
    assert shots[0].picture((96, 64)).shape == (64, 96, 3)
    assert len(list(FileSource(film).shots(None))) == 36


def test_images_and_pictures_say_what_the_same_frames_say_in_any_form(tmp_path):
    scorer = scorer_of()
    pictures = [picture_at(round(number * 1e6 / 12)) for number in range(36)]
    write_images(tmp_path / "frames")
    ways = [
        predict(tmp_path / "frames", model=scorer, detector=SQUARES, fps=12),
        predict(tmp_path / "frames" / "img_%05d.png", model=scorer, detector=SQUARES, fps=12),
        predict(str(tmp_path / "frames" / "*.png"), model=scorer, detector=SQUARES, fps=12),
        predict(pictures, model=scorer, detector=SQUARES, fps=12),
    ]
    told = [told_by(way) for way in ways]
    assert len(told[0]) == 3
    assert all(len(persons) == 2 for *_, persons in told[0])
    assert told[0] == told[1] == told[2]
    # Pictures do not say where they end: the last one is taken to last as long as the one before it, to a microsecond.
    assert [(start_us, *rest) for start_us, _, *rest in told[0]] == [
        (start_us, *rest) for start_us, _, *rest in told[3]
    ]
    assert abs(told[0][-1][1] - told[3][-1][1]) <= 1


def test_images_are_in_the_order_of_their_numbers_and_take_the_first_ones_size(tmp_path):
    write_images(tmp_path / "f", num=12, name="{}.jpg")
    cv2.imwrite(str(tmp_path / "f" / "13.jpg"), np.zeros((8, 8, 3), np.uint8))
    source = open_source(tmp_path / "f", fps=4)
    assert isinstance(source, ImageSource)
    assert [path.stem for path in source.paths] == [str(number) for number in range(1, 14)]
    shots = list(source.shots(None))
    assert {shot.picture(None).shape for shot in shots} == {(HEIGHT, WIDTH, 3)}
    assert source.span_us == (0, 3_250_000)
    assert source.facts()["num_frames"] == 13


def test_a_folder_with_a_video_is_one_of_videos(tmp_path):
    write_images(tmp_path / "f", num=1)
    assert is_images(tmp_path / "f")
    (tmp_path / "f" / "deep").mkdir()
    (tmp_path / "f" / "deep" / "a.MP4").touch()
    assert not is_images(tmp_path / "f")
    assert not is_images("rtsp://door/snapshot.jpg")
    assert is_stream("rtsp://door/snapshot.jpg")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("nowhere.mp4", "there is no such file"),
        ("f/x_%05d.png", "no image fits"),
        ("empty", "this is a folder, and no folder of images"),
        ("gopher://host/x", "no such kind of address 'gopher'"),
        ("camera:77", "there is no such camera here, or another program has it"),
        ("rtsp://user:secret@127.0.0.1:9/x?key=hidden", r"^rtsp://127.0.0.1:9/x: it cannot be opened"),
    ],
)
def test_what_cannot_be_opened_is_said(tmp_path, monkeypatch, what, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(GestaError, match=words) as caught:
        open_source(what, patience=QUICK)
    assert "secret" not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_only_images_take_a_rate(film):
    with pytest.raises(BadInput, match="it has its own frames a second"):
        open_source(film, fps=30)
    with pytest.raises(BadInput, match="fps 0"):
        open_source([picture_at(0)], fps=0)
    with pytest.raises(BadInput, match=r"picture 0 is float64 of shape \(4, 4, 3\)"):
        list(PictureSource(pictures=iter([np.zeros((4, 4, 3))]), fps=Fraction(5)).shots(None))


def test_an_image_that_is_none_is_said(tmp_path):
    write_images(tmp_path / "f", num=3)
    (tmp_path / "f" / "img_00002.png").write_bytes(b"no picture")
    with pytest.raises(BadVideo, match=r"img_00002\.png: the image cannot be read"):
        predict(tmp_path / "f", model=scorer_of(), detector=SQUARES, fps=3).persons()


def test_a_broken_file_is_said_and_a_short_one_gives_what_it_has(tmp_path, film):
    (tmp_path / "x.mp4").touch()
    with pytest.raises(BadVideo, match="zero bytes"):
        predict(tmp_path / "x.mp4", model=scorer_of(), detector=SQUARES)
    # A transport stream can be read as far as it goes.
    data = transport_stream(film)
    (tmp_path / "cut.ts").write_bytes(data[: len(data) // 2])
    moments = told_by(predict(tmp_path / "cut.ts", model=scorer_of(), detector=SQUARES))
    assert moments[0][2] == 500_000
    assert 1_000_000 < moments[-1][1] < 3_000_000


@pytest.mark.parametrize("fps", ["12.5", "24000/1001", "30", "60"])
def test_moments_lie_at_the_same_times_at_every_rate(tmp_path, fps):
    path = write_film(tmp_path / "film.mp4", fps=fps, seconds=2.5)
    moments = told_by(predict(path, model=scorer_of(), detector=SQUARES))
    assert moments[0][2] == 500_000
    assert len(moments) == 2 + (moments[-1][0] == 2_000_000)
    assert all(len(persons) == 2 for *_, persons in moments)


def test_a_film_at_23_976_and_at_30_frames_a_second_say_the_same(tmp_path):
    told = [
        told_by(predict(write_film(tmp_path / f"{n}.mp4", fps=fps), model=scorer_of(), detector=SQUARES))
        for n, fps in enumerate(("24000/1001", "30"))
    ]
    for (*_, one), (*_, other) in zip(*told, strict=True):
        assert [who for who, *_ in one] == [who for who, *_ in other]
        for (_, box, scores), (_, other_box, other_scores) in zip(one, other, strict=True):
            assert box == pytest.approx(other_box, abs=0.03)
            assert scores == pytest.approx(other_scores, abs=0.03)


def transport_stream(film):
    """The film as MPEG-TS, which can be joined anywhere and read through a pipe."""
    import av

    out = io.BytesIO()
    with av.open(str(film)) as source, av.open(out, "w", format="mpegts") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return out.getvalue()


def test_a_pipe_says_what_the_file_says(film):
    source = StreamSource(called="pipe", what=io.BytesIO(transport_stream(film)), is_live=False)
    shots = list(source.shots(None))
    assert len(shots) == 36
    assert shots[0].time_us == 0
    assert abs(shots[-1].time_us - 35 * 1e6 / 12) < 50
    frames = read_frames(film, [shot.time_us for shot in shots])
    assert all((shot.picture(None) == frame).all() for shot, frame in zip(shots, frames, strict=True))


class TcpFilm:
    """Gives each caller the same bytes, cut after so many; then hangs up."""

    def __init__(self, data: bytes, cuts: list[int]) -> None:
        self.data, self.cuts, self.num_calls = data, cuts, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        for cut in self.cuts:
            caller, _ = self.listener.accept()
            with caller:
                self.num_calls += 1
                caller.sendall(self.data[:cut])
        self.listener.close()


def test_a_stream_that_is_lost_is_opened_again_and_its_times_go_on(film):
    data = transport_stream(film)
    server = TcpFilm(data, [len(data) // 2, len(data)])
    source = url_source(server.url, patience=Patience(open_s=5, read_s=5, retries=2, pause_s=0.01))
    assert source.is_live
    shots = list(source.shots(None))
    server.thread.join(5)
    assert server.num_calls == 2
    assert source.num_reopened == 1
    times_us = [shot.time_us for shot in shots]
    assert times_us == sorted(set(times_us))
    assert len(shots) > 36
    assert source.facts()["num_reopened"] == 1


def test_a_clock_that_jumps_does_not_tear_the_times():
    class At:
        def __init__(self, pts):
            self.pts = pts

    class Stream:
        time_base = Fraction(1, 1000)

    now = iter(range(0, 10**9, 40_000))
    source = StreamSource(called="x", what=None, is_live=True)
    times = [source._time_of(At(pts), Stream, next(now)) for pts in (5000, 5040, 5080, 900_000, 900_040, None, 900_040)]
    assert times == [0, 40_000, 80_000, 120_000, 160_000, 200_000, None]


def test_stopping_ends_a_stream(film):
    stop = threading.Event()
    source = StreamSource(called="x", what=io.BytesIO(transport_stream(film)), is_live=False, stop=stop)
    shots = source.shots(None)
    next(shots)
    stop.set()
    assert list(shots) == []


def test_names_hold_no_secret():
    assert public_name("http://me:pass@host/live.m3u8?token=1#x") == "http://host/live.m3u8"


def test_a_camera_gives_its_pictures_until_it_is_gone(monkeypatch):
    class Capture:
        def __init__(self, number):
            self.left = 4

        def isOpened(self):  # noqa: N802
            return True

        def read(self):
            self.left -= 1
            return (self.left >= 0), np.full((4, 6, 3), (1, 2, 3), np.uint8)

        def release(self):
            self.left = -1

    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    ticks = iter(range(0, 10**9, 33_000))
    camera = CameraSource(number=0, clock_us=lambda: next(ticks))
    shots = list(camera.shots(None))
    assert [shot.time_us for shot in shots] == [33_000, 66_000, 99_000]
    assert shots[0].picture(None)[0, 0].tolist() == [3, 2, 1]
    assert shots[0].size_px == (6, 4)
    assert camera.facts()["file"] == "camera:0"
