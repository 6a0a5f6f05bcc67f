"""Verdicts as views of the vote log: under another rule, after classes became one, without some workers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.consensus.standing import standing_votes
from gesta.consensus.verdicts import item_verdicts, vote_fates, worker_trust
from gesta.schema import (
    PROTOCOLS,
    BadInput,
    BadRow,
    Protocol,
    TrustRule,
    box_item_id_of,
    clip_item_id_of,
    suggestion_item_id_of,
)

_DEFAULT_TRUST = TrustRule()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """What the votes amount to; `items`, `votes` and `gold` are those that were judged, after the merges."""

    items: pl.DataFrame
    votes: pl.DataFrame
    gold: pl.DataFrame
    workers: pl.DataFrame
    fates: pl.DataFrame
    verdicts: pl.DataFrame


def judge(
    items: pl.DataFrame,
    votes: pl.DataFrame,
    gold: pl.DataFrame,
    *,
    trust: TrustRule = _DEFAULT_TRUST,
    protocols: Mapping[str, Protocol] = PROTOCOLS,
    merges: Mapping[int, int] | None = None,
    without: Iterable[str] = (),
    rulings: Mapping[str, bool] | None = None,
) -> Judged:
    """What the vote log amounts to under these rules; the log itself is not touched.

    Args:
        items: rows of table `items`.
        votes: rows of table `votes`.
        gold: rows of table `gold`.
        trust: whose votes count. Gold is judged as it was asked, before any merge.
        protocols: the rule of each kind of item.
        merges: old class to the class it became; chains are followed.
        without: workers whose votes are left out.
        rulings: workers of whom the owner decided, and whether their votes count, whatever gold says.
    Raises:
        BadInput: a class becomes itself by way of the merges.
    """
    heard = votes.filter(~pl.col("worker_id").is_in(list(without)))
    workers = worker_trust(heard, gold, trust=trust, items=items)
    if rulings:
        ruled = pl.col("worker_id").replace_strict(dict(rulings), default=None, return_dtype=pl.Boolean)
        workers = workers.with_columns(is_trusted=pl.coalesce(ruled, "is_trusted"))
    if merges:
        items, heard, gold = merged(items, heard, gold, merges=merges)
    fates = vote_fates(items, heard, gold, workers=workers, protocols=protocols)
    verdicts = item_verdicts(items, fates, gold, protocols=protocols)
    return Judged(items=items, votes=heard, gold=gold, workers=workers, fates=fates, verdicts=verdicts)


def resolved(merges: Mapping[int, int]) -> dict[int, int]:
    """Each old class with the class that it is in the end.

    Raises:
        BadInput: a class becomes itself.

    >>> resolved({1: 2, 2: 3})
    {1: 3, 2: 3}
    """
    final = {}
    for old in merges:
        new, seen = old, {old}
        while new in merges:
            new = merges[new]
            if new in seen:
                raise BadInput(f"class {old} becomes itself by way of the merges", mend="Leave one of them out")
            seen.add(new)
        final[old] = new
    return final


def merged(
    items: pl.DataFrame, votes: pl.DataFrame, gold: pl.DataFrame, *, merges: Mapping[int, int]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The items, the standing votes and the gold as if each old class had been asked for as its new one.

    A vote on a clip and its old class becomes one on the clip and its new class, also where the old item is no longer
    in `items`. A worker who answered both counts once, by the first; an answer known of the new item goes before one
    known of the old.

    Raises:
        BadInput: a class becomes itself by way of the merges.
    """
    final = resolved(merges)
    names = _renamed(items, final)
    columns = items.columns
    is_old = pl.col("class_id").is_in(list(final))
    new_items = (
        items.with_columns(was_old=is_old, class_id=pl.col("class_id").replace(final))
        .join(names, on="item_id", how="left", maintain_order="left")
        .with_columns(item_id=pl.coalesce("new_item_id", "item_id"))
        .sort("was_old", maintain_order=True)
        .unique("item_id", keep="first", maintain_order=True)
        .select(columns)
    )
    new_votes = (
        standing_votes(votes)
        .join(names, on="item_id", how="left", maintain_order="left")
        .with_columns(item_id=pl.coalesce("new_item_id", "item_id"))
        .select(votes.columns)
    )
    new_gold = (
        gold.join(names, on="item_id", how="left", maintain_order="left")
        .with_columns(was_old=pl.col("new_item_id").is_not_null(), item_id=pl.coalesce("new_item_id", "item_id"))
        .sort("was_old", maintain_order=True)
        .unique("item_id", keep="first", maintain_order=True)
        .select(gold.columns)
    )
    return new_items, _with_merged_proposals(new_items, new_votes, final), new_gold


