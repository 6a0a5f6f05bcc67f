"""The outside crowds that may come in, how they are switched on, and the addresses that are given to them.

Off by default. Mechanical Turk shows the page in a frame and is posted a form to; Prolific sends people here and gets
them back with a code.

Source: the Amazon Mechanical Turk API reference, "ExternalQuestion"; the Prolific API documentation, "Study".
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TypeVar
from urllib.parse import urlencode, urlsplit
from xml.sax.saxutils import escape

import sqlalchemy as sa

from gesta.label.sql_tables import settings
from gesta.schema import BadInput, GestaError

SETTING = "external"

PREVIEW = "ASSIGNMENT_ID_NOT_AVAILABLE"
"""The assignmentId of a HIT that is looked at and not accepted. Source: API reference, "ExternalQuestion"."""

SUBMIT_ORIGINS = ("https://www.mturk.com", "https://workersandbox.mturk.com")
"""Where answers may be posted to. Source: MTurk developer guide, "Defining an HTML form", and `turkSubmitTo`."""

FRAME_ORIGINS = (
    "https://worker.mturk.com", "https://workersandbox.mturk.com", "https://www.mturk.com",
    "https://requester.mturk.com", "https://requestersandbox.mturk.com",
)  # fmt: skip
"""Sites that show the page in a frame: the workers' and the requesters', and their sandboxes."""

FORM_ORIGINS = (*SUBMIT_ORIGINS, "https://worker.mturk.com")
"""Where the form may lead: also to where Amazon forwards it, since Chromium applies `form-action` to redirects."""

FRAMED_BY: Mapping[str, tuple[str, ...]] = {"/mturk": FRAME_ORIGINS}
"""Pages that may be shown in a frame, and by whom."""

EXTERNAL_QUESTION_XMLNS = (
    "http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2006-07-14/ExternalQuestion.xsd"
)
PROLIFIC_COMPLETE = "https://app.prolific.com/submissions/complete"
"""Source: Prolific API documentation, "Reviewing submissions and rewards"."""

FRAME_HEIGHT_PX = 800
KEY_BYTES = 12
_CODE = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class NotConfigured(GestaError):
    """The crowd is not switched on."""


class BadKey(GestaError):
    """The address is not the one that was given to the crowd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mturk:
    """Mechanical Turk, switched on; `key` is a part of the HIT's address, so that only who saw it comes in."""

    key: str = ""

    def __post_init__(self) -> None:
        _check_codes(asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prolific:
    """Prolific, switched on: the study's codes, as set up there. Without one of the others people are asked to return.

    Raises:
        BadInput: a code is none.
    """

    completion_code: str
    screened_out_code: str = ""
    no_consent_code: str = ""
    over_quota_code: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if not self.completion_code:
            raise BadInput("there is no completion code", mend="Give the code that the study has at Prolific")
        _check_codes(asdict(self))


def _check_codes(codes: Mapping[str, str]) -> None:
    for name, code in codes.items():
        if code and not _CODE.match(code):
            raise BadInput(f"{name}={code!r} is no code", mend="Want 1 to 64 letters, digits, _ or -")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowds:
    """The outside crowds that may come in; None = switched off."""

    mturk: Mturk | None = None
    prolific: Prolific | None = None


# ---- settings --------------------------------------------------------------------------------------------------------


def crowds_of(db: sa.Connection) -> Crowds:
    """The crowds that are switched on."""
    text = db.execute(sa.select(settings.c.value).where(settings.c.name == SETTING)).scalar()
    kept = json.loads(text) if text else {}
    return Crowds(
        mturk=Mturk(**kept["mturk"]) if "mturk" in kept else None,
        prolific=Prolific(**kept["prolific"]) if "prolific" in kept else None,
    )


def configure_external(db: sa.Connection, *, mturk: Mturk | None = None, prolific: Prolific | None = None) -> Crowds:
    """The crowds as they are now: those given are switched on or changed, the others stay as they were.

    Codes and keys that are empty stay as they were, too; a crowd without any key gets one.
    """
    before = crowds_of(db)
    crowds = Crowds(
        mturk=_with_key(replace(before.mturk or mturk, **_given(mturk))) if mturk else before.mturk,
        prolific=_with_key(replace(before.prolific or prolific, **_given(prolific))) if prolific else before.prolific,
    )
    forget_external(db)
    value = {name: asdict(part) for name, part in (("mturk", crowds.mturk), ("prolific", crowds.prolific)) if part}
    db.execute(sa.insert(settings).values(name=SETTING, value=json.dumps(value)))
    return crowds


_T = TypeVar("_T", Mturk, Prolific)


def _given(crowd: Mturk | Prolific) -> dict[str, str]:
    return {name: value for name, value in asdict(crowd).items() if value}


def _with_key(crowd: _T) -> _T:
    # Not from an `rng`: the key keeps strangers out, so nobody may be able to draw it again.
    return crowd if crowd.key else replace(crowd, key=secrets.token_hex(KEY_BYTES))


def forget_external(db: sa.Connection) -> None:
    """Switch every crowd off; workers and assignments stay."""
    db.execute(sa.delete(settings).where(settings.c.name == SETTING))


def crowd_addresses(crowds: Crowds, *, service_url: str) -> dict[str, str]:
    """What is given to the crowds that are on: `mturk_url`, `mturk_question` (the HIT's XML) and `prolific_url`.

    Raises:
        BadInput: the service has no https address.
    """
    told = {}
    if crowds.mturk is not None:
        told["mturk_url"] = mturk_url(service_url, crowds.mturk)
        told["mturk_question"] = external_question_xml(told["mturk_url"])
    if crowds.prolific is not None:
        told["prolific_url"] = prolific_url(service_url, crowds.prolific)
    return told


def check_key(key: str, *, wanted: str) -> None:
    """Nothing, if the key is the one of the address that was given to the crowd.

    Raises:
        BadKey: it is not.
    """
    if wanted and not hmac.compare_digest(key.encode("utf-8", "surrogatepass"), wanted.encode()):
        raise BadKey("this address is not complete", mend="It must be just the one that gesta printed, with its key")


# ---- what is given to the crowd --------------------------------------------------------------------------------------


def mturk_url(service_url: str, crowd: Mturk) -> str:
    """The address that a HIT shows.

    Raises:
        BadInput: the service has no https address.

    >>> mturk_url("https://label.example.org/", Mturk(key="ab12"))
    'https://label.example.org/mturk?key=ab12'
    """
    return _address(service_url, "mturk", {"key": crowd.key})


def external_question_xml(url: str, *, frame_height_px: int = FRAME_HEIGHT_PX) -> str:
    """The `Question` of a HIT that shows the page at `url` in a frame; a height of 0 fills the worker's window.

    Raises:
        BadInput: the address is not https, which Amazon requires, or the height is negative or absurd.
    Source: API reference, "ExternalQuestion".

    >>> print(external_question_xml("https://x.org/mturk?key=a&b=c"))
    <?xml version="1.0" encoding="UTF-8"?>
    <ExternalQuestion xmlns="http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2006-07-14/ExternalQuestion.xsd">
      <ExternalURL>https://x.org/mturk?key=a&amp;b=c</ExternalURL>
      <FrameHeight>800</FrameHeight>
    </ExternalQuestion>
    <BLANKLINE>
    """
    _check_https(url)
    if not 0 <= frame_height_px <= 10_000:
        raise BadInput(f"a frame {frame_height_px} pixels high", mend="Want 0 to 10000; 0 fills the window")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<ExternalQuestion xmlns="{EXTERNAL_QUESTION_XMLNS}">\n'
        f"  <ExternalURL>{escape(url)}</ExternalURL>\n"
        f"  <FrameHeight>{frame_height_px}</FrameHeight>\n"
        "</ExternalQuestion>\n"
    )


