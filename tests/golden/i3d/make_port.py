"""Makes `port.jsonl`: what the common PyTorch port of I3D gives for pseudo-weights, with a scale in every batch norm.

    python tests/golden/i3d/make_port.py PYTORCH_I3D

PYTORCH_I3D: a checkout of piergiaj/pytorch-i3d. Of `port.jsonl`, the cases with `scaled` false have every scale at 1,
as DeepMind's program; the others by the rule of `pseudo_weights`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from pseudo_weights import digest_of, pseudo_clip, pseudo_weight, short, write_cases  # noqa: E402

# Channels, last end point, [T, H, W], whether the scales are by the rule.
CASES = [
    (3, "Logits", (9, 193, 200), False),
    (3, "Mixed_5c", (9, 57, 57), False),
    (3, "Mixed_5c", (13, 75, 34), False),
    (2, "Mixed_5c", (11, 50, 97), False),
    (3, "Logits", (17, 224, 211), True),
    (2, "Mixed_5c", (10, 63, 31), True),
]
UNITS = {"b0": "0/Conv3d_0a_1x1", "b1a": "1/Conv3d_0a_1x1", "b1b": "1/Conv3d_0b_3x3", "b2a": "2/Conv3d_0a_1x1"}
UNITS |= {"b2b": "2/Conv3d_0b_3x3", "b3b": "3/Conv3d_0b_1x1"}
VARIABLES = {"bn.weight": "gamma", "bn.bias": "beta", "bn.running_mean": "moving_mean"}
VARIABLES |= {"bn.running_var": "moving_variance"}


def deepmind_name(name: str) -> str:
    """DeepMind's name of one of the port's parameters (their 3x3 of Mixed_5b, branch 2, is named 0a there)."""
    if name.startswith("logits."):
        return "Logits/Conv3d_0c_1x1/conv_3d/" + ("w" if name.endswith("weight") else "b")
    block, *branch, part, variable = name.split(".")
    unit = f"/Branch_{UNITS[branch[0]]}" if branch else ""
    if block == "Mixed_5b" and branch == ["b2b"]:
        unit = unit.replace("0b_3x3", "0a_3x3")
    if part == "conv3d":
        return f"{block}{unit}/conv_3d/w"
    return f"{block}{unit}/batch_norm/{VARIABLES[f'{part}.{variable}']}"


def run(network: type, channels: int, last: str, thw: tuple[int, int, int], *, scaled: bool) -> dict:
    model = network(400, in_channels=channels).eval()
    state = {}
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            state[name] = value
        elif name.endswith("bn.weight") and not scaled:
            state[name] = torch.ones_like(value)
        else:
            state[name] = torch.from_numpy(pseudo_weight(deepmind_name(name), tuple(value.shape)))
    model.load_state_dict(state)
    case = {"channels": channels, "last": last, "thw": list(thw), "scaled": scaled, "ends": {}}
    x = torch.from_numpy(pseudo_clip((1, channels, *thw)))
    with torch.no_grad():
        for name in model.VALID_ENDPOINTS[:-2]:
            x = model._modules[name](x)
            case["ends"][name] = digest_of(name, x.numpy())
        if last == "Logits":
            # The port gives logits of each time; DeepMind's program averages them.
            logits = model(torch.from_numpy(pseudo_clip((1, channels, *thw)))).mean(dim=2).numpy()
            case["ends"]["Logits"] = digest_of("Logits", logits)
            case["logits"] = [short(value) for value in logits[0]]
    return case


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    from pytorch_i3d import InceptionI3d

    torch.set_num_threads(1)
    cases = []
    for channels, last, thw, scaled in CASES:
        cases.append(run(InceptionI3d, channels, last, thw, scaled=scaled))
        print(channels, last, thw, scaled, flush=True)
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    write_cases(HERE / "port.jsonl", versions, cases)


if __name__ == "__main__":
    main()
