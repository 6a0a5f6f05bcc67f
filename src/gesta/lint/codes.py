"""The codes: everything that lint can find, how bad it is, why it matters and how to mend it.

`docs/lint.md` shows this table; a test keeps the two equal, and another feeds each code a file that it must find.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from gesta.schema import UnknownName

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""From the worst: an error is wrong in any use, a warning is wrong in most, a note is worth knowing."""


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding: how bad it is, what it is, why it matters, and how to mend it."""

    severity: Severity
    what: str
    why: str
    mend: str


CODES: Mapping[str, Code] = {
    # The file as a text.
    "file-empty": Code(
        "error",
        "The file holds no row.",
        "Whatever reads it trains on nothing or scores nothing, often without a word.",
        "Write the rows, or leave the file out",
    ),
    "file-unknown": Code(
        "error",
        "The file is of no format that gesta knows.",
        "Nothing in it could be checked.",
        "Name its format with --as, or give a file of annotations",
    ),
    "file-unreadable": Code(
        "error",
        "A reader of this format refuses the file; the message is the reader's.",
        "No program that keeps to the format can read it either.",
        "Mend what the message names, then lint again: there may be more behind it",
    ),
    "text-not-utf8": Code(
        "error",
        "A line is not UTF-8 text.",
        "Readers stop there, or change the label or id without a word.",
        "Save the file as UTF-8",
    ),
    "text-control": Code(
        "warning",
        "A line holds a control character: a NUL, a tab, a lone carriage return.",
        "It is invisible and makes two equal ids differ.",
        "Remove the character; end lines with a line feed",
    ),
    "text-quotes": Code(
        "error",
        "The quotes of a line do not pair.",
        "Table readers swallow every line up to the next quote.",
        'Put the whole cell between quotes and double a quote inside it: "say ""hi"""',
    ),
    "text-bom": Code(
        "note",
        "The file begins with a byte order mark.",
        "Readers that do not expect it take it for a part of the first id or column name.",
        "Save the file as UTF-8 without a byte order mark",
    ),
    "text-crlf": Code(
        "note",
        "Lines end as on Windows (CR LF).",
        "Readers that cut at LF leave a CR at the end of the last cell.",
        "Save the file with LF",
    ),
    "text-line-ends": Code(
        "note",
        "Some lines end with LF and some with CR LF.",
        "The file was glued together from two, and the same id may stand in it in two spellings.",
        "Save the file with LF",
    ),
    # Columns, header and cells.
    "columns-wrong": Code(
        "error",
        "A line has another number of cells than its format.",
        "Programs drop such lines without a word, or stop.",
        "Quote a comma inside a cell, or drop the line",
    ),
    "header-missing": Code(
        "error",
        "A Kinetics file has no header.",
        "Readers take the first clip for the header: one clip is lost and no column is known.",
        "Put a first line such as label,youtube_id,time_start,time_end,split",
    ),
    "header-unknown": Code(
        "error",
        "The header of a Kinetics file lacks a column, repeats one, or has one that is unknown.",
        "Readers go by these names.",
        "Want label, youtube_id, time_start, time_end, split, is_cc, of which the times and the id must be there",
    ),
    "header-unexpected": Code(
        "error",
        "A file of a format without a header has one.",
        "The official evaluator stops at it.",
        "Remove the first line",
    ),
    "cell-empty": Code(
        "error",
        "An id, label or split is empty.",
        "The row belongs to no video or no class.",
        "Fill it in, or leave the column out of the whole file",
    ),
    "cell-odd": Code(
        "error",
        "A cell holds no number where one belongs, or is_cc is neither 0 nor 1.",
        "Readers stop there, or read 0 or NaN.",
        "Write a finite decimal number, class and person ids whole",
    ),
    "cell-spaces": Code(
        "warning",
        "An id or label has spaces around it.",
        "Joins on ids and on label maps miss the row.",
        "Remove the spaces",
    ),
    # Ids and rows of clips.
    "id-odd": Code(
        "warning",
        "A video id is not one of YouTube's: eleven letters, digits, - and _.",
        "Kinetics and AVA name videos by these ids; a spreadsheet turns some into dates, formulas or numbers.",
        "Restore the id from the published file; ignore this code for videos of your own",
    ),
    "row-twice": Code(
        "error",
        "The same row stands twice.",
        "It counts double in training and in every score.",
        "Drop one of the two",
    ),
    "id-twice-in-class": Code(
        "error",
        "Two clips of one class come from one video.",
        "Kinetics takes all clips of a class from different videos, so that a class is not one person or place.",
        "Keep one clip of the video",
    ),
    "id-twice": Code(
        "warning",
        "A video id stands in rows of several classes or times.",
        "Whoever keys on the id, as most downloaders do, loses a row or gives it the wrong label.",
        "Key on id and start, or keep one of the rows",
    ),
    "clip-two-labels": Code(
        "warning",
        "One clip, by id and start, has two labels.",
        "A classifier with one answer a clip is wrong on one of the two rows, whatever it says.",
        "Keep one label, or score with several labels a clip",
    ),
    "clip-inverted": Code(
        "error",
        "A clip ends before it starts, or where it starts.",
        "It has no frame.",
        "Exchange the times, or drop the row",
    ),
    "clip-not-10s": Code(
        "warning",
        "A clip of a Kinetics file does not last 10 s.",
        "Nearly all of Kinetics does; models and key-frame rules rest on it.",
        "Look at the times; ignore this code for a dataset of other lengths",
    ),
    "clip-outside-video": Code(
        "error",
        "A clip begins before its video or ends after it.",
        "There is nothing to decode there.",
        "Cut the clip to the video, or drop it; with --videos, look whether it is the right file",
    ),
    "time-odd": Code(
        "error",
        "A time is no number of seconds, or is negative.",
        "No frame stands there.",
        "Write seconds from the start of the video, like 417, 0902 or 5.016949",
    ),
    "label-spelling": Code(
        "warning",
        "Two labels differ only in case, spacing, - or _.",
        "One class becomes two.",
        "Write both alike, as the label map does",
    ),
    "class-unknown": Code(
        "error",
        "A class or label is not in the label map.",
        "The official evaluator skips such rows without a word; trainers stop, or train a wrong class.",
        "Correct the class, or give the label map that belongs to the file",
    ),
    "class-not-scored": Code(
        "note",
        "A class is one of AVA's 20 that the 60-class label map of the challenge leaves out.",
        "The official evaluator skips these rows: it is meant, but the rows count for nothing.",
        "Give the 80-class map if all classes are to be scored",
    ),
    "class-not-positive": Code(
        "error",
        "A class id of a file in AVA's layout, or of a label map, is 0 or less.",
        "AVA's ids begin at 1: ids from 0 are shifted by one, and every score is 0.",
        "Add 1 to every id, if the file was written from 0",
    ),
    "class-rare": Code(
        "warning",
        "A class has fewer rows than the least number.",
        "Kinetics promises so many a class; scores of rare classes are noise.",
        "Collect more, or drop the class; --min-per-class sets the number, 0 turns this off",
    ),
    "class-unused": Code(
        "note",
        "The label map has classes that no row of a labelled file uses.",
        "They have no ground truth and are left out of means, by some programs as 0.",
        "Look whether the label map belongs to the file",
    ),
    "split-odd": Code(
        "warning",
        "A split is called neither train, val nor test.",
        "Programs that pick rows by split pass over these.",
        "Write train, val or test",
    ),
    "split-validate": Code(
        "note",
        "The split is called validate, as in Kinetics-700.",
        "Programs written for Kinetics-400 and -600 look for val and find no row.",
        "Ask for both names",
    ),
    # Boxes and persons.
    "box-inverted": Code(
        "error",
        "A box ends left of where it begins, or above it.",
        "It overlaps nothing: as ground truth it is always missed, as a detection always false.",
        "Exchange the corners; want x1 < x2 and y1 < y2",
    ),
    "box-empty": Code(
        "error",
        "A box has no width or no height.",
        "It overlaps nothing.",
        "Drop the row",
    ),
    "box-outside": Code(
        "error",
        "A corner lies outside the frame, below 0 or above 1.",
        "Overlaps come out too small, and croppers stop.",
        "Clip the box to the frame",
    ),
    "box-pixels": Code(
        "error",
        "A corner is above 2: pixels, not fractions of the frame.",
        "No box overlaps any other: the score is 0.",
        "Divide x by the frame's width and y by its height",
    ),
    "box-axes": Code(
        "warning",
        "Boxes look as if x and y were exchanged: most are wider than high.",
        "People are higher than wide; the official evaluator keeps y first inside but reads x first.",
        "Write x1, y1, x2, y2; compare one box with its frame",
    ),
    "box-width-height": Code(
        "warning",
        "Boxes look like x, y, width, height: many are inverted as corners, none leaves the frame as sizes.",
        "AVA wants two corners.",
        "Write x1, y1, x1 + width, y1 + height",
    ),
    "box-action-twice": Code(
        "error",
        "The same box has the same action twice at one key-frame.",
        "As ground truth the second can never be found; as a detection it is always false.",
        "Drop one of the two",
    ),
    "box-near-twice": Code(
        "warning",
        "Two boxes of a key-frame all but equal each other.",
        "One person was boxed twice: the actions are split between two boxes, and one detection matches only one.",
        "Give all actions of the person one box",
    ),
    "person-missing": Code(
        "error",
        "Some rows have a person id and some have none, or -1.",
        "Actions of the rows without cannot be joined to a person or a track.",
        "Give every row its person id, or leave the column out of the whole file",
    ),
    "person-none": Code(
        "note",
        "No row has a person id, as in AVA-Kinetics.",
        "Actions are joined to persons by equal boxes only, and there are no tracks.",
        "Nothing, if boxes are all that is needed",
    ),
    "person-two-boxes": Code(
        "error",
        "One person id has two boxes at one key-frame.",
        "A person is in one place; tracks jump and actions are joined to the wrong box.",
        "Number the second person otherwise",
    ),
    "person-two-ids": Code(
        "warning",
        "One box has two person ids at one key-frame.",
        "Either one person was counted twice, or two share a box.",
        "Keep one person id for the box",
    ),
    "person-two-poses": Code(
        "warning",
        "One box has two classes of the category PERSON_MOVEMENT, such as stand and sit.",
        "They exclude one another: a person has one pose.",
        "Keep one pose; the label map with categories (--label-map) says which classes are poses",
    ),
    # Key-frames.
    "key-frame-contradicts": Code(
        "warning",
        "A key-frame has a row that says nobody is there, and boxes too.",
        "Whichever row a program believes, another believes the other.",
        "Drop the row with two columns",
    ),
    "key-frame-twice": Code(
        "warning",
        "A key-frame is listed twice.",
        "Lists that are counted or walked line by line take it twice.",
        "Drop one of the two",
    ),
    "key-frame-two-spellings": Code(
        "warning",
        "One key-frame is written in two ways, such as 902 and 0902.",
        "Programs that key on the text take it for two key-frames.",
        "Write the time alike everywhere",
    ),
    "key-frame-not-included": Code(
        "warning",
        "A key-frame is not among the included timestamps.",
        "Nobody annotated films there: AVA's key-frames are the whole seconds from 902 to 1798.",
        "Look at the clock: AVA counts from the start of the whole film, not of a cut",
    ),
    "key-frame-excluded": Code(
        "warning",
        "A key-frame is on the list of excluded ones.",
        "The evaluator leaves it out; a trainer that does not read the list learns from it.",
        "Leave these rows out of training and of counts",
    ),
    "key-frame-outside-clip": Code(
        "error",
        "A key-frame lies outside every clip of its video.",
        "The annotated frame is not in the clip that was cut.",
        "Times count from the start of the original video, in both files",
    ),
    "key-frame-near-end": Code(
        "warning",
        "A key-frame lies less than 1 s from an end of its clip.",
        "AVA-Kinetics chooses it at least 1 s from either end, so that there is context on both sides.",
        "Choose another key-frame of the clip",
    ),
    "video-missing": Code(
        "error",
        "A row names a video that is not there.",
        "Programs drop its rows or stop; scores are over fewer rows than the papers'.",
        "Get the video, or leave its rows out and say so beside the score",
    ),
    "time-outside-video": Code(
        "error",
        "A key-frame lies before its video's first frame or after its last.",
        "There is no such frame; decoders give the last one instead.",
        "Look whether the file is a cut of the original; times count from the original's start",
    ),
    # Detections.
    "score-missing": Code(
        "error",
        "A detection has no score where others have one.",
        "The official evaluator takes it for 1.0, the best there is.",
        "Write a score",
    ),
    "score-outside": Code(
        "error",
        "A score is below 0 or above 1.",
        "Only the order counts for AP, but thresholds and means of several models do not hold.",
        "Write probabilities, not logits or percents",
    ),
    "score-not-finite": Code(
        "error",
        "A score is NaN or infinite.",
        "It sorts anywhere: the same file gives different scores in different programs.",
        "Find out where the model divides by zero, and drop the row",
    ),
    "score-ties": Code(
        "note",
        "Scores have four decimals or fewer, and many are equal.",
        "AP then depends on how a program orders ties, up to a point of mAP.",
        "Write as many decimals as the score has",
    ),
    "score-constant": Code(
        "warning",
        "Every score is the same.",
        "This looks like ground truth with a column of ones: AP is that of a random order.",
        "Lint it with --as ava if it is ground truth; else write the model's scores",
    ),
    "detections-over-cap": Code(
        "warning",
        "A key-frame has more than 50 detections.",
        "The official evaluator keeps the 50 best rows of a key-frame; some programs keep all.",
        "Cut to the 50 best yourself, so that every program scores the same rows",
    ),
    "detection-unknown-key-frame": Code(
        "warning",
        "Detections stand on a key-frame that the ground truth lacks.",
        "The official evaluator logs and ignores them; other programs count them as false.",
        "Look whether ids and times of both files are written alike",
    ),
    "groundtruth-undetected": Code(
        "warning",
        "A key-frame of the ground truth has boxes and no detection.",
        "Every box of it is missed.",
        "Run the model on it, or look whether its threshold is too high",
    ),
    "groundtruth-disjoint": Code(
        "error",
        "Ground truth and detections share no key-frame.",
        "The mAP is 0.",
        "Compare an id and a time of both files: film ids, seconds against frame numbers, start of film or of clip",
    ),
    # Label maps.
    "map-broken": Code(
        "error",
        "A block of a label map lacks its id or name, or is no block.",
        "The class, and in some parsers every later one, is lost.",
        'Want blocks like: item { name: "wave" id: 1 }',
    ),
    "map-id-twice": Code(
        "error",
        "An id stands for two classes.",
        "The second takes the place of the first, or the other way round.",
        "Give each class its own id",
    ),
    "map-name-twice": Code(
        "error",
        "A name stands for two ids.",
        "Files with names instead of ids cannot say which is meant.",
        "Keep one id a name",
    ),
    "map-id-gap": Code(
        "note",
        "Ids between the least and the greatest are not used.",
        "A model with one output a class needs outputs up to the greatest id, not as many as there are names.",
        "Nothing, if the gaps are meant, as in AVA's 60 of 80 classes",
    ),
    "map-indent": Code(
        "warning",
        "A field of a label map is not indented by just two spaces.",
        "The official evaluator's parser looks for two spaces and passes over this class.",
        "Write name and id on lines of their own with two spaces in front",
    ),
    # Several files.
    "leak-train": Code(
        "error",
        "A video is in train in one place and in val or test in another, of any version.",
        "The score is in part that of training data: much of Kinetics-400 val is inside Kinetics-700 train.",
        "Leave these videos out of train, or out of the evaluation",
    ),
    "leak-val-test": Code(
        "warning",
        "A video is in val in one place and in test in another.",
        "What was chosen on val is then tested on it.",
        "Leave these videos out of one of the two",
    ),
    "leak-footage": Code(
        "error",
        "Two clips that show the same footage are in different splits.",
        "The score is in part that of training data, though the ids differ.",
        "Run gesta curate again, then gesta release",
    ),
    # Work folders and releases.
    "manifest-differs": Code(
        "error",
        "A file of a release is missing, changed, or not in its manifest.",
        "It is no longer the version that its name says.",
        "Take the release from its source again, or make it under another version",
    ),
    "table-unreadable": Code(
        "error",
        "A table cannot be read, or its columns are not those of its kind.",
        "The stage that reads it will stop.",
        "Delete it and run its verb again",
    ),
    "table-differs": Code(
        "error",
        "A table is not the one that its sidecar describes, or has no sidecar.",
        "It was changed by hand or not finished; what it rests on is not known.",
        "Run its verb again",
    ),
    "clip-unknown": Code(
        "error",
        "A row names a clip that the table of clips lacks.",
        "The row belongs to nothing and drops out of the release.",
        "Run the verbs from gesta mine on again",
    ),
    "class-missing-in-split": Code(
        "warning",
        "A class has no clip in train, or none in test.",
        "It cannot be learnt, or is not scored.",
        "Collect more clips of it, or drop the class",
    ),
}  # fmt: skip
"""Every code by name, in the order of the page. Names are stable: they are what `--select` and `--ignore` take."""


def codes_named(names: Collection[str], *, what: str) -> frozenset[str]:
    """The codes that the names choose: a code, the words it begins with (`box` for `box-...`), or a severity.

    Args:
        what: what the names are given for, for the message.
    Raises:
        UnknownName: a name chooses no code.

    >>> sorted(codes_named(["file", "text-bom"], what="code"))
    ['file-empty', 'file-unknown', 'file-unreadable', 'text-bom']
    """
    chosen: set[str] = set()
    for name in names:
        found = {code for code, facts in CODES.items() if name in (code, facts.severity) or code.startswith(f"{name}-")}
        if not found:
            raise UnknownName(what=what, name=name, choices=[*CODES, *SEVERITIES])
        chosen |= found
    return frozenset(chosen)


def codes_table() -> str:
    """The codes as a Markdown table, for `docs/lint.md`."""
    lines = ["| code | severity | what | why it matters | how to mend |", "|---|---|---|---|---|"]
    for name, code in CODES.items():
        lines.append(f"| `{name}` | {code.severity} | {code.what} | {code.why} | {code.mend}. |")
    return "\n".join(lines)
