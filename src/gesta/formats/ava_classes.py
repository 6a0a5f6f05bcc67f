"""AVA's 80 actions and the 60 of them that are scored, so that nobody needs a label map at hand for them.

Source: AVA v2.2 (CC BY 4.0), `ava_action_list_v2.2.pbtxt` (80 classes) and
`ava_action_list_v2.2_for_activitynet_2019.pbtxt` (60).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from gesta.formats.annotations import LABEL_MAP_COLUMNS

_FILE = Path(__file__).with_name("ava_classes.csv")


def ava_label_map(num_classes: Literal[60, 80]) -> pl.DataFrame:
    """AVA's label map with the ids as published: the 60 classes that the challenge scores, or all 80.

    >>> ava_label_map(60).height, ava_label_map(80)["name"][79]
    (60, 'watch (a person)')
    """
    rows = pl.read_csv(_FILE, schema={**LABEL_MAP_COLUMNS, "is_scored": pl.Boolean()})
    return (rows.filter("is_scored") if num_classes == 60 else rows).drop("is_scored")