def prolific_url(service_url: str, crowd: Prolific) -> str:
    """The study's address, with the places that Prolific fills in.

    Raises:
        BadInput: the service has no https address.
    Source: Prolific API documentation, "The study object".

    >>> prolific_url("https://x.org", Prolific(completion_code="C1", key="ab"))
    'https://x.org/prolific?key=ab&PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID={{%STUDY_ID%}}&SESSION_ID={{%SESSION_ID%}}'
    """
    names = ("PROLIFIC_PID", "STUDY_ID", "SESSION_ID")
    address = _address(service_url, "prolific", {"key": crowd.key})
    joined = "&".join(f"{name}={{{{%{name}%}}}}" for name in names)
    return f"{address}{'&' if '?' in address else '?'}{joined}"


def _address(service_url: str, page: str, query: Mapping[str, str]) -> str:
    _check_https(service_url)
    told = urlencode({name: value for name, value in query.items() if value})
    return f"{service_url.rstrip('/')}/{page}{'?' if told else ''}{told}"


def _check_https(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise BadInput(f"{url!r} is no https address", mend="A crowd's site shows pages over https only")


def submit_origin_of(turk_submit_to: str) -> str:
    """The origin of Mechanical Turk that a `turkSubmitTo` names.

    Raises:
        BadInput: it is another address than Amazon's: nothing is ever posted there.

    >>> submit_origin_of("https://workersandbox.mturk.com/")
    'https://workersandbox.mturk.com'
    """
    origin = turk_submit_to[:-1] if turk_submit_to.endswith("/") else turk_submit_to
    if origin not in SUBMIT_ORIGINS:
        raise BadInput(f"turkSubmitTo={turk_submit_to[:80]!r} is not Mechanical Turk", mend="Open the page from there")
    return origin


def submit_form(origin: str, *, assignment_id: str, num_answers: int) -> tuple[str, dict[str, str]]:
    """Where a finished assignment's form goes, and its fields; what was answered stays here.

    Source: MTurk developer guide, "Submitting from JavaScript": `assignmentId` and at least one more field.

    >>> submit_form("https://www.mturk.com", assignment_id="3A", num_answers=20)
    ('https://www.mturk.com/mturk/externalSubmit', {'assignmentId': '3A', 'num_answers': '20'})
    """
    return f"{origin}/mturk/externalSubmit", {"assignmentId": assignment_id, "num_answers": str(num_answers)}


def completion_url(code: str) -> str:
    """Where a person goes back to Prolific with a code.

    >>> completion_url("C1X2")
    'https://app.prolific.com/submissions/complete?cc=C1X2'
    """
    return f"{PROLIFIC_COMPLETE}?{urlencode({'cc': code})}"
