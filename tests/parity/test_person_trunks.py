"""SlowOnly, SlowFast and heads for persons against MMAction2's and PySlowFast's own code, stage by stage.

The stored numbers are what those programs gave for pseudo-weights (`tests/golden/persons`, see its README). Ours get
the same values through `load_person_weights`, under the publication's names, so that names, layout, conversions and
arithmetic are tested at once. Two values agree when they differ by no more than 1e-5 of the largest in the stage.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.golden.persons.pseudo import boxes_for, digest_of, names_digest, pseudo_clip, pseudo_value, uniform
from torch import nn

from gesta.models.person_heads import PersonHead
from gesta.models.person_losses import PersonLoss, person_loss
from gesta.models.person_model import PersonModel, build_person_model
from gesta.models.person_weight_names import CAFFE2, MMACTION2, PYSLOWFAST, layout_of
from gesta.models.person_weights import as_caffe2, as_mmaction2, as_pyslowfast, load_person_weights
from gesta.models.trunks import TrunkSpec, trunk_classifier
from gesta.models.weight_files import WeightFile

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "persons"
RELATIVE = 1e-5


def cases_of(name: str, what: str) -> list[dict]:
    lines = (FOLDER / name).read_text().splitlines()[1:]
    return [case for case in map(json.loads, lines) if case["what"] == what]


def marked(cases: list[dict]) -> list:
    return [pytest.param(case, id=f"{case['config'].rpartition('/')[2]}-{number}") for number, case in enumerate(cases)]


MMA_PERSONS = cases_of("mmaction2.jsonl", "persons")
MMA_CLIPS = cases_of("mmaction2.jsonl", "clips")
MMA0_PERSONS = cases_of("mmaction2_0x.jsonl", "persons")
LOSSES = cases_of("mmaction2.jsonl", "loss")
PSF_PERSONS = cases_of("pyslowfast.jsonl", "persons")
PSF_CLIPS = cases_of("pyslowfast.jsonl", "clips")


@lru_cache(maxsize=800)
def value_of(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(pseudo_value(name, shape))


def as_file(shapes: dict[str, tuple[int, ...]]) -> WeightFile:
    """Pseudo-weights as the publication's checkpoint has them."""
    return WeightFile(path=Path("pseudo"), shapes=shapes, read=lambda names: {n: value_of(n, shapes[n]) for n in names})


def empty(build: object) -> nn.Module:
    with torch.device("meta"):
        model = build()
    return model.to_empty(device="cpu").eval()


def person_model(case: dict, head: dict, *, lineage: str) -> PersonModel:
    spec = TrunkSpec(**(case["trunk"] | {"lineage": lineage}))
    return empty(
        lambda: build_person_model(
            spec,
            PersonHead(**head),
            num_classes=case.get("num_classes", 80),
            num_frames=case["clip"][2],
            crop_px=case["clip"][3],
        )
    )


def shapes_of(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in tensors.items()}


def check(key: str, found: torch.Tensor, stored: dict) -> None:
    given = digest_of(key.rpartition("/")[2], found.numpy())
    assert given["shape"] == stored["shape"], key
    for measure in ("mean", "std", "largest", "values"):
        np.testing.assert_allclose(
            given[measure], stored[measure], rtol=0, atol=RELATIVE * stored["largest"], err_msg=f"{key}: {measure}"
        )


