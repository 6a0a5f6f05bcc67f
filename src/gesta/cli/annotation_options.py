"""What the verbs that read and write annotation files share: the label map and the videos that a format may need."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import polars as pl

from gesta.cli.options import Decorator
from gesta.formats import FORMATS, VIDEO_COLUMNS, Annotations, Context, read_label_map
from gesta.formats.annotations import PathIds, shaped
from gesta.schema import BadInput
from gesta.tables import Json, read_table, table_path

_PATH = click.Path(exists=True, path_type=Path)

label_map_option: Decorator = click.option(
    "--label-map", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Names of class ids: .pbtxt, or a name a line.",
)  # fmt: skip
videos_option: Decorator = click.option(
    "--videos", type=_PATH,
    help="Frame sizes and rates: a work folder, its videos table, or a folder of video files that is then probed.",
)  # fmt: skip
ids_option: Decorator = click.option(
    "--ids", type=click.Choice(["stem", "path", "kinetics"]), default="stem", show_default=True,
    help="How lists of files name videos: file name, whole path, or Kinetics' ID_START_END.",
)  # fmt: skip
split_number_option: Decorator = click.option(
    "--split-number", type=click.IntRange(min=1), default=1, show_default=True, help="Which split of a file of tubes."
)
part_option: Decorator = click.option(
    "--part", type=click.Choice(["clips", "boxes"]), help="Only these labels, for formats that hold no others."
)
list_option: Decorator = click.option(
    "--list", "is_list", is_flag=True, is_eager=True, expose_value=False, help="Print the formats and stop.",
    callback=lambda ctx, _, value: _print_formats(ctx) if value else None,
)  # fmt: skip


def _print_formats(ctx: click.Context) -> None:
    for name, one in FORMATS.items():
        click.echo(f"{name:<24} {one.what} ({', '.join(one.holds)})")
    ctx.exit()


def context_of(*, label_map: Path | None, videos: Path | None, ids: PathIds = "stem", split_number: int = 1) -> Context:
    """The label map and the videos that were named, and how files are to be read.

    Raises:
        BadInput: a file cannot be read, or a folder holds no video.
    """
    return Context(
        label_map=None if label_map is None else read_label_map(label_map),
        videos=None if videos is None else _videos_at(videos),
        ids=ids,
        split_number=split_number,
    )


def _videos_at(path: Path) -> pl.DataFrame:
    if path.is_file() or table_path(path, "videos").is_file():
        return shaped(read_table(path, "videos"), VIDEO_COLUMNS)
    from gesta.video import VIDEO_ENDINGS, probe

    rows = []
    for file in sorted(path.rglob("*")):
        if file.suffix.lower() in VIDEO_ENDINGS and file.is_file():
            facts = probe(file)
            rows.append(
                {
                    "video_id": file.stem, "path": file.relative_to(path).as_posix(), "width_px": facts.width_px,
                    "height_px": facts.height_px, "fps_num": facts.fps.numerator, "fps_den": facts.fps.denominator,
                    "num_frames": facts.num_frames, "duration_us": facts.duration_us,
                }
            )  # fmt: skip
    if not rows:
        raise BadInput("there is no video here", where=path, mend="Name a folder of videos, or a videos table")
    return shaped(pl.DataFrame(rows), VIDEO_COLUMNS)


def only(annotations: Annotations, part: str | None) -> Annotations:
    """The annotations with the rows of that part alone; all where `part` is None."""
    if part is None:
        return annotations
    other = "boxes" if part == "clips" else "clips"
    return replace(annotations, **{other: getattr(annotations, other).clear()})


def counts(annotations: Annotations) -> dict[str, Json]:
    """How many rows there are of each part."""
    return {
        "num_videos": annotations.videos.height,
        "num_clips": annotations.clips.height,
        "num_boxes": annotations.boxes.height,
        "num_classes": annotations.label_map.height,
    }
