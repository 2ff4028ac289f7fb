"""Does transfer help on photographs, near to ImageNet and far from it? A grid like those of `experiments`, for lesson 09.

`python -m tl_helpers results photographs` runs or continues it. Heads stand on features at the size that a backbone asks
for; what trains a whole network sees pictures of 96 pixels, and so does one probe, to compare with.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from .. import plots
from ..data import InputConfig, Split, Task, draw
from ..datasets.photos import photos
from ..engine.figure import Figure
from ..extraction import features
from ..images import crop_and_flip, prepare
from ..models import backbone, count_parameters, head, input_of, unfreeze
from ..results import Interval, mean_interval
from ..runs import Diverged
from ..training import fit, predict
from . import experiments
from .methods import Cell, estimator, watch

LITE0, LETTERS, SIDE = "tf_efficientnet_lite0.in1k", "resnet10t.letters", 96
# From near to ImageNet to far: it holds ants and bees, 118 breeds of dogs and some of cats; clothes only as worn, no cells.
TASKS = {
    "ants-and-bees": (1, 2, 5, 10, 20, 50, 97),
    "cats-and-dogs": (1, 2, 5, 10, 20, 40),
    "pets": (1, 2, 4),
    "clothes": (1, 2, 5, 10, 20, 50, 100),
    "solar-cells": (1, 2, 5, 10, 20, 50, 100, 200),
}
WHOLE_SHOTS = {"ants-and-bees": (20,), "cats-and-dogs": (20,), "pets": (4,), "solar-cells": (100,)}
SEARCH = {"pets": (1, 4), "solar-cells": (1, 10, 100)}  # where heads look for a rate; of the others (1, 10)
MOST = {"train": 200, "val": 300, "test": 1000}  # per class; in all; in all: of the larger sets a fixed part
ALL = {"ants-and-bees": 97, "cats-and-dogs": 40, "pets": 4}  # labels per class: as many as the rarest one has
MANY = 100  # labels per class; above that, draws come from twice as many photographs, or all would be the same
SEEDS = range(5, 10)
LADDER = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)

CHANCE, PIXELS = "chance", "logistic regression on pixels"
CENTROID, PROBE, RANDOM = "nearest centroid", "linear probe", "linear probe on random features"
SMALL, SCRATCH, TUNED, AFTER = "linear probe, 96 pixels", "from scratch", "fine-tuned", "fine-tuned after a probe"
CHEAP = (CHANCE, PIXELS, CENTROID, PROBE, RANDOM, SMALL)
WITHOUT = (PIXELS, RANDOM, SCRATCH)  # no pretraining
RATES = {PROBE: (1e-3, 3e-3, 1e-2), RANDOM: (1e-3, 3e-3, 1e-2), SMALL: (1e-3, 3e-3, 1e-2)}
RATES |= {SCRATCH: (1e-3, 3e-3), TUNED: (3e-4, 1e-3), AFTER: (3e-4, 1e-3)}


def pool(cell: Cell) -> int:
    """How many photographs per class its training images are drawn from."""
    return MOST["train"] * (2 if cell.shots > MANY else 1)


@functools.lru_cache(maxsize=2)
def whole_task(name: str, most: int = MOST["train"]) -> Task:
    """All photographs of a set that the grid uses: at most so many per class to learn from, the same every time."""
    task, rng = photos(name), np.random.default_rng(2018)
    train = draw(task.train, min(most, int(task.train.y.bincount().min())), 2018)
    val, test = (s[np.sort(rng.permutation(len(s))[: MOST[k]])] for k, s in (("val", task.val), ("test", task.test)))
    return dataclasses.replace(task, train=train, val=val, test=test)


@functools.lru_cache(maxsize=4)
def squares(name: str, side: int, most: int = MOST["train"]) -> Task:
    """The set as squares in memory: uint8, N x 3 x side x side, the middle of each photograph."""
    wanted = InputConfig((3, side, side), (0.0,) * 3, (1.0,) * 3, "bilinear", 1.0)

    def made(split: Split) -> Split:
        pixels = prepare(split, wanted)  # floats where the pictures were in memory
        return Split(pixels if pixels.dtype == torch.uint8 else (pixels * 255).round().byte(), split.y)

    task = whole_task(name, most)
    return dataclasses.replace(task, **{part: made(getattr(task, part)) for part in ("train", "val", "test")})


def at_size(model: nn.Module, side: int) -> nn.Module:
    """A copy of a model that takes whole pictures of side x side pixels, where it cut out the middle of larger ones.

    Its size must not be fixed, as that of a network of convolutions is not.
    """
    model = copy.deepcopy(model)
    model.pretrained_cfg = {**model.pretrained_cfg, "input_size": (input_of(model).size[0], side, side), "crop_pct": 1.0}
    return model


def _watched(body: nn.Module, task: Task) -> nn.Module:
    """With norms that have seen 256 of the training images: the fair form of a backbone with random weights."""
    wanted, order = input_of(body), torch.Generator().manual_seed(0)
    pixels = wanted.normalise(prepare(task.train, wanted))
    return watch(body, pixels[torch.randperm(len(pixels), generator=order)][:256], batch=32)


class Tuning(NamedTuple):
    """How a whole network is trained: on pictures of `side` pixels, with smaller rates towards the input or not, its batch
    norms learning or as ImageNet left them.
    """

    side: int
    epochs: int
    layer_decay: float | None = None
    norms: bool = True
    augment: Callable = functools.partial(crop_and_flip, area=0.7)
    batch_size: int = 32


# Where fine-tuning might pay: far from ImageNet, with the most labels, in a size and with changes that suit the pictures.
RECIPE = "recipe=suited"
NORMS = "norms=frozen"  # the plain recipe, but for the batch norms
SUITED = {
    ("clothes", LETTERS): Tuning(32, 15),
    ("clothes", LITE0): Tuning(64, 6),
    ("solar-cells", LITE0): Tuning(160, 12, layer_decay=0.7, norms=False),
}

# From scratch these are learned by a network of the shape of the letters backbone, for so many epochs or 1,000 steps,
# whichever takes longer; with so many labels per class. Of clothes, ten leave it behind plain pixels: fewer were not tried.
BARE = {"clothes": (Tuning(32, 60), (10, 20, 50, 100)), "solar-cells": (Tuning(64, 60), (20, 50, 100, 200))}


def vectors(cell: Cell) -> tuple[nn.Module, Task]:
    """A cell's backbone, and what it makes of the set."""
    side = 0 if cell.method in (CENTROID, PROBE, RANDOM) else _tuning(cell).side
    return _vectors(cell.task, cell.backbone, side, cell.method == RANDOM, pool(cell))


