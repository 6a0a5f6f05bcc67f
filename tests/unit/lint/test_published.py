"""What lint finds in the published files, held to the table in `docs/lint.md`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesta.lint import Report, lint_targets, read_against

DOCS = Path(__file__).resolve().parents[3] / "docs" / "lint.md"
K, AVA, AVAK = "annotations/kinetics", "annotations/ava", "annotations/ava_kinetics"
GOLDEN = "golden"
LISTS = f"excluded={AVA}/ava_val_excluded_timestamps_v2.2.csv included={AVA}/ava_included_timestamps_v2.2.txt"
MAP_80, MAP_60 = (f"label_map={AVA}/ava_action_list_v2.2{end}.pbtxt" for end in ("", "_for_activitynet_2019"))

PUBLISHED: list[tuple[str, str]] = [
    (f"{K}/kinetics-400_val.csv", f"label_map={K}/label_map_k400.txt"),
    (f"{K}/kinetics-400_test.csv", ""),
    (f"{K}/kinetics-600_val.csv", f"label_map={K}/label_map_k600.txt"),
    (f"{K}/kinetics-700_validate.csv", f"label_map={K}/label_map_k700.txt"),
    (f"{K}/kinetics-700_test.csv", ""),
    (f"{AVA}/ava_val_v2.1_4videos.csv", f"{MAP_80} {LISTS} videos={AVA}/ava_file_names_trainval_v2.1.txt"),
    (f"{AVA}/ava_val_v2.1_4videos.csv", MAP_60),
    (f"{AVAK}/kinetics_val_v1.0_half.csv", f"{MAP_80} clips={K}/kinetics-700_validate.csv"),
    (f"{AVAK}/kinetics_val_v1.0_half.csv", MAP_60),
    *((f"{AVA}/ava_{split}_excluded_timestamps_v2.2.csv", "") for split in ("train", "val", "test")),
    (f"{AVA}/ava_included_timestamps_v2.2.txt", ""),
    (f"{AVA}/ava_file_names_trainval_v2.1.txt {AVA}/ava_file_names_test_v2.1.txt {AVA}/ava_test_v2.2.txt", ""),
    (f"{AVA}/ava_action_list_v2.2.pbtxt", ""),
    (f"{AVA}/ava_action_list_v2.2_for_activitynet_2019.pbtxt", ""),
    (f"{K}/label_map_k400.txt {K}/label_map_k600.txt {K}/label_map_k700.txt {K}/i3d_label_map_400.txt", ""),
    ("annotations/ucf101/trainlist01.txt", ""),
    (f"{GOLDEN}/mmaction2_ava_dataset/ava_proposals_sample.pkl {GOLDEN}/mmaction2_eval_detection/proposal.pkl", ""),
    (f"{GOLDEN}/slowfast_1j20qq1JyX4/groundtruth.csv", ""),
    (f"{GOLDEN}/slowfast_1j20qq1JyX4/groundtruth_7col.csv", ""),
    (f"{GOLDEN}/slowfast_1j20qq1JyX4/detections.csv", f"groundtruth={GOLDEN}/slowfast_1j20qq1JyX4/groundtruth.csv"),
    (f"{GOLDEN}/mmaction2_ava_dataset/ava_sample.csv", f"label_map={GOLDEN}/mmaction2_ava_dataset/action_list.txt"),
    (f"{GOLDEN}/mmaction2_ava_dataset/action_list.txt", ""),
    (
        f"{GOLDEN}/mmaction2_eval_detection/gt.csv {GOLDEN}/mmaction2_eval_detection/pred.csv",
        f"label_map={GOLDEN}/mmaction2_eval_detection/action_list.txt "
        f"groundtruth={GOLDEN}/mmaction2_eval_detection/gt.csv",
    ),
]
"""Files that are linted together, and what they are held against."""

TOGETHER = [f"{K}/kinetics-{name}.csv" for name in ("400_val", "400_test", "600_val", "700_validate", "700_test")]


def lint(shared: Path, targets: str, options: str, *, codes: list[str] | None = None) -> Report:
    told = dict(option.split("=") for option in options.split())
    against = read_against(**{name: shared / file for name, file in told.items()})
    paths = [shared / target for target in targets.split()]
    return lint_targets(paths, against=against) if codes is None else lint_targets(paths, codes=codes)


def row_of(targets: str, options: str, report: Report) -> str:
    names = ", ".join(f"`{Path(target).name}`" for target in targets.split())
    held = ", ".join(f"`{Path(option.split('=')[1]).name}`" for option in options.split())
    rows = sum(num for _, _, num in report.files)
    found = ", ".join(f"`{code}` {count:,}" for code, count in report.totals().items())
    return f"| {names} | {rows:,} | {held or '-'} | {found or 'nothing'} |"


@pytest.mark.parametrize(("targets", "options"), PUBLISHED)
def test_a_published_file_has_the_findings_of_the_page(shared: Path, targets: str, options: str) -> None:
    assert row_of(targets, options, lint(shared, targets, options)) in DOCS.read_text()


def test_published_files_have_no_error_but_two_samples(shared: Path) -> None:
    with_error = [targets for targets, options in PUBLISHED if lint(shared, targets, options).num_errors]
    sample = f"{GOLDEN}/mmaction2_ava_dataset"
    assert with_error == [f"{sample}/ava_sample.csv", f"{sample}/action_list.txt"]


def leak_rows(shared: Path) -> list[str]:
    report = lint(shared, " ".join(TOGETHER), "", codes=["leak-train", "leak-val-test"])
    rows = []
    for found in report.findings:
        other = found.message.rsplit(" in ", 1)[1].rsplit(":", 1)[0]
        line = f"`{Path(found.where).name}` | `{Path(other).name}` | `{found.code}` | {found.count:,}"
        rows.append(f"| {line} |")
    return rows


def test_published_lists_share_the_videos_of_the_page(shared: Path) -> None:
    rows = leak_rows(shared)
    assert len(rows) == 4
    assert [row for row in rows if row not in DOCS.read_text()] == []
