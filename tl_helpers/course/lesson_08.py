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

__all__ = ["SmallBody", "batches", "images_of", "right"]

LETTERS, FIRST = "partner=letters,w=1", "partner=letters first"
WEIGHTS = ("0.3", "1", "3", "10")
PARTNERS = ("letters", "letters with random names", "parity", "coin toss")
COLUMNS = ["lead in points", "from", "to"]


def over(one: str, other: str = ALONE, level: float = 0.95):
    """The lead of one variant of `together` over another: mean, low, high, in points."""
    return lead(rows("together", variant=one), rows("together", variant=other), level=level)


def partners() -> pd.DataFrame:
    """A row for each partner at w = 1: the lead on digits over learning alone, with its 95% interval."""
    return pd.DataFrame([over(f"partner={name},w=1") for name in PARTNERS], PARTNERS, COLUMNS).round(1)


def best_partner() -> str:
    """The partner with the largest mean lead over learning alone, or "none of them" if no lead is above zero."""
    found = partners()["lead in points"]
    return found.idxmax() if found.max() > 0 else "none of them"


def weights() -> pd.Series:
    """Mean accuracy on digits for each weight of the letters."""
    found = {float(w): rows("together", variant=f"partner=letters,w={w}").test.mean() for w in WEIGHTS}
    return pd.Series(found, name="accuracy on digits")


def weight_leads() -> pd.DataFrame:
    """For each weight of the letters the lead on digits over learning alone, with its 95% interval."""
    found = [over(f"partner=letters,w={w}") for w in WEIGHTS]
    return pd.DataFrame(found, pd.Index(map(float, WEIGHTS), name="w"), COLUMNS).round(1)


def against_weight() -> Figure:
    """Accuracy on digits against the weight of the letters; learning alone stands on the left, where 0.1 would be."""
    parts = [rows("together", variant=ALONE).assign(w=0.1)]
    parts += [rows("together", variant=f"partner=letters,w={w}").assign(w=float(w)) for w in WEIGHTS]
    names = {"w": "weight w of the letters", "test": "accuracy on the test digits"}
    n = experiments.test_images("digits")
    figure = plots.lines(pd.concat(parts).rename(columns=names), *names.values(), log=True, n=n)
    figure.axes[0].set_xticks([0.1, *map(float, WEIGHTS)], ["alone", *WEIGHTS])
    figure.alt = figure.alt.replace(" at 0.1", " alone")
    return figure


def crowded() -> pd.DataFrame:
    """All digits and all letters in one small network: accuracy on each task, alone and beside the other at w = 10."""
    frame = rows("crowded")
    frame = frame.assign(beside=frame.variant.map(dict(zip(CROWDED, ("alone", "other at w = 10")))))
    return frame.pivot_table(index="task", columns="beside", values="test").rename_axis(columns=None).round(3)


def cost(task: str, level: float = 0.95):
    """The change of a task in one small network when the other counts ten times as much, in points: mean, low, high."""
    alone, loud = (rows("crowded", task=task, variant=variant) for variant in CROWDED)
    return lead(loud, alone, level=level)


def costs() -> pd.DataFrame:
    """For each task the change against learning alone when the other counts ten times as much, with its 95% interval."""
    found = {task: cost(task) for task in ("digits", "letters")}
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
    return pd.DataFrame(found, COLUMNS).T.round(1) + 0.0  # no "-0.0"
