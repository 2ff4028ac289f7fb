"""What a saved model makes of the photographs in a folder. Lesson 10 asks this by `python -m tl_helpers predict`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..data import Files, Split, Task
from ..device import device
from ..engine.examples import DARK
from ..engine.memory import to_device
from ..engine.model_folder import known
from ..engine.parts import Facts
from ..engine.validate import as_path, shown
from ..images import READ, in_threads, prepare
from ..models import input_of
from ..training import predict
from .folders import images_below

COLUMNS = ("file", "class", "probability", "below_threshold", "problem")
CHUNK = 64  # photographs in the memory at once


def predictions(
    model: nn.Module, path: str | os.PathLike, task: Task | Sequence[str] | None = None, *, threshold: float | None = None
) -> Iterator[dict]:
    """What a model makes of a photograph, or of all in a folder and the folders within it.

    `pandas.DataFrame(predictions(...))` makes a table of them, and `python -m tl_helpers predict` a CSV file.

    Args:
        task: what the model learned, or the names of its classes in order; not needed for a model from `fit` or `load`.
        threshold: the probability below which an answer is to count as "I don't know"; None for the model's own, if any.

    Returns: for each file a dict: file, class, probability (of that class), below_threshold (true or false), and in
        `problem` why it could not be read, or that hardly anything is on it, else "".

    Raises:
        ValueError: there is no such folder, or no photograph in it.
    """
    root, facts = as_path(path), known(model, task, threshold)
    files = [root] if root.is_file() else images_below(root)[0] if root.exists() else []
    if not files:
        found = f"{shown(root)} holds no photographs ({', '.join(sorted(READ))})."
        raise ValueError(found if root.exists() else f"There is no file or folder {shown(root)}.")
    parts = (files[start : start + CHUNK] for start in range(0, len(files), CHUNK))
    model = to_device(model, device())
    return (row for part in parts for row in _rows(model, root, part, facts))


def _rows(model: nn.Module, root: Path, files: list[Path], facts: Facts) -> Iterator[dict]:
    labels = torch.zeros(len(files), dtype=torch.long)  # which nobody looks at
    wanted = input_of(model)

    def read(file: Path) -> Tensor | str:
        try:
            return prepare(Split(Files([file]), labels[:1]), wanted)
        except ValueError as error:
            return str(error).removeprefix(f"{shown(file)} ")

    found = in_threads(read, files)
    good = [pixels for pixels in found if not isinstance(pixels, str)]
    shares = predict(model, Split(torch.cat(good), labels[: len(good)], prepared=True)) if good else torch.empty(0)
    if len(shares) and shares.shape[1] != len(facts.classes):
        raise ValueError(f"The model tells {shares.shape[1]} classes apart, and there are {len(facts.classes)} names.")
    shares = iter(shares)
    for file, pixels in zip(files, found):
        name = shown(file.relative_to(root).as_posix() if file != root else file.name)
        if isinstance(pixels, str):
            yield dict(zip(COLUMNS, (name, "", None, None, pixels)))
        else:
            share, best = (value.item() for value in next(shares).max(0))
            dark = "is nearly black all over: make it brighter if more is in it." if pixels.max() <= DARK else ""
            yield dict(zip(COLUMNS, (name, shown(facts.classes[best]), share, share < (facts.threshold or 0), dark)))
