"""The nouns of noisy classes: what held-out classifiers say of clips, and what that says of labels and classes."""

from __future__ import annotations

from dataclasses import dataclass

from gesta.schema.nouns import column


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldScore:
    """How likely a classifier that never saw the clip, or another of its video or its copies, holds one class to be."""

    clip_id: str = column("clip")
    class_id: int = column("action")
    score: float = column("probability, 0 to 1; a class that is left out has 0")
    fold: int = column("fold that the clip was held out in, from 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassConfusion:
    """How one class is taken for another: what classifiers predict, and what Confident Learning makes of it."""

    class_id: int = column("class that the clips are labelled with")
    other_class_id: int = column("class that they are taken for")
    rank: int = column("place among the confusions of `class_id`, from 1: the most clips first")
    num_clips: int = column("clips labelled with `class_id`")
    num_taken: int = column("of them, those whose likeliest class is `other_class_id`")
    taken_frac: float = column("num_taken / num_clips")
    num_swapped: int = column("clips labelled with `other_class_id` whose likeliest class is `class_id`")
    num_confident: int = column("clips labelled with `class_id` that belong to `other_class_id`, as the joint says")
    overlap_frac: float = column("share of all labels that are mixed up between the two, either way, as the joint says")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelIssue:
    """A label that Confident Learning holds to be wrong."""

    clip_id: str = column("clip")
    class_id: int = column("class that it is labelled with")
    rank: int = column("place among all issues, from 1: the least likely label first")
    score: float = column("probability of the label, from a classifier that never saw the clip")
    suggested_class_id: int = column("likeliest other class that the clip is not labelled with")
    suggested_score: float = column("its probability")
    rule: str = column("rule that found the issue: joint, by-class, by-noise-rate, both or argmax")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassGroup:
    """Which group inside its class a clip belongs to."""

    clip_id: str = column("clip")
    class_id: int = column("its class")
    group: int = column("group within the class, from 0: the largest first")
    cosine: float = column("likeness of the clip's features to the mean of the group, -1 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTest:
    """Whether the clips of a class fall into several groups."""

    class_id: int = column("class")
    num_clips: int = column("clips with features")
    num_groups: int = column("groups that the test finds; 1 where it finds no two")
    p_value: float = column("of the first test, one group against two, before the correction for many classes")
    adjusted_p: float = column("the same after Holm's correction over the classes")
    separation: float = column("distance of the two groups' means along the line that parts them, in their spread")
    smaller_frac: float = column("share of the clips in the smaller of the two")
