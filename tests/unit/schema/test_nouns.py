"""The nouns refuse what they cannot be."""

from __future__ import annotations

import pytest

from gesta.schema import BadInput, Clip, Proposal, Video, Vote


def test_a_clip_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(BadInput, match=r"ends before it starts\. Want start_us < end_us"):
        Clip(clip_id="c", video_id="v", start_us=5, end_us=5)


@pytest.mark.parametrize("box", [(-0.1, 0, 1, 1), (0, 0, 1.1, 1), (0.5, 0, 0.5, 1), (0, 0.9, 1, 0.1)])
def test_a_box_outside_the_frame_or_inverted_is_refused(box: tuple[float, float, float, float]) -> None:
    x1, y1, x2, y2 = box
    with pytest.raises(BadInput, match="is no box inside the frame"):
        Proposal(clip_id="c", video_id="v", timestamp_us=0, x1=x1, y1=y1, x2=x2, y2=y2, score=1.0)


def test_an_answer_that_is_none_lists_the_answers() -> None:
    with pytest.raises(BadInput, match=r"'maybe' is no answer\. Want one of yes, no, unsure, broken"):
        Vote(vote_id=1, item_id="i", worker_id="w", answer="maybe")


def test_a_video_without_a_picture_is_refused() -> None:
    with pytest.raises(BadInput, match="has no picture"):
        Video(
            video_id="v", path="v.mp4", sha256="", size_bytes=1, container="mp4", codec="h264", width_px=0, height_px=2,
            rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=1, start_us=0, duration_us=1,
            has_audio=False,
        )  # fmt: skip
