"""Type a name and see which letters it finds; draw a letter and see the names ranked. Lesson 13 shows both."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence

import ipywidgets
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .. import plots
from ..course.pictures_and_words import SIDE, Letters, Towers, bags
from ..engine.figure import Figure
from ..engine.style import COLOURS
from .base import Widget
from .drawing import PadWidget, cut_to_ink, drawn

BASELINE, TALL = 24, 19  # where letters stand in a picture of 32 x 32, and how tall a drawing is made, in pixels
E_ACUTE = (  # a drawing: three strokes, each x, y, x, y, ... on the pad
    (75, 165, 205, 160, 185, 110, 140, 90, 95, 105, 72, 150, 80, 205, 115, 240, 165, 242, 205, 215),
    (130, 62, 170, 20),
)


@torch.no_grad()
def found(towers: Towers, letters: Letters, name: str, most: int = 8) -> Figure:
    """The letters whose pictures (in the first font) fit a name best, the best first. Its text is `.alt`.

    Args:
        towers: trained ones.
        letters: among which to look.
        name: any words that stand in names of letters, in any order.
        most: how many to show.

    Raises:
        ValueError: a word stands in no name.
    """
    fits = towers.see(letters.pictures[:, :1]) @ towers.read([name])[0]
    order = fits.argsort(descending=True).tolist()
    best = order[:most]
    labels = [textwrap.fill(letters.names[i].lower(), 22) + f"\n{fits[i]:.2f}" for i in best]
    figure = plots.images(letters.pictures[best, :1], labels, columns=4, size=1.7)
    listed = "; ".join(f"{letters.letters[i]} {letters.names[i]}, {fits[i]:.2f}" for i in best)
    meant = [i for i, same in enumerate((bags(letters.names) == bags([name])).all(1)) if same]
    place = f" The letter of that name comes {order.index(meant[0]) + 1} of {len(letters)}." if meant else ""
    figure.alt = f"{len(best)} pictures of letters for the name {name!r}, and what the towers make of it: {listed}.{place}"
    return figure


def as_print(ink: np.ndarray | Tensor) -> Tensor:
    """A drawing of any size as a picture of a letter in print: uint8, 1 x 1 x 32 x 32, white on black.

    It is cut to its ink, made 19 pixels tall or wide, whichever is more, and put on the baseline.

    Raises:
        ValueError: this is no drawing, or there is no ink in it.
    """
    small = cut_to_ink(ink, TALL)
    frame = Image.new("F", (SIDE, SIDE))
    frame.paste(small, ((SIDE - small.width) // 2, min(BASELINE, (SIDE + small.height) // 2) - small.height))
    return torch.from_numpy(255 * np.array(frame)).round().byte()[None, None]


@torch.no_grad()
def ranked(towers: Towers, names: Sequence[str], ink: np.ndarray | Tensor, most: int = 8) -> Figure:
    """The names that fit a drawing best, the best first. Its text is `.alt`.

    Args:
        towers: trained ones.
        names: among which to look.
        ink: H x W (grey), bright ink on 0; see `as_print`.
        most: how many to show.

    Raises:
        ValueError: there is no ink in the drawing.
    """
    picture = as_print(ink)
    fits = towers.see(picture)[0] @ towers.read(names).T
    best = fits.argsort(descending=True)[:most].tolist()
    figure = Figure(7.0, 0.75 + 0.24 * len(best))
    axis = figure.sheet()
    axis.imshow(plots.shades(picture)[0], extent=(0.1, 1.6, 2.1, 0.6), aspect="auto")
    axis.text(0.85, 0.5, "as the tower sees it", ha="center", fontsize=9)
    axis.text(1.8, 0.5, "how well each name fits", fontsize=9)
    for row, i in enumerate(best):
        y, fit = 0.72 + 0.24 * row, max(0.0, fits[i].item())
        axis.barh(y, 1.2 * fit, 0.17, 1.8, color=COLOURS[0 if row else 1])
        weight = "normal" if row else "bold"
        axis.text(1.85 + 1.2 * fit, y, f"{fits[i]:.2f}  {names[i]}", va="center", fontsize=9, weight=weight)
    listed = "; ".join(f"{names[i]}, {fits[i]:.2f}" for i in best)
    figure.alt = f"A drawing, and what the towers make of it: {listed}."
    return figure


class Lettering(PadWidget):
    """A pad with the names beside it."""

    def __init__(self, towers: Towers, names: Sequence[str]):
        self.towers, self.names = towers, names
        super().__init__(self._figure, E_ACUTE)

    def _figure(self, strokes) -> Figure:
        if not strokes:
            raise ValueError("Draw a letter on the black pad, with its mark. The names come when you lift the pen.")
        return ranked(self.towers, self.names, drawn(strokes))

    def spoken(self, figure: Figure) -> str:
        """The first three names; the figure has them all."""
        return "; ".join(super().spoken(figure).removesuffix(".").split("; ")[:3])

    def close(self) -> None:
        super().close()
        self.towers = None


def letter(towers: Towers, names: Sequence[str]) -> Lettering:
    """A pad to draw a letter on with mouse, finger, pen or keys, and the names that fit it best.

    `tl.widgets.ranked(towers, names, ink)` answers the same for an array of ink, with no widget.
    """
    return Lettering(towers, names)


def by_name(towers: Towers, letters: Letters) -> Widget:
    """A line to type a name into, and the letters that it finds.

    `tl.widgets.found(towers, letters, name)` answers the same with no widget.
    """
    names = itertools.cycle(name.lower() for name in letters.names)
    line = ipywidgets.Text(next(names), description="name", continuous_update=False, layout={"width": "480px"})

    def another(name: str) -> str:
        line.value = next(names)
        return f"Now: {line.value}."

    return Widget(lambda name: found(towers, letters, name), {"Another name": another}, name=line)