@contextmanager
def watched(trunk: nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """What the trunk's stages, laterals and non-local blocks give, by the names under which it is stored."""
    found: dict[str, torch.Tensor] = {}
    hooks = []
    for name, module in trunk.named_modules():
        parts = name.split(".")
        if len(parts) == 2 or (len(parts) == 4 and parts[2] == "non_locals"):
            hooks.append(module.register_forward_hook(lambda _, __, output, name=name: found.update({name: output})))
        if len(parts) == 2 and parts[1] == "res2" and parts[0] != "laterals":
            hooks.append(
                module.register_forward_pre_hook(lambda _, args, name=name: found.update({f"{name}.input": args[0]}))
            )
    yield found
    for hook in hooks:
        hook.remove()


def check_stages(model: nn.Module, case: dict, clip: torch.Tensor) -> tuple[torch.Tensor, ...]:
    with watched(model.trunk) as found, torch.no_grad():
        maps = model.trunk(clip)
    for key, stored in case["stages"].items():
        check(key, found[key], stored)
    assert len(case["stages"]) >= 5
    return maps


def head_logits(model: PersonModel, maps: tuple[torch.Tensor, ...], clip: torch.Tensor) -> torch.Tensor:
    boxes = torch.from_numpy(boxes_for(len(clip)))
    with torch.no_grad():
        return model.head(maps, boxes, cells_hw=model.cells_of(clip))


@pytest.mark.parametrize("case", marked(MMA_PERSONS + MMA0_PERSONS))
def test_every_stage_and_score_is_mmaction2s(case: dict) -> None:
    clip = torch.from_numpy(pseudo_clip(tuple(case["clip"])))
    maps: tuple[torch.Tensor, ...] | None = None
    for stored in case["heads"]:
        model = person_model(case, stored["head"], lineage="mmaction2")
        shapes = shapes_of(as_mmaction2(model))
        assert names_digest(shapes) == stored["names"]
        loaded = load_person_weights(model, as_file(shapes))
        assert (loaded.lineage, loaded.kept, loaded.ignored, loaded.constants) == ("mmaction2", (), (), ())
        if maps is None:
            maps = check_stages(model, case, clip)
        logits = head_logits(model, maps, clip)
        check("logits", logits, stored["logits"])
        check("logits", logits.sigmoid(), stored["scores"])


@pytest.mark.parametrize("case", marked(PSF_PERSONS))
def test_every_stage_and_score_is_pyslowfasts(case: dict) -> None:
    clip = torch.from_numpy(pseudo_clip(tuple(case["clip"])))
    model = person_model(case, case["head"], lineage="pyslowfast")
    shapes = shapes_of(as_pyslowfast(model))
    assert names_digest(shapes) == case["names"]
    loaded = load_person_weights(model, as_file(shapes))
    assert (loaded.lineage, loaded.kept, loaded.ignored, loaded.constants) == ("pyslowfast", (), (), ())
    logits = head_logits(model, check_stages(model, case, clip), clip)
    check("logits", logits, case["logits"])
    check("logits", logits.sigmoid(), case["scores"])


@pytest.mark.parametrize("case", marked(MMA_CLIPS + PSF_CLIPS))
def test_clip_logits_are_the_references(case: dict) -> None:
    is_theirs = case in PSF_CLIPS
    spec = TrunkSpec(**(case["trunk"] | {"lineage": "pyslowfast" if is_theirs else "mmaction2"}))
    model = empty(lambda: trunk_classifier(spec, num_classes=400))
    shapes = shapes_of((as_pyslowfast if is_theirs else as_mmaction2)(model))
    assert names_digest(shapes) == case["names"]
    load_person_weights(model, as_file(shapes))
    clip = torch.from_numpy(pseudo_clip(tuple(case["clip"])))
    if "stages" in case:
        check_stages(model, case, clip)
    with torch.no_grad():
        check("logits", model(clip), case["logits"])


def test_caffe2s_names_are_pyslowfasts_by_its_own_converter() -> None:
    pairs = [case for case in PSF_PERSONS if case["trunk"]["name"] == "slowfast_r101_8x8"]
    assert len(pairs) == 1
    spec = TrunkSpec(**(pairs[0]["trunk"] | {"lineage": "pyslowfast"}))
    with torch.device("meta"):
        model = build_person_model(spec, PersonHead(order="pyslowfast"), num_classes=80, num_frames=32, crop_px=64)
    layout = layout_of(model)
    ours = {CAFFE2.theirs(name, layout): PYSLOWFAST.theirs(name, layout) for name in model.state_dict()}
    converted = pairs[0]["caffe2"]
    assert len(converted) == len((FOLDER / "caffe2_names.txt").read_text().split()) > 300
    assert {name: ours[name] for name in converted} == converted
    assert len(as_caffe2(model)) == sum(not name.endswith("num_batches_tracked") for name in model.state_dict())


@pytest.mark.parametrize("case", LOSSES, ids=lambda case: f"{case['num_classes']}-{case['alpha']}-{case['gamma']}")
def test_losses_are_mmaction2s(case: dict) -> None:
    num, num_classes = case["num"], case["num_classes"]
    shape = (num, num_classes + 1)
    logits = torch.from_numpy(uniform(f"loss/{num}x{num_classes}", shape) * 6.0).float()[:, 1:].requires_grad_()
    labels = torch.from_numpy(uniform(f"labels/{num}x{num_classes}", shape) > 0.9).float()
    labels[:, 3] = 1.0
    kind = PersonLoss(kind="focal" if case["gamma"] else "bce", alpha=case["alpha"], gamma=case["gamma"])
    loss = person_loss(logits, labels[:, 1:], torch.ones(num, num_classes), loss=kind) / num
    (gradient,) = torch.autograd.grad(loss, logits)
    assert float(loss.detach()) == pytest.approx(case["given"]["loss_action_cls"], rel=RELATIVE)
    assert float(gradient.double().abs().sum()) == pytest.approx(case["gradient_sum"], rel=RELATIVE)
    largest = max(map(abs, case["gradient"]))
    np.testing.assert_allclose(gradient.flatten()[:32].numpy(), case["gradient"], rtol=0, atol=RELATIVE * largest)


def test_the_stored_numbers_are_there_and_can_tell_stages_apart() -> None:
    assert (len(MMA_PERSONS), len(MMA_CLIPS), len(LOSSES)) == (7, 2, 4)
    assert (len(PSF_PERSONS), len(PSF_CLIPS), len(MMA0_PERSONS)) == (5, 3, 5)
    for case in MMA_PERSONS + MMA0_PERSONS + PSF_PERSONS:
        for stored in case["stages"].values():
            assert 0.1 < stored["std"] < 2000
            assert len(set(stored["values"])) > 20
    heads = [stored for case in MMA_PERSONS + MMA0_PERSONS for stored in case["heads"]] + PSF_PERSONS
    for stored in heads:
        scores = np.array(stored["scores"]["values"])
        assert np.count_nonzero((scores > 0.02) & (scores < 0.98)) > 16
    assert MMACTION2.has_background


FAULTS = ["dilation", "strided", "epsilon", "order of pools", "weighing", "lateral", "aligned", "grid"]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_comparison_sees_what_the_lineages_differ_in(fault: str) -> None:
    """Another dilation, other slow frames, another epsilon, ...: each shows in a stage or in the scores."""
    nl, slowfast = MMA_PERSONS[2], PSF_PERSONS[4]
    case, lineage = (
        (nl, "mmaction2") if fault in ("epsilon", "order of pools", "weighing") else (slowfast, "pyslowfast")
    )
    head = case["heads"][0]["head"] if case is nl else dict(case["head"])
    changes = {"dilation": {"res5_dilation": 1}, "strided": {"slow_frames": "strided"}, "epsilon": {"norm_eps": 1e-3}}
    changes |= {"weighing": {"non_local_weighing": "dot-product"}}
    if fault in ("aligned", "grid"):
        head |= {"aligned": True} if fault == "aligned" else {"grid": 8}
    model = person_model(case | {"trunk": case["trunk"] | changes.get(fault, {})}, head, lineage=lineage)
    load_person_weights(model, as_file(shapes_of((as_mmaction2 if case is nl else as_pyslowfast)(model))))
    if fault == "order of pools":
        for gather in model.trunk.slow.res3.non_locals.values():
            gather.plan = replace(gather.plan, pools_first=True)
    elif fault == "lateral":
        model.trunk.laterals["res3"].has_relu = False
    clip = torch.from_numpy(pseudo_clip(tuple(case["clip"])))
    with torch.no_grad():
        found = digest_of("logits", model(clip, torch.from_numpy(boxes_for(1))).numpy())["values"]
    stored = (case["heads"][0] if case is nl else case)["logits"]
    assert np.abs(np.subtract(found, stored["values"])).max() > 10 * RELATIVE * stored["largest"]


def test_the_stored_files_are_the_ones_that_were_written_down() -> None:
    text = (FOLDER / "README.md").read_text()
    hashes = re.findall(r"^- `(.+)`: `([0-9a-f]{64})`$", text, flags=re.MULTILINE)
    assert [name for name, _ in hashes] == [
        "mmaction2.jsonl",
        "mmaction2_0x.jsonl",
        "pyslowfast.jsonl",
        "caffe2_names.txt",
    ]
    for name, stored in hashes:
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == stored, name
