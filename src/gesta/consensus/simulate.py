"""Crowds with known habits and clips with known answers: what a rule of asking costs, and how right its labels are.

No service and no clock: turn by turn every worker at hand answers a task, and after each turn the rule under study says
which clips are settled. Chance is a number of its own for each worker and clip, so that a worker answers a clip in the
same way under every rule, and rules are compared on the same crowd.

Legend: N votes, I clips (the known ones, gold, after the others), W workers, A answers, K true answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.consensus.dawid_skene import dawid_skene, item_posteriors
from gesta.consensus.early_stop import replay
from gesta.consensus.vote_arrays import VoteArrays
from gesta.schema import ANSWERS, CLIP_PROTOCOL, VERDICTS, BadInput, TrustRule, UnknownName

YES = ANSWERS.index("yes")
CONFUSED_KA = np.array([[0.35, 0.4, 0.2, 0.05], [0.35, 0.4, 0.2, 0.05], [0.3, 0.4, 0.25, 0.05], [0.1, 0.4, 0.3, 0.2]])
"""Answers of an honest worker to a clip that nobody can tell, by true answer. Source: ours."""

PRESUMED_KA = 2 * np.array([[8.0, 1, 0.8, 0.2], [1, 8, 0.8, 0.2], [1, 1, 7.5, 0.5], [0.2, 1, 0.8, 8]])
"""Twenty votes of each true answer that a new worker is taken to have given, 80 % of them right. Source: ours."""

_DEFAULT_TRUST = TrustRule()

CLIPS_A_TASK, GOLD_A_TASK = 18, 2
"""Source: Kinetics-400 paper, section 3.3: 20 clips a task, 2 of them known."""

MOST_SWAPS = 20
"""Draws of another worker for a clip that the first has answered, before one is looked for. Source: ours."""

NUM_PRIOR_STEPS = 3
"""Turns of posteriors and priors under fixed confusions. Source: ours; the third moves no prior by a hundredth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerKind:
    """How workers of a kind answer: right with a chance drawn from `right`, or, for spammers, always by `habit_A`.

    `pace` is how many tasks they do while a careful worker does one.
    """

    right: tuple[float, float] | None
    habit_A: tuple[float, ...] | None
    pace: float


WORKER_KINDS: Mapping[str, WorkerKind] = {
    "expert": WorkerKind(right=(0.97, 0.995), habit_A=None, pace=1),
    "careful": WorkerKind(right=(0.90, 0.97), habit_A=None, pace=1),
    "sloppy": WorkerKind(right=(0.75, 0.88), habit_A=None, pace=1.5),
    "spammer-random": WorkerKind(right=None, habit_A=(0.45, 0.45, 0.1, 0.0), pace=4),
    "spammer-yes": WorkerKind(right=None, habit_A=(1.0, 0.0, 0.0, 0.0), pace=4),
}
"""Kinds of workers. Source: ours; the workers of published crowds range as widely, and who does not look is quicker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """The kind of each worker [W], the chance of each answer by true answer [W, K, A], and paces [W]."""

    kinds: tuple[str, ...]
    confusion_WKA: npt.NDArray[np.float64]
    pace_W: npt.NDArray[np.float64]

    @property
    def is_spammer(self) -> npt.NDArray[np.bool_]:
        """Whether each worker answers without looking [W]."""
        return np.array([WORKER_KINDS[kind].right is None for kind in self.kinds], np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Clips with their true answers [I] and difficulty 0..1 [I]; the last `num_gold` are known to the service."""

    truth_I: npt.NDArray[np.int8]
    difficulty_I: npt.NDArray[np.float64]
    num_gold: int

    @property
    def num_clips(self) -> int:
        """How many clips are asked about, gold aside."""
        return len(self.truth_I) - self.num_gold


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When to stop asking, and whether gold tells whom to believe.

    `stop` is `fixed` (five answers, three yes accept), `early-stop` (the Kinetics protocol) or `dawid-skene` (an answer
    has the chance `threshold`, or five are there; the likeliest answer is the label). With `has_gold` every 18 clips
    come with two known ones, and workers whom `trust` bars are asked no more and their answers set aside.

    Raises:
        UnknownName: there is no such stop.
        BadInput: the threshold is not in 0..1.
    """

    stop: str
    has_gold: bool = True
    threshold: float = 0.95
    trust: TrustRule = _DEFAULT_TRUST

    def __post_init__(self) -> None:
        if self.stop not in ("fixed", "early-stop", "dawid-skene"):
            raise UnknownName(what="stop", name=self.stop, choices=["fixed", "early-stop", "dawid-skene"])
        if not 0 < self.threshold <= 1:
            raise BadInput(f"threshold={self.threshold}", mend="Want more than 0 and at most 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a rule came to.

    precision and recall are of accepted clips against clips whose true answer is yes; `answers_per_clip` counts every
    answer that was paid for except gold, of barred workers too; `gold_per_clip` the answers to gold;
    `num_spammers_barred` and `num_honest_barred` are workers; `num_unsettled` clips for which no worker was left.
    """

    precision: float
    recall: float
    accuracy: float
    answers_per_clip: float
    gold_per_clip: float
    num_spammers_barred: int
    num_honest_barred: int
    num_unsettled: int


