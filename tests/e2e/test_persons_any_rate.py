"""A film at 23.976 frames a second and the same film at 30 give the same prediction, from the file to the scores.

Who finds key-frames by counting frames, as if every film had 30 a second, is a fifth of the film off and sees other
people. Here times are the player's clock, so the rate does not matter beyond which part of a frame's length is shown.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from gesta.models.person_heads import PersonHead
from gesta.models.person_model import build_person_model
from gesta.models.trunks import TrunkSpec
from gesta.predict.person_scores import score_person_set
from gesta.schema import US_PER_S
from gesta.train.clips.frames import ClipFrames
from gesta.train.persons import AvaSource, PersonAugment, read_ava_persons
from gesta.train.persons.recipe import PersonRecipe
from gesta.video.encode import write_video
from gesta.world.people import PeopleTake, plan_people, plan_people_take
from gesta.world.people_film import film_people

DURATION_S = 14
NUM_CLASSES = 8
FIRST, SECOND = Fraction(24000, 1001), Fraction(30)

RECIPE = PersonRecipe(
    name="any-rate", trunk=TrunkSpec(name="slow_only_small"), head=PersonHead(context=True),
    frames=ClipFrames(num_frames=8, rate=30.0, stride=4, side="short", side_px=48, crop_px=48),
    augment=PersonAugment(scale_px=(48, 56)), epochs=1, clips_per_batch=1, base_lr=0.1, precision="float32",
)  # fmt: skip


def film_at(fps: Fraction, take: PeopleTake, path: Path) -> list[str]:
    """Write the take at that rate; gives AVA's rows at each whole second, boxes as they are then."""
    shown = dataclasses.replace(take, fps=fps, num_frames=int(DURATION_S * fps), grain=0.0)
    frames, rows = [], []
    seconds = {int(second * fps): second for second in range(2, DURATION_S - 1)}
    for number, (frame, seen) in enumerate(film_people(shown, width_px=48, height_px=48)):
        frames.append(frame)
        if number in seconds:
            for one in seen:
                box = ",".join(f"{corner:.3f}" for corner in one.box)
                rows.append(f"{path.stem},{seconds[number]:04d},{box},12,{one.person}")
    write_video(path, frames, fps=fps, qp=20)
    return rows


@pytest.fixture(scope="module")
def logits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Logits [N, K] of the same boxes in the first film, in the second, and in the second by counting its frames."""
    folder = tmp_path_factory.mktemp("rates")
    video = plan_people(seed=4, num_long=3, num_short=0)[0]
    take = plan_people_take(video, seed=4, long_s=(DURATION_S, DURATION_S + 1))
    rows = film_at(FIRST, take, folder / "videos" / "first.mp4")
    film_at(SECOND, take, folder / "videos" / "second.mp4")
    cuts = {beat.start_us / US_PER_S for beat in take.beats[1:]}
    # About a cut, one frame of a clip may show either side of it.
    calm = [row.split(",") for row in rows if all(abs(int(row.split(",")[1]) - cut) > 0.6 for cut in cuts)]
    torch.manual_seed(0)
    model = build_person_model(RECIPE.trunk, RECIPE.head, num_classes=NUM_CLASSES, num_frames=8, crop_px=48).eval()
    found = {}
    for name, film, pace in (("first", "first", 1), ("second", "second", 1), ("counted", "second", FIRST / SECOND)):
        labels = folder / f"{name}.csv"
        moved = ((film, f"{float(int(time) * pace):.6f}", *rest) for _, time, *rest in calm)
        labels.write_text("".join(",".join(row) + "\n" for row in moved))
        persons, rejects = read_ava_persons([AvaSource(part=name, labels=labels, videos=folder / "videos")])
        assert rejects == []
        assert persons.num_persons == len(calm) >= 8
        scores = score_person_set(
            model, persons, recipe=RECIPE, class_ids=range(1, NUM_CLASSES + 1), least_score=0.0
        )[0]["score"].to_numpy()  # fmt: skip
        found[name] = np.log(scores / (1 - scores)).reshape(-1, NUM_CLASSES)
    return found


def test_two_rates_of_one_film_give_the_same_scores(logits: dict[str, np.ndarray]) -> None:
    off = np.abs(logits["first"] - logits["second"]).mean()
    off_by_counting = np.abs(logits["first"] - logits["counted"]).mean()
    assert off <= 0.01
    assert off <= off_by_counting / 4, "or the test could not fail"
