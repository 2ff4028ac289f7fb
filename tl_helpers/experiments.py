"""Is the claim true? Grids of method x shots x learning rate x seed: each cell is one training, each result a row of a CSV.

`python -m tl_helpers results` runs or continues a grid. Rows are appended as they come, so a stopped run loses only what was
in the making.
"""

from __future__ import annotations

import concurrent.futures
import csv
import dataclasses
import functools
import math
import multiprocessing
import os
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from . import glyphs
from .data import Task, digits
from .device import device, machine
from .features import features
from .models import DATA, RawCNN, backbone, count, head
from .training import Diverged, evaluate, fit

RESULTS = DATA / "results"
BATCH, EPOCHS = 32, 20
BEND = functools.partial(glyphs.bend, strength=0.25)  # whoever trains on images sees them varied, pretrained or not


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training. `lr` is NaN for methods that have none; `backbone` is empty for methods that use none."""

    method: str
    backbone: str
    shots: int
    lr: float
    seed: int

    @property
    def key(self) -> tuple:
        return (self.method, self.backbone, self.shots, "" if math.isnan(self.lr) else f"{self.lr:g}", self.seed)


# What a method does: from (task, cell) to the accuracy on each split and the number of trainable parameters.


def _network(model: nn.Module, task: Task, cell: Cell, steps: int, augment: Callable | None = BEND) -> dict:
    """Train for `steps` steps or EPOCHS epochs, whichever takes longer."""
    epochs = max(EPOCHS, math.ceil(steps / math.ceil(len(task.train) / BATCH)))
    unwatched = dataclasses.replace(task, val=task.val[:0])  # saves a look at the validation images after every epoch
    recipe = {"epochs": epochs, "lr": cell.lr, "batch_size": BATCH, "augment": augment, "seed": cell.seed}
    try:
        run = fit(model, unwatched, **recipe, progress=False)
    except Diverged:  # a result too: such a network names the classes at random
        chance = 1 / len(task.classes)
        return {"train": chance, "val": chance, "test": chance, "trainable": count(model)[0]}
    scores = {split: evaluate(run.model, getattr(task, split)).accuracy for split in ("train", "val", "test")}
    return scores | {"trainable": count(run.model)[0]}


def _classic(estimator, task: Task) -> dict:
    with warnings.catch_warnings(action="ignore"):  # scikit-learn's, on pixels that are the same in all images of a class
        estimator.fit(*task.train.numpy())
    scores = {split: estimator.score(*getattr(task, split).numpy()) for split in ("train", "val", "test")}
    return scores | {"trainable": 0}


@functools.lru_cache(maxsize=32)
def _features(name: str, shots: int, seed: int, views: int) -> tuple[nn.Module, Task]:
    body = backbone(name)
    return body, features(body, digits(shots, seed), views=views, augment=BEND, seed=seed)


def _probe(task: Task, cell: Cell) -> dict:
    body, vectors = _features(cell.backbone, cell.shots, cell.seed, views=5)
    return _network(head(body, task, seed=cell.seed), vectors, cell, steps=300, augment=None)


def _logistic(task: Task, cell: Cell) -> dict:
    from sklearn.linear_model import LogisticRegression

    return _classic(LogisticRegression(max_iter=2000), task)


def _forest(task: Task, cell: Cell) -> dict:
    from sklearn.ensemble import RandomForestClassifier

    return _classic(RandomForestClassifier(300, random_state=cell.seed), task)


def _centroid(task: Task, cell: Cell) -> dict:
    from sklearn.neighbors import NearestCentroid

    return _classic(
        NearestCentroid(), _features(cell.backbone, cell.shots, cell.seed, views=1)[1] if cell.backbone else task
    )


def _whole(task: Task, cell: Cell, pretrained: bool, steps: int) -> dict:
    model = backbone(cell.backbone, classes=len(task.classes), pretrained=pretrained, seed=cell.seed)
    return _network(model, task, cell, steps)


def _raw(task: Task, cell: Cell) -> dict:
    return _network(RawCNN(classes=len(task.classes), seed=cell.seed), task, cell, steps=600)


@dataclasses.dataclass(frozen=True)
class Method:
    """How a method runs, the learning rates among which it chooses, and whether it stands on a backbone."""

    run: Callable[[Task, Cell], dict]
    rates: Sequence[float] = (math.nan,)
    on_backbone: bool = False


METHODS = {
    "nearest centroid on pixels": Method(_centroid),
    "logistic regression on pixels": Method(_logistic),
    "random forest on pixels": Method(_forest),
    "raw CNN from scratch": Method(_raw, (1e-3, 3e-3, 1e-2)),
    "same backbone from scratch": Method(functools.partial(_whole, pretrained=False, steps=200), (1e-3, 3e-3, 1e-2), True),
    "nearest centroid on letters features": Method(_centroid, on_backbone=True),
    "linear probe on letters features": Method(_probe, (1e-3, 3e-3, 1e-2), True),
    "fine-tuned letters backbone": Method(functools.partial(_whole, pretrained=True, steps=100), (3e-4, 1e-3, 3e-3), True),
}


@dataclasses.dataclass(frozen=True)
class Grid:
    """Which cells an experiment consists of."""

    backbones: Sequence[str]
    shots: Sequence[int]
    seeds: Sequence[int]
    methods: Sequence[str] = tuple(METHODS)

    def cells(self) -> Iterator[Cell]:
        for seed in self.seeds:
            for shots in self.shots:
                for name in self.methods:
                    for body in self.backbones if METHODS[name].on_backbone else [""]:
                        for lr in METHODS[name].rates:
                            yield Cell(name, body, shots, lr, seed)


GRIDS = {"digits": Grid(["resnet10t.letters"], (1, 2, 5, 10, 20, 50), range(5))}


def measure(cell: Cell) -> dict:
    """Run one cell: its row, with what is needed to run it again."""
    start = time.perf_counter()
    scores = METHODS[cell.method].run(digits(cell.shots, cell.seed), cell)
    return dataclasses.asdict(cell) | scores | {"seconds": round(time.perf_counter() - start, 2)}


def run(name: str, processes: int | None = None) -> pd.DataFrame:
    """Run or continue a grid, and return all of its rows.

    Args:
        name: a key of GRIDS.
        processes: how many at once, each with a share of the cores; None for one a core (on a GPU, one).
    """
    from tqdm import tqdm

    path = RESULTS / f"{name}.csv"
    done = {_key(row) for row in _rows(path)}
    cells = [cell for cell in GRIDS[name].cells() if cell.key not in done]
    cores = os.cpu_count() or 1
    processes = processes or (cores if device().type == "cpu" else 1)
    facts = _facts()
    spawn = multiprocessing.get_context("spawn")
    threads = max(1, cores // processes)
    with concurrent.futures.ProcessPoolExecutor(processes, spawn, torch.set_num_threads, (threads,)) as pool:
        running = concurrent.futures.as_completed([pool.submit(measure, cell) for cell in cells])
        try:
            for future in tqdm(running, total=len(cells), disable=None):  # None: shown in a terminal only
                _append(path, future.result() | facts)
        except BaseException:  # Ctrl-C too: what has not begun is not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return load(name)


def _facts() -> dict[str, str]:
    git = ["git", "-C", str(DATA.parent), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    except OSError:  # no git here
        commit = ""
    facts = machine()
    return {"commit": commit or "unknown", "device": facts["device"], "versions": facts["versions"]}


def _append(path: Path, row: dict) -> None:
    """One whole line, on the disk before this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists() or not path.stat().st_size
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})
        file.flush()
        os.fsync(file.fileno())