def make_crowd(num_workers: int, *, shares: Mapping[str, float], rng: np.random.Generator) -> Crowd:
    """A crowd with so large a share of each kind; what is missing to one is careful.

    Raises:
        UnknownName: a kind is not in `WORKER_KINDS`.
        BadInput: the shares are negative or sum to more than 1, or there is no worker.
    """
    for name in shares:
        if name not in WORKER_KINDS:
            raise UnknownName(what="kind of worker", name=name, choices=WORKER_KINDS)
    if num_workers < 1 or min(shares.values(), default=0) < 0 or sum(shares.values()) > 1 + 1e-9:
        raise BadInput(f"{num_workers} workers, shares {dict(shares)}", mend="Want 1 or more, and shares of a whole")
    kinds = [name for name, share in shares.items() for _ in range(round(num_workers * share))][:num_workers]
    kinds += ["careful"] * (num_workers - len(kinds))
    confusions = []
    for name in kinds:
        kind = WORKER_KINDS[name]
        if kind.right is None:
            confusions.append(np.tile(np.array(kind.habit_A), (len(ANSWERS), 1)))
        else:
            # Who errs does so as one who cannot tell, but for the right answer.
            wrong_KA = CONFUSED_KA * (1 - np.eye(len(ANSWERS)))
            wrong_KA /= wrong_KA.sum(axis=1, keepdims=True)
            right = rng.uniform(*kind.right)
            confusions.append(right * np.eye(len(ANSWERS)) + (1 - right) * wrong_KA)
    pace_W = np.array([WORKER_KINDS[name].pace for name in kinds])
    return Crowd(kinds=tuple(kinds), confusion_WKA=np.array(confusions), pace_W=pace_W)


def make_pool(
    num_clips: int, *, num_gold: int, yes_frac: float = 0.5, broken_frac: float = 0.05, rng: np.random.Generator
) -> Pool:
    """Clips of a class of which so many show the action, most of them easy, and easy known ones.

    Source: ours; the share of positives is what Kinetics-400 (3.3) expected, difficulty is Beta(0.5, 3), mean 0.14.
    """
    chances = [yes_frac, 1 - yes_frac - broken_frac, 0.0, broken_frac]
    truth_I = rng.choice(len(ANSWERS), num_clips + num_gold, p=chances).astype(np.int8)
    difficulty_I = rng.beta(0.5, 3.0, num_clips + num_gold)
    difficulty_I[num_clips:] = 0
    return Pool(truth_I=truth_I, difficulty_I=difficulty_I, num_gold=num_gold)


