"""Makes `pyslowfast.jsonl`: what PySlowFast's networks and heads give for pseudo-weights, stage by stage.

    python tests/golden/persons/make_pyslowfast.py SLOWFAST

SLOWFAST: a checkout of facebookresearch/SlowFast (see README.md for the commit and what else must be installed).
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent

# The head's `aligned` is the config's; "clips" are the Kinetics configs, without detection.
CASES = [
    {
        "what": "persons",
        "config": "AVA/SLOW_8x8_R50_SHORT",
        "trunk": {"name": "slow_only_r50_4x16"},
        "clip": (2, 3, 4, 64, 80),
    },
    {
        "what": "persons",
        "config": "AVA/c2/SLOW_8x8_R50",
        "trunk": {"name": "slow_only_r50_8x8"},
        "clip": (1, 3, 8, 48, 64),
        "caffe2": True,
    },
    {
        "what": "persons",
        "config": "AVA/SLOWFAST_32x2_R50_SHORT",
        "trunk": {"name": "slowfast_r50_8x8"},
        "clip": (1, 3, 32, 64, 80),
    },
    {
        "what": "persons",
        "config": "AVA/c2/SLOWFAST_32x2_R101_50_50",
        "trunk": {"name": "slowfast_r101_8x8", "non_local": "pyslowfast-ava-r101"},
        "clip": (1, 3, 32, 48, 64),
        "caffe2": True,
    },
    {
        "what": "persons",
        "config": "AVA/c2/SLOWFAST_32x2_R50",
        "trunk": {"name": "slowfast_r50_8x8"},
        "clip": (1, 3, 32, 48, 48),
        "caffe2": True,
    },
    {
        "what": "clips",
        "config": "Kinetics/SLOWFAST_4x16_R50",
        "trunk": {"name": "slowfast_r50_4x16"},
        "clip": (1, 3, 32, 64, 64),
    },
    {
        "what": "clips",
        "config": "Kinetics/SLOW_NLN_8x8_R50",
        "trunk": {"name": "slow_only_r50_8x8", "non_local": "pyslowfast"},
        "clip": (1, 3, 8, 64, 64),
    },
    {
        "what": "clips",
        "config": "Kinetics/SLOW_NLN_8x8_R50",
        "weighing": "softmax",
        "trunk": {"name": "slow_only_r50_8x8", "non_local": "pyslowfast-softmax"},
        "clip": (1, 3, 8, 64, 64),
    },
]


def main() -> None:
    root = Path(sys.argv[1]).resolve()
    sys.path[:0] = [str(root), str(HERE)]
    warnings.simplefilter("ignore")
    import stand_ins

    stand_ins.install()
    import fvcore
    import numpy as np
    import torch
    import torchvision
    from pseudo import write_cases

    torch.set_num_threads(1)
    cases = []
    for case in CASES:
        cases.append(run(root, case))
        print(case["config"], flush=True)
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "numpy": np.__version__}
    write_cases(HERE / "pyslowfast.jsonl", versions | {"fvcore": fvcore.__version__}, cases)


def config_of(root: Path, case: dict) -> object:
    from slowfast.config.defaults import get_cfg

    config = get_cfg()
    config.merge_from_file(str(root / "configs" / f"{case['config']}.yaml"))
    config.NUM_GPUS = 0
    _, _, num_frames, height, _ = case["clip"]
    config.DATA.NUM_FRAMES = num_frames
    if case["what"] == "clips":
        # Pools of the head are as large as a training crop's map.
        config.DATA.TRAIN_CROP_SIZE = config.DATA.TEST_CROP_SIZE = height
    if "weighing" in case:
        config.NONLOCAL.INSTANTIATION = case["weighing"]
    return config


def watch(model: object, found: dict, *, has_fast: bool) -> None:
    from pseudo import digest_of

    names = ("slow", "fast") if has_fast else ("slow",)

    def keep_paths(key: str, maps: list) -> None:
        for name, values in zip(names, maps, strict=True):
            found[f"{name}.{key}"] = digest_of(f"{name}.{key}", values.numpy())

    model.s2.register_forward_pre_hook(lambda _, args: keep_paths("res2.input", args[0]))
    for number in (2, 3, 4, 5):
        stage = getattr(model, f"s{number}")
        stage.register_forward_hook(lambda _, __, output, key=f"res{number}": keep_paths(key, output))
        for name, block in stage.named_children():
            if name.startswith("pathway0_nonlocal"):
                key = f"slow.res{number}.non_locals.{name.removeprefix('pathway0_nonlocal')}"
                block.register_forward_hook(
                    lambda _, __, output, key=key: found.update({key: digest_of(key, output.numpy())})
                )
    if has_fast:
        for number in (1, 2, 3, 4):
            key = "laterals.stem" if number == 1 else f"laterals.res{number}"

            def keep(module: object, _: object, output: list, key: str = key) -> None:
                joined = output[0][:, -module.conv_f2s.out_channels :]
                found[key] = digest_of(key, joined.numpy())

            getattr(model, f"s{number}_fuse").register_forward_hook(keep)


def run(root: Path, case: dict) -> dict:
    import torch
    from pseudo import boxes_for, digest_of, names_digest, pseudo_clip, pseudo_value
    from slowfast.datasets.utils import pack_pathway_output
    from slowfast.models.build import MODEL_REGISTRY

    config = config_of(root, case)
    model = MODEL_REGISTRY.get(config.MODEL.MODEL_NAME)(config).eval()
    state = {
        name: torch.from_numpy(pseudo_value(name, tuple(value.shape))) for name, value in model.state_dict().items()
    }
    model.load_state_dict(state)
    stages: dict = {}
    has_fast = config.MODEL.ARCH == "slowfast"
    watch(model, stages, has_fast=has_fast)
    logits: list = []
    model.head.projection.register_forward_hook(lambda _, __, output: logits.append(output))
    clip = torch.from_numpy(pseudo_clip(case["clip"]))
    paths = [torch.stack(each) for each in zip(*(pack_pathway_output(config, one) for one in clip), strict=True)]
    stored = {key: case[key] for key in ("what", "config", "trunk")} | {"clip": list(case["clip"])}
    stored["names"] = names_digest({name: tuple(value.shape) for name, value in state.items()})
    with torch.no_grad():
        if case["what"] == "persons":
            height, width = case["clip"][3:]
            boxes = torch.from_numpy(boxes_for(case["clip"][0])) * torch.tensor([1.0, width, height, width, height])
            scores = model(paths, bboxes=boxes)
            stored["head"] = {"order": "pyslowfast", "grid": 7, "aligned": config.DETECTION.ALIGNED}
            stored["scores"] = digest_of("logits", scores.numpy())
            stored["logits"] = digest_of("logits", logits[0].numpy())
        else:
            model(paths)
            stored["logits"] = digest_of("logits", logits[0].reshape(len(clip), -1).numpy())
    stored["stages"] = stages
    if case.get("caffe2"):
        stored["caffe2"] = caffe2_names(state)
    return stored


def caffe2_names(state: dict) -> dict[str, str]:
    """What PySlowFast's converter makes of the names in `caffe2_names.txt`, where the network has such a tensor."""
    from slowfast.utils.c2_model_loading import get_name_convert_func

    convert = get_name_convert_func()
    names = (HERE / "caffe2_names.txt").read_text().split()
    return {name: convert(name) for name in names if convert(name) in state}


if __name__ == "__main__":
    main()
