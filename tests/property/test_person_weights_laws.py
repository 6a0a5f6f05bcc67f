"""Laws of weights in and out: what is saved under other programs' names comes back bit for bit."""

from __future__ import annotations

from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gesta.models.non_local import NonLocalPlan
from gesta.models.person_heads import PersonHead
from gesta.models.person_model import PersonModel
from gesta.models.person_weight_looks import look_of
from gesta.models.person_weight_names import CAFFE2, GESTA, MMACTION2, PYSLOWFAST
from gesta.models.person_weights import as_caffe2, as_mmaction2, as_pyslowfast, class_rows, load_person_weights
from gesta.models.res_stage import PathPlan
from gesta.models.slow_only import SlowOnlyTrunk
from gesta.models.slowfast import SlowFastTrunk
from gesta.models.weight_files import WeightFile

LINEAGES = {"mmaction2": (MMACTION2, as_mmaction2), "pyslowfast": (PYSLOWFAST, as_pyslowfast)}
LINEAGES |= {"caffe2": (CAFFE2, as_caffe2)}


def path_plan(blocks: tuple[int, ...], *, num_features: int) -> PathPlan:
    return PathPlan(
        num_blocks=blocks, temporal_kernels=(1, 1, 3, 3), temporal_blocks=blocks, strides_px=(1, 2, 2, 1),
        dilations_px=(1, 1, 1, 1), num_features=num_features,
    )  # fmt: skip


@st.composite
def models(draw: st.DrawFn, *, lineage: str) -> PersonModel:
    """A model of persons in the shape of the large ones, with few features and every value drawn."""
    is_theirs = lineage != "mmaction2"
    blocks = tuple(draw(st.tuples(*[st.integers(1, 2)] * 4)))
    places = {"res3": tuple(range(draw(st.integers(0, blocks[1]))))}
    gather = NonLocalPlan(places=places, pools_first=is_theirs, has_out_bias=is_theirs)
    if draw(st.booleans()):
        trunk: nn.Module = SlowFastTrunk(
            path_plan(blocks, num_features=8), path_plan(blocks, num_features=2), alpha=4, non_local=gather,
            lateral_norm=draw(st.booleans()), lateral_kernel=draw(st.sampled_from([1, 5, 7])),
        )  # fmt: skip
    else:
        trunk = SlowOnlyTrunk(path_plan(blocks, num_features=8), non_local=gather)
    head = PersonHead(order="pyslowfast" if is_theirs else "mmaction2")
    if not is_theirs:
        kind = draw(st.sampled_from(["linear", "two-layer"]))
        head = PersonHead(context=draw(st.booleans()), kind=kind, num_hidden=5 if kind == "two-layer" else None)
    model = PersonModel(trunk, head, num_classes=draw(st.integers(1, 6)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith("num_batches_tracked"):
                value.fill_(0 if lineage == "caffe2" else draw(st.integers(0, 9)))
            else:
                value.copy_(torch.randn(value.shape, generator=generator))
    return model


def as_file(tensors: dict[str, torch.Tensor]) -> WeightFile:
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    return WeightFile(path=Path("drawn"), shapes=shapes, read=lambda names: {name: tensors[name] for name in names})


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(LINEAGES)), st.data())
def test_what_is_saved_under_their_names_comes_back_bit_for_bit(lineage: str, data: st.DataObject) -> None:
    model = data.draw(models(lineage=lineage))
    names, convert = LINEAGES[lineage]
    tensors = convert(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for value in model.state_dict().values():
            value.fill_(7)
    loaded = load_person_weights(model, as_file(tensors))
    assert loaded.lineage == names.name
    assert (loaded.kept, loaded.ignored) == ((), ())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    # Nothing was left behind, and no two of our parameters share a name.
    assert len(tensors) == len(loaded.filled)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(LINEAGES)), st.data())
def test_a_file_looks_as_the_model_that_it_came_from(lineage: str, data: st.DataObject) -> None:
    model = data.draw(models(lineage=lineage))
    names, convert = LINEAGES[lineage]
    own = look_of({name: tuple(value.shape) for name, value in model.state_dict().items()}, names=GESTA)
    assert look_of({name: tuple(value.shape) for name, value in convert(model).items()}, names=names) == own


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_a_fresh_head_keeps_what_it_has_and_the_trunk_takes_all(data: st.DataObject) -> None:
    model = data.draw(models(lineage="mmaction2"))
    tensors = as_mmaction2(model)
    other = PersonModel(model.trunk, PersonHead(context=True), num_classes=9)
    head = {name: value.clone() for name, value in other.head.state_dict().items()}
    loaded = load_person_weights(other, as_file(tensors), head="fresh")
    assert set(loaded.kept) == {f"head.{name}" for name in head}
    assert all(torch.equal(value, head[name]) for name, value in other.head.state_dict().items())
    assert all(name.startswith("roi_head.") for name in loaded.ignored)


@given(num_theirs=st.integers(1, 80), has_background=st.booleans(), data=st.data())
def test_every_class_finds_the_row_of_its_number(*, num_theirs: int, has_background: bool, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(1, num_theirs), min_size=1, max_size=num_theirs, unique=True))
    first = 1 if has_background else 0
    rows = class_rows(num_theirs + first, num_classes=len(ids), class_ids=ids, has_background=has_background)
    assert rows == tuple(number - 1 + first for number in ids)
    beyond = [*ids, num_theirs + 1]
    if len(beyond) < num_theirs:
        assert (
            class_rows(num_theirs + first, num_classes=len(beyond), class_ids=beyond, has_background=has_background)
            is None
        )