def _chance_numbers(
    item_N: npt.NDArray[np.int64], worker_N: npt.NDArray[np.int64], *, seed: int
) -> npt.NDArray[np.float64]:
    """A number in 0..1 for each worker and item, the same in every run of the seed [N].

    Source: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    """
    step = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        x = (item_N.astype(np.uint64) << np.uint64(24)) + worker_N.astype(np.uint64) + np.uint64(seed) * step
        for _ in range(2):
            x += step
            x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) / 2.0**53


def answers_of(
    crowd: Crowd, pool: Pool, *, item_N: npt.NDArray[np.int64], worker_N: npt.NDArray[np.int64], seed: int
) -> npt.NDArray[np.int8]:
    """What these workers answer to these clips [N]; the same whenever and under whatever rule they are asked."""
    truth_N, difficulty_N = pool.truth_I[item_N], pool.difficulty_I[item_N]
    difficulty_N = np.where(crowd.is_spammer[worker_N], 0.0, difficulty_N)[:, None]
    chance_NA = (1 - difficulty_N) * crowd.confusion_WKA[worker_N, truth_N] + difficulty_N * CONFUSED_KA[truth_N]
    drawn_N = _chance_numbers(item_N, worker_N, seed=seed)
    passed_NA = drawn_N[:, None] >= chance_NA.cumsum(axis=1)[:, :-1]
    return passed_NA.sum(axis=1).astype(np.int8)


@dataclass(slots=True, kw_only=True)
class _Log:
    """What was answered so far, in order of arrival, and who is barred; grows turn by turn."""

    item_N: npt.NDArray[np.int32]
    worker_N: npt.NDArray[np.int32]
    answer_N: npt.NDArray[np.int8]
    has_answered_IW: npt.NDArray[np.bool_]
    is_barred_W: npt.NDArray[np.bool_]

    def add(
        self, item_N: npt.NDArray[np.int64], worker_N: npt.NDArray[np.int64], answer_N: npt.NDArray[np.int8]
    ) -> None:
        """Take in the answers of a turn."""
        self.item_N = np.append(self.item_N, item_N.astype(np.int32))
        self.worker_N = np.append(self.worker_N, worker_N.astype(np.int32))
        self.answer_N = np.append(self.answer_N, answer_N)
        self.has_answered_IW[item_N, worker_N] = True

    def arrays(self, is_taken_N: npt.NDArray[np.bool_]) -> VoteArrays:
        """Some of the votes as arrays; ids stand for themselves."""
        num_items, num_workers = self.has_answered_IW.shape
        return VoteArrays(
            item_N=self.item_N[is_taken_N],
            worker_N=self.worker_N[is_taken_N],
            answer_N=self.answer_N[is_taken_N],
            item_ids=pl.int_range(num_items, eager=True),
            worker_ids=pl.int_range(num_workers, eager=True),
        )


def simulate(crowd: Crowd, pool: Pool, *, rule: Rule, seed: int) -> Outcome:
    """What it costs to have a crowd label a pool under a rule, and how right the labels are.

    In a turn every worker who is not barred answers a task of clips (`WorkerKind.pace` tasks): the first clips that
    are not settled, one answer each, in an order of chance and never the same clip twice. The end is when all clips
    are settled, or those left have been answered by everybody.
    """
    rng = np.random.default_rng(seed)
    num_items, num_workers = len(pool.truth_I), len(crowd.kinds)
    log = _Log(
        item_N=np.zeros(0, np.int32),
        worker_N=np.zeros(0, np.int32),
        answer_N=np.zeros(0, np.int8),
        has_answered_IW=np.zeros((num_items, num_workers), np.bool_),
        is_barred_W=np.zeros(num_workers, np.bool_),
    )
    # Each worker meets the known clips in an order of their own, none twice.
    gold_WG = pool.num_clips + rng.permuted(np.tile(np.arange(pool.num_gold), (num_workers, 1)), axis=1)
    while True:
        is_settled_I, is_accepted_I = _settled(log, pool, rule=rule)
        item_N, worker_N = _turn(log, crowd, np.flatnonzero(~is_settled_I), rng=rng)
        if not len(item_N):
            break
        if rule.has_gold:
            gold_N, by_N = _gold_due(log, gold_WG, worker_N, num_clips=pool.num_clips)
            item_N, worker_N = np.append(item_N, gold_N), np.append(worker_N, by_N)
        log.add(item_N, worker_N, answers_of(crowd, pool, item_N=item_N, worker_N=worker_N, seed=seed))
        if rule.has_gold:
            log.is_barred_W = _barred(log, pool, trust=rule.trust)
    return _outcome(log, crowd, pool, is_settled_I=is_settled_I, is_accepted_I=is_accepted_I)


