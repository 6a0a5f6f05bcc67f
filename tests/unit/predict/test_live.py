"""Live watching: what is late is left out and counted, and what was seen is told to the end."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable

import pytest
from tests.unit.predict.persons_stand_in import HEIGHT, SQUARES, WIDTH, TimedSource, picture_at, scorer_of, shot_at

from gesta.predict.streams.drive import Eyes, looked_at, scored
from gesta.predict.streams.live import LiveNow, Mailbox, PacedSource, live_moments
from gesta.predict.streams.watch import Watch
from gesta.predict.viewers.growing_video import GrowingVideo
from gesta.predict.viewers.looking import people_in
from gesta.predict.viewers.window import check_display
from gesta.schema import BadVideo, GestaError
from gesta.video import probe

EYES = Eyes(detector=SQUARES, min_score=0.5, stride_us=500_000)


class LiveSource(TimedSource):
    """Gives each frame once `gate` lets it: no clock is needed to be late or early."""

    gate: threading.Semaphore | None = None
    error: GestaError | None = None

    def shots(self, wanted):
        for time_us in self.times_us:
            if self.gate is not None:
                self.gate.acquire()
            yield dataclasses.replace(shot_at(time_us), arrived_us=time_us)
        if self.error is not None:
            raise self.error


def live_source(seconds=3.0, fps=10):
    num = round(seconds * fps)
    return LiveSource([round(n * 1e6 / fps) for n in range(num)], round(seconds * 1e6), knows_end=False, is_live=True)


@dataclasses.dataclass
class Fed:
    """A live source whose next frame comes once the one before was taken and nobody is searching.

    Threads that the machine runs late change nothing then. `may_go_on` says what else must have happened.
    """

    source: LiveSource
    most: int
    may_go_on: Callable[[], bool] = lambda: True
    taken: list[int] = dataclasses.field(default_factory=list)
    nows: list[LiveNow] = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.source.gate = threading.Semaphore(1)
        threading.Thread(target=self._feed, daemon=True).start()

    def on_shot(self, shot, now: LiveNow):
        self.nows[:] = [now]
        self.taken.append(shot.time_us)

    def _feed(self):
        pause = threading.Event()
        for number in range(1, self.most):
            while len(self.taken) < number or self.nows[0].watch._awaited or not self.may_go_on():
                pause.wait(0.001)
            self.source.gate.release()


def test_an_unhurried_live_source_says_what_a_patient_look_says():
    source, stop = live_source(), threading.Event()
    fed = Fed(source, most=len(source.times_us))
    moments = list(live_moments(source, scorer=scorer_of(), eyes=EYES, stop=stop, on_shot=fed.on_shot))
    plain = live_source()
    looked = (("timed", each) for each in looked_at(plain, scorer=scorer_of(), eyes=EYES))
    wanted = {moment.time_us: moment for _, moment in scored(looked, scorer=scorer_of())}
    assert fed.taken == list(source.times_us)
    assert all(moment.persons == wanted[moment.time_us].persons for moment in moments)
    assert all(len(moment.persons) == 2 and moment.latency_us is not None for moment in moments)
    assert sum(moment.num_dropped for moment in moments) == 0
    assert len(moments) + sum(moment.num_skipped for moment in moments) == len(wanted)
    tracked = [box for moment in moments for box in moment.tracked]
    assert tracked == [box for moment in wanted.values() for box in moment.tracked]
    assert stop.is_set()


def test_a_slow_model_leaves_moments_out_rather_than_lagging():
    scorer, source, ticks = scorer_of(), live_source(seconds=12), threading.Event()
    moments, num_scored = [], [0]
    fed = Fed(source, most=len(source.times_us), may_go_on=lambda: len(moments) >= num_scored[0])

    def score(views):
        # While the model is at one moment, three seconds pass: five more moments are ready then.
        until = min(len(source.times_us), len(fed.taken) + 30)
        while len(fed.taken) < until:
            ticks.wait(0.001)
        found = scorer.score(views)
        num_scored[0] += 1
        return found

    slow, stop = dataclasses.replace(scorer, score=score), threading.Event()
    watched = live_moments(source, scorer=slow, eyes=EYES, stop=stop, mailbox_frames=99, on_shot=fed.on_shot)
    for moment in watched:
        moments.append(moment)
    times = [moment.time_us for moment in moments]
    assert times == sorted(set(times))
    assert sum(moment.num_skipped for moment in moments) >= 4
    assert len(times) + sum(moment.num_skipped for moment in moments) == 24
    assert times[-1] == 11_750_000


def test_a_full_mailbox_leaves_out_the_oldest():
    box = Mailbox(most=3)
    for number in range(7):
        box.put(shot_at(number))
    assert [box.take(0).time_us for _ in range(3)] == [4, 5, 6]
    assert box.num_dropped == 4
    assert box.take(0) is None
    assert not box.is_over
    box.close()
    assert box.is_over


def test_stopping_tells_what_was_seen():
    source, stop = live_source(seconds=60), threading.Event()
    fed = Fed(source, most=31)

    def on_shot(shot, now):
        fed.on_shot(shot, now)
        if len(fed.taken) == 30:
            stop.set()

    moments = list(live_moments(source, scorer=scorer_of(), eyes=EYES, stop=stop, on_shot=on_shot, mailbox_frames=99))
    assert moments[0].persons
    assert moments[-1].end_us == 3_000_000


def test_a_source_that_fails_raises_after_what_was_seen():
    source = live_source()
    source.error = GestaError("the cable is out", where="camera:0")
    moments = []
    watched = live_moments(source, scorer=scorer_of(), eyes=EYES, stop=threading.Event(), mailbox_frames=99)
    with pytest.raises(GestaError, match="the cable is out"):
        moments.extend(moment.time_us for moment in watched)
    assert moments[-1] == 2_750_000


def test_a_source_without_a_frame_is_said():
    with pytest.raises(BadVideo, match="timed: shows no frame"):
        list(live_moments(live_source(seconds=0), scorer=scorer_of(), eyes=EYES, stop=threading.Event()))


def test_a_played_file_comes_at_its_own_pace():
    now_us, waits = [0], []

    class Stop(threading.Event):
        def wait(self, timeout=None):
            waits.append(timeout)
            now_us[0] += round(timeout * 1e6)
            return False

    source = PacedSource(played=TimedSource([0, 40_000, 1_000_000], 2_000_000), clock_us=lambda: now_us[0], stop=Stop())
    assert [shot.arrived_us for shot in source.shots(None)] == [0, 40_000, 1_000_000]
    assert waits == [pytest.approx(0.04), pytest.approx(0.96)]
    assert source.span_us == (0, None)


def test_who_is_drawn_is_who_was_seen_lately():
    watch = Watch(scorer=scorer_of(), stride_us=500_000, span_us=(0, None))
    for time_us in range(0, 1_000_001, 100_000):
        asked = watch.take(shot_at(time_us))
        if asked is not None:
            watch.expect(asked)
            from gesta.predict.streams.drive import search

            watch.found(search([asked], eyes=EYES)[0])
    now = LiveNow(watch)
    assert [each.person_id for each in people_in(shot_at(1_000_000), now, min_score=0.3)] == [0, 1]
    assert people_in(shot_at(1_000_000), now, min_score=0.3)[0].lines == []
    assert people_in(shot_at(9_000_000), now, min_score=0.3) == []


def test_a_growing_video_has_each_frame_at_its_time(tmp_path):
    now = LiveNow(Watch(scorer=scorer_of(), stride_us=500_000, span_us=(0, None)))
    video = GrowingVideo(path=tmp_path / "x.mp4", min_score=0.3)
    times_us = [500_000, 540_000, 700_000, 1_500_000]
    for time_us in times_us:
        video.shot(shot_at(time_us), now)
    video.close()
    facts = probe(tmp_path / "x.mp4")
    assert facts.num_frames == len(times_us) - video.num_left_out
    assert (facts.width_px, facts.height_px, facts.is_vfr) == (WIDTH, HEIGHT, True)
    assert picture_at(0).shape == (HEIGHT, WIDTH, 3)


def test_a_video_of_nothing_is_none(tmp_path):
    GrowingVideo(path=tmp_path / "x.mp4", min_score=0.3).close()
    assert not (tmp_path / "x.mp4").exists()


@pytest.mark.parametrize(
    ("build", "environment", "words"),
    [
        ("  GUI:                           NONE\n", {"DISPLAY": ":0"}, "built without windows.*--serve"),
        ("  GUI:                           QT5\n", {}, "there is no display.*--serve"),
    ],
)
def test_a_window_that_cannot_be_opened_is_said(build, environment, words):
    with pytest.raises(GestaError, match=words):
        check_display(platform="linux", environment=environment, build=build)
    check_display(platform="linux", environment={"DISPLAY": ":0"}, build="  GUI:      QT5\n")
