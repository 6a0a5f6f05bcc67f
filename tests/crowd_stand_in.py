"""Stand-ins for Mechanical Turk and Prolific, which behave towards an outside page as their documents say.

Mechanical Turk: a HIT is made from an ExternalQuestion; its preview and its accepted form show that page in a frame,
with `assignmentId`, `hitId`, `workerId` and `turkSubmitTo` added to the address; `POST /mturk/externalSubmit` wants the
id of an assignment that is accepted, and one more field. What is returned is given to the next worker under the same
id. The answer to a submission is a redirect to the workers' site, which is the harder of what Amazon may do.

Prolific: fills the three ids into the study's address, and takes people back at `/submissions/complete?cc=`.

Source: Amazon Mechanical Turk API reference, "ExternalQuestion", and developer guide, "How Mechanical Turk tasks are
rendered" and "Submitting from JavaScript"; Prolific API documentation, "The study object".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.etree import ElementTree

NOT_AVAILABLE = "ASSIGNMENT_ID_NOT_AVAILABLE"
SANDBOX = "https://workersandbox.mturk.com"
WORKER_SITE = "https://worker.mturk.com"
_NAME = "{http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2006-07-14/ExternalQuestion.xsd}"


@dataclass(slots=True)
class Hit:
    """One HIT, as its ExternalQuestion made it."""

    hit_id: str
    url: str
    frame_height_px: int


@dataclass(slots=True)
class Assignment:
    """One acceptance of a HIT: accepted, returned or submitted."""

    assignment_id: str
    hit_id: str
    worker_id: str
    status: str = "accepted"
    answer: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class MturkStandIn:
    """Mechanical Turk's sandbox, in memory."""

    hits: dict[str, Hit] = field(default_factory=dict)
    assignments: dict[str, Assignment] = field(default_factory=dict)

    def create_hit(self, question: str) -> str:
        """The id of a HIT made from an ExternalQuestion; fails on what Amazon's schema does not allow."""
        root = ElementTree.fromstring(question.encode())
        assert root.tag == f"{_NAME}ExternalQuestion"
        (url, height) = root
        assert (url.tag, height.tag) == (f"{_NAME}ExternalURL", f"{_NAME}FrameHeight")
        assert url.text is not None
        assert urlsplit(url.text).scheme == "https", "the page must be served over https"
        hit_id = f"3HIT{len(self.hits):026d}"
        self.hits[hit_id] = Hit(hit_id, url.text, int(height.text or ""))
        return hit_id

    def accept(self, hit_id: str, worker_id: str) -> str:
        """The id of an assignment that the worker accepted: one that somebody returned, else a new one."""
        returned = [a for a in self.assignments.values() if a.hit_id == hit_id and a.status == "returned"]
        assignment_id = returned[0].assignment_id if returned else f"3ASG{len(self.assignments):026d}"
        self.assignments[assignment_id] = Assignment(assignment_id, hit_id, worker_id)
        return assignment_id

    def give_back(self, assignment_id: str) -> None:
        """The worker returns the assignment."""
        self.assignments[assignment_id].status = "returned"

    def frame_url(self, hit_id: str, assignment_id: str | None = None) -> str:
        """The address that the frame shows: of the preview, or of an accepted assignment."""
        told = {"assignmentId": assignment_id or NOT_AVAILABLE, "hitId": hit_id}
        if assignment_id is not None:
            told |= {"workerId": self.assignments[assignment_id].worker_id, "turkSubmitTo": SANDBOX}
        url = self.hits[hit_id].url
        return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(told)}"

    def page(self, path: str, query: str) -> str:
        """The workers' page of a HIT, with the frame in it."""
        told = dict(parse_qsl(query))
        hit = self.hits[told["hitId"]]
        url = self.frame_url(hit.hit_id, told.get("assignmentId"))
        assert path == "/task"
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A stand-in</title></head>'
            f'<body><h1>HIT {escape(hit.hit_id)}</h1><iframe id="frame" width="1000" height="{hit.frame_height_px}" '
            f'src="{escape(url)}"></iframe></body></html>'
        )

    def external_submit(self, body: str) -> tuple[int, str]:
        """The status and the text or, for a redirect, the address that a posted form is answered with."""
        told = dict(parse_qsl(body))
        assignment = self.assignments.get(told.pop("assignmentId", ""))
        if assignment is None or assignment.status != "accepted" or not told:
            return 400, "There was a problem submitting your results for this HIT."
        assignment.status = "submitted"
        assignment.answer = told
        return 302, f"{WORKER_SITE}/thank-you"


@dataclass(slots=True)
class ProlificStandIn:
    """A study at Prolific, in memory."""

    external_study_url: str
    codes: dict[str, str]
    submissions: dict[str, str] = field(default_factory=dict)
    """Status of each session: active, or what its code stands for."""

    def study_url(self, participant_id: str, session_id: str, *, study_id: str = "65f0a1") -> str:
        """The address that a participant is sent to."""
        self.submissions.setdefault(session_id, "active")
        url = self.external_study_url
        for name, value in (("PROLIFIC_PID", participant_id), ("STUDY_ID", study_id), ("SESSION_ID", session_id)):
            url = url.replace(f"{{{{%{name}%}}}}", value)
        assert "{{" not in url
        return url

    def complete(self, session_id: str, url: str) -> str:
        """What became of the session whose participant came back at this address."""
        parts = urlsplit(url)
        assert (parts.scheme, parts.netloc, parts.path) == ("https", "app.prolific.com", "/submissions/complete")
        self.submissions[session_id] = self.codes[dict(parse_qsl(parts.query))["cc"]]
        return self.submissions[session_id]