def _turn(
    log: _Log, crowd: Crowd, open_items: npt.NDArray[np.int64], *, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which worker answers which clip next [N], [N]; nothing when nobody may answer what is open."""
    active = np.flatnonzero(~log.is_barred_W)
    nothing = np.zeros(0, np.int64)
    if not len(active) or not len(open_items):
        return nothing, nothing
    open_items = open_items[~log.has_answered_IW[np.ix_(open_items, active)].all(axis=1)]
    places = np.repeat(active, np.round(CLIPS_A_TASK * crowd.pace_W[active]).astype(np.int64))
    items, workers = open_items[: len(places)], rng.permutation(places)[: len(open_items)]
    for _ in range(MOST_SWAPS):
        met = np.flatnonzero(log.has_answered_IW[items, workers])
        if not len(met):
            break
        workers[met] = rng.choice(places, len(met))
    is_new = ~log.has_answered_IW[items, workers]
    # With few workers left a free one may have to be looked for.
    for place in np.flatnonzero(~is_new):
        workers[place] = rng.choice(active[~log.has_answered_IW[items[place], active]])
    return items, workers


def _gold_due(
    log: _Log, gold_WG: npt.NDArray[np.int64], worker_N: npt.NDArray[np.int64], *, num_clips: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The known clips that come with the answers of a turn, and who gets them [N], [N]."""
    num_workers, num_gold = gold_WG.shape
    is_gold_N = log.item_N >= num_clips
    num_met_W = np.bincount(log.worker_N[is_gold_N], minlength=num_workers)
    num_clips_W = np.bincount(log.worker_N[~is_gold_N], minlength=num_workers)
    num_clips_W += np.bincount(worker_N, minlength=num_workers)
    # Gold leads: two with the first clips of each task.
    num_due_W = np.minimum(-(-num_clips_W // CLIPS_A_TASK) * GOLD_A_TASK, num_gold)
    by_N = np.repeat(np.arange(num_workers), np.maximum(num_due_W - num_met_W, 0))
    turn_N = np.arange(len(by_N)) - np.searchsorted(by_N, by_N)
    return gold_WG[by_N, num_met_W[by_N] + turn_N], by_N


def _barred(log: _Log, pool: Pool, *, trust: TrustRule) -> npt.NDArray[np.bool_]:
    """Whether each worker's gold answers bar them [W]."""
    is_gold_N = log.item_N >= pool.num_clips
    is_right_N = log.answer_N == pool.truth_I[log.item_N]
    num_workers = len(log.is_barred_W)
    num_gold_W = np.bincount(log.worker_N[is_gold_N], minlength=num_workers)
    num_right_W = np.bincount(log.worker_N[is_gold_N & is_right_N], minlength=num_workers)
    return np.array(
        [
            not trust.is_trusted(num_gold=int(num_gold), num_gold_right=int(num_right))
            for num_gold, num_right in zip(num_gold_W, num_right_W, strict=True)
        ],
        np.bool_,
    )


def _settled(log: _Log, pool: Pool, *, rule: Rule) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether each clip needs no more answers, and whether it is accepted as things are [I, gold left out]."""
    is_heard_N = ~log.is_barred_W[log.worker_N]
    votes = log.arrays(is_heard_N & (log.item_N < pool.num_clips))
    if rule.stop == "early-stop":
        verdict_I = replay(votes, protocols=[CLIP_PROTOCOL]).verdict_I[: pool.num_clips]
        return verdict_I != VERDICTS.index("open"), verdict_I == VERDICTS.index("accepted")
    num_I = np.bincount(votes.item_N, minlength=votes.num_items)[: pool.num_clips]
    if rule.stop == "fixed":
        num_yes_I = np.bincount(votes.item_N[votes.answer_N == YES], minlength=votes.num_items)[: pool.num_clips]
        return num_I >= CLIP_PROTOCOL.max_votes, num_yes_I >= CLIP_PROTOCOL.accept_yes
    posterior_IK = _online_posteriors(log, pool, votes, is_heard_N=is_heard_N)[: pool.num_clips]
    is_sure_I = (posterior_IK.max(axis=1) >= rule.threshold) & (num_I > 0)
    return is_sure_I | (num_I >= CLIP_PROTOCOL.max_votes), posterior_IK.argmax(axis=1) == YES


def _online_posteriors(
    log: _Log, pool: Pool, votes: VoteArrays, *, is_heard_N: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """The chance of each true answer of each clip, from what is known of the workers so far [I, K].

    Confusions are fitted to gold and to clips with two answers or more (a single answer agrees with itself and would
    teach that its worker is always right), with `PRESUMED_KA` for everybody; priors are the mean posteriors.
    """
    num_I = np.bincount(votes.item_N, minlength=votes.num_items)
    is_gold_N = log.item_N >= pool.num_clips
    known_I = np.full(votes.num_items, -1, np.int8)
    known_I[pool.num_clips :] = pool.truth_I[pool.num_clips :]
    telling = log.arrays(is_heard_N & (is_gold_N | (num_I[log.item_N] >= 2)))
    fitted = dawid_skene(telling, known_I=known_I, presumed_KA=PRESUMED_KA, max_iterations=30, tolerance=1e-5)
    given_K = np.bincount(votes.answer_N, minlength=len(ANSWERS)) + 1.0
    prior_K, is_met_I = given_K / given_K.sum(), num_I > 0
    for _ in range(NUM_PRIOR_STEPS):
        posterior_IK = item_posteriors(votes, prior_K=prior_K, confusion_WKA=fitted.confusion_WKA)
        if is_met_I.any():
            prior_K = np.maximum(posterior_IK[is_met_I].mean(axis=0), 1e-3)
            prior_K /= prior_K.sum()
    return posterior_IK


def _outcome(
    log: _Log,
    crowd: Crowd,
    pool: Pool,
    *,
    is_settled_I: npt.NDArray[np.bool_],
    is_accepted_I: npt.NDArray[np.bool_],
) -> Outcome:
    is_yes_I = pool.truth_I[: pool.num_clips] == YES
    num_right = int((is_accepted_I & is_yes_I).sum())
    num_gold = int((log.item_N >= pool.num_clips).sum())
    return Outcome(
        precision=num_right / max(1, int(is_accepted_I.sum())),
        recall=num_right / max(1, int(is_yes_I.sum())),
        accuracy=float((is_accepted_I == is_yes_I).mean()),
        answers_per_clip=(len(log.item_N) - num_gold) / pool.num_clips,
        gold_per_clip=num_gold / pool.num_clips,
        num_spammers_barred=int((log.is_barred_W & crowd.is_spammer).sum()),
        num_honest_barred=int((log.is_barred_W & ~crowd.is_spammer).sum()),
        num_unsettled=int((~is_settled_I).sum()),
    )
