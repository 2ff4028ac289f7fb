"""How sure are we? Intervals for what several runs with different seeds say."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How a model does on a split: accuracy (0 to 1), mean cross-entropy in nats, and the number of examples."""

    accuracy: float
    loss: float
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the accuracy (Wilson's) that the number of test examples alone leaves open."""
        from scipy.stats import binomtest

        return tuple(binomtest(round(self.accuracy * self.n), self.n).proportion_ci(0.95, method="wilson"))

    def __repr__(self) -> str:
        if not self.n:
            return "no examples to evaluate"
        low, high = self.interval
        return f"accuracy {self.accuracy:.3f} (95% interval {low:.3f} to {high:.3f}), loss {self.loss:.3f}, n = {self.n}"


def mean_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """The mean of several runs and its interval (Student's t); of a single run, the value three times."""
    return _interval(values, level, lambda spread, n: spread / np.sqrt(n))


def prediction_interval(values: Sequence[float], level: float = 0.99, runs: int = 1) -> tuple[float, float, float]:
    """The mean of several runs, and where the mean of so many new runs will lie at this level (Student's t)."""
    return _interval(values, level, lambda spread, n: spread * np.sqrt(1 / n + 1 / runs))


def _interval(values: Sequence[float], level: float, width) -> tuple[float, float, float]:
    from scipy import stats

    values = np.asarray(values, dtype=float)
    middle = float(values.mean())
    if len(values) < 2 or np.ptp(values) == 0:
        return middle, middle, middle
    low, high = stats.t.interval(level, len(values) - 1, loc=middle, scale=width(values.std(ddof=1), len(values)))
    return middle, float(low), float(high)


def labels_to_match(curve: pd.DataFrame, goals: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """How many labelled images a class a method needs to reach the mean of `goals`, with a bootstrap interval over seeds.

    Args:
        curve: accuracies of the method: a row for each seed, a column for each number of images a class, ascending.
        goals: accuracies of the other method, one for each seed; the rows of `curve` and these are drawn anew together.
        level: of the interval.

    Returns: the number, and the ends of its percentile interval. Between two columns the number is read off a straight line
        over its logarithm; a goal below the first column gives that column, one above all of them infinity.
    """
    shots, values, goals = np.log(curve.columns.to_numpy(float)), curve.to_numpy(float), np.asarray(goals, float)

    def needed(rows: np.ndarray) -> float:
        means, goal = np.maximum.accumulate(values[rows].mean(0)), goals[rows].mean()
        after = int(np.searchsorted(means, goal))
        if after in (0, len(means)):
            return float(np.exp(shots[0])) if after == 0 else np.inf
        share = (goal - means[after - 1]) / (means[after] - means[after - 1])
        return float(np.exp(shots[after - 1] + share * (shots[after] - shots[after - 1])))

    draws = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    found = [needed(rows) for rows in draws]  # some may be infinite, so the ends are drawn values and nothing in between
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2], method="nearest")
    return needed(np.arange(len(values))), float(low), float(high)
