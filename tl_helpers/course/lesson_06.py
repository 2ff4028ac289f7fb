"""What lesson 06 needs beside its own cells: a task far from letters, and the fair runs of probe and fine-tuning."""

from __future__ import annotations

import copy
import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd
from torch import nn

from .. import glyphs
from ..data import Split, Task, digits
from ..datasets.folders import folder
from ..datasets.signs import chess_signs
from ..engine.validate import check_choice
from ..extraction import features
from ..images import prepare
from ..models import backbone, head, input_of, unfreeze
from ..training import evaluate, fit

BEND = functools.partial(glyphs.augment, strength=0.25)  # gentle enough for handwriting


def body_at(side: int) -> nn.Module:
    """The letters backbone, taking its images `side` pixels high and wide, in place of 32."""
    body = backbone("resnet10t.letters")
    body.pretrained_cfg = {**body.pretrained_cfg, "input_size": (1, side, side)}
    return body


def chess(body: nn.Module) -> Task:
    """Chess signs as if photographed in printed books (see `chess_signs`), in memory, in the size that a body takes.

    Six classes; a quarter of the training images is for validation.
    """
    wanted = input_of(body)

    def read(split: Split) -> Split:
        return Split(prepare(split, wanted), split.y, prepared=True)

    with tempfile.TemporaryDirectory() as place:
        task = folder(chess_signs(Path(place, "chess"), spoiled=False), val=0.25)
        return dataclasses.replace(task, train=read(task.train), val=read(task.val), test=read(task.test))


def unwatched(task: Task) -> Task:
    """The task without its validation and test images, for trainings that are looked at once, at their end."""
    return dataclasses.replace(task, val=task.val[:0], test=task.test[:0])


def search(train: Callable[[float], nn.Module], rates: Iterable[float], val: Split) -> pd.DataFrame:
    """Train at each learning rate: columns "learning rate", "accuracy" and "loss" on the validation images, and "model"."""
    rows = []
    for lr in rates:
        model = train(lr)
        found = evaluate(model, val)
        rows.append({"learning rate": lr, "accuracy": found.accuracy, "loss": found.loss, "model": model})
    return pd.DataFrame(rows)


def best_rate(searched: pd.DataFrame) -> float:
    """The rate with the highest validation accuracy, and among equals the lowest loss."""
    order = searched.sort_values(["accuracy", "loss"], ascending=[False, True])
    return float(order["learning rate"].iloc[0])


def on_digits(method: str, shots: int, seed: int, lr: float, **recipe) -> nn.Module:
    """One run of the fair race on digits; it sees nothing but the training images.

    Args:
        method: "probe", on five versions of each image; "fine-tuned", from the letters weights and a new head; or "from
            scratch", the same network from random weights.
        shots, seed: which training digits, and which initial weights.
        lr: the learning rate.
        recipe: for `fit`, in place of 24 epochs (48 below five shots) with gentle augmentation; of a probe, in place of 30.

    Raises:
        ValueError: there is no such method.
    """
    check_choice("method", method, ("probe", "fine-tuned", "from scratch"))
    task = unwatched(digits(shots, seed))
    if method == "probe":
        body = backbone("resnet10t.letters")
        vectors = features(body, task, views=5, augment=BEND, seed=seed)
        return fit(head(body, task, seed), vectors, lr=lr, **{"seed": seed, "progress": False} | recipe).model
    model = backbone("resnet10t.letters", classes=10, pretrained=method == "fine-tuned", seed=seed)
    recipe = {"epochs": 24 if shots >= 5 else 48, "augment": BEND, "seed": seed, "progress": False} | recipe
    return fit(model, task, lr=lr, **recipe).model


def paired(methods: dict[str, float], shots: int, seeds: Sequence[int]) -> pd.DataFrame:
    """Test accuracy of methods on the same draws of digits: a row for each seed, a column for each method.

    Args:
        methods: for each method of `on_digits` its learning rate.
    """
    rows = []
    for seed in seeds:
        test = digits(shots, seed).test
        rows.append({name: evaluate(on_digits(name, shots, seed, lr), test).accuracy for name, lr in methods.items()})
    return pd.DataFrame(rows, index=pd.Index(seeds, name="seed"))


def further(probe: nn.Module, last: int, seed: int, epochs: int = 12) -> nn.Module:
    """A copy of a probe on five labels per class, trained on with its last so many blocks thawed; with none, as it is."""
    if not last:
        return probe
    model, task = unfreeze(copy.deepcopy(probe), last=last), unwatched(digits(5, seed))
    return fit(model, task, lr=3e-3, epochs=epochs, augment=BEND, seed=seed, progress=False).model


def gradually(probe: nn.Module, seed: int) -> nn.Module:
    """The same with one more block thawed every three epochs, from the last to the first, each time on a new schedule."""
    for last in range(1, 6):
        probe = further(probe, last, seed, epochs=3)
    return probe


def whole_on(task: Task, body: nn.Module, pretrained: bool, lr: float, seed: int = 0) -> nn.Module:
    """All of a network trained on a task of images: from a body's weights and a new head, or from random weights."""
    model = unfreeze(head(body, task, seed))
    if not pretrained:
        own = body.pretrained_cfg
        if "architecture" not in own:
            raise ValueError(f"whole_on takes a backbone of timm's; this is a {type(body).__name__}.")
        name = f"{own['architecture']}.letters" if own.get("tag") == "letters" else own["architecture"]
        model = backbone(name, classes=len(task.classes), pretrained=False, seed=seed)
        model.pretrained_cfg = body.pretrained_cfg
    return fit(model, unwatched(task), lr=lr, epochs=12, seed=seed, progress=False).model
