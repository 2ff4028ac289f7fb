"""A picture of your own, from a file: what networks make of it. Lesson 00 shows it."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import anywidget
import numpy as np
import torch
import traitlets
from PIL import Image
from torch import nn

from .. import plots
from ..data import Split
from ..images import in_rgb, open_photograph, prepare
from ..models import input_of
from .base import Widget
from .drawing import SEVEN, as_digit, drawn, named


def recognise(
    models: nn.Module | dict[str, nn.Module], picture, classes: Sequence[str] | None = None, drawing: bool | None = None
) -> plots.Figure:
    """What each of several models makes of a picture in a file, as a figure. Its text is `.alt`.

    Args:
        models: a trained model, or several by their names.
        picture: a path, the bytes of a file, or an image of PIL's.
        classes: their names; None for what the models learned, or the digits.
        drawing: True to take the picture as a drawing, dark on light or light on dark (see `as_digit`); False as a
            photograph; None: a drawing for models that take grey images, a photograph for others.

    Raises:
        ValueError: the picture cannot be read, there is no ink in the drawing, or a model has another number of classes.
    """
    models = models if isinstance(models, dict) else {"the network": models}
    wanted, image = input_of(next(iter(models.values()))), _opened(picture)
    if wanted.size[0] == 1 if drawing is None else drawing:
        split = Split(as_digit(ink_of(image)), [0])
        return named(models, split, split.x[0], classes)
    split = Split(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None], [0])
    return named(models, split, prepare(split, wanted)[0], classes)


def _opened(picture) -> Image.Image:
    """The picture in a path, bytes or an image, in RGB."""
    if isinstance(picture, Image.Image):
        return in_rgb(picture)
    if not isinstance(picture, (str, os.PathLike, bytes, bytearray, memoryview)):
        raise ValueError(f"A picture is a path, the bytes of a file, or an image of PIL's; not {type(picture).__name__}.")
    with warnings.catch_warnings(action="ignore"):  # PIL's, on files that are odd but can be read
        return open_photograph(picture if isinstance(picture, (str, os.PathLike)) else io.BytesIO(picture))


def ink_of(image: Image.Image) -> np.ndarray:
    """What stands out from the paper, whichever of the two is darker: float32, H x W; the paper, and shades of it, are 0."""
    image = image.convert("L")
    image.thumbnail((1000, 1000))
    grey = np.asarray(image, dtype=np.float32)
    paper = np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]))
    ink = np.abs(grey - paper)
    return np.where(ink > max(0.3 * ink.max(), 8), ink, 0)


class Picker(anywidget.AnyWidget):
    """A button to choose a file with, on which files can be dropped too. `value` is its bytes, or None."""

    _esm = Path(__file__).with_name("upload.js")
    value = traitlets.Any(None).tag(sync=True)  # bytes arrive as memoryview, which traitlets.Bytes refuses


def upload(
    models: nn.Module | dict[str, nn.Module],
    classes: Sequence[str] | None = None,
    drawing: bool | None = None,
    example: str | os.PathLike | None = None,
) -> Widget:
    """Choose a picture of your own, and see what each model makes of it. It stays on this machine.

    The same as code: `tl.widgets.recognise(models, "picture.jpg", classes)`.

    Args:
        models, classes, drawing: as `recognise` takes them.
        example: a picture to begin with; None for a 7 on white paper.
    """
    if example is None:
        Image.fromarray(255 - np.pad(drawn(SEVEN), 60)).save(file := io.BytesIO(), "PNG")
        picture = file.getvalue()
    else:
        _opened(example)  # what is none is said here
        picture = Path(example).read_bytes()

    def show(picture) -> plots.Figure:
        return recognise(models, picture, classes, drawing)

    return Widget(show, picture=Picker(value=picture))