@functools.lru_cache(maxsize=3)
def _vectors(name: str, body_name: str, side: int, random: bool, most: int) -> tuple[nn.Module, Task]:
    """With side 0 on pictures of the backbone's own size; random weights have norms that watched."""
    body = backbone(body_name, pretrained=not random, seed=0)
    task = squares(name, side, most) if side else whole_task(name, most)
    body = at_size(body, side) if side else _watched(body, task) if random else body
    return body, features(body, task, progress=False)


def _few(task: Task, cell: Cell) -> Task:
    return dataclasses.replace(task, train=draw(task.train, cell.shots, cell.seed), val=task.val[:0], test=task.test[:0])


def _linear(body: nn.Module, task: Task, cell: Cell, lr: float) -> nn.Module:
    few = _few(task, cell)
    epochs = max(20, math.ceil(300 / math.ceil(len(few.train) / 32)))
    return fit(head(body, few, seed=cell.seed), few, epochs=epochs, lr=lr, seed=cell.seed, progress=False).model


def _tuning(cell: Cell, examples: int = 1) -> Tuning:
    """As suits the pictures, or plain: then 8 epochs of so many examples or 60 steps of 16, whichever takes longer."""
    if cell.variant == RECIPE and cell.method == SCRATCH:
        how, _ = BARE[cell.task]
        return how._replace(epochs=max(how.epochs, math.ceil(1000 / math.ceil(examples / how.batch_size))))
    if cell.variant == RECIPE:
        return SUITED[cell.task, cell.backbone]
    epochs = max(8, math.ceil(60 / math.ceil(examples / 16)))
    return Tuning(SIDE, epochs, norms=cell.variant != NORMS, augment=crop_and_flip, batch_size=16)


def _whole(model: nn.Module, cell: Cell) -> nn.Module:
    """All of a network trained, or all but its batch norms."""
    return _trained(unfreeze(model, norms=_tuning(cell).norms), cell)


