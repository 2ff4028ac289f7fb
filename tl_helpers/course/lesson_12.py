"""What lesson 12 needs beside its cells: views, probes, neighbours, and what it reads out of the stored grids.

Leads and changes are in points: hundredths of an accuracy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import glyphs, plots
from ..data import Task, digits
from ..engine.figure import Figure
from ..engine.style import looks_of_rows
from ..engine.validate import check_choice
from ..results import Interval
from ..training import evaluate, fit
from . import experiments
from .experiments import CENTRED, FIVE
from .lesson_04 import centred, random_body, seen_by
from .lesson_05 import few
from .lesson_07 import rows, shifted
from .methods import SHIFTS, apply_shift
from .without_labels import BARE, LABELLED, OWN, SEEDS, UNTHICKENED, UNTURNED, images_of, pair_loss, three_blocks

__all__ = ["images_of", "pair_loss", "random_body", "three_blocks"]

SHOTS = (1, 5, 10)
COLUMNS = ["in points", "from", "to"]
PIXELS, RANDOM, SHIPPED = "pixels", "random weights", "letters with labels, the shipped backbone"
FAIR = dict(zip((SHIPPED, RANDOM), experiments.THREE_BLOCKS))  # in the grid `three_blocks`
WAYS = (PIXELS, RANDOM, OWN, BARE, LABELLED, SHIPPED)


# Views, and what a backbone makes of images.


def letter(name: str = "k") -> Tensor:
    """One letter in the first font: float32 in [0, 1], 1 x 1 x 32 x 32.

    Raises:
        ValueError: it is in none of the three alphabets.
    """
    images, labels, names = glyphs.masters()
    if name not in names:
        raise ValueError(f"{name!r} is none of the {len(names)} letters; try {names[10]!r} or {names[-1]!r}.")
    return images[labels == names.index(name)][:1].float() / 255


def views(name: str = "k", strength: float = 1.0, without: str | None = None) -> Figure:
    """A letter, and nine views of it."""
    image = letter(name)
    seen = glyphs.augment(image.repeat(9, 1, 1, 1), torch.Generator().manual_seed(0), strength, without)
    figure = plots.images((torch.cat([image, seen]) * 255).byte(), ["as printed", *["view"] * 9], columns=5, size=1.1)
    figure.alt = f"The letter {name} as printed, and nine views of it, made with strength {strength:g}." + (
        f" They leave out {without}." if without else ""
    )
    return figure


def find_the_pairs(names: str = "kRБЖS", seed: int = 11) -> Figure:
    """Two views of each of some letters, in a random order."""
    generator = torch.Generator().manual_seed(seed)
    seen = glyphs.augment(torch.cat([letter(name) for name in names]).repeat(2, 1, 1, 1), generator)
    order = torch.randperm(len(seen), generator=generator)
    figure = plots.images((seen[order] * 255).byte(), [f"{i + 1}" for i in range(len(seen))], columns=5, size=1.1)
    figure.alt = f"{len(seen)} numbered pictures, two views of each of the letters {', '.join(names)}: " + ", ".join(
        f"{i + 1} is {names[k % len(names)]}" for i, k in enumerate(order.tolist())
    )
    return figure


def probes(bodies: dict[str, nn.Module | None], shots: Sequence[int] = (1, 5, 10), draws: int = 5) -> pd.DataFrame:
    """The test accuracy on digits of a linear probe on each frozen backbone: a row for each number of labels and draw.

    None in place of a backbone stands for the pixels. What it sees is centred and brought to one spread by the training
    images, so that no row loses merely because its numbers are small.
    """
    task, found = digits("all"), []
    for name, body in bodies.items():
        vectors = seen_by(body, task)
        for count in shots:
            for seed in range(draws):
                drawn = centred(few(vectors, count, seed))
                found.append({"method": name, "labels per class": count, "seed": seed, "accuracy": _probe(drawn, seed)})
    return pd.DataFrame(found)


def _probe(vectors: Task, seed: int) -> float:
    torch.manual_seed(seed)
    layer = nn.Linear(vectors.train.x.shape[1], len(vectors.classes))
    return evaluate(fit(layer, vectors, lr=1e-2, seed=seed, progress=False).model, vectors.test).accuracy


def vectors_of(body: nn.Module | None, task: Task) -> Tensor:
    """The direction of each training image's vector (`seen_by`) less the mean of all: float32, N x D, of length 1."""
    vectors = seen_by(body, task).train.x
    return F.normalize(vectors - vectors.mean(0), dim=1)


