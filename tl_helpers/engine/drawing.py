"""Boxes, arrows and marks that diagrams are drawn with, on a `Figure.sheet`: in inches from its top left corner.

Lesson 00 shows the first diagram. None says anything by colour alone: what is frozen is hatched, with a lock and the word;
what learns has a thick edge, a pencil and the word.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.image import AxesImage
from matplotlib.patches import Arc, FancyArrowPatch, FancyBboxPatch
from matplotlib.patheffects import withStroke
from torch import Tensor

from .validate import brief

INK, QUIET = "#222222", "#555555"
FILLS = {"": "#F2F2F2", "learns": "#CBE3F3", "frozen": "white", "partly": "#CBE3F3"}
WIDE = 7.2  # inches, at most: so that letters of 10 points are still read where a page of 768 pixels makes it smaller


def write(axis, x: float, y: float, words: str, size: float = 10, ha: str = "center", over: bool = False, **more):
    """A text around (x, y); `over` a hatch or a line it gets a white edge, so that these do not disturb."""
    more = {"va": "center", "color": INK} | more
    if over:
        more["path_effects"] = [withStroke(linewidth=3, foreground="white")]
    return axis.text(x, y, words, ha=ha, fontsize=size, **more)


def box(axis, left: float, top: float, width: float, height: float, words: str = "", state: str = "", **more) -> None:
    """A box with words in it.

    Args:
        state: "learns", "frozen", "partly", or "" for what has nothing to learn.
        more: for `write`.
    """
    shape = {"boxstyle": "round,pad=0,rounding_size=0.07", "mutation_aspect": 1}
    place = ((left, top), width, height)
    axis.add_patch(FancyBboxPatch(*place, facecolor=FILLS[state], edgecolor="none", **shape))
    if state in ("frozen", "partly"):
        axis.add_patch(FancyBboxPatch(*place, facecolor="none", edgecolor="#D0D0D0", hatch="///", linewidth=0, **shape))
    line = 2.2 if state in ("learns", "partly") else 1.0
    axis.add_patch(FancyBboxPatch(*place, facecolor="none", edgecolor=INK, linewidth=line, **shape))
    if words:
        write(axis, left + width / 2, top + height / 2, words, over=state == "frozen", **more)


def arrow(axis, start: tuple[float, float], end: tuple[float, float], width: float = 1.5, **more) -> None:
    """An arrow from one point to another; more: of a matplotlib line, as linestyle and color."""
    look = {"arrowstyle": "-|>", "mutation_scale": 8 + 3 * width, "shrinkA": 0, "shrinkB": 0, "color": INK} | more
    axis.add_patch(FancyArrowPatch(start, end, linewidth=width, **look))


def lock(axis, x: float, y: float, size: float = 0.12) -> None:
    """A padlock around (x, y)."""
    place = (x - size / 2, y - 0.15 * size), size, 0.75 * size
    axis.add_patch(Arc((x, y - 0.1 * size), 0.6 * size, 0.9 * size, theta1=180, theta2=360, color=INK, linewidth=1.5))
    axis.add_patch(FancyBboxPatch(*place, boxstyle="square,pad=0", facecolor=INK, edgecolor=INK, linewidth=0.5))


def mark(axis, x: float, y: float, state: str, words: str = "", size: float = 9) -> None:
    """Whether something is frozen, or learns (wholly or partly), in a sign and a word, from x to the right.

    Args:
        words: in place of "frozen" or "learns".
    """
    if state == "frozen":
        lock(axis, x + 0.06, y)
    else:
        write(axis, x + 0.06, y, "✎", size + 3)
    look = {"over": state != "learns", "weight": "normal" if state == "frozen" else "bold"}
    write(axis, x + 0.19, y, words or state, size, "left", **look)


def pixels(axis, values: np.ndarray, left: float, top: float, side: float, **more) -> None:
    """A small image, black where it is 0 and white where it is largest, its longer edge `side` inches long."""
    height, width = (side * edge / max(values.shape[:2]) for edge in values.shape[:2])
    look = {"cmap": "gray", "interpolation": "nearest", "aspect": "auto"} | more
    axis.imshow(values, extent=(left, left + width, top + height, top), **look)


def scale(axis, top: float) -> None:
    """What the colours of maps mean, at the left edge: from blue to white to red, for what is below zero, zero and above."""
    axis.imshow(np.linspace(0, 1, 101)[None], extent=(0.08, 1.82, top + 0.12, top), cmap="RdBu_r", aspect="auto")
    axis.plot([0.08, 1.82, 1.82, 0.08, 0.08], [top, top, top + 0.12, top + 0.12, top], color=INK, linewidth=0.6)
    for x, words, ha in ((0.08, "below 0", "left"), (0.95, "0", "center"), (1.82, "above", "right")):
        write(axis, x, top + 0.25, words, 9, ha)
    if axis.figure.get_figwidth() > 4:
        write(axis, 2.0, top + 0.06, "each map on its own scale", 9, "left")


class _Page(AxesImage):
    """An image that gets as many dots as it has is copied; matplotlib would resample it even so, which takes long."""

    def make_image(self, renderer, magnification=1.0, unsampled=False):
        box = self.get_window_extent(renderer)
        if not isinstance(renderer, RendererAgg) or (round(box.height), round(box.width)) != self.get_size():
            return super().make_image(renderer, magnification, unsampled)
        dots = np.dstack([self.get_array(), np.full(self.get_size(), 255, np.uint8)])[::-1]
        return dots, round(box.x0), round(box.y0), None


def paste(axis, pixels: np.ndarray, left: float = 0, top: float = 0) -> None:
    """Lay an image (uint8, H x W x 3) on a `sheet`, dot for dot: what does not change need not be drawn again (see
    `Figure.pixels`).
    """
    height, width = np.divide(pixels.shape[:2], axis.figure.dpi)
    page = _Page(axis, extent=(left, left + width, top + height, top), interpolation="nearest")
    page.set_data(pixels)
    axis.add_image(page)


def shades(pictures: Tensor) -> np.ndarray:
    """Pictures, uint8 or float in [0, 1], N x C x H x W, as colours for `tiles`: float, N x H x W x 3, in [0, 1]."""
    fits = (
        isinstance(pictures, Tensor) and pictures.ndim == 4 and pictures.shape[1] in (1, 3) and 0 not in pictures.shape[2:]
    )
    if not fits or not (pictures.dtype == torch.uint8 or pictures.is_floating_point()):
        what = (
            f"{pictures.dtype}, {' x '.join(map(str, pictures.shape))}" if isinstance(pictures, Tensor) else brief(pictures)
        )
        raise ValueError(f"Pictures are uint8 or floats from 0 to 1, N x C x H x W with C 1 or 3; these are {what}.")
    pixels = pictures.detach().cpu().float() / (255 if pictures.dtype == torch.uint8 else 1)
    floats = pictures.is_floating_point() and len(pixels)
    if floats and ((pixels > -0.5) & (pixels < 1.5)).float().mean() < 0.98:  # noise may reach beyond 0 and 1
        raise ValueError(
            f"Pictures in floats go from 0 to 1; these go from {pixels.min():.3g} to {pixels.max():.3g}: show them as they "
            "were before they were normalised, or divide by 255."
        )
    return pixels.clamp(0, 1).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
