"""Makes `mmaction2.jsonl`: what MMAction2's trunks and heads give for pseudo-weights, stage by stage.

    python tests/golden/persons/make_mmaction2.py MMACTION2

MMACTION2: a checkout of open-mmlab/mmaction2 (see README.md for the commit and what else must be installed).
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent

AVA = "configs/detection/{}.py"
CASES = [
    {
        "config": "slowonly/slowonly_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb",
        "trunk": {"name": "slow_only_r50_4x16"},
        "clip": (2, 3, 4, 64, 80),
        "heads": [
            {},
            {"temporal": "max"},
            {"context": True},
            {"context": True, "temporal": "max", "kind": "two-layer"},
        ],
    },
    {
        "config": "slowonly/slowonly_kinetics400-pretrained-r50-nl_8xb16-4x16x1-20e_ava21-rgb",
        "trunk": {"name": "slow_only_r50_4x16", "non_local": "mmaction2"},
        "clip": (1, 3, 4, 64, 80),
        "heads": [{}],
    },
    {
        "config": "slowonly/slowonly_kinetics400-pretrained-r50-nl_8xb16-8x8x1-20e_ava21-rgb",
        "trunk": {"name": "slow_only_r50_8x8", "non_local": "mmaction2"},
        "clip": (1, 3, 8, 48, 64),
        "heads": [{}],
    },
    {
        "config": "slowonly/slowonly_kinetics400-pretrained-r101_8xb16-8x8x1-20e_ava21-rgb",
        "trunk": {"name": "slow_only_r101_8x8"},
        "clip": (1, 3, 8, 48, 64),
        "heads": [{}],
    },
    {
        "config": "slowonly/slowonly_k700-pre-r50_8xb8-16x4x1-10e-tricks_ava-kinetics-rgb",
        "trunk": {"name": "slow_only_r50_16x4"},
        "clip": (1, 3, 16, 48, 48),
        "heads": [{"context": True, "temporal": "max", "kind": "two-layer"}],
    },
    {
        "config": "slowfast/slowfast_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb",
        "trunk": {"name": "slowfast_r50_4x16"},
        "clip": (1, 3, 32, 64, 80),
        "heads": [{}, {"context": True}],
    },
    {
        "config": "slowfast/slowfast_kinetics400-pretrained-r50-temporal-max_8xb6-8x8x1-cosine-10e_ava22-rgb",
        "trunk": {"name": "slowfast_r50_8x8"},
        "clip": (1, 3, 32, 48, 64),
        "heads": [{}, {"temporal": "max"}],
    },
]
CLIP_CASES = [
    {
        "config": "configs/_base_/models/slowfast_r50.py",
        "trunk": {"name": "slowfast_r50_4x16"},
        "clip": (1, 3, 32, 64, 64),
    },
    {
        "config": "configs/_base_/models/slowonly_r50.py",
        "trunk": {"name": "slow_only_r50_4x16"},
        "clip": (1, 3, 4, 64, 64),
    },
]


def main() -> None:
    root = Path(sys.argv[1]).resolve()
    sys.path[:0] = [str(root), str(HERE)]
    warnings.simplefilter("ignore")
    import stand_ins

    stand_ins.install()
    import mmcv
    import mmengine
    import numpy as np
    import torch
    import torchvision
    from pseudo import write_cases

    torch.set_num_threads(1)
    cases = []
    for case in CASES:
        cases.append(persons_case(root, case))
        print(case["config"], flush=True)
    for case in CLIP_CASES:
        cases.append(clips_case(root, case))
        print(case["config"], flush=True)
    cases += loss_cases()
    versions = {name: module.__version__ for name, module in (("torch", torch), ("torchvision", torchvision))}
    versions |= {"mmcv-lite": mmcv.__version__, "mmengine": mmengine.__version__, "numpy": np.__version__}
    write_cases(HERE / "mmaction2.jsonl", versions, cases)


def built(config: dict) -> object:
    """The module that MMAction2 builds from a part of its config."""
    from mmaction.registry import MODELS

    plain = {key: value for key, value in config.items() if key != "pretrained"} | {"pretrained": None}
    plain["type"] = plain["type"].removeprefix("mmaction.")
    module = MODELS.build(plain)
    module.eval()
    return module


def fill(module: object, prefix: str) -> dict:
    """Pseudo-weights by the names that the whole model's checkpoint has; names and shapes."""
    import torch
    from pseudo import pseudo_value

    state = {
        name: torch.from_numpy(pseudo_value(prefix + name, tuple(value.shape)))
        for name, value in module.state_dict().items()
    }
    module.load_state_dict(state)
    return {prefix + name: tuple(value.shape) for name, value in state.items()}


def watch(backbone: object, found: dict) -> None:
    """Store digests of what the backbone's parts give, under our names of these parts."""
    has_fast = hasattr(backbone, "slow_path")
    paths = {"slow": backbone.slow_path, "fast": backbone.fast_path} if has_fast else {"slow": backbone}
    for name, path in paths.items():
        path.layer1.register_forward_pre_hook(keeper(found, f"{name}.res2.input", is_input=True))
        for number in (1, 2, 3, 4):
            layer = getattr(path, f"layer{number}")
            layer.register_forward_hook(keeper(found, f"{name}.res{number + 1}"))
            for place, block in enumerate(layer):
                if hasattr(block, "non_local_block"):
                    key = f"{name}.res{number + 1}.non_locals.{place}"
                    block.non_local_block.register_forward_hook(keeper(found, key))
    if has_fast:
        backbone.slow_path.conv1_lateral.register_forward_hook(keeper(found, "laterals.stem"))
        for number in (1, 2, 3):
            lateral = getattr(backbone.slow_path, f"layer{number}_lateral")
            lateral.register_forward_hook(keeper(found, f"laterals.res{number + 1}"))