def _trained(model: nn.Module, cell: Cell) -> nn.Module:
    """What of a network may learn, trained."""
    few = _few(squares(cell.task, _tuning(cell).side, pool(cell)), cell)
    how = _tuning(cell, len(few.train))._asdict()
    del how["side"], how["norms"]
    return fit(model, few, **how, lr=cell.lr, seed=cell.seed, progress=False).model


def _learn(cell: Cell) -> tuple[nn.Module | None, Task]:
    """The trained network, and the task in the form that it answers."""
    if cell.method in (PROBE, RANDOM, SMALL):
        body, task = vectors(cell)
        return _linear(body, task, cell, cell.lr), task
    task = squares(cell.task, _tuning(cell).side, pool(cell))
    if cell.method == AFTER:
        return _whole(_linear(*vectors(cell), cell, 3e-3), cell), task
    body = at_size(backbone(cell.backbone, pretrained=cell.method == TUNED, seed=cell.seed), _tuning(cell).side)
    return _whole(head(body, task, seed=cell.seed), cell), task


def _classic(cell: Cell) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What an estimator of scikit-learn names the training, validation and test images."""
    task = vectors(cell)[1] if cell.method == CENTROID else squares(cell.task, 32, pool(cell))
    few = draw(task.train, cell.shots, cell.seed)
    model = estimator(cell)
    with warnings.catch_warnings(action="ignore"):  # about pixels that are the same in all images of a class
        model.fit(*few.numpy())
    return tuple(model.predict(split.numpy()[0]) for split in (few, task.val, task.test))


def measure(cell: Cell) -> dict:
    """Run one cell: its row. train, val, test are accuracies; right has a bit for each test image, images their number."""
    start, trainable, task = time.perf_counter(), 0, whole_task(cell.task, pool(cell))
    if cell.method in (CHANCE, PIXELS, CENTROID):
        named = _classic(cell)
    else:
        try:
            model, form = _learn(cell)
            named = [
                predict(model, part).argmax(1).numpy()
                for part in (draw(form.train, cell.shots, cell.seed), form.val, form.test)
            ]
            trainable = count_parameters(model)[0]
        except Diverged:  # a result too: such a network answers with one class
            named = [np.zeros(n, int) for n in (cell.shots * len(task.classes), len(task.val), len(task.test))]
    truth = [draw(task.train, cell.shots, cell.seed).y.numpy(), task.val.y.numpy(), task.test.y.numpy()]
    right = [a == b for a, b in zip(named, truth)]
    scores = dict(zip(("train", "val", "test"), (float(part.mean()) for part in right)))
    row = dataclasses.asdict(cell) | scores | {"trainable": trainable, "images": len(task.test)}
    row["seconds"] = round(time.perf_counter() - start, 2)
    return row | {"right": experiments.as_text(right[2]) if cell.stage == "result" else ""}


def _plan() -> Iterator[tuple]:
    """Task, method, backbone, numbers of labels per class, variant: the cheap ones first."""
    for task, shots in TASKS.items():
        yield from ((task, CHANCE, "", shots, ""), (task, PIXELS, "", shots, ""))
        yield from ((task, CENTROID, LITE0, shots, ""), (task, PROBE, LITE0, shots, ""))
        yield task, RANDOM, LITE0, shots, ""
        if task in ("clothes", "solar-cells"):  # grey pictures of one thing on black, which letters are too
            yield task, PROBE, LETTERS, shots, ""
    for method, task in itertools.product((SMALL, TUNED, SCRATCH, AFTER), WHOLE_SHOTS):
        yield task, method, LITE0, WHOLE_SHOTS[task], ""
    for task, body in SUITED:
        yield task, AFTER, body, TASKS[task][-1:], RECIPE
    for task, shots in WHOLE_SHOTS.items():
        yield task, TUNED, LITE0, shots, NORMS
    for task, (_, shots) in BARE.items():
        yield task, SCRATCH, LETTERS, shots, RECIPE


def cells(rows: pd.DataFrame | None = None) -> Iterator[Cell]:
    """The cells of the grid, in order, as far as they are known: results wait for the search of their learning rate.

    A rate that wins at an edge of those tried brings in the next one beyond. Cells of a search may come again.
    """
    found = validation(rows)
    for task, method, body, all_shots, variant in _plan():
        for shots in all_shots:
            best = math.nan
            if method in RATES:
                heads = method in (PROBE, RANDOM)
                near = max(n for n in SEARCH.get(task, (1, 10)) if n <= shots) if heads else shots
                question = Cell(method, body, near, math.nan, 0, task, variant, "search")
                best, tried = _search(question, range(3) if method in CHEAP else range(1), found, RATES[method])
                yield from tried
                if math.isnan(best):
                    continue
            yield from (Cell(method, body, shots, best, seed, task, variant) for seed in SEEDS)


def validation(rows: pd.DataFrame | None) -> dict[tuple, float]:
    """The validation accuracies of rows, by the keys of their cells."""
    return {} if rows is None else {Cell.of(row).key: row["val"] for row in rows.to_dict("records")}


def _search(
    question: Cell, seeds: range, found: dict[tuple, float], rates: Sequence[float], ladder: Sequence[float] = LADDER
) -> tuple[float, list[Cell]]:
    """The best learning rate, NaN while it is not known, and all cells that were or must be tried for it.

    Those begin with the rates of the ladder that lie within `rates`.
    """
    tried = [rate for rate in ladder if min(rates) <= rate <= max(rates)]
    while True:
        wanted = {lr: [dataclasses.replace(question, lr=lr, seed=seed) for seed in seeds] for lr in tried}
        every = list(itertools.chain.from_iterable(wanted.values()))
        if not all(cell.key in found for cell in every):
            return math.nan, every
        means = {lr: np.mean([found[cell.key] for cell in part]) for lr, part in wanted.items()}
        best = max(means, key=means.get)
        low, high = ladder.index(tried[0]), ladder.index(tried[-1])
        if best == tried[0] and low > 0:
            tried = [ladder[low - 1], *tried]
        elif best == tried[-1] and high + 1 < len(ladder):
            tried = [*tried, ladder[high + 1]]
        else:
            return best, every


PATH = experiments.RESULTS / "photographs.csv"


def load() -> pd.DataFrame:
    """The stored rows; none of the photographs is needed.

    Raises:
        ValueError: there are none.
    """
    words = "There are no results on photographs here: run `python -m tl_helpers results photographs`."
    return experiments.read(PATH, words, experiments.CELL, ("lr",))


def results(task: str, **only) -> pd.DataFrame:
    """The stored results on a set, of these only: results("pets", shots=4); nothing on letters, nothing by RECIPE."""
    rows = experiments.select(load(), stage="result", task=task, variant="", **only)
    return rows[rows.backbone != LETTERS]


def run() -> pd.DataFrame:
    """Run or continue the grid in this process, on a GPU where there is one, and return all rows.

    Raises:
        ConnectionError: a set is not on this machine and cannot be fetched.
    """

    def waiting(rows: pd.DataFrame | None) -> list[Cell]:
        left = experiments.left(cells(rows), rows)
        return [cell for cell in left if cell.method in CHEAP] or left

    return experiments.continued(PATH, load, waiting, lambda cell: [measure(cell)])


def right(rows: pd.DataFrame) -> list[tuple[int, ...]]:
    """For each row which test images were named rightly; of a row that does not have it, nothing."""
    return [tuple(experiments.from_text(word, count)) if word else () for word, count in zip(rows.right, rows.images)]


def interval(rows: pd.DataFrame, minus: pd.DataFrame | None = None, level: float = 0.95) -> Interval:
    """The mean test accuracy of one method, or its lead over another's on the same draws; covers draws and test images.

    Raises:
        ValueError: there are no results, several of one seed, or not the same seeds of both.
    """
    both = [rows] if minus is None else [rows, minus]
    if rows.empty or any(part.seed.duplicated().any() or set(part.seed) != set(rows.seed) for part in both):
        raise ValueError("interval takes results of one method and task, one a seed, and of another with the same seeds.")
    other = None if minus is None else right(minus.sort_values("seed"))
    shots, task = rows[["shots", "task"]].iloc[0]
    of = "initial weights, all with the same training images" if shots == ALL.get(task) else "training images"
    return mean_interval(right(rows.sort_values("seed")), level=level, minus=other, of=of)


def table(task: str) -> pd.DataFrame:
    """All that is stored of a set: a row for each method, a column for each number of labels per class, with the mean test
    accuracy and its 95% interval.
    """
    order = [CHANCE, *WITHOUT, CENTROID, PROBE, SMALL, TUNED, AFTER]
    rows, found = experiments.select(load(), stage="result", task=task), {}
    rows = rows.sort_values("method", key=lambda methods: methods.map(order.index))
    for (method, body, variant, shots), part in rows.groupby(["method", "backbone", "variant", "shots"], sort=False):
        how = {RECIPE: ", as suits the pictures", NORMS: ", norms frozen", "": ""}[variant]
        name = method + (", letters" if body == LETTERS and method != SCRATCH else "") + how
        found.setdefault(name, {})[shots] = "{:.3f} ({:.3f} to {:.3f})".format(*interval(part))
    return pd.DataFrame(found).T.sort_index(axis=1).rename_axis(columns="labels per class").fillna("")


def gains() -> pd.DataFrame:
    """Task by task and labels per class by labels per class: the best of what stands on ImageNet against the best without.

    "Best" is by mean validation accuracy. The lead is in accuracy, on the draws that both have, with its 95% interval.
    """
    rows, found = load(), []
    for (task, shots), group in rows[rows.stage == "result"].groupby(["task", "shots"], sort=False):
        letters = (group.backbone == LETTERS) & (group.method != SCRATCH)  # from scratch, it only has the shape of theirs
        group = group[(group.method != CHANCE) & ~letters]
        val = group.groupby(["method", "variant"]).val.mean()
        bare = val.index.get_level_values("method").isin(WITHOUT)
        with_, without = (val[bare == side].idxmax() for side in (False, True))
        ours, theirs = (group[(group.method == one) & (group.variant == variant)] for one, variant in (with_, without))
        seeds = set(ours.seed) & set(theirs.seed)
        lead = interval(ours[ours.seed.isin(seeds)], minus=theirs[theirs.seed.isin(seeds)])
        found.append((task, shots, with_[0], without[0], *lead))
    return pd.DataFrame(found, columns=["task", "labels per class", "with", "without", "lead", "low", "high"])


def suited(task: str, body: str, over: str | None = None, level: float = 0.95) -> Interval:
    """The lead of fine-tuning, as suits the pictures and with the most labels, over a probe on this backbone or another."""
    rows = experiments.select(load(), stage="result", task=task, shots=TASKS[task][-1])
    frozen = experiments.select(rows, method=PROBE, backbone=over or body)
    return interval(experiments.select(rows, method=AFTER, variant=RECIPE, backbone=body), minus=frozen, level=level)


def norms_frozen(task: str, over: str | None = None, level: float = 0.95) -> Interval:
    """The accuracy of fine-tuning on small pictures that leaves the batch norms alone, or its lead over another method."""
    rows = experiments.select(load(), stage="result", task=task, backbone=LITE0, shots=WHOLE_SHOTS[task][0])
    minus = None if over is None else experiments.select(rows, method=over, variant="")
    return interval(experiments.select(rows, method=TUNED, variant=NORMS), minus=minus, level=level)


def over_scratch(task: str, shots: int, level: float = 0.95) -> Interval:
    """The lead of a probe on ImageNet's features over resnet10t from scratch, on a set of BARE."""
    rows = experiments.select(load(), stage="result", task=task, shots=shots)
    scratch = experiments.select(rows, method=SCRATCH, variant=RECIPE)
    return interval(experiments.select(rows, method=PROBE, backbone=LITE0), minus=scratch, level=level)


