"""Laws of splits that grow: a video keeps its split for ever, nothing leaks, fixed counts are exact."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.release.growth import earlier_of_tables
from gesta.release.per_class import OVER_COUNT, OVER_MAXIMUM, Member, PerClass, assign_per_class, counts_wanted
from gesta.release.plan import Plan, Splitting, plan_of_tables
from gesta.release.splits import SPLITS, assign_splits
from gesta.schema import Clip, Duplicate, Kept, LabelClass, Refused, Video
from gesta.tables import empty_frame, frame_of

seeds = st.integers(0, 9)
rules = st.builds(
    lambda val, test, low, more: PerClass(val=val, test=test, min_train=low, max_train=low + more),
    st.integers(0, 3), st.integers(0, 3), st.integers(1, 4), st.integers(0, 5),
)  # fmt: skip
VIDEOS = [f"v{number:02d}" for number in range(24)]


def video(video_id: str, sha256: str) -> Video:
    return Video(
        video_id=video_id, path=f"{video_id}.mp4", sha256=sha256, size_bytes=1, container="mp4", codec="h264",
        width_px=320, height_px=240, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=75, start_us=0,
        duration_us=3_000_000, has_audio=False,
    )  # fmt: skip


def tables_with(videos: dict[str, frozenset[int]], pairs: list[tuple[str, str]], files: dict[str, str]):
    """A work folder's tables: a clip a video, of the classes given; pairs of videos that show the same footage."""
    listed = sorted({*videos, *(video_id for pair in pairs for video_id in pair)})
    alike = [Duplicate(clip_id_a=min(pair), clip_id_b=max(pair), cosine=1.0, num_inliers=9, cluster=0,
                       kept_clip_id=min(pair)) for pair in set(pairs) if pair[0] != pair[1]]  # fmt: skip
    rows = {
        "videos": [video(name, files.get(name, f"{name}-bytes")) for name in listed],
        "clips": [Clip(clip_id=name, video_id=name, start_us=0, end_us=9) for name in listed],
        "kept": [Kept(clip_id=name, video_id=name, class_id=c) for name in videos for c in sorted(videos[name])],
        "label_map": [LabelClass(class_id=number, name=f"class {number}") for number in range(1, 5)],
        "duplicates": {(row.clip_id_a, row.clip_id_b): row for row in alike}.values(),
    }
    empty = {table: empty_frame(table) for table in ("key_frames", "tracks", "box_labels", "workers")}
    return empty | {table: frame_of(table, listed) for table, listed in rows.items()}


works = st.builds(
    tables_with,
    st.dictionaries(st.sampled_from(VIDEOS), st.frozensets(st.integers(1, 4), min_size=1, max_size=2), min_size=1),
    st.lists(st.tuples(st.sampled_from(VIDEOS), st.sampled_from(VIDEOS)), max_size=5),
    st.dictionaries(st.sampled_from(VIDEOS), st.sampled_from(["same", "as", "these"]), max_size=4),
)
manners = st.one_of(
    st.builds(lambda seed: Splitting(seed=seed), seeds),
    st.builds(lambda seed, rule: Splitting(seed=seed, per_class=rule), seeds, rules),
)


def split_of_videos(plan: Plan) -> dict[str, str]:
    return dict(plan.tables["splits"].select("video_id", "split").iter_rows())


@settings(max_examples=40)
@given(st.lists(st.tuples(works, manners), min_size=2, max_size=4))
def test_a_video_keeps_its_split_through_all_versions_and_nothing_leaks(rounds):
    ever: dict[str, str] = {}
    earlier = None
    for number, (tables, manner) in enumerate(rounds):
        try:
            plan = plan_of_tables(tables, manner, earlier=earlier, where=Path("work"))
        except Refused:
            return
        now = split_of_videos(plan)
        again = [name for name in now if name in ever]
        assert [now[name] for name in again] == [ever[name] for name in again]
        ever |= now
        if plan.diff is not None:
            assert plan.diff.num_leaked == 0
            assert plan.diff.num_moved == 0
            assert set(plan.tables["past_splits"]["video_id"]) == ever.keys() - now.keys()
        earlier = earlier_of_tables(plan.tables, version=str(number))


@settings(max_examples=40)
@given(works, works, manners, manners)
def test_no_footage_of_either_version_is_on_both_sides(first, second, manner, other):
    one = plan_of_tables(first, manner, where=Path("work"))
    try:
        two = plan_of_tables(second, other, earlier=earlier_of_tables(one.tables, version="1"), where=Path("work"))
    except Refused:
        return
    then, now = split_of_videos(one), split_of_videos(two)
    same = [tuple(pair) for pair in second["duplicates"].select("clip_id_a", "clip_id_b").iter_rows()]
    by_file: dict[str, set[str]] = defaultdict(set)
    for tables in (first, second):
        for name, sha256 in tables["videos"].select("video_id", "sha256").iter_rows():
            by_file[sha256].add(name)
    files_of_releases = {*then, *second["videos"]["video_id"]}
    same += [(a, b) for names in by_file.values() for a in names & files_of_releases for b in names & files_of_releases]
    reached = {name: {name} for name in {*then, *now, *(name for pair in same for name in pair)}}
    for _ in reached:
        for a, b in same:
            reached[a] |= reached[b]
            reached[b] |= reached[a]
    for name in [name for name, split in now.items() if split == "train"]:
        for other_name in reached[name]:
            assert now.get(other_name, "train") == "train"
            # A first version that did not know of the pair may hold both: then the train video stays out.
            assert then.get(other_name, "train") == "train"


