"""What stays of duplicates and of a video's clips."""

from hypothesis import given
from hypothesis import strategies as st

from gesta.curate import Standing, clip_that_stays, clusters_of, one_per_video, videos_that_stay
from gesta.schema import Duplicate


def pair(a, b, a_s=(0, 10), b_s=(0, 10)):
    if a > b:
        a, b, a_s, b_s = b, a, b_s, a_s
    return Duplicate(
        clip_id_a=a, clip_id_b=b, cosine=0.9, num_inliers=50, cluster=-1, kept_clip_id="", agreement=0.9,
        is_mirrored=False, start_us_a=a_s[0], end_us_a=a_s[1], start_us_b=b_s[0], end_us_b=b_s[1],
    )  # fmt: skip


def standing(**facts):
    """Clip id -> (video, accepted, yes, px)."""
    return {
        clip: Standing(video_id=video, is_accepted=accepted, num_yes=num_yes, num_px=num_px)
        for clip, (video, accepted, num_yes, num_px) in facts.items()
    }


def test_pairs_that_share_a_stretch_are_one_cluster():
    assert clusters_of([pair("a", "b"), pair("b", "c"), pair("d", "e")]) == [0, 0, 1]


def test_a_compilation_does_not_join_what_it_was_made_of():
    pairs = [pair("c", "s", (0, 5), (0, 5)), pair("c", "t", (5, 9), (2, 6))]
    assert clusters_of(pairs) == [0, 1]
    facts = standing(c=("C", True, 5, 100), s=("S", True, 3, 100), t=("T", True, 3, 100))
    gone, kept = videos_that_stay(pairs, [0, 1], facts)
    assert (gone, kept) == ({"C": "S"}, {"S", "T"})


def test_the_accepted_one_with_most_positives_stays_then_the_larger_picture_then_the_id():
    pairs = [pair("a", "b")]
    for facts, expected in (
        (standing(a=("A", False, 0, 900), b=("B", True, 3, 100)), "B"),
        (standing(a=("A", True, 3, 900), b=("B", True, 4, 100)), "B"),
        (standing(a=("A", True, 3, 100), b=("B", True, 3, 900)), "B"),
        (standing(a=("A", True, 3, 100), b=("B", True, 3, 100)), "A"),
    ):
        gone, kept = videos_that_stay(pairs, [0], facts)
        assert kept == {expected}
        assert gone == {("AB".replace(expected, "")): expected}
        assert clip_that_stays(["a", "b"], facts, kept) == expected.lower()


def test_copies_that_meet_only_through_a_third_do_not_both_stay():
    pairs = [pair("a", "m"), pair("b", "m")]
    facts = standing(a=("A", True, 3, 1), b=("B", True, 3, 1), m=("M", False, 0, 1))
    gone, kept = videos_that_stay(pairs, clusters_of(pairs), facts)
    assert kept == {"A"}
    assert gone == {"B": "A", "M": "A"}


names = st.sampled_from("abcdefgh")
stretch = st.integers(0, 20).flatmap(lambda low: st.tuples(st.just(low), st.integers(low + 1, low + 12)))
drawn_pairs = st.lists(
    st.tuples(names, names, stretch, stretch).filter(lambda p: p[0] != p[1]).map(lambda p: pair(*p)), max_size=12
)


@given(drawn_pairs, st.randoms(use_true_random=False))
def test_clusters_do_not_depend_on_the_order_of_the_pairs(pairs, rng):
    order = list(range(len(pairs)))
    rng.shuffle(order)
    before, after = clusters_of(pairs), clusters_of([pairs[k] for k in order])
    shuffled = [before[k] for k in order]
    assert len(set(zip(shuffled, after, strict=True))) == len(set(before)) == len(set(after))


@given(drawn_pairs, st.dictionaries(names, st.tuples(st.booleans(), st.integers(0, 5)), max_size=8))
def test_no_two_videos_of_a_cluster_stay_and_each_that_goes_has_one_that_stays(pairs, facts):
    rows = {}
    for name in "abcdefgh":
        accepted, num_yes = facts.get(name, (False, 0))
        rows[name] = Standing(video_id=name.upper(), is_accepted=accepted, num_yes=num_yes, num_px=1)
    clusters = clusters_of(pairs)
    gone, kept = videos_that_stay(pairs, clusters, rows)
    for number in set(clusters):
        members = {
            name.upper()
            for row, k in zip(pairs, clusters, strict=True)
            if k == number
            for name in (row.clip_id_a, row.clip_id_b)
        }
        assert len(members & kept) <= 1
    assert set(gone.values()) <= kept
    assert not set(gone) & kept


def test_one_clip_a_video_and_class_stays():
    rows = [("a", "V", 1), ("b", "V", 1), ("a", "V", 2), ("c", "W", 1)]
    kept, gone = one_per_video(rows, seed=3)
    assert [(video, class_id) for _, video, class_id in sorted(kept, key=lambda row: row[1:])] == [
        ("V", 1),
        ("V", 2),
        ("W", 1),
    ]
    assert len(gone) == 1
    assert one_per_video(list(reversed(rows)), seed=3) == (kept, gone)


def test_the_draw_depends_on_the_seed_and_not_on_other_videos():
    rows = [(f"{video}{clip}", f"V{video}", 1) for video in range(40) for clip in "ab"]
    first, second = (dict.fromkeys(one_per_video(rows, seed=seed)[0]) for seed in (1, 2))
    assert first != second
    fewer = one_per_video(rows[:20], seed=1)[0]
    assert set(fewer) <= set(first)


def test_what_people_kept_stays_and_what_they_took_out_is_represented():
    pairs = [pair("a", "n"), pair("b", "n"), pair("m", "g")]
    facts = standing(
        a=("A", True, 3, 1), b=("B", True, 3, 1), n=("N", True, 9, 9), m=("M", True, 9, 9), g=("G", True, 3, 1)
    )
    gone, kept = videos_that_stay(pairs, clusters_of(pairs), facts, chosen={"a", "b"}, gone={"g"})
    assert kept == {"A", "B"}, "people saw that they differ, though a third is like both"
    assert gone == {"N": "A", "M": "G"}, "another copy stays for g already"


def test_a_drawn_copy_stays_where_that_is_asked_for_and_accepted_ones_go_first():
    names = [f"v{n}" for n in range(4)]
    facts = standing(**{name: (name.upper(), name != "v0", n, n) for n, name in enumerate(names)})
    pairs = [pair("v0", name) for name in names[1:]]
    stays = [videos_that_stay(pairs, clusters_of(pairs), facts, keep="random", seed=seed)[1] for seed in range(40)]
    assert {len(kept) for kept in stays} == {1}
    assert {video for kept in stays for video in kept} == {"V1", "V2", "V3"}


def test_a_kept_clip_is_drawn_first():
    rows = [(f"c{n}", "V", 1) for n in range(9)]
    assert one_per_video(rows, seed=0, chosen={"c7", "x"})[0] == [("c7", "V", 1)]