def figure() -> Figure:
    """Will it help you? The lead of transfer over the best method without pretraining, against labels, for each task."""
    found = gains()
    drawn = Figure(8.0, 3.6)
    axis, words = drawn.axes_of(), []
    for i, (task, part) in enumerate(found.groupby("task", sort=False)):
        part = part.sort_values("labels per class")
        x = part["labels per class"] * 1.03 ** (i - 2)  # side by side
        bars = np.abs(part[["low", "high"]].to_numpy().T - part.lead.to_numpy())
        axis.errorbar(
            x,
            part.lead,
            bars,
            color=plots.COLOURS[i],
            marker=plots.MARKERS[i],
            linestyle=("-", "--", ":", "-.", (0, (1, 1)))[i],
            label=task,
        )
        words.append(f"{task}: " + ", ".join(f"{lead:+.2f} at {n}" for n, lead in zip(part["labels per class"], part.lead)))
    axis.axhline(0, color="black", linewidth=1)
    axis.set(xscale="log", xlabel="labels per class", ylabel="lead in accuracy")
    ticks = (1, 2, 5, 10, 20, 50, 100, 200)
    axis.set_xticks(ticks, ticks)
    axis.set_xticks([], minor=True)
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    drawn.alt = "The lead of transfer from ImageNet over the best method without it, by task. " + "; ".join(words) + "."
    return drawn
