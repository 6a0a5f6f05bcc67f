"""Weights of MMAction2 and PySlowFast in models of persons: files as those programs write them, and what errors say."""

from __future__ import annotations

import os
import re
import shutil
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gesta.models.action_transformer import ActionTransformerSpec
from gesta.models.i3d import I3d
from gesta.models.person_heads import PersonHead
from gesta.models.person_model import PersonModel, build_person_model
from gesta.models.person_weight_names import PYSLOWFAST, lineage_of
from gesta.models.person_weights import (
    as_mmaction2,
    as_pyslowfast,
    class_rows,
    load_foreign_person_model,
    load_person_weights,
    save_as_mmaction2,
    save_as_pyslowfast,
)
from gesta.models.published_persons import PERSON_WEIGHTS
from gesta.models.trunks import TRUNKS, ClipClassifier, TrunkSpec, build_trunk, trunk_classifier
from gesta.models.weight_files import WeightFile, open_weights
from gesta.models.weight_names import PYTORCH_I3D
from gesta.schema import BadInput

SMALL = {"num_frames": 8, "crop_px": 32}


@pytest.fixture
def shaped() -> Callable[..., PersonModel]:
    """Models without memory: names and shapes are all that an error needs."""

    def build(
        name: str = "slow_only_r50_4x16", *, num_classes: int = 80, head: PersonHead | None = None, **changes: object
    ):
        with torch.device("meta"):
            spec = TrunkSpec(name=name, **changes)
            return build_person_model(
                spec, head or PersonHead(), num_classes=num_classes, num_frames=TRUNKS[name].num_frames, crop_px=64
            )

    return build


def as_file(tensors: dict[str, torch.Tensor]) -> WeightFile:
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    return WeightFile(
        path=Path("given.pth"), shapes=shapes, read=lambda names: {n: torch.zeros(shapes[n]) for n in names}
    )


def refusal(model: nn.Module, tensors: dict[str, torch.Tensor], **how: object) -> str:
    with pytest.raises(BadInput) as caught:
        load_person_weights(model, as_file(tensors), **how)
    return str(caught.value)


def tiny(num_classes: int = 3) -> PersonModel:
    """A SlowOnly of few features under the large one's names."""
    from gesta.models.res_stage import PathPlan
    from gesta.models.slow_only import SlowOnlyTrunk

    plan = PathPlan(
        num_blocks=(1, 1, 1, 1), temporal_kernels=(1, 1, 3, 3), temporal_blocks=(1, 1, 1, 1), strides_px=(1, 2, 2, 1),
        dilations_px=(1, 1, 1, 1), num_features=4,
    )  # fmt: skip
    return PersonModel(SlowOnlyTrunk(plan), PersonHead(), num_classes=num_classes)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


class HistoryBuffer:
    """What MMAction2 1.x keeps beside the weights, in the form that a file names it."""

    def __init__(self) -> None:
        self.seen = deque([1.0, 2.0], maxlen=9)
        self.history = np.array([0.5, 0.25])
        self.counts = defaultdict(int, {"steps": np.int64(3)})


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_checkpoint_of_mmaction2_opens_in_both_of_torchs_formats(tmp_path: Path, *, is_zip: bool) -> None:
    model, other = tiny(), tiny()
    path = tmp_path / "slowonly_20201217-40061d5f.pth"
    content = {"meta": {"epoch": 20, "config": "model = dict()"}, "state_dict": as_mmaction2(model), "optimizer": {}}
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    assert load_person_weights(other, path).lineage == "mmaction2"
    assert same(model, other)


def test_objects_of_a_training_program_beside_the_weights_are_left_empty(tmp_path: Path) -> None:
    model, other = tiny(), tiny()
    path = tmp_path / "epoch_20.pth"
    torch.save({"message_hub": {"loss": HistoryBuffer()}, "state_dict": as_mmaction2(model)}, path)
    load_person_weights(other, path)
    assert same(model, other)


class Touch:
    """Makes a file where it is unpickled by whatever calls what a pickle names."""

    def __init__(self, mark: Path, *, how: str) -> None:
        self.mark, self.how = mark, how

    def __reduce__(self) -> tuple:
        return {"os": (os.mkdir, (str(self.mark),)), "shutil": (shutil.copytree, (".", str(self.mark)))}[self.how]


@pytest.mark.parametrize("how", ["os", "shutil"])
def test_nothing_of_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    path, mark = tmp_path / "evil.pth", tmp_path / "elsewhere" / "mark"
    mark.parent.mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    torch.save({"meta": Touch(mark, how=how), "state_dict": as_mmaction2(tiny())}, path)
    if how == "os":
        with pytest.raises(BadInput, match="no torch file of tensors alone"):
            load_person_weights(tiny(), path)
    else:
        load_person_weights(tiny(), path)
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists()


def test_a_checkpoint_of_pyslowfast_opens_and_saves(tmp_path: Path) -> None:
    model, other = tiny(), tiny()
    path = save_as_pyslowfast(model, tmp_path / "checkpoint_epoch_00020.pyth")
    assert set(torch.load(path, weights_only=True)) == {"epoch", "model_state"}
    assert load_person_weights(other, str(path)).lineage == "pyslowfast"
    assert same(model, other)


