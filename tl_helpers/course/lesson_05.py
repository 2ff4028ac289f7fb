"""What lesson 05 needs beside its own cells: draws of features, planted faults, a backbone fed with wrong numbers."""

from __future__ import annotations

import copy
import dataclasses
import time
import warnings
from collections.abc import Callable, Sequence

import pandas as pd
import torch
from torch import nn

from ..data import Split, Task, draw
from ..extraction import features
from ..models import RawCNN, backbone, head
from ..training import evaluate, fit


def few(task: Task, shots: int, seed: int) -> Task:
    """The task with so many training examples of each class, images or vectors alike; one seed draws the same of both."""
    return dataclasses.replace(task, train=draw(task.train, shots, seed))


def one_layer(body: nn.Module, vectors: Task, seed: int = 0) -> nn.Module:
    """A classifier of a frozen backbone and one linear layer, which was fitted on vectors."""
    return fit(head(body, vectors, seed=seed), vectors, lr=3e-3, seed=seed, progress=False).model


def nearest_centroid(vectors: Task, seed: int = 0):
    """scikit-learn's head without parameters, fitted on the training vectors (N x D) of a task; the seed plays no part."""
    from sklearn.neighbors import NearestCentroid

    with warnings.catch_warnings(action="ignore"):  # about single images, which have no spread around their mean
        return NearestCentroid().fit(*vectors.train.numpy())


def raw_cnn(task: Task, seed: int = 0, lr: float = 1e-2) -> nn.Module:
    """The article's network from scratch: 60 epochs on fewer than 100 images, 25 on more."""
    epochs = 60 if len(task.train) < 100 else 25
    unwatched = dataclasses.replace(task, val=task.val[:0])
    return fit(RawCNN(seed=seed), unwatched, epochs=epochs, lr=lr, seed=seed, progress=False).model


def accuracy(model, split: Split) -> float:
    """The share of a split that a network, or an estimator of scikit-learn, gets right."""
    return model.score(*split.numpy()) if hasattr(model, "score") else evaluate(model, split).accuracy


def against_shots(methods: dict[str, tuple[Callable[[Task, int], object], Task]], shots: Sequence[int]) -> pd.DataFrame:
    """The test accuracy of each method with so many labelled images per class, one row for each of five draws.

    Args:
        methods: by name, what is fitted (it gets a task and a seed) and the task it is fitted on, images or vectors. All
            have the same draws.
        shots: how many of each class.

    Returns: columns method, shots, seed and accuracy (0 to 1).
    """
    rows = []
    for name, (learn, task) in methods.items():
        for count in shots:
            for seed in range(5):
                found = accuracy(learn(few(task, count, seed), seed), task.test)
                rows.append({"method": name, "shots": count, "seed": seed, "accuracy": found})
    return pd.DataFrame(rows)


def on_paper(task: Task) -> Task:
    """The same images as a scanner gives them, black ink on white paper: 255 minus each pixel."""
    turned = {name: Split(255 - getattr(task, name).x, getattr(task, name).y) for name in ("train", "val", "test")}
    return dataclasses.replace(task, name=f"{task.name}, on paper", **turned)


def misfed(body: nn.Module, mean: float, std: float) -> nn.Module:
    """A copy of a backbone for grey images that believes in another mean and std: it is fed (pixels - mean) / std.

    With mean 0 and std 1 it gets pixels from 0 to 1; with std 1 / 255 it gets them from 0 to 255.
    """
    careless = copy.deepcopy(body)
    careless.pretrained_cfg = {**body.pretrained_cfg, "mean": (mean,), "std": (std,)}
    return careless


def shuffled_labels(task: Task) -> Task:
    """The task with its training labels dealt out anew: each image gets the label of another one."""
    order = torch.randperm(len(task.train), generator=torch.Generator().manual_seed(0))
    return dataclasses.replace(task, train=dataclasses.replace(task.train, y=task.train.y[order]))


def planted_faults(task: Task) -> pd.DataFrame:
    """The same two faults in two programs: a head on features, and the whole network trained from random weights.

    Args:
        task: of images; only its training and validation images are used.

    Returns: a row for each fault; validation accuracy, and the seconds from the start to that number, for both programs.
        The seconds of features and head include making the features.
    """
    task = dataclasses.replace(task, test=task.test[:0])
    body = backbone("resnet10t.letters")
    whole = backbone("resnet10t.letters", classes=len(task.classes), pretrained=False)
    cases = {
        "no fault": (body, whole, task),
        "labels shuffled": (body, whole, shuffled_labels(task)),
        "pixels 0 to 255": (misfed(body, 0.0, 1 / 255), misfed(whole, 0.0, 1 / 255), task),
    }
    rows = {}
    for fault, (frozen, learns, given) in cases.items():
        start = time.perf_counter()
        vectors = features(frozen, given)
        small = evaluate(fit(head(frozen, given), vectors, progress=False).model, vectors.val)
        between = time.perf_counter()
        unwatched = dataclasses.replace(given, val=given.val[:0])
        large = evaluate(fit(learns, unwatched, epochs=24, lr=3e-3, progress=False).model, given.val)
        rows[fault] = {
            "head: accuracy": small.accuracy,
            "head: seconds": between - start,
            "whole: accuracy": large.accuracy,
            "whole: seconds": time.perf_counter() - between,
        }
    return pd.DataFrame(rows).T


def drift(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> pd.Series:
    """How far each batch norm's running mean moved between two state dicts, averaged over its channels.

    In units of the running standard deviation that it had before; the largest first.
    """
    found = {}
    for name in before:
        if name.endswith("running_mean"):
            spread = before[name.replace("mean", "var")].cpu().sqrt()
            moved = (after[name].cpu() - before[name].cpu()).abs() / spread
            found[name.removesuffix(".running_mean")] = moved.mean().item()
    return pd.Series(found, name="drift in standard deviations").sort_values(ascending=False)