def keeper(found: dict, key: str, *, is_input: bool = False) -> object:
    from pseudo import digest_of

    if is_input:
        return lambda _, args: found.update({key: digest_of(key, args[0].numpy())})
    return lambda _, __, output: found.update({key: digest_of(key, output.numpy())})


def persons_case(root: Path, case: dict) -> dict:
    import torch
    from mmengine.config import Config
    from pseudo import boxes_for, digest_of, names_digest, pseudo_clip

    config = Config.fromfile(str(root / AVA.format(case["config"]))).model
    backbone = built(config.backbone)
    shapes = fill(backbone, "backbone.")
    stages: dict = {}
    watch(backbone, stages)
    heads = []
    with torch.no_grad():
        maps = backbone(torch.from_numpy(pseudo_clip(case["clip"])))
        for ours in case["heads"]:
            extractor, head = reference_head(config, ours)
            head_shapes = fill(head, "roi_head.bbox_head.")
            rois = torch.from_numpy(boxes_for(case["clip"][0]))
            height, width = case["clip"][3:]
            features, _ = extractor(maps, rois * torch.tensor([1.0, width, height, width, height]))
            logits = head(features)
            heads.append(
                {
                    "head": ours,
                    "logits": digest_of("logits", logits[:, 1:].numpy()),
                    "scores": digest_of("logits", logits[:, 1:].sigmoid().numpy()),
                    "names": names_digest(shapes | head_shapes),
                }
            )
    return {
        "what": "persons",
        "config": case["config"],
        "trunk": case["trunk"],
        "clip": list(case["clip"]),
        "stages": stages,
        "heads": heads,
    }


def reference_head(config: object, ours: dict) -> tuple:
    """The config's own extractor and head, with the arguments that `ours` names set as its sister configs set them."""
    from mmaction.models.roi_heads import BBoxHeadAVA, SingleRoIExtractor3D

    extractor = dict(config.roi_head.bbox_roi_extractor)
    head = dict(config.roi_head.bbox_head)
    width = 2304 if "SlowFast" in config.backbone.type else 2048
    extractor["with_global"] = ours.get("context", False)
    extractor["temporal_pool_mode"] = "max" if ours.get("temporal") == "max" else "avg"
    head["in_channels"] = width * (2 if ours.get("context") else 1)
    head["mlp_head"] = ours.get("kind") == "two-layer"
    del extractor["type"], head["type"]
    return SingleRoIExtractor3D(**extractor), BBoxHeadAVA(**head).eval()


def clips_case(root: Path, case: dict) -> dict:
    import torch
    from mmengine.config import Config
    from pseudo import digest_of, names_digest, pseudo_clip

    config = Config.fromfile(str(root / case["config"])).model
    backbone = built(config.backbone)
    from mmaction.registry import MODELS

    head = MODELS.build(dict(config.cls_head)).eval()
    shapes = fill(backbone, "backbone.") | fill(head, "cls_head.")
    with torch.no_grad():
        logits = head(backbone(torch.from_numpy(pseudo_clip(case["clip"]))))
    return {
        "what": "clips",
        "config": case["config"],
        "trunk": case["trunk"],
        "clip": list(case["clip"]),
        "logits": digest_of("logits", logits.numpy()),
        "names": names_digest(shapes),
    }


def loss_cases() -> list[dict]:
    """Losses and recalls of BBoxHeadAVA, which come from logits and labels by the same uniform numbers."""
    import torch
    from mmaction.models.roi_heads import BBoxHeadAVA
    from pseudo import short, uniform

    found = []
    for num, num_classes, alpha, gamma in ((6, 80, 1.0, 0.0), (6, 80, 3.0, 1.0), (5, 80, 1.0, 1.0), (4, 16, 1.0, 2.0)):
        shape = (num, num_classes + 1)
        logits = torch.from_numpy(uniform(f"loss/{num}x{num_classes}", shape) * 6.0).float()
        labels = torch.from_numpy(uniform(f"labels/{num}x{num_classes}", shape) > 0.9).float()
        labels[:, 3] = 1.0  # At least one label a person, or BBoxHeadAVA leaves the person out.
        head = BBoxHeadAVA(
            background_class=True, num_classes=num_classes + 1, focal_alpha=alpha, focal_gamma=gamma, in_channels=4
        )
        head.get_targets = lambda *_, labels=labels: (labels, torch.ones(len(labels)))
        given = head.loss_and_target(logits, None, None, None)["loss_bbox"]
        at = logits.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(
            head.loss_and_target(at, None, None, None)["loss_bbox"]["loss_action_cls"], at
        )
        found.append(
            {
                "what": "loss",
                "num": num,
                "num_classes": num_classes,
                "alpha": alpha,
                "gamma": gamma,
                "given": {name: short(float(value)) for name, value in given.items()},
                "gradient_sum": short(float(gradient.double().abs().sum())),
                "gradient": [short(float(value)) for value in gradient[:, 1:].flatten()[:32]],
            }
        )
    return found


if __name__ == "__main__":
    main()
