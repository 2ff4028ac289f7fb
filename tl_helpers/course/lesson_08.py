"""What lesson 08 builds with, and what it reads out of the stored grids `together` and `crowded`. Leads are in points."""

from __future__ import annotations

import pandas as pd

from .. import plots
from ..engine.figure import Figure
from . import experiments
from .experiments import ALONE, CROWDED
from .lesson_07 import lead, rows
from .methods import METHODS, SCRATCH, TUNED
from .two_heads import SmallBody, batches, images_of, right

__all__ = [
    "SmallBody",
    "against_transfer",
    "against_weight",
    "batches",
    "crowded",
    "images_of",
    "partners",
    "right",
    "weights",
]

LETTERS, FIRST = "partner=letters,w=1", "partner=letters first"
WEIGHTS = ("0.3", "1", "3", "10")
PARTNERS = ("letters", "letters with random names", "parity", "coin toss")
COLUMNS = ["lead in points", "from", "to"]


def over(one: str, other: str = ALONE):
    """The lead of one variant of `together` over another: mean, low, high, in points."""
    return lead(rows("together", variant=one), rows("together", variant=other))


def partners() -> pd.DataFrame:
    """A row for each partner at w = 1: the lead on digits over learning alone, with its 95% interval."""
    return pd.DataFrame([over(f"partner={name},w=1") for name in PARTNERS], PARTNERS, COLUMNS).round(1)


def weights() -> pd.Series:
    """Mean accuracy on digits for each weight of the letters."""
    found = {float(w): rows("together", variant=f"partner=letters,w={w}").test.mean() for w in WEIGHTS}
    return pd.Series(found, name="accuracy on digits")


def against_weight() -> Figure:
    """Accuracy on digits against the weight of the letters; learning alone is drawn at 0.1."""
    parts = [rows("together", variant=ALONE).assign(w=0.1)]
    parts += [rows("together", variant=f"partner=letters,w={w}").assign(w=float(w)) for w in WEIGHTS]
    names = {"w": "weight w of the letters (0.1: alone)", "test": "accuracy on the test digits"}
    n = experiments.test_images("digits")
    return plots.lines(pd.concat(parts).rename(columns=names), *names.values(), log=True, n=n)


def crowded() -> pd.DataFrame:
    """Digits and letters with all their labels in one small network: accuracy on each, by the weight of the other task."""
    names = dict(zip(CROWDED, ("alone", "other at w = 1", "other at w = 10")))
    frame = rows("crowded")
    frame = frame.assign(task=frame.task, beside=frame.variant.map(names))
    return frame.pivot_table(index="task", columns="beside", values="test")[[*names.values()]].round(3)


def cost(task: str, w: int, level: float = 0.95):
    """What a task loses in one small network when the other counts w times as much, in points: mean, low, high."""
    beside = CROWDED[{1: 1, 10: 2}[w]]
    return lead(rows("crowded", task=task, variant=beside), rows("crowded", task=task, variant=CROWDED[0]), level=level)


def costs() -> pd.DataFrame:
    """A row for each task and weight of the other: the change against learning alone in points, with its 95% interval."""
    found = {f"{task}, other at w = {w}": cost(task, w) for task in ("digits", "letters") for w in (1, 10)}
    return pd.DataFrame(found, ["change in points", "from", "to"]).T.round(1)


def large(one: str, other: str):
    """The lead of one row over another in the large network (resnet10t, five labels per class): mean, low, high.

    Args:
        one, other: a partner, stored in `two_heads`, or a method of the main grid.
    """
    found = [
        rows(shots=5, method=name) if name in METHODS else rows("two_heads", variant=f"partner={name}")
        for name in (one, other)
    ]
    seeds = set(found[0].seed) & set(found[1].seed)
    return lead(*(part[part.seed.isin(seeds)] for part in found))


def against_transfer() -> pd.DataFrame:
    """Learned together with letters, and letters first: the leads on digits, with their 95% intervals."""
    found = {
        "together over alone": over(LETTERS),
        "letters first (transfer) over alone": over(FIRST),
        "transfer over together": over(FIRST, LETTERS),
        "large network: together over alone": large("letters", SCRATCH),
        "large network: transfer over alone": large(TUNED, SCRATCH),
        "large network: transfer over together": large(TUNED, "letters"),
    }
    return pd.DataFrame(found, COLUMNS).T.round(1)
