"""Is the claim true? Grids of method x shots x learning rate x seed: each cell is one training, each result a row of a CSV.

`python -m tl_helpers results` runs or continues a grid. Rows are appended as they come, so a stopped run loses only what was
in the making. A grid has two stages: on the seeds of its search every learning rate is tried; then each method runs with the
rate that did best on the validation images, on fresh seeds, and those are its results.
"""

from __future__ import annotations

import concurrent.futures
import csv
import dataclasses
import functools
import itertools
import math
import multiprocessing
import os
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import glyphs, pretraining
from .data import Split, Task, digits, letters, together
from .device import device, machine, seeded
from .features import features
from .intervals import mean_interval
from .models import DATA, Heads, RawCNN, backbone, blocks, count, freeze, head, unfreeze
from .training import Diverged, fit, predict

RESULTS = DATA / "results"
BATCH, EPOCHS = 32, 20
BEND = functools.partial(glyphs.bend, strength=0.25)  # whoever trains on images sees them varied, pretrained or not
RESNET = "resnet10t.letters"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training.

    method: a key of METHODS; `backbone` is empty for methods that use none, `lr` NaN for those that have no learning rate.
    shots: labelled images a class; for a table, labelled rows of its rarest class.
    task: a key of TASKS; variant: what else a method is told, as "name=value".
    stage: "search" for a learning rate, or "result".
    """

    method: str
    backbone: str
    shots: int
    lr: float
    seed: int
    task: str = "digits"
    variant: str = ""
    stage: str = "result"

    @classmethod
    def of(cls, row) -> Cell:
        """The cell that a stored row is of; the row's numbers may be text."""
        kinds = {"shots": int, "lr": lambda lr: float(lr or "nan"), "seed": int}
        return cls(**{field.name: kinds.get(field.name, str)(row[field.name]) for field in dataclasses.fields(cls)})

    @property
    def key(self) -> tuple:
        """The same for cells that are the same; NaN is not the same as itself."""
        return tuple(
            "" if value != value else f"{value:g}" if isinstance(value, float) else value
            for value in dataclasses.astuple(self)
        )

    @property
    def question(self) -> tuple:
        """What a learning rate is chosen for, the number of shots aside."""
        return (self.method, self.backbone, self.task, self.variant)


# What is learned: from (shots, seed) to a task. Beside the digits there are tables, drawn as pictures: each number becomes a
# grey square. They have nothing to do with letters.


