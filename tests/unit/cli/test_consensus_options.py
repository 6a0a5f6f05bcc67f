"""`gesta consensus` under other rules and with merged classes."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from gesta.cli.consensus import command
from gesta.schema import Clip, Item, LabelClass, Vote
from gesta.tables import frame_of, made_by, table_path, write_table


def test_rules_and_merges_are_taken_from_the_line(tmp_path: Path) -> None:
    made = made_by("test", arguments={}, inputs={})
    items = [Item(item_id=f"clip:c:{k}", kind="clip", clip_id="c", class_id=k) for k in (1, 2)]
    cast = [("clip:c:1", "a", "yes"), ("clip:c:2", "b", "yes"), ("clip:c:1", "c", "no")]
    tables = {
        "items": items,
        "clips": [Clip(clip_id="c", video_id="v", start_us=0, end_us=1)],
        "label_map": [LabelClass(class_id=1, name="waving"), LabelClass(class_id=2, name="waving a hand")],
        "votes": [
            Vote(vote_id=number, item_id=item_id, worker_id=worker, answer=answer)
            for number, (item_id, worker, answer) in enumerate(cast, start=1)
        ],
    }
    for name, rows in tables.items():
        write_table(table_path(tmp_path, name), name, frame_of(name, rows), made_by=made)
    merges = tmp_path / "merges.csv"
    merges.write_text("old,new\nwaving a hand,waving\n")

    def accepted(*options: str) -> int:
        done = CliRunner().invoke(command, [str(tmp_path), "--json", *options], catch_exceptions=False)
        return int(json.loads(done.output)["clip_labels_accepted"])

    lenient = ("--accept-yes", "2", "--max-votes", "3", "--stop-at", "2")
    assert accepted() == 0
    assert accepted(*lenient) == 0
    assert accepted("--merges", str(merges)) == 0
    assert accepted("--merges", str(merges), *lenient) == 1
