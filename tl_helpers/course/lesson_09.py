"""What lesson 09 need not show: draws, and tables."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from .. import plots
from ..data import Files, Split, Task, draw
from ..models import head
from ..results import Interval, mean_interval
from ..training import evaluate, fit
from . import photographs

PER = "labels per class"


def as_split(files: dict[str, Path]) -> Split:
    """Files of photographs as a split that figures take; its labels mean nothing."""
    return Split(Files([str(path) for path in files.values()]), torch.zeros(len(files), dtype=torch.long))


def best_names(chances: Tensor, names: tuple[str, ...], pictures: list[str]) -> pd.DataFrame:
    """The three likeliest names of each picture: a row for each, the first of its synonyms with its probability.

    Args:
        chances: float, N x K.
    """
    rows = []
    for row in chances:
        found = row.topk(3)
        rows.append([f"{names[int(k)].split(',')[0]} {float(p):.2f}" for p, k in zip(found.values, found.indices)])
    return pd.DataFrame(rows, index=pictures, columns=["1.", "2.", "3."])


def less(task: Task, test: int) -> Task:
    """The same task with so many of its test images, and none for validation: quick to pass through a backbone."""
    order = np.random.default_rng(0).permutation(len(task.test))[:test]
    return dataclasses.replace(task, val=task.val[:0], test=task.test[np.sort(order)])


def curve(body: nn.Module, vectors: Task, shots: list[int], lr: float) -> pd.DataFrame:
    """A linear probe at each number of labels per class, on five draws: a row for each training."""
    rows = []
    for seed in range(5):
        layer = head(body, vectors, seed=seed).get_classifier()  # what learns on vectors; the backbone need not be copied
        for n in shots:
            few = dataclasses.replace(vectors, train=draw(vectors.train, n, seed), val=vectors.val[:0])
            model = fit(layer, few, lr=lr, seed=seed, progress=False).model
            rows.append((n, seed, evaluate(model, vectors.test).accuracy))
    return pd.DataFrame(sorted(rows), columns=[PER, "seed", "accuracy"])


def intervals(frame: pd.DataFrame, n: int) -> pd.DataFrame:
    """The mean accuracy at each number of labels per class, with a 95% interval over draws and n test images."""
    return table({shots: mean_interval(part, n) for shots, part in frame.groupby(PER).accuracy}).rename_axis(PER)


def stored(task: str, method: str) -> tuple[pd.DataFrame, int]:
    """The stored results of a method on photographs in the form of `curve`, and the number of test images."""
    rows = photographs.results(task, method=method)
    frame = rows.rename(columns={"shots": PER, "test": "accuracy"})[[PER, "seed", "accuracy"]]
    return frame, int(rows.images.iloc[0])


def stored_intervals(task: str, shots: int, methods: list[str]) -> dict[str, Interval]:
    """The stored mean accuracy of each method on a task, with an interval that covers draws and test images."""
    return {method: photographs.interval(photographs.results(task, shots=shots, method=method)) for method in methods}


def table(found: dict[object, Interval]) -> pd.DataFrame:
    """Intervals as a table: a row for each method."""
    return pd.DataFrame(found, index=["mean", "from", "to"]).T.round(3)


def side_by_side(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Curves of several methods in one frame, with a column `method`."""
    return pd.concat([frame.assign(method=name) for name, frame in frames.items()])


def lead(task: str, shots: int) -> Interval:
    """The stored lead of a probe on ImageNet features over logistic regression on pixels, on the same draws."""
    methods = (photographs.PROBE, photographs.PIXELS)
    return photographs.interval(*(photographs.results(task, shots=shots, method=method) for method in methods))


def verdict(found: Interval, one: str, other: str) -> str:
    """Which of two is ahead by an interval of their difference."""
    return "too close to call" if found[1] <= 0 <= found[2] else one if found[0] > 0 else other


def four_of_each(task: Task) -> plots.Figure:
    """Four test photographs of each of two classes, from all over the class: neighbours often come from one module."""
    kinds = [(task.test.y == kind).nonzero().flatten().tolist() for kind in (0, 1)]
    places = [found[i * len(found) // 4] for found in kinds for i in range(4)]
    names = [task.classes[int(k)] for k in task.test.y[places]]
    return plots.images(task.test[places], names, columns=4, size=1.5)