def test_what_is_saved_for_mmaction2_has_its_row_without_a_class(tmp_path: Path) -> None:
    path = save_as_mmaction2(tiny(3), tmp_path / "ours.pth")
    head = torch.load(path, weights_only=True)["state_dict"]["roi_head.bbox_head.fc_cls.weight"]
    assert head.shape == (4, 128)
    assert not head[0].any()
    assert head[1:].any(dim=1).all()


def test_chosen_classes_take_the_rows_of_their_numbers() -> None:
    full, some = tiny(80), tiny(3)
    file = as_file(as_mmaction2(full))
    file = WeightFile(path=file.path, shapes=file.shapes, read=lambda names: {n: as_mmaction2(full)[n] for n in names})
    load_person_weights(some, file, class_ids=(80, 3, 64))
    assert torch.equal(some.head.classify.weight, full.head.classify.weight[[79, 2, 63]])
    assert torch.equal(some.head.classify.bias, full.head.classify.bias[[79, 2, 63]])


def test_sixty_classes_are_taken_out_of_eighty_and_not_eighty_out_of_sixty(shaped: Callable) -> None:
    ids = tuple(range(1, 61))
    assert class_rows(81, num_classes=60, class_ids=ids, has_background=True) == ids
    message = refusal(shaped(), as_mmaction2(shaped(num_classes=60)))
    assert "roi_head.bbox_head.fc_cls.weight (61, 2048) for head.classify.weight (80, 2048)" in message
    assert "The file scores 60 classes" in message


def test_a_file_of_chosen_classes_is_taken_in_its_order() -> None:
    custom = (3, 6, 10)
    assert class_rows(4, num_classes=3, class_ids=custom, has_background=True) == (1, 2, 3)
    assert class_rows(4, num_classes=3, class_ids=(2, 3, 1), has_background=True) == (2, 3, 1)
    assert class_rows(4, num_classes=3, class_ids=(1, 2), has_background=True) is None


@pytest.mark.parametrize(
    ("theirs", "ours", "want"),
    [
        ({"lineage": "pyslowfast"}, {}, "Set lateral_norm=True (lineage=\"pyslowfast\")"),
        ({"lateral_kernel": 7}, {}, "Set lateral_kernel=7"),
        ({"non_local": "mmaction2"}, {}, "Set non_local to mmaction2"),
        ({}, {"non_local": "mmaction2"}, "Set non_local to none"),
        ({"name": "slow_only_r50_4x16"}, {}, "The file is a SlowOnly: name such a trunk"),
        ({"name": "slowfast_r101_8x8", "lateral_kernel": 5}, {}, "The file's network is r101: name such a trunk"),
        ({"head": PersonHead(context=True)}, {}, "The head reads 4608 features: set context=True"),
        ({}, {"head": PersonHead(context=True)}, "The head reads 2304 features: set context=False"),
        ({"head": PersonHead(kind="two-layer")}, {}, 'Give the head kind="two-layer"'),
    ],
)  # fmt: skip
def test_an_error_says_which_argument_to_change(shaped: Callable, theirs: dict, ours: dict, want: str) -> None:
    name = {"name": "slowfast_r50_4x16"}
    message = refusal(shaped(**(name | ours)), as_mmaction2(shaped(**(name | theirs))))
    assert want in message
    assert "mmaction2" in message
    assert "Weights do not show res5_dilation" in message


def test_the_temporal_blocks_of_res4_show(shaped: Callable) -> None:
    one = shaped("slowfast_r101_8x8", lineage="pyslowfast")
    other = shaped("slowfast_r101_8x8", lineage="pyslowfast", res4_temporal_blocks=(23, 23))
    message = refusal(other, as_pyslowfast(one))
    assert "Set res4_temporal_blocks=(6, 6)" in message
    assert "s4.pathway0_res6.branch2.a.weight (256, 1024, 1, 1, 1)" in message


def test_a_kinetics_checkpoint_is_a_trunk_alone(shaped: Callable) -> None:
    with torch.device("meta"):
        clips = trunk_classifier(TrunkSpec(name="slow_only_r50_4x16"), num_classes=400)
    for convert in (as_mmaction2, as_pyslowfast):
        message = refusal(shaped(), convert(clips))
        assert 'a head for clips of 400 classes: load the trunk alone with head="fresh"' in message
    model = shaped().to_empty(device="cpu")
    loaded = load_person_weights(model, as_file(as_mmaction2(clips)), head="fresh")
    assert set(loaded.kept) == {"head.classify.weight", "head.classify.bias"}
    assert set(loaded.ignored) == {"cls_head.fc_cls.weight", "cls_head.fc_cls.bias"}


def test_a_classifier_says_how_many_classes_the_file_has() -> None:
    with torch.device("meta"):
        clips, other = (trunk_classifier(TrunkSpec(name="slow_only_r50_4x16"), num_classes=n) for n in (400, 700))
    assert "Build the classifier for 400 classes" in refusal(other, as_mmaction2(clips))
    assert "Build the classifier for 400 classes" in refusal(other, as_pyslowfast(clips))


