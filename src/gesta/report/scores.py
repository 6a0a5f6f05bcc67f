"""Scores and training: mAP with its classes, confusions, and the curve of the log."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gesta.schema import BadInput


def read_metrics(path: Path) -> dict[str, Any]:
    """The metrics that `gesta evaluate` wrote.

    Raises:
        BadInput: there is no such file, or it is not a JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=path, mend="Name the file: --metrics") from error
    except ValueError as error:
        raise BadInput(f"is not JSON ({error})", where=path, mend="Run `gesta evaluate` again") from error
    if not isinstance(value, dict):
        raise BadInput("is not a JSON object", where=path, mend="Run `gesta evaluate` again")
    return value


def score_rows(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Mean and chance, top-1 and top-5 where there, and the classes from the best to the worst.

    A class without ground truth has no score and comes last.
    """
    rows = [
        {
            "name": row.get("name") or f"class {row.get('class_id')}",
            "ap": row.get("ap", row.get("average_precision")),
            "num_groundtruth": row.get("num_groundtruth", 0),
            "num_detections": row.get("num_detections", 0),
        }
        for row in metrics.get("classes") or ()
    ]
    rows.sort(key=lambda row: (row["ap"] is None, -(row["ap"] or 0.0), row["name"]))
    top = [(name, metrics[key]) for name, key in (("top-1", "top1"), ("top-5", "top5")) if metrics.get(key) is not None]
    return {"mean_ap": metrics.get("mean_ap"), "chance_map": metrics.get("chance_map"), "top": top, "rows": rows}


def confusion_rows(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """The confusion matrix of the metrics (`labels`, and `matrix` of counts: true by row), or None.

    Cells carry their share of the row, by which they are shaded.
    """
    found = metrics.get("confusion")
    if not isinstance(found, Mapping) or not found.get("labels") or not found.get("matrix"):
        return None
    rows = []
    for name, counts in zip(found["labels"], found["matrix"], strict=True):
        whole = sum(counts)
        cells = [{"num": count, "share": count / whole if whole else 0.0} for count in counts]
        rows.append({"name": name, "cells": cells})
    return {"labels": list(found["labels"]), "rows": rows}


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a training log, one JSON object each.

    Raises:
        BadInput: there is no such file, or a line is not a JSON object; the message names it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=path, mend="Name the file: --log") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise BadInput("not a JSON object", where=f"{path}:{number}", mend="Drop the line")
        rows.append(row)
    return rows


def training_curve(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Points (step or epoch, loss) of the log, and medians of its speed; None where no line has a loss."""
    for axis in ("epoch", "step"):
        points = [(float(row[axis]), float(row["loss"])) for row in rows if axis in row and row.get("loss") is not None]
        if points:
            break
    else:
        return None
    speeds = [row["clips_per_s"] for row in rows if row.get("clips_per_s") is not None]
    waits = [row["data_wait_frac"] for row in rows if row.get("data_wait_frac") is not None]
    return {
        "axis": axis,
        "points": points,
        "first": points[0][1],
        "last": points[-1][1],
        "num": len(points),
        "clips_per_s": statistics.median(speeds) if speeds else None,
        "data_wait_frac": statistics.median(waits) if waits else None,
    }
