"""Pictures handed over by a program as a source of frames.

Shapes: H and W pixels, 3 = R, G, B.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from gesta.predict.streams.shots import Shot, Size, Uint8s, Wanted, resized
from gesta.schema import US_PER_S, BadInput
from gesta.tables import Json


@dataclass(slots=True, kw_only=True)
class PictureSource:
    """Pictures, uint8 [H, W, 3] RGB, `fps` a second from time 0, taken one by one.

    Raises:
        BadInput: `fps` is not above 0.
    """

    pictures: Iterator[Uint8s]
    fps: Fraction
    _size_px: Size = (0, 0)

    def __post_init__(self) -> None:
        if self.fps <= 0:
            raise BadInput(f"fps {self.fps}", mend="Want above 0")

    @property
    def name(self) -> str:
        """They have none."""
        return "pictures"

    @property
    def is_live(self) -> bool:
        """No: they wait."""
        return False

    @property
    def num_dropped(self) -> int:
        """None are."""
        return 0

    @property
    def span_us(self) -> tuple[int, int | None]:
        """From 0 on; nobody knows how many there are."""
        return 0, None

    def facts(self) -> dict[str, Json]:
        """What is known of them."""
        return {"file": self.name, "width_px": self._size_px[0], "height_px": self._size_px[1], "fps": str(self.fps)}

    def shots(self, wanted: Wanted | None) -> Iterator[Shot]:
        """All of them.

        Raises:
            BadInput: one is no picture.
        """
        del wanted
        for number, picture_HWC in enumerate(self.pictures):
            if picture_HWC.ndim != 3 or picture_HWC.shape[2] != 3 or picture_HWC.dtype != np.uint8:
                raise BadInput(
                    f"picture {number} is {picture_HWC.dtype} of shape {picture_HWC.shape}",
                    mend="Want uint8 [H, W, 3], RGB",
                )
            self._size_px = (picture_HWC.shape[1], picture_HWC.shape[0])
            yield Shot(
                time_us=round(number * US_PER_S / self.fps), size_px=self._size_px, picture=_picture_of(picture_HWC)
            )


def _picture_of(picture_HWC: Uint8s) -> Callable[[Size | None], Uint8s]:
    return lambda size: picture_HWC if size is None else resized(picture_HWC, size)
