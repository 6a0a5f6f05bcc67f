"""Persons and what they do in anything with frames, in one call: `gesta.predict(...)`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gesta.detect import HABITS, Detector, build_detector
from gesta.predict.clip_models import is_clip_model
from gesta.predict.streams.drive import Eyes, looked_at, scored
from gesta.predict.streams.gather import Gathered, PersonStory, result_json
from gesta.predict.streams.live import live_moments
from gesta.predict.streams.loading import load_person_scorer
from gesta.predict.streams.moments import Moment
from gesta.predict.streams.opening import Footage, open_source
from gesta.predict.streams.schedule import check_stride
from gesta.predict.streams.scorers import PersonScorer
from gesta.predict.streams.shots import FrameSource
from gesta.predict.streams.streamed import Patience
from gesta.schema import BadInput
from gesta.tables import Json


@dataclass(slots=True, kw_only=True)
class Prediction:
    """A source being watched: its moments while you iterate, and the persons once it is through.

    Moments come as soon as they are known, and none is kept but in numbers: boxes, probabilities. `stop` ends a camera
    or a stream from another thread.
    """

    source: FrameSource
    scorer: PersonScorer
    eyes: Eyes
    min_score: float
    _stop: threading.Event
    _gathered: Gathered = field(default_factory=Gathered)
    _moments: Iterator[Moment] | None = None
    _is_through: bool = False

    @property
    def class_names(self) -> tuple[str, ...]:
        """The model's classes, in the order of `PersonNow.scores`."""
        return self.scorer.class_names

    def __iter__(self) -> Iterator[Moment]:
        """The moments that are still to come, in order of time.

        Raises:
            GestaError: reading fails.
        """
        if self._moments is None:
            self._moments = self._watch()
        return self._moments

    def _watch(self) -> Iterator[Moment]:
        if self.source.is_live:
            moments = live_moments(self.source, scorer=self.scorer, eyes=self.eyes, stop=self._stop)
        else:
            looked = ((self.source.name, each) for each in looked_at(self.source, scorer=self.scorer, eyes=self.eyes))
            moments = (moment for _, moment in scored(looked, scorer=self.scorer))
        for moment in moments:
            self._gathered.add(moment)
            yield moment
        self._is_through = True

    def persons(self) -> list[PersonStory]:
        """Everybody in it, each with track, moments and intervals of likely actions; watches it to its end first.

        Raises:
            GestaError: reading fails.
        """
        for _ in self:
            pass
        return self._gathered.persons(scorer=self.scorer, min_score=self.min_score)

    def as_json(self) -> dict[str, Json]:
        """What `gesta predict` writes of it, as plain JSON values; watches it to its end first.

        Raises:
            GestaError: reading fails.
        """
        return result_json(self.persons(), facts=self.source.facts(), scorer=self.scorer)

    def stop(self) -> None:
        """End a camera or a stream: what was seen by then is still told."""
        self._stop.set()


def predict(
    source: Footage,
    *,
    model: str | Path | PersonScorer,
    recipe: str | None = None,
    detector: str | Detector = "hog",
    weights: Path | str | None = None,
    detector_min_score: float | None = None,
    min_score: float = 0.3,
    stride_s: float = 1.0,
    fps: float | None = None,
    live: bool | None = None,
    patience: Patience | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> Prediction:
    """Who does what in a source: iterate for its moments, or ask for `persons()`.

    Args:
        source: a video file; a folder or pattern of images; `camera:0`; an address such as `rtsp://...`; `-`, standard
            input; or pictures, uint8 [H, W, 3] RGB.
        model: a `model.pt` of `gesta train` with a recipe of persons, or what `load_person_scorer` made of one, to be
            used for several sources.
        recipe: where `model` is a file of weights of MMAction2 or PySlowFast: the recipe of its model.
        detector: name of a detector of `gesta.detect`, or a function of frames.
        weights: the detector's file.
        detector_min_score: least confidence of a person; None = what suits the detector.
        min_score: least probability of an action that makes an interval.
        stride_s: seconds from one moment to the next.
        fps: of images or pictures; None = 25.
        live: of an address: whether it goes on by itself; None = told by its kind.
        patience: with a stream that is slow or lost; None = the usual one.
        device: auto, cpu or cuda.
        precision: auto, float32 or bfloat16, of convolutions and products.
    Raises:
        BadVideo: a file cannot be read.
        BadInput: there is no such file or checkpoint, or `stride_s` is not above 0.
        UnknownName: no such detector, device or recipe.
        GestaError: an address or a camera cannot be opened.
    """
    stride_us = check_stride(stride_s)
    if isinstance(model, PersonScorer):
        scorer = model
    else:
        if recipe is None and is_clip_model(model):
            raise BadInput(
                "this model labels whole clips and knows no persons",
                where=model,
                mend="Use gesta.predict.label_video(), or a model of a recipe of persons",
            )
        scorer = load_person_scorer(model, recipe=recipe, device=device, precision=precision)
    built = (
        build_detector(detector, None if weights is None else Path(weights)) if isinstance(detector, str) else detector
    )
    least = HABITS[detector].min_score if isinstance(detector, str) else 0.5
    stop = threading.Event()
    return Prediction(
        source=open_source(source, fps=fps, live=live, patience=patience, stop=stop),
        scorer=scorer,
        eyes=Eyes(
            detector=built,
            min_score=least if detector_min_score is None else detector_min_score,
            stride_us=stride_us,
        ),
        min_score=min_score,
        _stop=stop,
    )
