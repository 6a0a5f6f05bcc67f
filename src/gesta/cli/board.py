"""`gesta board`: how a labelling campaign is doing, in the terminal, and what its owner does about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from gesta.cli.options import finish_json, json_option
from gesta.schema import BadInput, GestaError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gesta.label.board_offline import Act

SHOWN = ("overview", "classes", "workers", "disputed", "suggestions", "events")
NUM_LINES = 30
TIMEOUT_S = 60.0

_subject = "class:NAME or worker:ID; give it as often as wanted."


@click.command("board")
@click.argument("work", required=False, type=click.Path(file_okay=False, exists=True, path_type=Path))
@click.option("--url", default=None, help="Address of a running service, instead of WORK.")
@click.option("--token", envvar="GESTA_TOKEN", default=None, help="The owner's token, with --url.  [env: GESTA_TOKEN]")
@click.option("--database", default=None, help="SQLAlchemy URL of the vote log.  [default: WORK/labels.sqlite]")
@click.option("--show", type=click.Choice(SHOWN), multiple=True, help="Part to print.  [default: overview]")
@click.option("--pause", multiple=True, help=f"Ask no more about, or of: {_subject}")
@click.option("--resume", multiple=True, help=f"Take back a pause, drop or ban: {_subject}")
@click.option("--drop", multiple=True, help="Ask no more about the class, and leave it out: class:NAME.")
@click.option("--ban", multiple=True, help="Set aside what the worker answered, and ask it again: worker:ID.")
@click.option("--reopen", multiple=True, help="The same, and let the worker go on anew: worker:ID.")
@click.option("--reason", default="", help="Why, for the diary.")
@json_option
def command(
    work: Path | None,
    url: str | None,
    token: str | None,
    database: str | None,
    show: Sequence[str],
    pause: Sequence[str],
    resume: Sequence[str],
    drop: Sequence[str],
    ban: Sequence[str],
    reopen: Sequence[str],
    reason: str,
    as_json: bool,
) -> None:
    """Show how a labelling campaign is doing, and act on classes and workers.

    Reads the label database of WORK, also while the service runs. To act while it runs, give --url and --token: one
    program writes to a database at a time. The same is on the owner's page and in its API.

    \b
    Example:
      gesta board work --show overview --show classes
      gesta board --url http://127.0.0.1:8000 --pause class:gardening --ban worker:ann --reason "yes to everything"
    """
    if (work is None) == (url is None):
        raise click.UsageError("give WORK or --url")
    told = [("pause", pause), ("resume", resume), ("drop", drop), ("ban", ban), ("reopen", reopen)]
    wanted = [(action, subject) for action, subjects in told for subject in subjects]
    for action, subject in wanted:
        _check_subject(action, subject)
    read, acting = _service(url, token) if url is not None else _offline(work or Path(), database)
    done = []
    if wanted:
        with acting() as act:
            done = [
                {"action": action, "subject": subject, **act(action, subject, reason)} for action, subject in wanted
            ]
    if as_json:
        finish_json({"done": done, **read()})
        return
    for each in done:
        click.echo(f"{each['subject']}: {each['action']} done, it is {each['state']} now")
    if show or not done:
        found = read()
        click.echo("\n\n".join(_TEXTS[part](found) for part in show or ("overview",)))


def _check_subject(action: str, subject: str) -> None:
    kind, _, name = subject.partition(":")
    kinds = {"drop": ("class",), "ban": ("worker",), "reopen": ("worker",)}.get(action, ("class", "worker"))
    if kind not in kinds or not name:
        raise BadInput(f"--{action} {subject!r}", mend=f"Want {' or '.join(f'{one}:NAME' for one in kinds)}")


Read = Callable[[], dict[str, Any]]
Acting = Callable[[], "AbstractContextManager[Act]"]


def _offline(work: Path, database: str | None) -> tuple[Read, Acting]:
    from gesta.label.board_offline import offline_desk, read_board
    from gesta.label.rules import Rules
    from gesta.label.store import database_url_of

    path = work / "labels.sqlite"
    if database is None and not path.is_file():
        raise BadInput("nobody has labelled here yet", where=path, mend="Run `gesta label` first, or give --database")
    at, rules = database or database_url_of(work), Rules()

    def now_us() -> int:
        return time.time_ns() // 1000

    return (
        lambda: read_board(at, rules=rules, now_us=now_us()),
        lambda: offline_desk(at, rules=rules, now_us=now_us),
    )


def _service(url: str, token: str | None) -> tuple[Read, Acting]:
    import httpx

    from gesta.label.board_offline import class_id_of

    if not token:
        raise click.UsageError("--url needs --token, or GESTA_TOKEN in the environment")
    token = token.rsplit("token=", 1)[-1]
    client = httpx.Client(
        base_url=url.split("#")[0].removesuffix("/owner"), headers={"Authorization": f"Bearer {token}"},
        timeout=TIMEOUT_S, trust_env=False,
    )  # fmt: skip

    click.get_current_context().call_on_close(client.close)

    def ask(method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        try:
            response = client.request(method, f"/api/owner/{path}", json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise GestaError(
                f"the label service cannot be reached ({type(error).__name__})", where=url, mend="See that it runs"
            ) from error
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not response.is_success:
            problem = answer.get("error", {}).get("message") if isinstance(answer, dict) else None
            raise GestaError(f"the service refused: {problem or response.status_code}", where=url)
        return answer

    def act(action: str, subject: str, reason: str) -> dict[str, Any]:
        kind, _, name = subject.partition(":")
        if kind == "class":
            name = str(class_id_of(ask("GET", "classes")["classes"], name))
        group = "classes" if kind == "class" else "workers"
        return dict(ask("POST", f"{group}/{quote(name, safe='')}/{action}", {"reason": reason}))

    @contextmanager
    def acting() -> Iterator[Act]:
        yield act

    parts = {"board": "board", "workers": "board/workers", "suggestions": "suggestions", "disputed": "disputed"}
    return (lambda: {name: ask("GET", path) for name, path in {**parts, "events": "events"}.items()}), acting


# ---- as text ---------------------------------------------------------------------------------------------------------


def _percent(frac: float | None) -> str:
    return "-" if frac is None else f"{100 * frac:.0f} %"


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    # Names and suggestions are other people's: none of them may move the cursor or paint the terminal.
    lines = [["".join(c if c.isprintable() else "?" for c in str(cell)) for cell in row] for row in rows]
    cut = lines[:NUM_LINES]
    widths = [max(len(line[place]) for line in [list(headings), *cut]) for place in range(len(headings))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in [list(headings), *cut]]  # fmt: skip
    return "\n".join(
        [*text, *([f"and {len(lines) - len(cut)} more (--json has all)"] if len(lines) > len(cut) else [])]
    )


def _overview(found: Mapping[str, Any]) -> str:
    board = found["board"]
    totals, forecast, gold, money = board["totals"], board["forecast"], board["gold"], board["money"]
    num_decided = totals["num_accepted"] + totals["num_rejected"]
    num_asked = totals["num_items"] - totals["num_closed"]
    pace = "no pace to tell" if forecast["rate_per_hour"] is None else f"{forecast['rate_per_hour']:,.0f} an hour"
    left = "" if forecast["hours"] is None else f", {forecast['hours']:.1f} h at this pace"
    clip = next((row for row in board["kinds"] if row["agreement"] is not None), None)
    gold_frac = gold["num_right"] / gold["num_seen"] if gold["num_seen"] else None
    rows = [
        ("Decided", f"{num_decided:,} of {num_asked:,} questions, {_percent(totals['accepted_frac'])} accepted"),
        ("Answers", f"{totals['num_cast']:,}, {pace}; {totals['num_at_work']} people at work"),
        ("To come", f"about {forecast['num_answers']:,} answers{left}"),
        ("Held back", f"about {forecast['num_answers_held']:,} answers, in {totals['num_paused']} paused classes"),
        ("Agreement", f"{_percent(clip['agreement'] if clip else None)} of pairs of answers"),
        ("Gold", f"{_percent(gold_frac)} right of {gold['num_seen']:,}"),
        ("Cost", "no pay is set" if money is None else f"{money['so_far']:.2f} {money['currency']} so far"
         + (f", about {money['still']:.2f} to come" if money["still"] else "")),
    ]  # fmt: skip
    return "\n".join(f"{name:<10} {text}" for name, text in rows)


def _classes(found: Mapping[str, Any]) -> str:
    order = {"paused": 0, "active": 1, "dropped": 2}
    gates = sorted(found["board"]["gates"], key=lambda row: (order[row["state"]], row["name"]))
    return _table(
        ("class", "state", "by", "decided", "accepted", "accuracy", "threshold"),
        ((row["name"], row["state"], row["state_by"], row["num_decided"], row["num_accepted"],
          _percent(row["accuracy"]), _percent(row["threshold_frac"])) for row in gates),
    )  # fmt: skip


def _workers(found: Mapping[str, Any]) -> str:
    rows = sorted(found["workers"], key=lambda row: -row["num_votes"])
    return _table(
        ("worker", "state", "answers", "gold", "agrees", "median s"),
        ((row["worker_id"], row["state"], row["num_votes"], f"{row['num_gold_right']}/{row['num_gold']}",
          _percent(row["agreement"]),
          "-" if row["median_spent_ms"] is None else f"{row['median_spent_ms'] / 1000:.1f}") for row in rows),
    )  # fmt: skip


def _disputed(found: Mapping[str, Any]) -> str:
    return _table(
        ("clip", "class", "verdict", "yes", "no", "unsure", "broken"),
        ((row["clip_id"], row["class_name"], row["verdict"], *row["answers"].values()) for row in found["disputed"]),
    )


def _suggestions(found: Mapping[str, Any]) -> str:
    rows = found["suggestions"]
    return _table(
        ("instead of", "suggested", "times"), ((r["class_name"] or "-", r["text"], r["num_votes"]) for r in rows)
    )


def _events(found: Mapping[str, Any]) -> str:
    def clock(at_us: int) -> str:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_us / 1e6))

    rows = found["events"]
    return _table(
        ("when", "who", "what", "subject"), ((clock(r["at_us"]), r["actor"], r["what"], r["subject"]) for r in rows)
    )


_TEXTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "overview": _overview,
    "classes": _classes,
    "workers": _workers,
    "disputed": _disputed,
    "suggestions": _suggestions,
    "events": _events,
}
