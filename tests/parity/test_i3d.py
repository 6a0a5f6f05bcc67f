"""I3D against DeepMind's program and against the common PyTorch port, layer by layer, on pseudo-weights.

The stored numbers are what those programs gave (`tests/golden/i3d`, see its README). Ours get the same values through
`load_weight_file`, in the publication's names and layout, so that names, layout and arithmetic are tested at once.

Two values agree when they differ by no more than 1e-5 of the largest in the layer; mean and deviation likewise.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.golden.i3d.pseudo_weights import digest_of, pseudo_clip, pseudo_weight, uniform

from gesta.models.i3d import END_POINTS, I3d
from gesta.models.weight_files import WeightFile
from gesta.models.weight_names import DEEPMIND_I3D, PYTORCH_I3D
from gesta.models.weights import load_weight_file

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "i3d"
RELATIVE = 1e-5
NUM_CHANNELS = {"RGB": 3, "Flow": 2}
BIG = 600_000  # Pixels of a clip from which a case takes longer than a second.


def cases_of(name: str) -> list[dict]:
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines()][1:]


def marked(cases: list[dict], *keys: str) -> list:
    return [
        pytest.param(
            case,
            id="-".join([*(str(case[key]) for key in keys), "x".join(map(str, case["thw"]))]),
            marks=[pytest.mark.slow] if np.prod(case["thw"]) > BIG else [],
        )
        for case in cases
    ]


DEEPMIND = cases_of("deepmind.jsonl")
PORT = cases_of("port.jsonl")
NAMES: dict[str, dict[str, list[int]]] = json.loads((FOLDER / "deepmind_names.json").read_text())


def as_file(values: dict[str, np.ndarray]) -> WeightFile:
    tensors = {name: torch.from_numpy(value) for name, value in values.items()}
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    return WeightFile(path=Path("pseudo"), shapes=shapes, read=lambda names: {name: tensors[name] for name in names})


def deepmind_file(scope: str) -> WeightFile:
    """The pseudo-weights as TensorFlow keeps them: its names and shapes, kernels in DHWIO."""
    values = {}
    for full, shape in NAMES[scope].items():
        name = full.removeprefix(f"{scope}/inception_i3d/")
        if name.endswith("conv_3d/w"):
            values[full] = pseudo_weight(name, (shape[4], shape[3], *shape[:3])).transpose(2, 3, 4, 1, 0)
        else:
            values[full] = pseudo_weight(name, (shape[-1],)).reshape(shape)
    return as_file(values)


def port_file(num_channels: int, *, scaled: bool) -> WeightFile:
    """The pseudo-weights under the port's names; the scale is the port's own, and 1 unless `scaled`."""
    with torch.device("meta"):
        model = I3d(num_classes=400, num_channels=num_channels)
    values = {}
    for ours, slot in model.state_dict().items():
        port, deepmind = str(PYTORCH_I3D.theirs(ours)), DEEPMIND_I3D.theirs(ours)
        if deepmind is not None:
            values[port] = pseudo_weight(deepmind, tuple(slot.shape))
        elif port.endswith("bn.weight"):
            beta = str(DEEPMIND_I3D.theirs(ours.replace("norm.weight", "norm.bias")))
            gamma = pseudo_weight(beta.replace("beta", "gamma"), tuple(slot.shape))
            values[port] = gamma if scaled else np.ones_like(gamma)
    return as_file(values)


@pytest.fixture(scope="module")
def models() -> dict[tuple[str, int, bool], I3d]:
    """Filled models by publication, channels and whether the scale is drawn; each is made once."""
    return {}


def filled(models: dict, program: str, num_channels: int, *, scaled: bool = False) -> I3d:
    key = (program, num_channels, scaled)
    if key not in models:
        with torch.device("meta"):
            model = I3d(num_classes=400, num_channels=num_channels)
        model.to_empty(device="cpu")
        scope = {3: "RGB", 2: "Flow"}[num_channels]
        file = deepmind_file(scope) if program == "deepmind" else port_file(num_channels, scaled=scaled)
        loaded = load_weight_file(model, file)
        assert sorted(loaded.filled + loaded.constants) == sorted(model.state_dict())
        assert loaded.ignored == ()
        assert loaded.class_names[:1] == ("abseiling",)
        models[key] = model.eval()
    return models[key]


def check_layers(model: I3d, case: dict, num_channels: int) -> None:
    clip = torch.from_numpy(pseudo_clip((1, num_channels, *case["thw"])))
    with torch.no_grad():
        given = model.all_features(clip)
    assert list(case["ends"]) == list(END_POINTS[: END_POINTS.index(case["last"]) + 1])
    for name, stored in case["ends"].items():
        found = digest_of(name, given[name].numpy())
        assert found["shape"] == stored["shape"], name
        tolerance = RELATIVE * stored["largest"]
        for measure in ("mean", "std", "largest", "values"):
            np.testing.assert_allclose(found[measure], stored[measure], rtol=0, atol=tolerance, err_msg=name)
    if "logits" in case:
        tolerance = RELATIVE * np.abs(case["logits"]).max()
        np.testing.assert_allclose(given["Logits"][0].numpy(), case["logits"], rtol=0, atol=tolerance)
        assert len(case["logits"]) == 400


@pytest.mark.parametrize("case", marked(DEEPMIND, "scope"))
def test_every_layer_is_deepminds(case: dict, models: dict) -> None:
    num_channels = NUM_CHANNELS[case["scope"]]
    check_layers(filled(models, "deepmind", num_channels), case, num_channels)


def test_every_way_through_the_model_gives_deepminds_numbers(models: dict) -> None:
    """`forward` and `features` as well as `all_features`, and the layout of memory that training uses."""
    case = next(case for case in DEEPMIND if case["last"] == "Logits" and case["thw"] == [9, 193, 200])
    model = filled(models, "deepmind", 3)
    clip = torch.from_numpy(pseudo_clip((1, 3, *case["thw"])))
    with torch.no_grad():
        given = {"Logits": model(clip.to(memory_format=torch.channels_last_3d))}
        given["Mixed_4f"] = model.features(clip, end_point="Mixed_4f")
        given["MaxPool3d_3a_3x3"] = model.trunk.features(
            clip.to(memory_format=torch.channels_last_3d), end_point="MaxPool3d_3a_3x3"
        )
    for name, values in given.items():
        stored = case["ends"][name]
        found = digest_of(name, values.contiguous().numpy())
        tolerance = RELATIVE * stored["largest"]
        np.testing.assert_allclose(found["values"], stored["values"], rtol=0, atol=tolerance, err_msg=name)
        assert found["shape"] == stored["shape"]


@pytest.mark.parametrize("case", marked(PORT, "channels", "scaled"))
def test_every_layer_is_the_ports(case: dict, models: dict) -> None:
    check_layers(filled(models, "port", case["channels"], scaled=case["scaled"]), case, case["channels"])


def test_the_stored_numbers_are_there_and_can_tell_layers_apart() -> None:
    assert len(DEEPMIND) == 9
    assert len(PORT) == 6
    assert {case["scope"] for case in DEEPMIND if case["last"] == "Logits"} == {"RGB", "Flow"}
    odd = [case for case in DEEPMIND + PORT if any(size % 2 for size in case["thw"])]
    assert len(odd) >= 10
    for case in DEEPMIND + PORT:
        for end in case["ends"].values():
            # Neither dead nor blown up, or a comparison would say nothing.
            assert 0.01 < end["std"] < 20
            assert end["largest"] < 100
            assert len(set(end["values"])) > 8
    assert "tensorflow" in (FOLDER / "deepmind.jsonl").read_text().splitlines()[0]
    hashes = re.findall(r"^- `(.+)`: `([0-9a-f]{64})`$", (FOLDER / "README.md").read_text(), flags=re.MULTILINE)
    assert len(hashes) == 4
    for name, stored in hashes:
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == stored, name


def test_both_programs_agree_on_the_clips_that_both_were_given() -> None:
    pairs = 0
    for port in (case for case in PORT if not case["scaled"]):
        for deepmind in DEEPMIND:
            if deepmind["thw"] != port["thw"] or NUM_CHANNELS[deepmind["scope"]] != port["channels"]:
                continue
            pairs += 1
            for name, end in port["ends"].items():
                tolerance = RELATIVE * end["largest"]
                np.testing.assert_allclose(
                    end["values"], deepmind["ends"][name]["values"], rtol=0, atol=tolerance, err_msg=name
                )
    assert pairs == 4


@pytest.mark.parametrize("scope", ["RGB", "Flow"])
def test_our_names_are_all_of_deepminds_and_no_others(scope: str) -> None:
    with torch.device("meta"):
        model = I3d(num_classes=400, num_channels=NUM_CHANNELS[scope])
    ours = {}
    for name, slot in model.state_dict().items():
        if (theirs := DEEPMIND_I3D.theirs(name)) is not None:
            assert theirs not in ours
            ours[f"{scope}/inception_i3d/{theirs}"] = slot.numel()
    assert ours == {name: int(np.prod(shape)) for name, shape in NAMES[scope].items()}
    assert len(ours) == 230


def test_pseudo_weights_are_the_ones_that_were_written_down() -> None:
    # By hand: SHA-256 of "clip/1x1x1x1x2" begins with the seed, then splitmix64.
    mask = (1 << 64) - 1
    seed = int.from_bytes(hashlib.sha256(b"clip/1x1x1x1x2").digest()[:8], "little")
    expected = []
    for number in (1, 2):
        z = (seed + number * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        expected.append(((z ^ (z >> 31)) >> 40) / 2**23 - 1)
    assert uniform("clip/1x1x1x1x2", (1, 1, 1, 1, 2)).ravel().tolist() == expected
    assert pseudo_clip((1, 1, 1, 1, 2)).ravel().tolist() == expected
    weights = pseudo_weight("Conv3d_2c_3x3/conv_3d/w", (192, 64, 3, 3, 3))
    assert abs(weights.var() * 64 * 27 - 2) < 0.02
    assert pseudo_weight("a/moving_variance", (1000,)).min() >= 0.5
    with pytest.raises(ValueError, match="no rule for a/alpha"):
        pseudo_weight("a/alpha", (1,))


@pytest.mark.parametrize("fault", ["front", "scale", "transposed", "epsilon"])
def test_the_comparison_sees_what_ports_get_wrong(models: dict, fault: str) -> None:
    """Padding on the other side, a scale, a transposed kernel, another epsilon: each shows."""
    case = next(case for case in DEEPMIND if case["thw"] == [8, 64, 64])
    with torch.device("meta"):
        model = I3d(num_classes=400)
    model.to_empty(device="cpu")
    load_weight_file(model, deepmind_file("RGB"))
    model.eval()
    block = model.trunk.blocks["Mixed_4c"].branch_1b
    clip = torch.from_numpy(pseudo_clip((1, 3, *case["thw"])))
    with torch.no_grad():
        if fault == "front":
            clip = clip.flip(dims=(2, 3, 4))
            kernel = model.trunk.blocks["Conv3d_1a_7x7"].conv.weight
            kernel.copy_(kernel.flip(dims=(2, 3, 4)))
        elif fault == "scale":
            block.norm.weight.mul_(1.001)
        elif fault == "transposed":
            block.conv.weight.copy_(block.conv.weight.transpose(3, 4).contiguous())
        else:
            block.norm.eps = 1e-5
        given = model.all_features(clip)
    name = "Conv3d_1a_7x7" if fault == "front" else "Mixed_4c"
    values = given[name].flip(dims=(2, 3, 4)) if fault == "front" else given[name]
    found, stored = digest_of(name, values.numpy())["values"], case["ends"][name]["values"]
    assert np.abs(np.subtract(found, stored)).max() > 10 * RELATIVE * case["ends"][name]["largest"]
