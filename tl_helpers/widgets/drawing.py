"""A pad to draw on, with the answers of networks beside it. Lesson 00 shows it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import torch
import torch.nn.functional as F
import traitlets
from PIL import Image
from torch import Tensor, nn

from .. import plots
from ..data import Split, Task
from ..engine.parts import check_names, facts_of
from ..extraction import features
from ..models import head
from ..training import fit, predict
from .base import Widget

DIGITS = tuple("0123456789")
SIDE = 280  # of the pad, in pixels
PENS = 6.5  # so many pens wide is a drawing
SEVEN = ((70, 50, 205, 50, 160, 140, 120, 240),)  # a drawing: one stroke, as x, y, x, y, ... on the pad


def as_digit(ink: np.ndarray | Image.Image | Tensor) -> Tensor:
    """A drawing of any size as a picture like those of `tl.digits`: uint8, 1 x 1 x 28 x 28, white on black.

    The drawing is cut to its ink, scaled to fill the frame with its proportions kept, put in the middle, and made as coarse
    as the training digits, which were scanned to 8 x 8. Its brightest place becomes white.

    Args:
        ink: H x W (grey) or H x W x 3 (colour), numbers or true and false; 0 or less, or no number, is no ink. For
            something dark on white paper pass 255 minus it.

    Raises:
        ValueError: this is no drawing, or there is no ink in it.
    """
    small = cut_to_ink(ink, 32)  # to 32 pixels, and four of them each way to one, as those who made the data set did
    frame = Image.new("F", (32, 32))
    frame.paste(small, ((32 - small.width) // 2, (32 - small.height) // 2))
    coarse = torch.from_numpy(np.array(frame)).double().view(1, 1, 8, 4, 8, 4).mean((3, 5))
    fine = F.interpolate(coarse * (255 / coarse.max()), (28, 28), mode="bicubic", align_corners=False)
    return fine.clamp(0, 255).round().byte()


def cut_to_ink(ink: np.ndarray | Image.Image | Tensor, side: int) -> Image.Image:
    """The part of a drawing that has ink, its longer side made so many pixels long: floats, the most ink is 1.

    Raises:
        ValueError: this is no drawing, or there is no ink in it.
    """
    ink = _grey(ink)
    most = ink.max(initial=0)
    rows, columns = (np.flatnonzero((ink > most * 0.1).any(axis)) for axis in (1, 0))
    if not len(rows):
        raise ValueError("There is no ink in this drawing, so there is nothing to name.")
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ink = (ink / most).astype(np.float32) if ink.itemsize == 8 else np.divide(ink, most, dtype=np.float32)
    scale = side / max(ink.shape)
    height, width = (max(1, round(length * scale)) for length in ink.shape)
    return Image.fromarray(ink).resize((width, height), Image.Resampling.BOX)


def _grey(ink) -> np.ndarray:
    """The drawing as an array H x W of numbers from 0 up."""
    if isinstance(ink, Image.Image) and ink.mode not in ("1", "L", "I", "I;16", "F"):
        ink = ink.convert("L")
    ink = np.asarray(ink.detach().cpu() if isinstance(ink, Tensor) else ink)
    if ink.dtype.kind not in "buif":
        raise ValueError(f"A drawing is an array of numbers, height x width; this is one of {ink.dtype}.")
    if ink.ndim == 3 and ink.shape[2] in (3, 4):
        ink = ink[..., :3].mean(2)
    if ink.ndim > 2 and set(ink.shape[:-2]) == {1}:
        ink = ink.reshape(ink.shape[-2:])
    if ink.ndim != 2:
        shape = " x ".join(map(str, ink.shape)) or "a single number"
        raise ValueError(f"A drawing is an array of height x width, or height x width x 3; this is {shape}.")
    if ink.dtype.kind == "b":
        return ink.astype(np.uint8)
    if ink.dtype.kind == "f":
        ink = ink.astype(np.float32 if ink.itemsize <= 4 else np.float64)
        ink = np.where(np.isfinite(ink), ink, 0)
    return ink.clip(0, None)


def answers(models: nn.Module | dict[str, nn.Module], ink, classes: Sequence[str] | None = None) -> plots.Figure:
    """What each of several models makes of one drawing (see `as_digit`), as a figure. Its text is `.alt`.

    Args:
        classes: their names; None for what the models learned, or the digits.

    Raises:
        ValueError: there is no ink in the drawing, or a model has another number of classes.
    """
    models = models if isinstance(models, dict) else {"the network": models}
    picture = as_digit(ink)
    return named(models, Split(picture, torch.zeros(1, dtype=torch.long)), picture[0], classes)


def named(models: dict[str, nn.Module], split: Split, picture: Tensor, classes: Sequence[str] | None) -> plots.Figure:
    """What each model makes of the one image in a split, shown as `picture`."""
    if classes is None:
        classes = next(filter(None, (facts_of(model).classes for model in models.values())), DIGITS)
    found = {name: predict(model, split)[0] for name, model in models.items()}
    for name, shares in found.items():
        if len(shares) != len(classes):
            raise ValueError(f"{name} tells {len(shares)} classes apart, and {len(classes)} names were given.")
        check_names(models[name], classes)
    return plots.probabilities(picture, found, classes)


def drawn(strokes: Sequence[Sequence[float]]) -> np.ndarray:
    """Strokes as ink: uint8, 280 x 280. Each is x, y, x, y, ...; all are enlarged together to fill the frame.

    The pen is as wide on a small drawing as on a large one.

    Raises:
        ValueError: these are no strokes.
    """
    try:
        lines = [np.asarray(stroke, dtype=float).reshape(-1, 2) for stroke in strokes]
    except (TypeError, ValueError):
        raise ValueError("A drawing is a list of strokes, and a stroke a list of numbers x, y, x, y, and so on.") from None
    lines = [line for line in lines if len(line) and (np.abs(line) < 1e6).all()]
    ink, pen = np.zeros((SIDE, SIDE), np.uint8), SIDE / PENS
    if lines:
        low, high = (getattr(np.concatenate(lines), end)(0) for end in ("min", "max"))
        scale = (SIDE - pen) / max(*(high - low), SIDE / 10)  # a dot stays a dot
        for line in lines:
            points = (line - (low + high) / 2) * scale + SIDE / 2
            for start, end in zip(points, [*points[1:], points[-1]]):
                _ink_along(ink, start, end, pen / 2)
    return ink


def _ink_along(ink: np.ndarray, start: np.ndarray, end: np.ndarray, reach: float) -> None:
    """Ink every pixel whose middle is so near to the line between two points; site/live/digits.js does the same."""
    low = np.maximum(np.floor(np.minimum(start, end) - reach), 0).astype(int)
    high = np.minimum(np.floor(np.maximum(start, end) + reach) + 1, SIDE).astype(int)
    x, y = np.arange(low[0], high[0]), np.arange(low[1], high[1])[:, None]
    (x0, y0), (dx, dy) = start, end - start
    length = dx * dx + dy * dy
    along = (((x - x0) * dx + (y - y0) * dy) / (length or 1)).clip(0, 1)
    off_x, off_y = x - (x0 + along * dx), y - (y0 + along * dy)
    ink[low[1] : high[1], low[0] : high[0]][off_x * off_x + off_y * off_y <= reach * reach] = 255


def keep(
    models: nn.Module | dict[str, nn.Module], task: Task, ink, label: str
) -> tuple[nn.Module | dict[str, nn.Module], Task]:
    """Take a drawing into the training examples of a task, and train the head of each model anew on all of them.

    The rest of each network stays as it is, so that its features can be computed once: a moment's work.

    Args:
        models: a trained classifier, or several by their names; they stay as they are.
        task: whose training images the drawing joins.
        ink: the drawing (see `as_digit`).
        label: the name of its class.

    Returns: the models with new heads, and the task with one more training image.

    Raises:
        ValueError: there is no ink in the drawing, or the task has no such class, or other pictures.
    """
    if label not in task.classes:
        raise ValueError(f"{task.name!r} has no class {label!r}; its classes are {', '.join(task.classes)}.")
    x, y, digit = task.train.x, torch.tensor([task.classes.index(label)]), as_digit(ink)
    if not isinstance(x, Tensor) or x.shape[1:] != digit.shape[1:] or x.dtype != digit.dtype:
        raise ValueError(f"A drawing is a picture of 1 x 28 x 28 in bytes, and {task.name!r} has {task.train.kind}.")
    train = Split(torch.cat([x, digit]), torch.cat([task.train.y, y]))
    task = dataclasses.replace(task, train=train)
    seen = dataclasses.replace(task, val=task.val[:0], test=task.test[:0])
    several = models if isinstance(models, dict) else {"": models}
    heads = {name: fit(head(m, task), features(m, seen), lr=1e-2, progress=False).model for name, m in several.items()}
    return heads if isinstance(models, dict) else heads[""], task


class Pad(anywidget.AnyWidget):
    """The pad alone. `value` is the strokes that have been drawn on it (see `drawn`), `words` what stands below it."""

    _esm = Path(__file__).with_name("draw.js")
    value = traitlets.Any([]).tag(sync=True)
    words = traitlets.Unicode("").tag(sync=True)


class PadWidget(Widget):
    """A pad, and beside it the figure that a plain function makes of its strokes, with the other controls below.

    Args:
        show, actions, controls: as for Widget; `show` gets the `strokes` too.
        example: a drawing for the still.
    """

    def __init__(self, show: Callable[..., plots.Figure], example: Sequence, actions: dict | None = None, **controls):
        self.pad = Pad(value=[*map(list, example)])
        super().__init__(show, actions, strokes=self.pad, **controls)
        right = ipywidgets.Box([self.picture], layout={"flex": "1 1 300px", "flex_flow": "column"})
        if controls:
            right.children += (ipywidgets.Box([*controls.values(), *self.buttons], layout={"flex_flow": "row wrap"}),)
        self.children = [self.pad, right]
        self.layout.flex_flow, self.layout.align_items, self.layout.grid_gap = "row wrap", "flex-start", "0 16px"
        self.pad.value = []

    def say(self, sentence: str) -> None:
        self.pad.words = sentence


class Drawing(PadWidget):
    """A pad with the answers beside it."""

    def __init__(self, models, classes: Sequence[str] | None, task: Task | None):
        self.given, self.models, self.task, self.classes = (models, task), models, task, classes
        more = {}
        if task:
            more["actions"] = {"Keep as training example": self._keep, "Forget what was kept": self._forget}
            more["label"] = ipywidgets.Dropdown(options=classes, description="This is a", layout={"width": "130px"})
        super().__init__(self._figure, SEVEN, **more)

    def _figure(self, strokes, label=None) -> plots.Figure:
        if not strokes:
            raise ValueError("Draw a digit on the black pad. The answer comes when you lift the pen.")
        return answers(self.models, drawn(strokes), self.classes)

    def _keep(self, strokes, label) -> str:
        start = time.perf_counter()
        self.models, self.task = keep(self.models, self.task, drawn(strokes), label)
        seconds, found = time.perf_counter() - start, self.spoken(self._figure(strokes))
        return f"Kept as a {label}: {len(self.task.train)} examples. New heads, trained in {seconds:.1f} s, say: {found}"

    def _forget(self, strokes, label) -> str:
        self.models, self.task = self.given
        return f"The networks are as they were, trained on {len(self.task.train)} examples."

    def close(self) -> None:
        super().close()
        self.given = self.models = self.task = None


def draw(
    models: nn.Module | dict[str, nn.Module], classes: Sequence[str] | None = None, task: Task | None = None
) -> Drawing:
    """A pad to draw on with mouse, finger, pen or keys, and what each model makes of the drawing.

    `tl.widgets.answers(models, ink)` answers the same for an array of ink, with no widget, and
    `tl.widgets.keep(models, task, ink, label)` takes it into the training examples.

    Args:
        models: a trained model, or several by their names.
        classes: the names of their classes; None for those of the task, or what the models learned, or the digits.
        task: what the models were trained on; with it a drawing can be kept as a training example.
    """
    return Drawing(models, task.classes if classes is None and task else classes, task)
