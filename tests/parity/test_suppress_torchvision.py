"""Our suppression against torchvision's `nms` (0.28, run here)."""

import numpy as np
import torch
from torchvision.ops import nms

from gesta.detect import suppress


def test_the_same_boxes_survive_as_in_torchvision():
    rng = np.random.default_rng(5)
    for num_boxes in (1, 7, 60, 300):
        corner = rng.uniform(0, 0.7, (num_boxes, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(0.05, 0.3, (num_boxes, 2))], axis=1)
        scores = rng.permutation(num_boxes) / num_boxes
        for max_iou in (0.2, 0.45, 0.7):
            theirs = nms(torch.from_numpy(boxes), torch.from_numpy(scores), max_iou)
            assert suppress(boxes, scores, max_iou=max_iou).tolist() == theirs.tolist()