def _renamed(items: pl.DataFrame, final: Mapping[int, int]) -> pl.DataFrame:
    """item_id and new_item_id of every item that asks for an old class, those no longer in `items` included."""
    olds_of: dict[int, list[int]] = {}
    for old, new in final.items():
        olds_of.setdefault(new, []).append(old)
    names: dict[str, str] = {}
    asking = items.filter(pl.col("kind").is_in(["clip", "suggestion", "box"]))
    wanted = ["kind", "clip_id", "class_id", *(c for c in ("timestamp_us", "person_id") if c in items.columns)]
    for row in asking.filter(pl.col("class_id").is_in([*final, *olds_of])).select(wanted).iter_rows(named=True):
        new = final.get(row["class_id"], row["class_id"])
        for old in olds_of[new]:
            names[_id_of(row, class_id=old)] = _id_of(row, class_id=new)
    schema = {"item_id": pl.String(), "new_item_id": pl.String()}
    return pl.DataFrame({"item_id": list(names), "new_item_id": list(names.values())}, schema=schema)


def _id_of(row: Mapping[str, object], *, class_id: int) -> str:
    clip_id = str(row["clip_id"])
    if row["kind"] == "clip":
        return clip_item_id_of(clip_id=clip_id, class_id=class_id)
    if row["kind"] == "suggestion":
        return suggestion_item_id_of(clip_id=clip_id, class_id=class_id)
    time_us, person_id = int(str(row["timestamp_us"])), int(str(row["person_id"]))
    return box_item_id_of(clip_id=clip_id, timestamp_us=time_us, person_id=person_id, class_id=class_id)


def _with_merged_proposals(items: pl.DataFrame, votes: pl.DataFrame, final: Mapping[int, int]) -> pl.DataFrame:
    """The votes with the classes that raters of persons proposed exchanged as well."""
    persons = items.filter(pl.col("kind") == "person")["item_id"]
    if not len(persons) or "detail" not in votes.columns:
        return votes

    def exchanged(text: str) -> str:
        said = json.loads(text)
        said["class_ids"] = sorted({final.get(class_id, class_id) for class_id in said.get("class_ids", [])})
        return json.dumps(said, sort_keys=True, separators=(",", ":"))

    is_proposal = pl.col("item_id").is_in(persons.implode()) & pl.col("detail").is_not_null()
    rewritten = votes.select(
        pl.when(is_proposal).then(pl.col("detail").map_elements(exchanged, return_dtype=pl.String))
        .otherwise("detail")
    ) if votes.filter(is_proposal).height else votes.select("detail")  # fmt: skip
    return votes.with_columns(rewritten["detail"])


def read_merges(file: Path, label_map: pl.DataFrame) -> dict[int, int]:
    """Old class to new class, from a csv file with the columns old and new: ids, or names of the label map.

    Raises:
        BadInput: the file cannot be read or has other columns.
        BadRow: a class is neither an id nor a name, or an old class is named twice; the message names the line.
    """
    try:
        rows = pl.read_csv(file, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"cannot be read as csv ({problem})", where=file, mend="Want the columns old,new") from error
    if rows.columns != ["old", "new"]:
        raise BadInput(f"columns {', '.join(rows.columns)}", where=file, mend="Want the columns old,new")
    ids = dict(label_map.select("name", "class_id").iter_rows())
    known = set(ids.values())
    merges: dict[int, int] = {}
    for line, names in enumerate(rows.iter_rows(), start=2):
        pair = []
        for name in names:
            text = (name or "").strip()
            class_id = ids.get(text, int(text) if text.isdecimal() and int(text) in known else None)
            if class_id is None:
                raise BadRow(f"no class {text!r}", path=file, line=line, mend="Write its id or its name")
            pair.append(class_id)
        if pair[0] in merges:
            raise BadRow(f"class {names[0]!r} is merged twice", path=file, line=line, mend="Drop one of the lines")
        merges[pair[0]] = pair[1]
    return merges