one_class = st.dictionaries(st.sampled_from(VIDEOS), st.integers(1, 3), max_size=24)


@given(one_class, rules, seeds)
def test_with_a_class_a_clip_the_counts_are_exact(class_of, rule, seed):
    groups = {name: [Member(clip_id=name, classes=frozenset({c}))] for name, c in class_of.items()}
    found = assign_per_class(groups, rule=rule, seed=seed)
    got = Counter((class_of[clip], split) for clip, split in found.split_of.items())
    for class_id, num_clips in Counter(class_of.values()).items():
        wanted = counts_wanted(num_clips, rule)
        assert (got[class_id, "val"], got[class_id, "test"]) == (wanted["val"], wanted["test"])
        assert got[class_id, "train"] == min(num_clips - wanted["val"] - wanted["test"], rule.max_train)
        if num_clips >= rule.least:
            assert got[class_id, "train"] >= rule.min_train


@st.composite
def grown_groups(draw):
    groups, pinned = {}, {}
    for group in draw(st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=10)):
        sizes = draw(st.integers(1, 4))
        classes = [draw(st.frozensets(st.integers(1, 3), min_size=1, max_size=2)) for _ in range(sizes)]
        was_in = draw(st.integers(0, sizes)) if draw(st.booleans()) else 0
        groups[group] = [Member(clip_id=f"{group}{n}", classes=c, was_in=n < was_in) for n, c in enumerate(classes)]
        if was_in:
            pinned[group] = draw(st.sampled_from(SPLITS))
    return groups, pinned


@given(grown_groups(), rules, seeds)
def test_groups_stay_whole_old_clips_stay_and_every_clip_is_accounted_for(grown, rule, seed):
    groups, pinned = grown
    found = assign_per_class(groups, rule=rule, seed=seed, pinned=pinned)
    members = {member.clip_id: member for group in groups.values() for member in group}
    assert set(found.split_of) | set(found.left_out) == set(members)
    assert not set(found.split_of) & set(found.left_out)
    assert set(found.left_out.values()) <= {OVER_COUNT, OVER_MAXIMUM}
    for group, clips in groups.items():
        splits = {found.split_of[member.clip_id] for member in clips if member.clip_id in found.split_of}
        assert len(splits) <= 1
        if group in pinned:
            assert splits <= {pinned[group]}
    assert all(clip in found.split_of for clip, member in members.items() if member.was_in)
    backwards = dict(reversed(groups.items()))
    assert assign_per_class(backwards, rule=rule, seed=seed, pinned=pinned) == found


@given(grown_groups(), rules, seeds)
def test_a_clip_of_one_class_never_carries_val_test_or_train_above_the_rule(grown, rule, seed):
    groups, pinned = grown
    groups = {g: [Member(clip_id=m.clip_id, classes=frozenset({min(m.classes)}), was_in=m.was_in) for m in members]
              for g, members in groups.items()}  # fmt: skip
    found = assign_per_class(groups, rule=rule, seed=seed, pinned=pinned)
    got: Counter[tuple[int, str]] = Counter()
    old: Counter[tuple[int, str]] = Counter()
    total: Counter[int] = Counter()
    for members in groups.values():
        for member in members:
            (class_id,) = member.classes
            total[class_id] += 1
            if member.clip_id in found.split_of:
                got[class_id, found.split_of[member.clip_id]] += 1
                old[class_id, found.split_of[member.clip_id]] += member.was_in
    for class_id, num_clips in total.items():
        wanted = counts_wanted(num_clips, rule) | {"train": rule.max_train}
        for split in SPLITS:
            assert got[class_id, split] <= max(wanted[split], old[class_id, split])


@given(
    st.dictionaries(st.sampled_from(VIDEOS), st.frozensets(st.integers(1, 4), min_size=1, max_size=2)),
    st.dictionaries(st.sampled_from(VIDEOS), st.sampled_from(SPLITS)),
    seeds,
)
def test_pinned_groups_keep_their_split_and_pins_of_others_do_not_matter(classes_of, pins, seed):
    shares = (0.7, 0.1, 0.2)
    found = assign_splits(classes_of, fractions=shares, seed=seed, pinned=pins)
    assert set(found) == set(classes_of)
    assert {group: found[group] for group in pins if group in found} == {g: s for g, s in pins.items() if g in found}
    ours = {group: split for group, split in pins.items() if group in classes_of}
    assert assign_splits(classes_of, fractions=shares, seed=seed, pinned=ours) == found
    # What has been split once stays so when it is split again as the version before.
    assert assign_splits(classes_of, fractions=shares, seed=seed + 1, pinned=found) == found


@given(st.integers(1, 400), rules)
def test_wanted_counts_never_ask_for_more_than_there_is_and_reach_the_rule(num_clips, rule):
    wanted = counts_wanted(num_clips, rule)
    assert sum(wanted.values()) <= num_clips
    assert min(wanted.values()) >= 0
    assert wanted["train"] >= 1
    if num_clips >= rule.least:
        assert wanted == {"train": rule.min_train, "val": rule.val, "test": rule.test}