def _table(name: str, shots: int, seed: int) -> Task:
    from sklearn import datasets, preprocessing

    if name == "fraud":  # one row in twenty is of the class that matters
        x, y = datasets.make_classification(3000, 20, n_informative=6, weights=[0.95], class_sep=1.2, random_state=2018)
        classes = ("honest", "fraud")
    else:
        raw = getattr(datasets, f"load_{name}")()
        x, y, classes = raw.data, raw.target, tuple(raw.target_names)
    x = preprocessing.QuantileTransformer(n_quantiles=100).fit_transform(x)  # of all rows: their labels play no part
    side = math.ceil(math.sqrt(x.shape[1]))
    x = np.pad(x, [(0, 0), (0, side * side - x.shape[1])]).reshape(-1, side, side)
    pictures = np.kron((x * 255).astype(np.uint8), np.ones((1, 28 // side, 28 // side), np.uint8))
    edge = 28 - pictures.shape[1]
    pictures = np.pad(pictures, [(0, 0), (edge // 2, edge - edge // 2), (edge // 2, edge - edge // 2)])
    order = np.random.default_rng(2018).permutation(len(y))
    test, val, pool = order[: len(y) // 2], order[len(y) // 2 : len(y) * 7 // 10], order[len(y) * 7 // 10 :]
    pool = np.random.default_rng(seed).permutation(pool)
    share = np.bincount(y).min() / np.bincount(y)  # of the rows of each class that go with one of the rarest
    train = np.concatenate([pool[y[pool] == label][: round(shots / share[label])] for label in range(len(share))])
    return Task.of(name, classes, *((pictures[part], y[part]) for part in (train, val, test)))


TASKS = {"digits": digits} | {name: functools.partial(_table, name) for name in ("wine", "breast_cancer", "fraud")}


@functools.lru_cache(maxsize=8)
def _held_out(name: str) -> tuple[Split, Split]:
    task = TASKS[name](1, 0)
    return task.val, task.test


def _task(cell: Cell, images: str | None = None, **_) -> Task:
    """The task of a cell; all share its validation and test images. `images` is the seed of the draw, if another one."""
    val, test = _held_out(cell.task)
    return dataclasses.replace(
        TASKS[cell.task](cell.shots, cell.seed if images is None else int(images)), val=val, test=test
    )


# How the test images can be shifted away from the training images, each at five strengths, by torchvision where it can.


def _shift(x: Tensor, kind: str, strength: int) -> Tensor:
    from torchvision.transforms.v2 import functional as v2

    if kind in ("rotation", "translation"):  # every other image the other way
        moved = x.clone()
        for part, way in ((slice(0, None, 2), strength), (slice(1, None, 2), -strength)):
            turn, step = (10.0 * way, 0) if kind == "rotation" else (0.0, way)
            moved[part] = v2.affine(x[part], turn, [step, step], 1.0, [0.0, 0.0], v2.InterpolationMode.BILINEAR)
        return moved
    if kind == "blur":
        return v2.gaussian_blur(x, [13, 13], [0.6 * strength])
    if kind == "noise":
        with seeded(2018):
            return v2.gaussian_noise(x, sigma=0.12 * strength)
    if kind == "contrast":
        return v2.adjust_contrast(x, 1 - 0.18 * strength)
    if strength <= 3:  # up to the brightest of the 3 x 3 neighbours, then of 5 x 5 and 7 x 7
        return x.lerp(F.max_pool2d(x, 3, 1, 1), strength / 3)
    return F.max_pool2d(x, 2 * strength - 3, 1, strength - 2)


SHIFTS = ("rotation", "translation", "blur", "noise", "contrast", "thickness")
STRENGTHS = range(1, 6)


@functools.lru_cache(maxsize=64)
def shifted(split: Split, kind: str, strength: int) -> Split:
    """A split of images, changed in one way of SHIFTS at a strength from 1 to 5, the same every time.

    rotation: 10 degrees a step; translation: a pixel a step each way; blur: sigma 0.6 pixels a step; noise: Gaussian, sigma
    0.12 a step; contrast: 0.18 less a step; thickness: the brightest neighbour, up to 3 pixels off.
    """
    return Split((_shift(split.x / 255, kind, strength).clamp(0, 1) * 255).round().byte(), split.y)


# What a method does: from (task, cell, options) to what it answers - a function from a split of images to the probability of
# each class, N x classes - and the number of parameters it trained.

Answer = Callable[[Split], Tensor]


def _network(model: nn.Module, task: Task, cell: Cell, steps: int) -> nn.Module:
    """Trained for `steps` steps or EPOCHS epochs, whichever takes longer."""
    augment = BEND if cell.task == "digits" and not task.train.are_vectors else None  # a bent table would be another table
    epochs = max(EPOCHS, math.ceil(steps / math.ceil(len(task.train) / BATCH)))
    unwatched = dataclasses.replace(task, val=task.val[:0])  # saves a look at the validation images after every epoch
    recipe = {"epochs": epochs, "lr": cell.lr, "batch_size": BATCH, "augment": augment, "seed": cell.seed}
    return fit(model, unwatched, **recipe, progress=False).model


def _answers(model: nn.Module) -> tuple[Answer, int]:
    return functools.partial(predict, model), count(model)[0]


def _raw(task: Task, cell: Cell, **options) -> tuple[Answer, int]:
    swapped = {name: value for name, value in options.items() if name != "images"}
    swapped |= {name: kind(swapped[name]) for name, kind in (("kernel", int), ("dropout", float)) if name in swapped}
    return _answers(_network(RawCNN(classes=len(task.classes), seed=cell.seed, **swapped), task, cell, steps=600))


def _body(name: str, classes: int = 0, pretrained: bool = True, seed: int = 0) -> nn.Module:
    """A backbone by its name, or a resnet10t by the name of its source."""
    if name not in pretraining.SOURCES:
        return backbone(name, classes=classes, pretrained=pretrained, seed=seed)
    model = pretraining.source(name)
    with seeded(seed):
        model.reset_classifier(classes)
    return model


def _whole(task: Task, cell: Cell, pretrained: bool, steps: int, **_) -> tuple[Answer, int]:
    return _answers(_network(_body(cell.backbone, len(task.classes), pretrained, cell.seed), task, cell, steps))


def _partly(task: Task, cell: Cell, kept: str, **_) -> tuple[Answer, int]:
    """The first `kept` blocks from the letters, the others from random weights; all are trained."""
    model = _body(cell.backbone, len(task.classes), pretrained=False, seed=cell.seed)
    parts, source = blocks(model), _body(cell.backbone, len(task.classes), seed=cell.seed)
    names = {name for part in parts[: int(kept)] for name in part}
    modules = {name.rpartition(".")[0] for name in names}  # the statistics of a batch norm go with its weights
    weights = {k: v for k, v in source.state_dict().items() if k.rpartition(".")[0] in modules}
    model.load_state_dict(weights, strict=False)
    return _answers(_network(model, task, cell, steps=200))


def _two_heads(task: Task, cell: Cell, partner: str, **_) -> tuple[Answer, int]:
    """The digits and a partner task learned at once from random weights, by one body with two heads."""
    if partner == "parity":
        other = dataclasses.replace(task, classes=("even", "odd"), train=Split(task.train.x, task.train.y % 2))
        steps, recipe = 200, {"batch_size": 2 * BATCH, "augment": BEND}  # as many looks at each digit as without a partner
    else:
        other = letters(size=28)
        if partner in pretraining.SOURCES:
            other = dataclasses.replace(other, train=Split(*pretraining.SOURCES[partner](other.train.x, other.train.y)))
        steps, recipe = 240, {"batch_size": 4 * BATCH, "augment": functools.partial(glyphs.bend, strength=0.5)}
    both = together(task, other)
    both = dataclasses.replace(both, val=both.val[:0])
    epochs = math.ceil(steps / math.ceil(len(both.train) / recipe["batch_size"]))
    body = _body(cell.backbone, pretrained=False, seed=cell.seed)
    model = Heads(body, [len(task.classes), len(other.classes)], cell.seed)
    model = fit(model, both, epochs=epochs, lr=cell.lr, seed=cell.seed, progress=False, **recipe).model

    def answer(split: Split) -> Tensor:
        shares = predict(model, split)[:, : len(task.classes)]
        return shares / shares.sum(1, keepdim=True)

    return answer, count(model)[0]


@functools.lru_cache(maxsize=4)
def _frozen(name: str, pretrained: bool, seed: int) -> nn.Module:
    return freeze(_body(name, pretrained=pretrained, seed=seed))


def _vectors(body: nn.Module, split: Split, views: int = 1, seed: int = 0) -> Split:
    task = Task("", (), split, split[:0], split[:0])
    return features(body, task, views=views, augment=BEND, seed=seed).train


# What a frozen backbone makes of a split, once for all cells that ask: a few of training images, many of others.
_varied = functools.lru_cache(maxsize=2)(_vectors)
_held = functools.lru_cache(maxsize=128)(_vectors)


def _linear(task: Task, cell: Cell, body: nn.Module) -> nn.Module:
    views = 5 if cell.task == "digits" else 1
    vectors = dataclasses.replace(task, train=_varied(body, task.train, views, cell.seed), val=_held(body, task.val[:0]))
    return _network(head(body, task, seed=cell.seed), vectors, cell, steps=300)


def _probe(task: Task, cell: Cell, pretrained: bool = True, **_) -> tuple[Answer, int]:
    body = _frozen(cell.backbone, pretrained, 0 if pretrained else cell.seed)
    model = _linear(task, cell, body)
    return lambda split: predict(model, _held(body, split)), count(model)[0]


def _probe_then_whole(task: Task, cell: Cell, **_) -> tuple[Answer, int]:
    """The probe at a learning rate that suits it, then all of it at the cell's own."""
    probe = _linear(task, dataclasses.replace(cell, lr=3e-3), _frozen(cell.backbone, True, 0))
    return _answers(_network(unfreeze(probe), task, cell, steps=100))


def _classic(task: Task, cell: Cell, estimator: Callable, **_) -> tuple[Answer, int]:
    """An estimator of scikit-learn, on features of the cell's backbone or else on pixels."""
    from sklearn.neighbors import NearestCentroid

    body = _frozen(cell.backbone, True, 0) if cell.backbone else None
    taken = (lambda split: _held(body, split).numpy()) if body else Split.numpy
    with warnings.catch_warnings(action="ignore"):  # about pixels that are the same in all images of a class
        model = estimator(cell.seed).fit(*taken(task.train))
    if isinstance(model, NearestCentroid):  # it has no probabilities where there is one image a class
        return lambda split: F.one_hot(torch.from_numpy(model.predict(taken(split)[0])), len(task.classes)).double(), 0
    return lambda split: torch.from_numpy(model.predict_proba(taken(split)[0])), 0


def _chance(seed: int):
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="uniform", random_state=seed)


def _centroid(seed: int):
    from sklearn.neighbors import NearestCentroid

    return NearestCentroid()


def _logistic(seed: int):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=2000)


def _forest(seed: int):
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(300, random_state=seed)


@dataclasses.dataclass(frozen=True)
class Method:
    """How a method runs, the learning rates among which it chooses, and whether it stands on a backbone."""

    run: Callable[..., tuple[Answer, int]]
    rates: Sequence[float] = (math.nan,)
    on_backbone: bool = False


HIGH, LOW = (1e-3, 3e-3, 1e-2), (3e-4, 1e-3, 3e-3)
METHODS = {
    "chance": Method(functools.partial(_classic, estimator=_chance)),
    "nearest centroid on pixels": Method(functools.partial(_classic, estimator=_centroid)),
    "logistic regression on pixels": Method(functools.partial(_classic, estimator=_logistic)),
    "random forest on pixels": Method(functools.partial(_classic, estimator=_forest)),
    "raw CNN from scratch": Method(_raw, HIGH),
    "same backbone from scratch": Method(functools.partial(_whole, pretrained=False, steps=200), HIGH, True),
    "linear probe on random features": Method(functools.partial(_probe, pretrained=False), HIGH, True),
    "nearest centroid on letters features": Method(functools.partial(_classic, estimator=_centroid), on_backbone=True),
    "linear probe on letters features": Method(_probe, HIGH, True),
    "fine-tuned letters backbone": Method(functools.partial(_whole, pretrained=True, steps=100), LOW, True),
    "fine-tuned after a probe": Method(_probe_then_whole, LOW, True),
    "some blocks from the letters": Method(_partly, HIGH, True),
    "two heads": Method(_two_heads, HIGH, True),
}
SCRATCH, PROBE, TUNED = "same backbone from scratch", "linear probe on letters features", "fine-tuned letters backbone"
MAIN = tuple(METHODS)[:-2]


@dataclasses.dataclass(frozen=True)
class Grid:
    """Which cells an experiment consists of.

    seeds: of the results; search: of the search for a learning rate, others than those, at `search_shots` or all `shots`.
    rates: tried on all seeds in place of a search, by all methods.
    shift: whether to look at shifted test images too, at 10 shots.
    """

    methods: Sequence[str]
    shots: Sequence[int]
    seeds: Sequence[int]
    search: Sequence[int] = ()
    backbones: Sequence[str] = (RESNET,)
    tasks: Sequence[str] = ("digits",)
    variants: Sequence[str] = ("",)
    search_shots: Sequence[int] | None = None
    rates: Sequence[float] | None = None
    shift: bool = False

    def _cells(self, seeds: Sequence[int], shots: Sequence[int], **more) -> Iterator[Cell]:
        for seed, task, n, variant, name in itertools.product(seeds, self.tasks, shots, self.variants, self.methods):
            for body in self.backbones if METHODS[name].on_backbone else [""]:
                yield Cell(name, body, n, math.nan, seed, task, variant, **more)

    def cells(self, rows: pd.DataFrame | None = None) -> Iterator[Cell]:
        """The cells of the search, and when `rows` holds all of those, the cells of the results."""
        replace = dataclasses.replace
        if self.rates:
            yield from (replace(cell, lr=lr) for cell in self._cells(self.seeds, self.shots) for lr in self.rates)
            return
        tried = self._cells(self.search, self.search_shots or self.shots, stage="search")
        tried = [replace(cell, lr=lr) for cell in tried for lr in METHODS[cell.method].rates if not math.isnan(lr)]
        yield from tried
        done = set() if rows is None else {Cell.of(row).key for row in rows.to_dict("records")}
        if all(cell.key in done for cell in tried):
            best = best_rates(rows) if tried else {}
            for cell in self._cells(self.seeds, self.shots):
                near = [n for *question, n in best if tuple(question) == cell.question and n <= cell.shots]
                yield replace(cell, lr=best[*cell.question, max(near)]) if near else cell


def best_rates(rows: pd.DataFrame) -> dict[tuple, float]:
    """For each question and number of shots searched, the learning rate with the best mean validation accuracy."""
    keys = ["method", "backbone", "task", "variant", "shots"]
    means = rows[rows.stage == "search"].groupby([*keys, "lr"]).val.mean().reset_index()
    best = means.loc[means.groupby(keys).val.idxmax()]
    return {tuple(row[key] for key in keys): row["lr"] for row in best.to_dict("records")}


GRIDS = {
    "digits": Grid(MAIN, (1, 2, 5, 10, 20, 50, 90), range(5, 15), range(5), search_shots=(1, 2, 5, 10, 20, 50), shift=True),
    "rates": Grid(
        ("raw CNN from scratch", SCRATCH, PROBE, TUNED), (10,), range(5), rates=[10 ** (-5 + i / 2) for i in range(9)]
    ),
    "sources": Grid(
        ("nearest centroid on letters features", PROBE, TUNED), (5,), range(5, 10), range(1), tuple(pretraining.SOURCES)
    ),
    "blocks": Grid(
        ("some blocks from the letters",),
        (5,),
        range(5, 10),
        range(1),
        variants=[f"kept={n}" for n in range(1, 5)],  # 0 and all 5 are in "digits"
    ),
    "tables": Grid(
        (
            "logistic regression on pixels",
            "random forest on pixels",
            "raw CNN from scratch",
            SCRATCH,
            "linear probe on random features",
            PROBE,
            TUNED,
        ),
        (10,),
        range(5, 10),
        range(1),
        tasks=("wine", "breast_cancer", "fraud"),
    ),
    "components": Grid(
        ("raw CNN from scratch",),
        (20,),
        range(5, 10),
        range(1),
        variants=(
            "",
            "activation=sigmoid",
            "activation=tanh",
            "activation=gelu",
            "activation=none",
            "pooling=average",
            "kernel=3",
            "dropout=0",
            "norm=batch",
            "images=0",
        ),
    ),
    "two_heads": Grid(
        ("two heads",),
        (5,),
        range(5, 10),
        range(1),
        variants=[f"partner={name}" for name in ("letters", "letters with random names", "parity")],
    ),
    "backbones": Grid(
        (SCRATCH, "nearest centroid on letters features", PROBE, TUNED),
        (5,),
        range(5, 8),
        range(1),
        ("mobilenetv3_small_050_s1.letters", "convnext_atto_p2.letters"),
    ),
}


def measure(cell: Cell, shift: bool = False) -> dict:
    """Run one cell: its row, with what is needed to run it again.

    train, val and test are accuracies (for fraud the area under the ROC curve); loss is the mean cross-entropy on the test
    images in nats, and calibration their expected calibration error (Guo et al. 2017; 10 bins).
    """
    start = time.perf_counter()
    options = dict(pair.split("=") for pair in cell.variant.split(",") if pair)
    task = _task(cell, **options)
    try:
        answer, trainable = METHODS[cell.method].run(task, cell, **options)
    except Diverged:  # a result too: such a network names the classes at random
        answer, trainable = lambda split: torch.full((len(split), len(task.classes)), 1 / len(task.classes)), 0
    scores = {
        split: _score(cell.task, answer(getattr(task, split)), getattr(task, split).y) for split in ("train", "val", "test")
    }
    row = dataclasses.asdict(cell) | scores | {"trainable": trainable}
    p, y = answer(task.test).double(), task.test.y
    row |= {"loss": F.nll_loss(p.clamp_min(1e-9).log(), y).item(), "calibration": _calibration_error(p, y)}
    if ((p == 0) | (p == 1)).all():  # names, no probabilities
        row |= {"loss": "", "calibration": ""}
    row["seconds"] = round(time.perf_counter() - start, 2)
    wanted = shift and cell.shots == 10 and cell.stage == "result"
    for kind, strength in itertools.product(SHIFTS, STRENGTHS) if shift else ():
        there = shifted(task.test, kind, strength) if wanted else None
        row[f"{kind} {strength}"] = _score(cell.task, answer(there), there.y) if wanted else ""
    return row


def repeat(name: str, **axes) -> pd.DataFrame:
    """Run a part of a stored grid again, now and on this machine, and return the new rows; nothing is stored.

    Args:
        name: a key of GRIDS.
        axes: what to run, as lists: methods, shots, seeds (any, old or new), backbones, tasks, variants; what is left out
            is as in the grid. Learning rates are those that the stored search chose.

    Raises:
        ValueError: the grid has no such method, number of shots, and so on.
    """
    from tqdm import tqdm

    grid, stored = GRIDS[name], load(name)
    for axis, wanted in axes.items():
        known = getattr(grid, axis, None)
        if not isinstance(wanted, Sequence) or isinstance(wanted, str) or not known:
            raise ValueError(f"{axis}={wanted!r}: give a list for one of methods, shots, seeds, backbones, tasks, variants.")
        strange = [value for value in wanted if value not in known and axis != "seeds"]
        if strange:
            raise ValueError(f"The grid {name!r} has no {axis} {strange}; it has {list(known)}.")
    searched = grid.search_shots or grid.shots
    part = dataclasses.replace(grid, **axes, search_shots=[n for n in searched if n <= max(axes.get("shots", searched))])
    cells = [cell for cell in part.cells(stored) if cell.stage == "result"]
    return pd.DataFrame([measure(cell) for cell in tqdm(cells, disable=None, leave=False)])


def _score(task: str, p: Tensor, y: Tensor) -> float:
    if task == "fraud":  # naming every row honest would be an accuracy of .95
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(y, p[:, 1]))
    return (p.argmax(1) == y).double().mean().item()


def _calibration_error(p: Tensor, y: Tensor, bins: int = 10) -> float:
    sure, named = p.max(1)
    where = (sure * bins).long().clamp(max=bins - 1)
    gaps = torch.zeros(bins, dtype=sure.dtype).index_add(0, where, (named == y).to(sure.dtype) - sure)
    return (gaps.abs().sum() / len(y)).item()


def run(name: str, processes: int | None = None) -> pd.DataFrame:
    """Run or continue a grid, and return all of its rows.

    Args:
        name: a key of GRIDS.
        processes: how many at once, each with a share of the cores; None for one a core (on a GPU, one).
    """
    from tqdm import tqdm

    path, grid = RESULTS / f"{name}.csv", GRIDS[name]
    processes = processes or (os.cpu_count() or 1 if device().type == "cpu" else 1)
    facts = _facts()
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        processes, spawn, _worker, (max(1, torch.get_num_threads() // processes),)
    ) as pool:
        try:
            list(pool.map(pretraining.source, set(grid.backbones) & set(pretraining.SOURCES)))
            while cells := _missing(grid, path):
                running = concurrent.futures.as_completed([pool.submit(measure, cell, grid.shift) for cell in cells])
                for future in tqdm(running, total=len(cells), disable=None):  # None: shown in a terminal only
                    _append(path, future.result() | facts)
        except BaseException:  # Ctrl-C too: what has not begun is not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return load(name)


def _worker(threads: int) -> None:
    """A share of the cores; and an end when the process that started this one is gone."""
    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _missing(grid: Grid, path: Path) -> list[Cell]:
    rows = _rows(path)
    done = {Cell.of(row).key for row in rows}
    frame = _frame(path) if rows else None
    return [cell for cell in grid.cells(frame) if cell.key not in done]


def _facts() -> dict[str, str]:
    git = ["git", "-C", str(DATA.parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "tl_helpers"]).returncode if commit else 0
    except OSError:  # no git here
        commit, changed = "", 0
    commit += "-dirty" if changed else ""
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


def _frame(path: Path) -> pd.DataFrame:
    rows = pd.read_csv(
        path,
        keep_default_na=False,
        na_values={name: ["nan", ""] for name in ("lr", "loss", "calibration", *_shift_columns())},
    )
    return rows.drop_duplicates([field.name for field in dataclasses.fields(Cell)])  # of two runs at once


def _shift_columns() -> list[str]:
    return [f"{kind} {strength}" for kind, strength in itertools.product(SHIFTS, STRENGTHS)]


def load(name: str) -> pd.DataFrame:
    """The stored rows of a grid: those of Cell, train, val and test accuracy, loss, calibration, trainable, seconds, ..."""
    path = RESULTS / f"{name}.csv"
    if not path.exists():
        raise ValueError(f"There are no results of {name!r} in {RESULTS}: run `python -m tl_helpers results {name}`.")
    return _frame(path)


def chosen(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that are results: learning rates were chosen before, on other seeds and on validation images."""
    return frame[frame.stage == "result"]


def table(frame: pd.DataFrame, by: str = "shots") -> pd.DataFrame:
    """Mean test accuracy and its 95% interval over the seeds: a row for each method, a column for each value of `by`."""
    rows = chosen(frame)

    def cell(values: pd.Series) -> str:
        middle, low, high = mean_interval(values)
        return f"{middle:.3f} ({max(low, 0.0):.3f}-{min(high, 1.0):.3f})"

    order = [name for name in METHODS if name in set(rows.method)]
    return rows.groupby(["method", by], sort=False).test.apply(cell).unstack(sort=False).loc[order]


def markdown(frame: pd.DataFrame) -> str:
    """A table in Markdown."""
    rows = [
        [{"shots": "labelled images a class"}.get(frame.columns.name, frame.columns.name), *frame.columns],
        ["---"] * (len(frame.columns) + 1),
        *map(list, frame.itertuples()),
    ]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