def nearest(vectors: Tensor, which: int, count: int = 9) -> list[int]:
    """The places of those whose vectors point most nearly the same way, the nearest first; itself is left out."""
    similar = vectors @ vectors[which]
    similar[which] = -torch.inf
    return similar.topk(min(count, len(similar) - 1)).indices.tolist()


def neighbours(vectors: Tensor, task: Task, which: int = 0) -> Figure:
    """A training image of a task, and the nine that a backbone finds most like it."""
    found = nearest(vectors, which)
    labels = [task.classes[int(task.train.y[i])] for i in found]
    figure = plots.images(task.train.x[[which, *found]], ["this one", *["near"] * len(found)], columns=5, size=1.1)
    asked, many = task.classes[int(task.train.y[which])], "nine" if len(found) == 9 else len(found)
    figure.alt = f"A {asked}, and the {many} images that are nearest to it, in this order: {', '.join(labels)}."
    return figure


def nearest_shares(bodies: dict[str, nn.Module | None]) -> pd.DataFrame:
    """How often the training digit nearest to a test digit shows the same digit (0 to 1): a row for each backbone, a column
    for the test digits as they are, and one for them turned by 20 degrees (the rotation of lesson 07).

    None in place of a backbone stands for the pixels. The labels only judge; nothing has learned them.
    """
    task, found = digits("all"), {}
    asked = {"as they are": task.test, "turned by 20 degrees": apply_shift(task.test, "rotation", 2)}
    for name, body in bodies.items():
        for how, test in asked.items():
            vectors = seen_by(body, dataclasses.replace(task, test=test))
            middle = vectors.train.x.mean(0)
            ours, theirs = (F.normalize(part.x - middle, dim=1) for part in (vectors.test, vectors.train))
            same = task.train.y[(ours @ theirs.T).argmax(1)] == test.y
            found.setdefault(how, {})[name] = same.double().mean().item()
    return pd.DataFrame(found).loc[list(bodies)]


# The stored grids: three pretrainings of each kind, each probed on the same five draws of labelled digits.


def stored(name: str, shots: int = 5) -> pd.DataFrame:
    """The results of one of WAYS or of another recipe, on the draws that all have in common: a row for each draw, of each
    pretraining. (Each draw has random weights of its own in RANDOM; SHIPPED is one pretraining; PIXELS is logistic
    regression, stored in the grid `digits`.)
    """
    if name == PIXELS:
        found = rows(shots=shots, method=experiments.PIXELS[0]).assign(pretraining=0)
    elif name in FAIR:
        found = rows("three_blocks", shots=shots, method=CENTRED, variant=FAIR[name]).assign(pretraining=0)
    else:
        frame = rows("without_labels", shots=shots)
        parts = [frame[frame.backbone == f"{name}, {seed}"].assign(pretraining=seed) for seed in SEEDS]
        found = pd.concat(parts)
    if found.empty:
        raise ValueError(f"There are no results of {name!r} with {shots} labels per class; WAYS are {', '.join(WAYS)}.")
    return found[found.seed.isin(FIVE)].sort_values(["pretraining", "seed"])


def table(shots: Sequence[int] = SHOTS) -> pd.DataFrame:
    """Mean test accuracy: a row for each way to pretrain, a column for each number of labels per class."""
    found = {name: [stored(name, count).test.mean() for count in shots] for name in WAYS}
    return pd.DataFrame(found, pd.Index(shots, name="labels per class")).T.round(3)


def best(shots: int = 5) -> str:
    """Which of digits without labels, letters without labels and letters with labels leads the other two, if one does."""
    ways = (OWN, BARE, LABELLED)
    ahead = [one for one in ways if all(over(one, other, shots)[1] > 0 for other in ways if other != one)]
    return ahead[0] if ahead else "too close to tell"


