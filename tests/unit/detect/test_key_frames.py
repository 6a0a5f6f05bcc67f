import numpy as np
import pytest

from gesta.detect import choose_key_frame

S = 1_000_000


@pytest.mark.parametrize(
    ("start_s", "end_s", "key_s"),
    # Published clips and key-frames of AVA-Kinetics: 09K9CFtILzQ and 08FkSEAtXwM.
    [(96, 106, 97), (2, 12, 3)],
)
def test_the_published_key_frames_are_allowed_by_the_rule(start_s, end_s, key_s):
    times = np.arange(start_s * S, end_s * S, S // 5)
    scores = np.where(times == key_s * S, 0.9, 0.8)
    scores[0] = scores[-1] = 0.99
    assert times[choose_key_frame(times, scores, start_us=start_s * S, end_us=end_s * S)] == key_s * S


def test_a_person_only_near_the_ends_does_not_count():
    times = np.arange(0, 10 * S, S)
    scores = np.zeros(10)
    scores[0] = 0.9
    assert choose_key_frame(times, scores, start_us=0, end_us=10 * S) == 5


def test_the_earlier_of_two_frames_as_near_to_the_middle():
    times = np.array([400_000, 600_000])
    assert choose_key_frame(times, np.array([0.1, 0.9]), start_us=0, end_us=S) == 0


def test_no_frame_is_our_own_mistake():
    with pytest.raises(ValueError, match="F >= 1"):
        choose_key_frame(np.array([], np.int64), np.array([]), start_us=0, end_us=S)
