"""Each bold sentence of lessons 07 and 08 is bound to the stored results: if it became false, its test fails and names it."""

import functools
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from tl_helpers import experiments
from tl_helpers.experiments import PROBE, SCRATCH, SHIFTS, STRENGTHS, TUNED
from tl_helpers.intervals import labels_to_match, mean_interval

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
RAW, LOGISTIC, CENTROID = "raw CNN from scratch", "logistic regression on pixels", "nearest centroid on letters features"


class Stored:
    """The results of the grids; `change` is done to each frame first."""

    def __init__(self, change=lambda frame: frame):
        self.load = functools.cache(lambda name: change(experiments.chosen(experiments.load(name))))

    def wide(self, name="digits", index=("shots", "seed"), columns="method", value="test", **only):
        frame = self.load(name)
        for column, wanted in only.items():
            frame = frame[frame[column] == wanted]
        return frame.pivot(index=list(index), columns=columns, values=value)

    def lead(self, shots, one=TUNED, other=SCRATCH):
        """Of one method over another, in points: mean, low, high."""
        wide = self.wide()
        return tuple(100 * v for v in mean_interval((wide[one] - wide[other]).loc[shots]))

    def shift(self, kind):
        ten = self.load("digits")
        ten = ten[ten.shots == 10].set_index(["seed", "method"])[[f"{kind} {s}" for s in STRENGTHS]]
        return ten.mean(axis=1).unstack()

    def shift_lead(self, kind, one=TUNED, other=SCRATCH):
        means = self.shift(kind)
        return tuple(100 * v for v in mean_interval(means[one] - means[other]))


def above(interval, least=0.0):
    return interval[1] > least


def within(interval, low, high):
    return low < interval[0] < high


CLAIMS = {"07": {}, "08": {}}
