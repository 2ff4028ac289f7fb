"""How sure are we? An evaluation, and intervals that say what they cover. Lessons 01, 06 and 07 open it."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .engine.validate import check_kind, check_number, draws_of

SKEWED = 1.1  # by so much grows the square of a margin over draws, which are not quite Gaussian, least of all near 1


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How a model does on a split: accuracy (0 to 1), mean cross-entropy in nats, and the number of examples."""

    accuracy: float
    loss: float
    n: int

    def __post_init__(self):
        check_number("n", self.n, "a number of examples", 0, whole=True)
        check_kind("loss", self.loss, numbers.Real, "a number")
        if self.n:
            check_number("accuracy", self.accuracy, "a share from 0 to 1", 0, 1)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the accuracy (Wilson's) that the number of test examples alone leaves open."""
        return mean_interval([self.accuracy], self.n)[1:]

    def __repr__(self) -> str:
        if not self.n:
            return "no examples to evaluate"
        low, high = self.interval
        return f"accuracy {self.accuracy:.3f} (95% interval {low:.3f} to {high:.3f}), loss {self.loss:.3f}, n = {self.n}"


class Interval(tuple):
    """(mean, low, high); `covers` says in words what could have turned out otherwise."""

    covers: str

    def __new__(cls, ends: Sequence[float], covers: str = "") -> Interval:
        self = super().__new__(cls, map(float, ends))
        self.covers = covers
        return self

    def __repr__(self) -> str:
        return "{:.3f} (interval {:.3f} to {:.3f}: {})".format(*self, self.covers)


def mean_interval(
    values: ArrayLike, n: int | None = None, level: float = 0.95, minus: ArrayLike | None = None, of: str = ""
) -> Interval:
    """The mean of several draws (of training images, of initial weights), and the interval that they leave open.

    An accuracy could have turned out otherwise with other draws and with other test images. The two effects add up (a
    two-way random-effects model), and so do the squares of their margins (Zou and Donner 2008): t^2 s^2 / k + z^2 v / n.
    Here s is the standard deviation of the k draws, t is Student's, and v is the variance between the n test images, of
    which some are harder than others for every draw. Of one draw it is Wilson's interval (1927), and as there the mean is
    not in the middle when it is near 1. How often the truth lies inside, and how much too wide it is: tests/test_results.py.

    Args:
        values: k x n answers (1 right, 0 wrong), of which v is estimated; n answers in one row, as True and False, are
            of one draw. Or k accuracies with n; v is then taken to be as large as it can be, so that the interval is rather
            too wide than too narrow. Or k numbers of any kind without n: the interval covers the draws only.
        n: how many test images all draws were tested on.
        level: of the interval.
        minus: the same of another method, draw by draw, for the interval of the difference: answers, or numbers without n.
            Of two pandas Series the draws are paired in order; where they share labels, all labels must be the same.
        of: what the draws are of, for the words in `covers`.

    Returns: the mean and the ends; NaN as ends where there is one number and no n.

    Raises:
        ValueError: there are no values, or they do not fit.
    """
    if isinstance(values, Interval) or isinstance(minus, Interval):  # or its three numbers would be three draws
        raise ValueError("This is an interval already, of (mean, low, high): give the values that it was made of.")
    draws = draws_of(values, n, level)
    if minus is not None:
        both = isinstance(values, pd.Series) and isinstance(minus, pd.Series)
        if both and not values.index.equals(minus.index) and values.index.isin(minus.index).any():
            raise ValueError("Some draws of the two are the same, in another order: give both the same index.")
        other = draws_of(minus, n, level)
        if other.shape != draws.shape or n and draws.ndim == 1:
            raise ValueError("For a difference give the answers of both methods in the same draws, or numbers without n.")
        draws = draws - other
    k, means = len(draws), draws.mean(1) if draws.ndim == 2 else draws
    covers = f"{k} draw{'s' * (k > 1)}{of and f' of {of}'}"
    if draws.ndim == 2:
        n, one = draws.shape[1], draws.var()
        v = _between_images(means, draws.mean(0), one)
    else:
        one = v = means.mean() * (1 - means.mean())
    if n and minus is None:
        low, high = _wilson(means, v, n, level)
    else:
        v = max(v, 1 / n) if n else v  # that an image sets two methods apart can never be ruled out
        margin = np.sqrt(_square(means, v, one, n, level))
        low, high = means.mean() - margin, means.mean() + margin
    return Interval((means.mean(), low, high), f"{covers}, {n} test images" if n else f"{covers}; not other test images")


def _between_images(means: np.ndarray, images: np.ndarray, one: np.ndarray) -> np.ndarray:
    """v, from the means of the draws (... x k) and of the images (... x n), and the variance of single answers (...)."""
    if 1 in (k := means.shape[-1], n := images.shape[-1]):
        return one
    by_draw, by_image = means.var(-1, ddof=1), images.var(-1, ddof=1)
    rest = (one * k * n - by_draw * n * (k - 1) - by_image * k * (n - 1)) / ((k - 1) * (n - 1))
    return np.maximum(by_image - rest / k, 0)


def _square(means: np.ndarray, v: np.ndarray, one: np.ndarray, n: int | None, level: float) -> np.ndarray:
    """The square of the margin; of answers it is never below the standard error of k n independent ones."""
    from scipy.special import ndtri, stdtrit

    k, tail = means.shape[-1], (1 + level) / 2
    by_draws = stdtrit(k - 1, tail) ** 2 * means.var(-1, ddof=1) / k if k > 1 else 0.0
    if not n:
        return by_draws if k > 1 else np.nan
    square = by_draws + ndtri(tail) ** 2 * v / n
    return np.maximum(SKEWED * square, one / (k * n)) if k > 1 else square


def _wilson(means: np.ndarray, v: np.ndarray, n: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Every accuracy a from which the mean is at most so far off as the margin would be if a (1 - a) were the variance."""
    mean = means.mean(-1)
    one = mean * (1 - mean)
    none = one == 0  # where all answers are right, or all wrong, it is that of one draw
    share = _square(means, v + none, one + none, n, level) / (one + none)
    middle, margin = mean + share / 2, np.sqrt(share * one + share**2 / 4)
    return (middle - margin) / (1 + share), (middle + margin) / (1 + share)