def _answers(name: str, shots: int) -> np.ndarray:
    """1 where a test image was named rightly, else 0: pretrainings x draws x images; accuracies where that is not stored."""
    found = np.array(experiments.values(stored(name, shots)), dtype=float)
    return found.reshape(-1, len(FIVE), found.shape[1] if found.ndim == 2 else 1)


def over(one: str, other: str, shots: int = 5, level: float = 0.95) -> Interval:
    """The lead of one of WAYS over another, on the same draws and test images, in points: mean, low, high."""
    both = [_answers(name, shots) for name in (one, other)]
    if both[0].shape[2] != both[1].shape[2]:  # of one it is not stored which images it named rightly
        both = [found.mean(axis=2, keepdims=True) for found in both]
    return experiments.crossed_interval(100 * (both[0] - both[1]), level)


def accuracy(name: str, shots: int = 5, level: float = 0.95) -> Interval:
    """The accuracy of one way to pretrain, as a share: mean, low, high."""
    return experiments.crossed_interval(_answers(name, shots), level)


def compared(shots: int = 5) -> Figure:
    """A row for each way to pretrain: a dot for each draw of each pretraining, the mean, and its 95% interval."""
    figure, texts = Figure(7.0, 1.0 + 0.45 * len(WAYS)), []
    axis = figure.axes_of()
    for row, (name, look) in enumerate(zip(WAYS, looks_of_rows(WAYS))):
        middle, low, high = accuracy(name, shots)
        dots = stored(name, shots).test
        axis.plot(dots, [row + 0.25] * len(dots), ".", color="#7F7F7F")
        axis.hlines(row, low, high, look.color, linewidth=2)
        axis.plot(middle, row, look.marker, color=look.color)
        axis.annotate(f"{middle:.3f}", (middle, row), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=9)
        texts.append(f"{name} {middle:.3f} ({low:.3f} to {high:.3f})")
    axis.set_yticks(range(len(WAYS)), WAYS)
    axis.set(ylim=(len(WAYS) - 0.4, -0.7))
    covers = "95% intervals: draws, pretrainings and test images"
    axis.set(xlabel=f"accuracy on the test images, {shots} labels per class\n{covers}")
    figure.alt = f"Accuracy on the test images with {shots} labels per class, {covers}. " + "; ".join(texts)
    return figure


def leads(of: str = BARE, shots: int = 5) -> pd.DataFrame:
    """The lead of one of the ways over each other one, with its 95% interval; below zero, it is behind."""
    return pd.DataFrame({f"over {name}": over(of, name, shots) for name in WAYS if name != of}, COLUMNS).T.round(1)


def change(without: str, kind: str, level: float = 0.95) -> Interval:
    """What leaving "turning" or "thickness" out of the views does to the accuracy at ten labels per class.

    Args:
        kind: a shift of the test images, averaged over its strengths, or "none". Of shifted images it is not stored which
            were named rightly, so there the interval covers pretrainings and draws, not other test images.
    """
    check_choice("without", without, ("turning", "thickness"))
    name = {"turning": UNTURNED, "thickness": UNTHICKENED}[without]
    if kind == "none":
        return over(name, BARE, 10, level)
    means = [stored(of, 10)[shifted(kind)].mean(axis=1).to_numpy().reshape(-1, len(FIVE)) for of in (name, BARE)]
    return experiments.crossed_interval(100 * (means[0] - means[1]), level)


def changes(without: str) -> pd.DataFrame:
    """A row for each shift, and for the test images as they are: the accuracy under views that vary everything, the change
    in points, and the ends of its 95% interval.
    """
    found = pd.DataFrame({kind: change(without, kind) for kind in ("none", *SHIFTS)}, COLUMNS).T.round(1)
    full = stored(BARE, 10)
    means = [full.test.mean(), *(full[shifted(kind)].to_numpy().mean() for kind in SHIFTS)]
    found.insert(0, "all views", np.round(means, 3))
    return found


def suffers_most(without: str) -> str:
    """The shift under which leaving it out costs most."""
    return min(SHIFTS, key=lambda kind: change(without, kind)[0])
