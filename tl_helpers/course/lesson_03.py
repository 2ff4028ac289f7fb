"""What lesson 03 needs beside the library: three learners on few labels, and a table of runs. Lesson 03 opens this file.

The loop by hand and the experiments that teach stand in the lesson's own cells, and in its deeper notebook.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from torch import nn

from ..data import Task, digits
from ..extraction import features
from ..models import RawCNN, backbone
from ..runs import Run
from ..training import evaluate, fit

LOGISTIC, RAW, RESNET = "logistic regression", "raw CNN", "resnet10t from scratch"
STEPS = {RAW: 200, RESNET: 100}  # a step of the large network takes about ten times as long


def network(name: str, seed: int) -> nn.Module:
    """RAW or RESNET for ten digits, with random weights."""
    return RawCNN(seed=seed) if name == RAW else backbone("resnet10t.letters", classes=10, pretrained=False, seed=seed)


@functools.cache
def trained(name: str, shots: int, rate: float, seed: int) -> Run:
    """A network, trained at a learning rate for its number of STEPS on so many images per class; kept, once made.

    The seed says which images are drawn, the initial weights and the order. Validation images are left out, so that `fit`
    need not look at them after every epoch.
    """
    task = digits(shots, seed)
    task = dataclasses.replace(task, val=task.val[:0])
    epochs = math.ceil(STEPS[name] / math.ceil(len(task.train) / 32))
    return fit(network(name, seed), task, epochs=epochs, lr=rate, seed=seed, progress=False)


@functools.cache
def linear(C: float, shots: int, seed: int) -> LogisticRegression:
    """Logistic regression on the pixels of so many images per class; C is how freely it may use its weights."""
    return LogisticRegression(C=C, max_iter=5000).fit(*digits(shots, seed).train.numpy())


def accuracy(name: str, setting: float, shots: int, seed: int, split: str = "test") -> float:
    """Of one learner, 0 to 1. The setting is the learning rate of a network, and C of logistic regression."""
    part = getattr(digits(shots, seed), split)
    if name == LOGISTIC:
        return linear(setting, shots, seed).score(*part.numpy())
    return evaluate(trained(name, shots, setting, seed).model, part).accuracy


def searched(name: str, settings: Iterable[float]) -> pd.Series:
    """The mean validation accuracy of a learner, over three draws of ten labels per class, for each of its settings."""
    means = {setting: np.mean([accuracy(name, setting, 10, seed, "val") for seed in range(3)]) for setting in settings}
    return pd.Series(means, name=name).rename_axis("setting")


def hunger(settings: dict[str, float], shots: Sequence[int]) -> pd.DataFrame:
    """Test accuracies of learners, by their names with their settings: for each number of labels per class, five seeds."""
    rows = [
        (name, number, seed, accuracy(name, setting, number, seed))
        for name, setting in settings.items()
        for number in shots
        for seed in range(5)
    ]
    return pd.DataFrame(rows, columns=["method", "labels per class", "seed", "accuracy"])


def linear_on(task: Task) -> float:
    """Test accuracy (0 to 1) of logistic regression on a task of pixels or features; C is chosen on the validation part."""
    fits = [LogisticRegression(C=C, max_iter=5000).fit(*task.train.numpy()) for C in (1e-3, 1e-2, 1e-1, 1, 10, 100)]
    return max(fits, key=lambda fitted: fitted.score(*task.val.numpy())).score(*task.test.numpy())


def on_features() -> dict[str, list[float]]:
    """How logistic regression does with ten labels per class on pixels, and on the 50 features of three raw CNNs.

    Each has the test accuracies of three seeds: with a network of random weights, with one trained on the same 100 images,
    and with one trained on all 900.
    """
    found = {"pixels": [], "untrained network": [], "trained on 100": [], "trained on 900": []}
    for seed in range(3):
        few, raw = digits(10, seed), RawCNN(seed=seed)
        small = fit(raw, few, lr=3e-3, seed=seed, progress=False).model
        large = fit(raw, digits("all"), epochs=10, lr=3e-3, seed=seed, progress=False).model
        tasks = [few, features(raw, few), features(small, few), features(large, few)]
        for name, task in zip(found, tasks):
            found[name].append(linear_on(task))
    return found


def last_epochs(runs: dict[str, Run]) -> pd.DataFrame:
    """A row for each run, by its name: the training loss after a third of the epochs and at the end, the same of the
    validation loss, and its lowest."""
    rows = {}
    for name, run in runs.items():
        losses, third = run.history[["loss", "val_loss"]], len(run.history) // 3
        rows[name] = {
            "training loss, after a third": losses.loss.iloc[third],
            "training loss, end": losses.loss.iloc[-1],
            "validation loss, after a third": losses.val_loss.iloc[third],
            "validation loss, lowest": losses.val_loss.min(),
            "validation loss, end": losses.val_loss.iloc[-1],
        }
    return pd.DataFrame(rows).T.round(3)
