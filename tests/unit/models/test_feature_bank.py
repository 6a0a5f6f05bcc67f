"""Long-term feature banks: which rows a window holds, files, and the layers that ask."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.models import FeatureBank, FeatureBankSpec, PersonHead
from gesta.models.feature_bank import (
    BankPool,
    BankReader,
    bank_of,
    build_bank_reader,
    read_bank,
    windows_of,
    write_bank,
)
from gesta.models.person_heads import PersonRoiHead
from gesta.schema import BadInput, UnknownName

S = 1_000_000
SMALL = FeatureBankSpec(window_s=6, max_per_second=2, num_hidden=4)


def persons(*values):
    return np.array([[value, -value] for value in values], np.float32)


def a_bank():
    return bank_of(
        {
            ("film", 902 * S): persons(1, 2, 3),
            ("film", 904 * S): persons(4),
            ("film", 905 * S + 400_000): persons(5),
            ("other", 904 * S): persons(9),
        }
    )


def test_a_window_holds_each_second_at_its_place():
    rows = a_bank().window("film", timestamp_us=904 * S, spec=SMALL)
    assert rows.dtype == np.float32
    # From 901 s on: the second before 902 is empty, of three persons two fit, and 905.4 s lies in the second 905.
    assert rows[:, 0].tolist() == [0, 0, 1, 2, 0, 0, 4, 0, 5, 0, 0, 0]
    assert (rows[:, 1] == -rows[:, 0]).all()


def test_seconds_count_from_the_key_frame_not_from_the_clock():
    rows = a_bank().window("film", timestamp_us=904 * S + 500_000, spec=SMALL)
    assert rows[:, 0].tolist() == [1, 2, 0, 0, 4, 0, 5, 0, 0, 0, 0, 0]


def test_the_windows_of_whole_seconds_are_the_references():
    """MMAction2's loop: seconds from t - window // 2 on, each with its own persons."""
    draw = np.random.default_rng(0)
    held = {("v", s * S): draw.random((int(draw.integers(0, 5)), 3)) for s in range(50) if draw.random() < 0.7}
    bank, spec = bank_of(held), FeatureBankSpec(window_s=7, max_per_second=3, num_hidden=4)
    for time in (0, 3, 20, 48, 60):
        want = np.zeros((7, 3, 3))
        for i, second in enumerate(range(time - 7 // 2, time - 7 // 2 + 7)):
            found = held.get(("v", second * S), np.zeros((0, 3)))[:3]
            want[i, : len(found)] = found
        found = bank.window("v", timestamp_us=time * S, spec=spec)
        np.testing.assert_allclose(found, want.reshape(21, 3), atol=1e-3)


def test_of_too_many_persons_some_are_drawn():
    bank = bank_of({("v", 0): persons(*range(1, 40))})
    spec = FeatureBankSpec(window_s=1, max_per_second=3, num_hidden=4)
    drawn = [
        tuple(bank.window("v", timestamp_us=0, spec=spec, draw=np.random.default_rng(seed))[:, 0]) for seed in range(4)
    ]
    assert len(set(drawn)) > 1
    assert all(len(set(values)) == 3 and min(values) >= 1 for values in drawn)
    assert tuple(bank.window("v", timestamp_us=0, spec=spec)[:, 0]) == (1, 2, 3)


def test_an_unknown_video_has_nothing():
    assert not a_bank().window("none", timestamp_us=904 * S, spec=SMALL).any()


def test_the_same_bank_is_the_same_file_and_says_what_made_it(tmp_path):
    banks = [bank_of({("b", 5): persons(1)}, video_ids=("a", "b"), origin={"boxes": "truth"}) for _ in range(2)]
    one, other = (write_bank(tmp_path / f"{place}.pt", bank) for place, bank in enumerate(banks))
    assert one.read_bytes() == other.read_bytes()
    assert read_bank(one).origin == {"boxes": "truth"}
    assert read_bank(one).video_ids == ("a", "b")
    assert not read_bank(one).window("a", timestamp_us=5, spec=SMALL).any()
    assert read_bank(one).window("b", timestamp_us=5, spec=SMALL).any()


def test_a_bank_of_key_frames_without_anybody_is_a_bank(tmp_path):
    path = write_bank(tmp_path / "x.pt", bank_of({("a", 0): np.zeros((0, 3))}))
    assert read_bank(path).features_MD.shape == (0, 3)


@pytest.mark.parametrize("operator", ["max", "mean"])
def test_pooled_windows_are_the_references(operator):
    """MMAction2's FBOMax and FBOAvg: over all rows of the window, empty ones too."""
    spec = FeatureBankSpec(window_s=4, max_per_second=2, operator=operator)
    pool = build_bank_reader(spec, num_features=3)
    assert isinstance(pool, BankPool)
    assert not list(pool.parameters())
    bank = torch.randn(2, 8, 3, dtype=torch.float64) - 2
    bank[1, 5] = 0
    found = pool(torch.zeros(3, 3, dtype=torch.float64), bank, torch.tensor([1, 0, 1]))
    wanted = np.max(bank.numpy(), axis=1) if operator == "max" else np.mean(bank.numpy(), axis=1)
    np.testing.assert_allclose(found.numpy(), wanted[[1, 0, 1]])
    assert not pool(torch.ones(2, 3), None, torch.tensor([0, 4])).any()
    with pytest.raises(ValueError, match=r"of shape \(2, 8, 3\): want \[B, 8, 4\]"):
        build_bank_reader(spec, num_features=4)(torch.ones(1, 4), bank, torch.tensor([0]))


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(st.tuples(st.sampled_from("abc"), st.integers(0, 90 * S)), st.integers(0, 4), min_size=1))
def test_a_bank_survives_its_file(tmp_path_factory, counts):
    bank = bank_of({key: np.full((num, 3), i, np.float32) for i, (key, num) in enumerate(sorted(counts.items()))})
    path = write_bank(tmp_path_factory.mktemp("bank") / "train.bank", bank)
    again = read_bank(path)
    assert again.video_ids == bank.video_ids
    for name in ("videos_M", "times_M", "features_MD"):
        assert np.array_equal(getattr(again, name), getattr(bank, name))
    assert again.features_MD.dtype == np.float16


def test_banks_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(BadInput, match="there is no such feature bank"):
        read_bank(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"?")
    with pytest.raises(BadInput, match=r"x: this is no feature bank \("):
        read_bank(tmp_path / "x")
    torch.save({"format": "other"}, tmp_path / "y")
    with pytest.raises(BadInput, match="format 'other', want 'gesta-bank-1'"):
        read_bank(tmp_path / "y")
    with pytest.raises(BadInput, match="equally many features a person"):
        bank_of({("a", 0): persons(1), ("b", 0): np.zeros((1, 3))})
    with pytest.raises(BadInput, match="equally many features a person"):
        bank_of({})
    with pytest.raises(BadInput, match=r"shapes \[\[2\], \[1\], \[1, 2\]\]"):
        FeatureBank(video_ids=("a",), videos_M=np.zeros(2, int), times_M=np.zeros(1, int), features_MD=np.zeros((1, 2)))
    with pytest.raises(BadInput, match="names a video that it does not list"):
        FeatureBank(video_ids=("a",), videos_M=np.ones(1, int), times_M=np.zeros(1, int), features_MD=np.zeros((1, 2)))
    with pytest.raises(BadInput, match="no seconds, features or layers"):
        FeatureBankSpec(window_s=0)
    with pytest.raises(BadInput, match=r"dropout of a feature bank is 1\.0"):
        FeatureBankSpec(dropout=1.0)
    with pytest.raises(UnknownName, match="no operator of a feature bank 'maximum'"):
        FeatureBankSpec(operator="maximum")
    with pytest.raises(BadInput, match="features that half precision does not hold"):
        bank_of({("a", 0): np.full((1, 2), 1e6)})


def test_the_layers_are_the_references_formula():
    """MMAction2's FBONonLocal, written out for one box: softmax(q k / sqrt d) v, norm, ReLU, layer, added."""
    torch.manual_seed(0)
    reader = BankReader(SMALL, num_features=2).double().eval()
    own = torch.randn(3, 2, dtype=torch.float64)
    bank = torch.randn(2, SMALL.num_rows, 2, dtype=torch.float64)
    clips = torch.tensor([1, 0, 1])
    found = reader(own, bank, clips)
    for box in range(3):
        x = reader.own.weight @ own[box] + reader.own.bias
        rows = bank[clips[box]] @ reader.window.weight.T + reader.window.bias
        for layer in reader.layers:
            query = layer.query.weight @ x + layer.query.bias
            scores = (rows @ layer.key.weight.T + layer.key.bias) @ query / math.sqrt(4)
            seen = (scores.exp() / scores.exp().sum()) @ (rows @ layer.value.weight.T + layer.value.bias)
            normed = (seen - seen.mean()) / (seen.var(correction=0) + 1e-5).sqrt() * layer.norm.weight + layer.norm.bias
            x = x + layer.out.weight @ normed.clamp_min(0) + layer.out.bias
        torch.testing.assert_close(found[box], x)


def test_a_head_reads_the_bank_of_the_boxs_own_clip():
    torch.manual_seed(0)
    head = PersonRoiHead(PersonHead(bank=SMALL, dropout=0.0), path_features=(2,), num_classes=3).eval()
    maps, boxes = (torch.randn(2, 2, 1, 4, 4),), torch.tensor([[0, 0.0, 0, 1, 1], [1, 0.0, 0, 1, 1]])
    windows = windows_of(a_bank(), [("film", 904 * S), ("nobody", 0)], spec=SMALL)
    assert windows.shape == (2, 12, 2)
    empty = head(maps, boxes, cells_hw=(4, 4))
    found = head(maps, boxes, cells_hw=(4, 4), bank_BLD=windows)
    assert not torch.allclose(found[0], empty[0])
    # No bank at all and a bank of nobody are the same.
    torch.testing.assert_close(found[1], empty[1])
    assert head.features(maps, boxes, cells_hw=(4, 4)).shape == (2, 2)
