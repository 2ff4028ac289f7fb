"""What lesson 07 reads out of the stored grids, so that its cells stay short. Both of its notebooks open this file.

Everything here is computed from `data/results`; no result is typed in. Leads are in points: hundredths of an accuracy.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch

from .. import plots
from ..data import digits
from ..engine.figure import Figure
from ..engine.validate import check_choice
from ..results import Interval, mean_interval
from . import experiments, photographs
from .experiments import CENTRED, CONTROLS, RAW, UNBENT, chosen, in_points, labels_to_match, load, select, test_images
from .methods import PROBE, SCRATCH, SHIFTS, STRENGTHS, TUNED, apply_shift

FIVE_METHODS = ("logistic regression on pixels", RAW, SCRATCH, PROBE, TUNED)


def rows(grid: str = "digits", **only) -> pd.DataFrame:
    """The results of a stored grid, of these only: rows(shots=5, method=PROBE).

    Raises:
        ValueError: there are none.
    """
    frame = select(chosen(load(grid)), **only)
    if frame.empty:
        raise ValueError(f"The grid {grid!r} has no results with {only}.")
    return frame


def lead(one: pd.DataFrame, other: pd.DataFrame, column: str | Sequence[str] = "test", level: float = 0.95) -> Interval:
    """The lead of results over others with the same seeds, in points: mean, low, high.

    The interval covers the draws, and other test images too: where it is stored which images each of the two got right by
    comparing them image by image, elsewhere by the most that test images can do (every image that one of the two got wrong
    may set them apart), which makes it rather too wide.

    Args:
        column: of accuracies; several, those of the shifts say, are averaged for each seed.
        level: of the interval.

    Raises:
        ValueError: there are several results of one seed, or not the same seeds of both.
    """
    first, second = (part[part.seed.isin(one.seed)].sort_values("seed") for part in (one, other))
    if not first.seed.is_unique or first.seed.tolist() != second.seed.tolist():
        raise ValueError("lead takes results of one method and task, one a seed, and of another with the same seeds.")
    task = first.task.iloc[0]
    if column == "test" and task != "fraud" and (first.right != "").all() and (second.right != "").all():
        return in_points(mean_interval(experiments.values(first), level=level, minus=experiments.values(second)))
    columns = [column] if isinstance(column, str) else list(column)
    a, b = (part[columns].mean(axis=1).to_numpy() for part in (first, second))
    middle, low, _ = mean_interval(a, minus=b, level=level)
    if (n := test_images(task)) is None:  # no accuracies
        return in_points(Interval((middle, low, 2 * middle - low), f"{len(a)} draws; not other test rows"))
    apart = min(1.0, (1 - a.mean()) + (1 - b.mean()), a.mean() + b.mean())
    z = -torch.special.ndtri(torch.tensor((1 - level) / 2, dtype=torch.float64)).item()
    margin = math.hypot(middle - low, z * math.sqrt(max(apart - middle**2, 0) / n))
    ends = (middle, middle - margin, middle + margin)
    return in_points(Interval(ends, f"{len(a)} draws, {n} test images (at most)"))


def lead_at(shots: int, one: str = TUNED, other: str = SCRATCH, level: float = 0.95) -> Interval:
    """The lead of a method over another on the digits, in points, with so many labels per class."""
    return lead(rows(shots=shots, method=one), rows(shots=shots, method=other), level=level)


def leads(shots: Sequence[int]) -> pd.DataFrame:
    """Of fine-tuned letters over training from scratch, a row for each number of labels per class: the lead in points, and
    the ends of its 95% interval."""
    found = [lead_at(n) for n in shots]
    return pd.DataFrame(found, pd.Index(shots, name="labels per class"), ["lead in points", "from", "to"]).round(1)


def shifted(kind: str) -> list[str]:
    """The columns with the accuracies under a shift, at its five strengths."""
    return [f"{kind} {strength}" for strength in STRENGTHS]


def shift_lead(kind: str, one: str = TUNED, other: str = SCRATCH, level: float = 0.95) -> Interval:
    """The lead at ten labels per class under a shift, averaged over its strengths, in points."""
    return lead(rows(shots=10, method=one), rows(shots=10, method=other), shifted(kind), level)


def six_shifts(one: str = TUNED, other: str = SCRATCH, level: float = 0.95) -> Interval:
    """The lead at ten labels per class, averaged over all shifts and their strengths, in points."""
    columns = [column for kind in SHIFTS for column in shifted(kind)]
    return lead(rows(shots=10, method=one), rows(shots=10, method=other), columns, level)


def shift_leads() -> pd.DataFrame:
    """Of fine-tuned letters over training from scratch, a row for each shift: the lead in points, its 95% interval."""
    found = [shift_lead(kind) for kind in SHIFTS]
    return pd.DataFrame(found, SHIFTS, ["lead in points", "from", "to"]).round(1)


def under_shifts() -> pd.DataFrame:
    """Mean accuracy at ten labels per class, over draws and strengths: a row for each method, a column for each shift."""
    means = {kind: rows(shots=10).groupby("method", sort=False)[shifted(kind)].mean().mean(axis=1) for kind in SHIFTS}
    return pd.DataFrame(means).loc[list(FIVE_METHODS)].round(2)


def shifted_digit(label: int = 3) -> Figure:
    """One test digit under the six shifts, a row for each, at the five strengths."""
    test = digits().test
    digit = test[test.y == label][:1]
    pairs = [(kind, strength) for kind in SHIFTS for strength in STRENGTHS]
    pictures = torch.cat([apply_shift(digit, kind, strength).x for kind, strength in pairs])
    return plots.images(pictures, [f"{kind} {strength}" for kind, strength in pairs], columns=5, size=1.0)


def under_shift(kind: str = "rotation") -> Figure:
    """Accuracy against the strength of a shift, at ten labels per class; strength 0 is the test images as they are."""
    check_choice("kind", kind, SHIFTS)
    ten = rows(shots=10)
    ten = ten[ten.method.isin(FIVE_METHODS)]
    x = f"strength of the shift ({kind})"
    parts = [ten.assign(**{x: 0}, accuracy=ten.test)]
    parts += [ten.assign(**{x: s}, accuracy=ten[f"{kind} {s}"]) for s in STRENGTHS]
    return plots.lines(pd.concat(parts), x, by="method", n=test_images("digits"))


def against_labels() -> Figure:
    """Accuracy on the test digits against labelled images per class: five methods, ten draws each."""
    frame = rows()
    names = {"shots": "labelled images per class", "test": "accuracy on the test images"}
    frame = frame[frame.method.isin(FIVE_METHODS)].rename(columns=names)
    return plots.lines(frame, *names.values(), by="method", log=True, n=test_images("digits"))


def against_rates() -> Figure:
    """Accuracy against the learning rate, at ten labels per class: four methods, five draws each."""
    names = {"lr": "learning rate", "test": "accuracy on the test images"}
    return plots.lines(rows("rates").rename(columns=names), *names.values(), by="method", log=True, n=test_images("digits"))


def works(method: str) -> pd.Series:
    """By seed, the share of the nine learning rates at which a method reaches .9 of its own best mean accuracy."""
    part = rows("rates", method=method)
    goal = 0.9 * part.groupby("lr").test.mean().max()
    return part.assign(works=part.test >= goal).groupby("seed").works.mean()


def working() -> pd.DataFrame:
    """For each method of `against_rates` the share of the nine learning rates that work."""
    methods = (RAW, SCRATCH, PROBE, TUNED)
    return pd.DataFrame({"rates that work": [works(method).mean() for method in methods]}, methods).round(2)


def works_lead(one: str = TUNED, other: str = SCRATCH, level: float = 0.95) -> Interval:
    """How many more of the nine learning rates work for one method than for another, in points."""
    return mean_interval(100 * works(one), minus=100 * works(other), level=level)


def matching(level: float = 0.95) -> tuple[float, float, float]:
    """How many labels per class the same network needs from scratch to do as well as fine-tuned letters with five."""
    curve = rows(method=SCRATCH).pivot(index="seed", columns="shots", values="test")
    goal = rows(method=TUNED, shots=5).sort_values("seed").test.tolist()
    return labels_to_match(curve, goal, level)


def bending() -> pd.DataFrame:
    """Accuracy on turned digits at ten labels per class (10 to 50 degrees), by how strongly images were bent in training.

    A row for each start of the network, a column for each strength of bending; means of five draws.
    """
    both = pd.concat([rows("bending"), rows("unbent")])
    bend = both.variant.str.removeprefix("bend=").astype(float)
    names = {SCRATCH: "from scratch", TUNED: "shipped letters"}
    names |= dict(zip(UNBENT, ("bent letters, short pretraining", "letters never bent, short pretraining")))
    start = both.backbone.where(both.backbone.isin(UNBENT), both.method).map(names)
    both = both.assign(start=start, bend=bend, turned=both[shifted("rotation")].mean(axis=1))
    table = both.pivot_table(index="start", columns="bend", values="turned").loc[list(names.values())]
    return table.round(2).astype(object).fillna("not run")


def turned_lead(bend: str, one: dict, other: dict, level: float = 0.95) -> Interval:
    """The lead on turned digits of one start over another, bent as said in training ("bend=0"), in points.

    Args:
        one, other: which rows, with their grid: {"grid": "bending", "method": TUNED}.
    """
    return lead(rows(**one, variant=bend), rows(**other, variant=bend), shifted("rotation"), level)


SHIPPED, FROM_SCRATCH = {"grid": "bending", "method": TUNED}, {"grid": "bending", "method": SCRATCH}
BRIEF, NEVER = ({"grid": "unbent", "backbone": name} for name in UNBENT)


def fair(shots: int, level: float = 0.95) -> Interval:
    """The lead of a probe on letters features over one on fair random features (see `CONTROLS`), in points."""
    return lead(*(rows("fair", method=CENTRED, shots=shots, variant=name) for name in CONTROLS[:2]), level=level)


def tables() -> pd.DataFrame:
    """The three tables drawn as pictures: mean accuracy (fraud: area under the ROC curve) and its 95% interval."""
    return experiments.table(load("tables"), by="task")


def table_lead(task: str, level: float = 0.95) -> Interval:
    """The lead of fine-tuned letters over the same network from scratch on one of the three tables, in points."""
    return lead(*(rows("tables", task=task, method=method) for method in (TUNED, SCRATCH)), level=level)


def photographs_lead(
    task: str, shots: int, one: str = photographs.TUNED, other: str = photographs.SCRATCH, level: float = 0.95
) -> Interval:
    """The lead of one method over another on photographs, in points: ImageNet fine-tuned over the same from scratch."""
    both = (photographs.results(task, shots=shots, method=method) for method in (one, other))
    return in_points(photographs.interval(*both, level=level))


def spared(some: pd.DataFrame, every: pd.DataFrame) -> Interval:
    """How many per cent fewer parameters were trained by some results than by those that train all: counted."""
    share = 100 * (1 - some.trainable.max() / every.trainable.max())
    return Interval([share] * 3, "counted")


def times_faster(level: float = 0.95) -> Interval:
    """How many times as long training from scratch takes as a probe, at ten labels per class, from the stored seconds."""
    by_seed = rows(shots=10).pivot(index="seed", columns="method", values="seconds")
    found = mean_interval(np.log(by_seed[SCRATCH]), minus=np.log(by_seed[PROBE]), level=level)
    return Interval(np.exp(found), found.covers)


# One row for each claim of the article.


@dataclasses.dataclass(frozen=True)
class Claim:
    """What the article says, what was measured about it, and how: `figure` takes a level and returns (mean, low, high).

    above: what the whole interval must exceed for "true".
    counted: it is a count, which has no interval.
    """

    says: str
    measured: str
    grid: str
    figure: Callable[[float], Sequence[float]]
    above: float = 0.0
    unit: str = "points"
    covers: str = ""
    counted: bool = False

    def row(self, level: float) -> dict:
        found = self.figure(level=level)
        middle, low, high = found
        sign = "+" if self.unit == "points" else ""
        return {
            "the article says": self.says,
            "measured here": self.measured,
            "figure": f"{middle:{sign}.1f}{'' if self.unit[0] == '%' else ' '}{self.unit}",
            "interval": "counted" if self.counted else f"{low:{sign}.1f} to {high:{sign}.1f}",
            "verdict": "true" if low > self.above else "the other way round" if high < self.above else "not shown",
            "covers": self.covers or found.covers,
            "grid": self.grid,
        }


MATCHING = Claim(
    "less training data",
    "labels from scratch that match 5",
    "digits",
    matching,
    above=5,
    unit="labels",
    covers="10 draws; not other test images",
)
TIMES = Claim(
    "easier",
    "times as long from scratch as a probe",
    "digits",
    times_faster,
    above=1,
    unit="times",
    covers="10 draws; the machine was shared",
)
CATS = Claim(
    "less training data",
    "cats and dogs, lead at 20 labels per class",
    "photographs",
    partial(photographs_lead, "cats-and-dogs", 20),
)
SOLAR = Claim(
    "less training data",
    "solar cells, lead at 100 labels per class",
    "photographs",
    partial(photographs_lead, "solar-cells", 100),
)
ARTICLE: tuple[tuple[Claim, Claim | None], ...] = (  # on digits, and on photographs where it was measured
    (Claim("less training data", "lead at 1 label per class", "digits", partial(lead_at, 1)), CATS),
    (Claim("less training data", "lead at 50 labels per class", "digits", partial(lead_at, 50)), SOLAR),
    (MATCHING, None),
    (Claim("generalises better", "lead, mean of six shifts", "digits", six_shifts), None),
    (Claim("generalises better", "lead under noise", "digits", partial(shift_lead, "noise")), None),
    (Claim("less brittle", "more learning rates that work", "rates", works_lead), None),
    (
        Claim(
            "fewer parameters to train",
            "a probe, not the whole network",
            "digits",
            lambda level: spared(rows(shots=10, method=PROBE), rows(shots=10, method=TUNED)),
            unit="% fewer",
            counted=True,
        ),
        Claim(
            "fewer parameters to train",
            "cats and dogs, a probe, not the whole network",
            "photographs",
            lambda level: spared(
                *(
                    photographs.results("cats-and-dogs", shots=20, method=method)
                    for method in (photographs.PROBE, photographs.TUNED)
                )
            ),
            unit="% fewer",
            counted=True,
        ),
    ),
    (TIMES, None),
    (Claim("no use for fraud", "lead on fraud (area under ROC)", "tables", partial(table_lead, "fraud")), None),
)


def joint(rows: int) -> float:
    """The level that each of several intervals needs so that all of them hold together at 95% (Bonferroni)."""
    return 1 - 0.05 / rows


def verdicts(level: float | None = None) -> pd.DataFrame:
    """A row for each claim of the article, on digits and on photographs: the figure with its interval, and the verdict.

    The intervals are widened so that all of them hold together at 95%.
    """
    every = [claim for pair in ARTICLE for claim in pair if claim]
    level = joint(sum(not claim.counted for claim in every)) if level is None else level
    cells = [[cell for claim in pair for cell in _cells(claim, level)] for pair in ARTICLE]
    pd.set_option("display.max_colwidth", 90)
    columns = pd.MultiIndex.from_product([("on digits", "on photographs"), ("measured", "verdict")])
    return pd.DataFrame(cells, pd.Index([digit.says for digit, _ in ARTICLE], name="the article says"), columns)


def _cells(claim: Claim | None, level: float) -> tuple[str, str]:
    if claim is None:
        return "not measured", ""
    row = claim.row(level)
    return f"{row['measured here']}: {row['figure']} ({row['interval']})", row["verdict"]
