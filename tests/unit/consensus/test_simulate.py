"""Simulated crowds: what rules cost and how right they are, on crowds whose habits are known."""

from __future__ import annotations

import numpy as np
import pytest

from gesta.consensus.simulate import (
    YES,
    Crowd,
    Outcome,
    Pool,
    Rule,
    answers_of,
    make_crowd,
    make_pool,
    simulate,
)
from gesta.schema import ANSWERS, BadInput, UnknownName

STOPS = ("fixed", "early-stop", "dawid-skene")


def study(
    stop: str, *, spammer_frac: float = 0.0, has_gold: bool = True, threshold: float = 0.95, seed: int = 1
) -> Outcome:
    rng = np.random.default_rng(11)
    shares = {"expert": 0.1, "spammer-random": spammer_frac / 2, "spammer-yes": spammer_frac / 2}
    crowd = make_crowd(40, shares=shares, rng=rng)
    pool = make_pool(1500, num_gold=200, rng=rng)
    return simulate(crowd, pool, rule=Rule(stop=stop, has_gold=has_gold, threshold=threshold), seed=seed)


def flawless(num_clips: int) -> tuple[Crowd, Pool]:
    crowd = Crowd(kinds=("expert",) * 8, confusion_WKA=np.tile(np.eye(4), (8, 1, 1)), pace_W=np.ones(8))
    truth_I = np.arange(num_clips + 10).astype(np.int8) % 2
    return crowd, Pool(truth_I=truth_I, difficulty_I=np.zeros(num_clips + 10), num_gold=10)


@pytest.mark.parametrize(("stop", "answers_per_clip"), [("fixed", 5), ("early-stop", 3)])
@pytest.mark.parametrize("has_gold", [True, False])
def test_workers_without_fault_cost_what_the_rule_says(*, stop: str, answers_per_clip: int, has_gold: bool) -> None:
    crowd, pool = flawless(90)
    found = simulate(crowd, pool, rule=Rule(stop=stop, has_gold=has_gold), seed=0)
    assert (found.precision, found.recall, found.accuracy) == (1, 1, 1)
    assert found.answers_per_clip == answers_per_clip
    assert found.num_unsettled == found.num_honest_barred == 0
    # Two with every eighteen clips, and with the last task of each worker too, however short.
    least = answers_per_clip / 9
    assert least <= found.gold_per_clip < least + 2 * 8 / 90 if has_gold else found.gold_per_clip == 0


@pytest.mark.parametrize("stop", STOPS)
def test_the_same_seed_is_the_same_study(stop: str) -> None:
    assert study(stop, spammer_frac=0.2) == study(stop, spammer_frac=0.2)
    assert study(stop, spammer_frac=0.2) != study(stop, spammer_frac=0.2, seed=2)


def test_the_early_stop_spends_less_than_five_and_is_as_right() -> None:
    fixed, early = study("fixed"), study("early-stop")
    assert fixed.answers_per_clip == pytest.approx(5, abs=0.3)
    assert 3 <= early.answers_per_clip < 4
    assert early.accuracy == pytest.approx(fixed.accuracy, abs=0.02)


def test_a_likely_answer_takes_fewer_answers_and_a_higher_threshold_more() -> None:
    early, sure, surer = study("early-stop"), study("dawid-skene"), study("dawid-skene", threshold=0.99)
    assert sure.answers_per_clip < surer.answers_per_clip < early.answers_per_clip
    assert sure.accuracy > early.accuracy - 0.02


@pytest.mark.parametrize("stop", STOPS)
def test_gold_finds_spammers_and_mends_what_they_did(stop: str) -> None:
    clean, spoilt, mended = (
        study(stop),
        study(stop, spammer_frac=0.3, has_gold=False),
        study(stop, spammer_frac=0.3),
    )
    assert mended.num_spammers_barred >= 10
    assert mended.num_honest_barred <= 2
    assert spoilt.precision < clean.precision - 0.05
    assert mended.precision == pytest.approx(clean.precision, abs=0.03)
    assert mended.answers_per_clip > clean.answers_per_clip, "what barred workers were paid is counted"


def test_nobody_answers_a_clip_twice_and_too_few_workers_leave_clips_unsettled() -> None:
    crowd, pool = flawless(30)
    few = Crowd(kinds=crowd.kinds[:4], confusion_WKA=crowd.confusion_WKA[:4], pace_W=crowd.pace_W[:4])
    found = simulate(few, pool, rule=Rule(stop="fixed", has_gold=False), seed=0)
    assert (found.answers_per_clip, found.num_unsettled) == (4, 30)


def test_answers_follow_the_confusion_and_the_difficulty() -> None:
    crowd = make_crowd(2, shares={"spammer-random": 0.5}, rng=np.random.default_rng(0))
    num = 40_000
    for difficulty, honest_right in ((0.0, crowd.confusion_WKA[1, YES, YES]), (1.0, 0.35)):
        pool = Pool(truth_I=np.full(num, YES, np.int8), difficulty_I=np.full(num, difficulty), num_gold=0)
        shares = [
            np.bincount(
                answers_of(crowd, pool, item_N=np.arange(num), worker_N=np.full(num, worker), seed=4), minlength=4
            ) / num
            for worker in (0, 1)
        ]  # fmt: skip
        assert shares[0] == pytest.approx([0.45, 0.45, 0.1, 0], abs=0.01), "spammers do not look"
        assert shares[1][YES] == pytest.approx(honest_right, abs=0.01)


def test_a_crowd_has_the_shares_it_was_asked_for() -> None:
    crowd = make_crowd(10, shares={"sloppy": 0.3, "spammer-yes": 0.2}, rng=np.random.default_rng(0))
    assert sorted(crowd.kinds) == ["careful"] * 5 + ["sloppy"] * 3 + ["spammer-yes"] * 2
    assert crowd.confusion_WKA.sum(axis=2) == pytest.approx(np.ones((10, len(ANSWERS))))
    assert crowd.is_spammer.sum() == 2


def test_what_makes_no_sense_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UnknownName, match="no kind of worker 'lazy'"):
        make_crowd(5, shares={"lazy": 0.5}, rng=rng)
    with pytest.raises(BadInput, match="0 workers"):
        make_crowd(0, shares={}, rng=rng)
    with pytest.raises(BadInput, match="shares of a whole"):
        make_crowd(5, shares={"expert": 0.7, "sloppy": 0.7}, rng=rng)
    with pytest.raises(UnknownName, match=r"no stop 'early'\. Did you mean 'early-stop'"):
        Rule(stop="early")
    with pytest.raises(BadInput, match=r"threshold=1\.5"):
        Rule(stop="dawid-skene", threshold=1.5)
