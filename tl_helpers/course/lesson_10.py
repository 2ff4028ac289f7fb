"""What lesson 10 does behind its cells: a smaller input, pixels read once, a grid that grows, a page of report."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..data import Split, Task
from ..engine.validate import as_path, files_in_words, shown
from ..images import prepare
from ..models import input_of
from ..results import Evaluation
from ..training import evaluate, predict
from .photographs import at_size  # noqa: F401  (the lesson calls it lesson_10.at_size)

SECTIONS = ("data", "baseline", "choice", "result", "where it fails", "who might be harmed", "licence")
SPLITS = ("train", "val", "test")


def files_of(pairs: Iterable[tuple[str, str]], folder: str | os.PathLike) -> list[Path]:
    """The files of the pairs in a report, which names them as seen from their folder, one after the other."""
    return [Path(folder, file) for pair in pairs for file in pair]


def without(task: Task, files: Iterable[str | os.PathLike]) -> Task:
    """A task of photographs less some files, which stay where they are; the test images are all kept.

    Raises:
        ValueError: there is no such file.
    """
    out = {os.path.realpath(file) for file in ([files] if isinstance(files, (str, os.PathLike)) else files)}
    if lost := sorted(file for file in out if not os.path.exists(file)):
        raise ValueError(f"There is no file {shown(lost[0])}: files_of(task.report.near, FOLDER) gives whole paths.")
    kept = {
        name: split[np.array([os.path.realpath(path) not in out for path in split.x.paths], dtype=bool)]
        for name, split in (("train", task.train), ("val", task.val))
    }
    return dataclasses.replace(task, **kept)


def in_memory(task: Task, model: nn.Module) -> Task:
    """The task with its photographs read once, as the model wants them: uint8, N x C x H x W."""
    parts = {name: getattr(task, name) for name in SPLITS}
    read = {name: Split(prepare(part, input_of(model)), part.y, prepared=True) for name, part in parts.items()}
    return dataclasses.replace(task, **read)


def search(
    train: Callable[[float], nn.Module], split: Split, rates: Sequence[float], more: int = 3
) -> tuple[float, dict[float, Evaluation]]:
    """The learning rate that does best on a split, and how all that were tried did.

    Where the rate at an end of the grid wins, the grid grows by a factor of about three at that end. Among equal accuracies
    the lower loss wins.

    Args:
        train: makes a trained model from a learning rate.
        split: validation images.
        rates: in rising order, at least two.
        more: how many rates are added at most; where that is not enough, the best one stands at the edge.
    """
    tried = {rate: evaluate(train(rate), split) for rate in rates}
    for _ in range(more + 1):
        best = max(tried, key=lambda rate: (tried[rate].accuracy, -tried[rate].loss))
        edges = {min(tried): float(f"{min(tried) / 3.2:.0e}"), max(tried): float(f"{max(tried) * 3.2:.0e}")}
        if best not in edges or len(tried) == len(rates) + more:
            break
        tried[edges[best]] = evaluate(train(edges[best]), split)
    return best, dict(sorted(tried.items()))


def right(model: nn.Module, split: Split) -> np.ndarray:
    """Which images of a split a model classifies correctly: bool, N."""
    return (predict(model, split).argmax(1) == split.y).numpy()


def lowest_threshold(shares: Tensor, right: Tensor, wanted: float) -> float:
    """The lowest probability from which on at least the share `wanted` of the answers is right; 1 if there is none
    (answers that are quite sure still count then).

    Args:
        shares: the probability of each answer, N.
        right: whether it is right, N, bool.
    """
    fits = [share.item() for share in shares if right[shares >= share].float().mean() >= wanted]
    return min(fits, default=1.0)


def weakest(model: nn.Module, split: Split, classes: Sequence[str]) -> str:
    """The most common mistake on a split, as a sentence; or that there is none."""
    from sklearn.metrics import confusion_matrix

    wrong = confusion_matrix(split.y, predict(model, split).argmax(1), labels=range(len(classes)))
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return f"No mistake among {len(split)} validation images of {', '.join(classes)}: too few to find one."
    shown, answer = divmod(int(wrong.argmax()), len(classes))
    many = int((split.y == shown).sum())
    return f"{classes[shown]} taken for {classes[answer]} in {wrong[shown, answer]} of {many} validation images."


def write_report(sections: dict[str, str], path: str | os.PathLike) -> str:
    """The report as a page of Markdown, written to a file and returned."""
    text = "# Report\n\n" + "\n\n".join(f"## {name.capitalize()}\n\n{words}" for name, words in sections.items()) + "\n"
    with files_in_words(as_path(path), "written"):
        as_path(path).write_text(text, encoding="utf-8")
    return text


def onnx_answers(path: str | os.PathLike, pixels: Tensor) -> Tensor:
    """What onnxruntime makes of prepared pixels (uint8, N x C x H x W): float32, N x classes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"pixels": pixels.numpy().astype(np.float32) / 255})[0])


def covered(split: Split, heat: Tensor, warmest: bool) -> Split:
    """Prepared images with a fifth of each painted over with its mean colour: where `heat` is highest, or lowest.

    Args:
        split: prepared images, N x C x H x W.
        heat: N x H x W; places of equal heat are taken in random order.
    """
    x, flat = split.x.float(), heat.flatten(1)
    flat = flat + torch.rand(flat.shape, generator=torch.Generator().manual_seed(0)) * 1e-6
    places = flat.argsort(1, descending=warmest)[:, : int(0.2 * flat.shape[1])]
    mask = torch.zeros_like(flat, dtype=torch.bool).scatter(1, places, True).view(len(x), 1, *x.shape[2:])
    return Split(torch.where(mask, x.mean((1, 2, 3), keepdim=True), x).round().byte(), split.y, prepared=True)