def _rows(path: Path) -> list[dict]:
    """The rows of a stored grid. A last line that a crash cut short is removed from the file."""
    if not path.exists():
        return []
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        os.truncate(path, len(whole))
    return list(csv.DictReader(whole.decode().splitlines()))


def _key(row: dict) -> tuple:
    return Cell(row["method"], row["backbone"], int(row["shots"]), float(row["lr"] or "nan"), int(row["seed"])).key


def load(name: str) -> pd.DataFrame:
    """The stored rows of a grid: method, backbone, shots, lr, seed, train, val and test accuracy, trainable, seconds, ..."""
    path = RESULTS / f"{name}.csv"
    if not path.exists():
        raise ValueError(f"There are no results of {name!r} in {RESULTS}: run `python -m tl_helpers results {name}`.")
    rows = pd.read_csv(path, keep_default_na=False, na_values={"lr": ["nan", ""]})
    return rows.drop_duplicates(["method", "backbone", "shots", "lr", "seed"])  # of two runs at once


def chosen(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows at the learning rate that did best on the validation images, for each method, backbone and number of shots.

    The mean over the seeds decides; the test images have no say in it.
    """
    keys = ["method", "backbone", "shots"]
    means = frame.groupby([*keys, "lr"], dropna=False, sort=False).val.mean().reset_index()
    best = means.loc[means.groupby(keys, sort=False).val.idxmax(), [*keys, "lr"]]
    return best.merge(frame, on=[*keys, "lr"], how="left")


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean test accuracy and its 95% interval over the seeds: a row for each method, a column for each number of shots."""
    rows = chosen(frame)

    def cell(values: pd.Series) -> str:
        middle, low, high = mean_interval(values)
        return f"{middle:.3f} ({low:.3f}-{min(high, 1.0):.3f})"

    order = [name for name in METHODS if name in set(rows.method)]
    return rows.groupby(["method", "shots"]).test.apply(cell).unstack().loc[order]


def markdown(frame: pd.DataFrame) -> str:
    """A table in Markdown."""
    rows = [["labelled images a class", *frame.columns], ["---"] * (len(frame.columns) + 1), *map(list, frame.itertuples())]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean of several runs and its 95% interval (Student's t); of a single run, the value three times."""
    from scipy import stats

    values = np.asarray(values, dtype=float)
    middle = float(values.mean())
    if len(values) < 2 or np.ptp(values) == 0:
        return middle, middle, middle
    low, high = stats.t.interval(0.95, len(values) - 1, loc=middle, scale=stats.sem(values))
    return middle, float(low), float(high)
