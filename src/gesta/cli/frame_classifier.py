"""Which classifier of frames `gesta mine --classifier` names: an ONNX file, a model of `gesta train`, or CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gesta.schema import BadInput

if TYPE_CHECKING:
    from gesta.mine import ClassifierSource, FrameClassifier


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTrained:
    """Opens a model.pt of single frames; a value, so that it travels to workers."""

    path: Path
    device: str

    def __call__(self, action_names: Sequence[str]) -> FrameClassifier:
        """The model ready to score frames; which actions there are changes nothing.

        Raises:
            BadInput: it is no model of single frames.
        """
        from gesta.mine import FrameClassifier
        from gesta.predict.frame_scoring import frame_scorer

        del action_names
        scorer = frame_scorer(self.path, device=self.device)
        return FrameClassifier(
            score=scorer.score, class_names=scorer.class_names, short_side_px=scorer.short_side_px
        )  # fmt: skip


def find_classifier(
    name: str, *, class_names: Path | None, prompts: Sequence[str], device: str
) -> ClassifierSource:  # fmt: skip
    """The classifier of that name: a file that ends in .onnx or .pt; else a zero-shot model by folder or name.

    Raises:
        BadInput: the file is not there, or names of classes or prompts are given to what takes none.
    """
    from gesta.formats import read_label_map
    from gesta.mine.onnx_classifiers import onnx_classifier
    from gesta.mine.zero_shot import PROMPTS, zero_shot

    path = Path(name)
    is_file = path.suffix in (".onnx", ".pt")
    if is_file and not path.is_file():
        raise BadInput("there is no such classifier", where=name, mend="Name a model.pt, an ONNX file, or a CLIP model")
    if class_names is not None and path.suffix != ".onnx":
        raise BadInput("--classifier-classes is for ONNX files", where=name, mend="Leave it out: the model knows them")
    if prompts and is_file:
        raise BadInput("--prompt is for models that compare pictures with words", where=name, mend="Leave it out")
    if path.suffix == ".onnx":
        names = () if class_names is None else read_label_map(class_names).sort("class_id")["name"].to_list()
        return onnx_classifier(path, class_names=names)
    if path.suffix == ".pt":
        return _trained(path, device=device)
    return zero_shot(name, prompts=prompts or PROMPTS, device=device)


def _trained(path: Path, *, device: str) -> ClassifierSource:
    from gesta.mine import ClassifierSource
    from gesta.tables import sha256_of_file

    return ClassifierSource(
        open=OpenTrained(path=path.resolve(), device=device),
        said={"kind": "trained", "sha256": sha256_of_file(path)},
        tools=("torch",),
    )
