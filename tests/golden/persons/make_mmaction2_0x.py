"""Makes `mmaction2_0x.jsonl`: what MMAction2 0.24.1's detectors give for the same pseudo-weights, stage by stage.

    python tests/golden/persons/make_mmaction2_0x.py MMACTION2

MMACTION2: a checkout of open-mmlab/mmaction2 at v0.24.1 (see README.md for what else must be installed).
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent

CASES = [
    {
        "config": "slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb",
        "trunk": {"name": "slow_only_r50_4x16", "non_local": "mmaction2"},
        "clip": (1, 3, 4, 64, 80),
        "head": {},
    },
    {
        "config": "slowonly_omnisource_pretrained_r101_8x8x1_20e_ava_rgb",
        "trunk": {"name": "slow_only_r101_8x8"},
        "clip": (1, 3, 8, 48, 64),
        "head": {},
    },
    {
        "config": "slowfast_context_kinetics_pretrained_r50_4x16x1_20e_ava_rgb",
        "trunk": {"name": "slowfast_r50_4x16"},
        "clip": (1, 3, 32, 64, 80),
        "head": {"context": True},
    },
    {
        "config": "slowfast_temporal_max_focal_alpha3_gamma1_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb",
        "trunk": {"name": "slowfast_r50_8x8"},
        "clip": (1, 3, 32, 48, 64),
        "head": {"temporal": "max"},
    },
    {
        "config": "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes",
        "trunk": {"name": "slowfast_r50_4x16"},
        "clip": (1, 3, 32, 48, 48),
        "head": {},
        "num_classes": 16,
    },
]


def main() -> None:
    root = Path(sys.argv[1]).resolve()
    sys.path[:0] = [str(root), str(HERE)]
    warnings.simplefilter("ignore")
    import stand_ins

    stand_ins.install_mmcv_ops()
    import mmaction
    import mmcv
    import numpy as np
    import torch
    from pseudo import write_cases

    torch.set_num_threads(1)
    cases = []
    for case in CASES:
        cases.append(run(root, case))
        print(case["config"], flush=True)
    versions = {"mmaction2": mmaction.__version__, "mmcv": mmcv.__version__}
    write_cases(HERE / "mmaction2_0x.jsonl", versions | {"torch": torch.__version__, "numpy": np.__version__}, cases)


def run(root: Path, case: dict) -> dict:
    import torch
    from make_mmaction2 import fill, watch
    from mmaction.models.builder import build_backbone
    from mmaction.models.heads.bbox_head import BBoxHeadAVA
    from mmaction.models.roi_extractors import SingleRoIExtractor3D
    from mmcv import Config
    from pseudo import boxes_for, digest_of, names_digest, pseudo_clip

    config = Config.fromfile(str(root / "configs" / "detection" / "ava" / f"{case['config']}.py")).model
    backbone = build_backbone(dict(config.backbone, pretrained=None))
    backbone.eval()
    extractor, head = (dict(config.roi_head[part]) for part in ("bbox_roi_extractor", "bbox_head"))
    del extractor["type"], head["type"]
    module = BBoxHeadAVA(**head).eval()
    shapes = fill(backbone, "backbone.") | fill(module, "roi_head.bbox_head.")
    stages: dict = {}
    watch(backbone, stages)
    height, width = case["clip"][3:]
    with torch.no_grad():
        maps = backbone(torch.from_numpy(pseudo_clip(case["clip"])))
        rois = torch.from_numpy(boxes_for(case["clip"][0])) * torch.tensor([1.0, width, height, width, height])
        logits, _ = module(SingleRoIExtractor3D(**extractor)(maps, rois)[0])
    stored = {"head": case["head"], "logits": digest_of("logits", logits[:, 1:].numpy())}
    stored |= {"scores": digest_of("logits", logits[:, 1:].sigmoid().numpy()), "names": names_digest(shapes)}
    kept = {key: case[key] for key in ("config", "trunk", "num_classes") if key in case}
    return {"what": "persons", **kept, "clip": list(case["clip"]), "stages": stages, "heads": [stored]}


if __name__ == "__main__":
    main()