def test_mmaction2s_recogniser_puts_the_fast_path_first() -> None:
    torch.manual_seed(0)
    trunk = build_trunk(TrunkSpec(name="slowfast_small"), num_frames=16, crop_px=32)
    model = ClipClassifier(trunk, num_classes=2)
    slow, fast = trunk.path_features
    weights = model.logits.weight.detach()
    trunk.slow.plan = replace(trunk.slow.plan, differences=False)
    stored = as_mmaction2(model)["cls_head.fc_cls.weight"]
    assert torch.equal(stored[:, :fast], weights[:, slow:])
    assert torch.equal(stored[:, fast:], weights[:, :slow])


def test_kinetics_i3d_goes_into_the_trunk_that_ends_at_mixed_4f() -> None:
    torch.manual_seed(0)
    whole = I3d(num_classes=400)
    theirs = {str(PYTORCH_I3D.theirs(name)): value for name, value in whole.state_dict().items()}
    file = WeightFile(
        path=Path("rgb_imagenet.pt"),
        shapes={name: tuple(value.shape) for name, value in theirs.items()},
        read=lambda names: {name: theirs[name] for name in names},
    )
    head = PersonHead(kind="action-transformer", transformer=ActionTransformerSpec())
    model = load_foreign_person_model(
        file, trunk=TrunkSpec(name="i3d"), person_head=head, head="fresh", class_ids=(1, 2), **SMALL
    )
    own = whole.state_dict()
    for name, value in model.trunk.net.state_dict().items():
        assert torch.equal(value, own[f"trunk.{name}"]), name
    assert not model.training
    with pytest.raises(BadInput, match=r'it lacks head\.transformer.*Load I3D into the trunk i3d with head="fresh"'):
        load_person_weights(model, file)


def test_strangers_are_refused() -> None:
    with pytest.raises(BadInput, match=r"of no known publication: they begin with fc\.weight"):
        load_person_weights(tiny(), as_file({"fc.weight": torch.zeros(1, 1)}))
    values = as_mmaction2(tiny())
    values["backbone.conv1.conv.weight"][0] = torch.nan
    file = as_file(values)
    bad = WeightFile(path=file.path, shapes=file.shapes, read=lambda names: {name: values[name] for name in names})
    model, before = tiny(), tiny()
    before.load_state_dict(model.state_dict())
    with pytest.raises(BadInput, match=r"values that are not finite: backbone\.conv1\.conv\.weight"):
        load_person_weights(model, bad)
    assert same(model, before)


@pytest.mark.parametrize(
    ("head", "convert", "what"),
    [
        (PersonHead(kind="two-layer"), as_pyslowfast, "head.hidden.weight"),
        (PersonHead(context=True), as_pyslowfast, "a head with context"),
        (PersonHead(kind="action-transformer"), as_mmaction2, "head.transformer."),
    ],
)
def test_what_a_program_has_no_place_for_is_not_saved(
    shaped: Callable, head: PersonHead, convert: Callable, what: str
) -> None:
    with pytest.raises(BadInput, match=f"has no place for .*{re.escape(what)}"):
        convert(shaped(head=head))


def test_a_small_trunk_and_folded_norms_are_not_saved() -> None:
    model = build_person_model(TrunkSpec(name="slow_only_small"), PersonHead(), num_classes=2, **SMALL)
    with pytest.raises(BadInput, match="mmaction2 has no place for this trunk"):
        as_mmaction2(model)
    folded = tiny()
    folded.trunk.slow.stem.conv.bias = nn.Parameter(torch.zeros(4))
    with pytest.raises(BadInput, match=r"trunk\.slow\.stem\.conv\.bias, where a norm was folded into"):
        as_mmaction2(folded)


def test_every_published_model_of_persons_is_known_by_the_digits_in_its_name() -> None:
    assert len(PERSON_WEIGHTS) == 26
    assert sum(entry.classes.startswith("ava") for entry in PERSON_WEIGHTS.values()) == 14
    for name, entry in PERSON_WEIGHTS.items():
        (file,) = entry.files
        assert re.fullmatch(r"[0-9a-f]{8}", str(file.sha256_begins)), name
        assert file.path.endswith(f"-{file.sha256_begins}.pth")
        assert Path(file.path).name.startswith(name)
        assert set(entry.models) <= set(TRUNKS)
        assert (entry.classes == "ava-16") == name.endswith("custom_classes")
        assert ("slowfast" in name) == entry.models[0].startswith("slowfast")


def test_a_file_of_ours_is_ours() -> None:
    model = tiny()
    assert lineage_of(model.state_dict()).name == "gesta"
    assert lineage_of(as_pyslowfast(model)) is PYSLOWFAST
    assert lineage_of({}) is None


def test_a_state_dict_of_pyslowfast_is_found_in_its_wrapper(tmp_path: Path) -> None:
    path = tmp_path / "a.pyth"
    torch.save({"model_state": as_pyslowfast(tiny()), "cfg": "TRAIN: {}"}, path)
    assert "s5.pathway0_res0.branch2.c_bn.weight" in open_weights(path).shapes
