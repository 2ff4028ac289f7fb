"""Throws of a ball, to learn from without an equation. Lesson 01 calls it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .. import plots

GRAVITY = 9.81  # metres a second, each second


def flies(speed: float | np.ndarray) -> float | np.ndarray:
    """How far a ball flies that is thrown at 45 degrees: metres, from metres a second; without air, and caught as high."""
    return speed**2 / GRAVITY


def throws(count: int = 12, seed: int = 0) -> pd.DataFrame:
    """Throws as somebody might have measured them: speed from 5 to 10 metres a second, distance in metres.

    They are made here, by `flies` and a little chance (5% either way, as a rule less).
    """
    random = np.random.default_rng(seed)
    speed = np.sort(random.uniform(5, 10, count)).round(1)
    return pd.DataFrame({"speed": speed, "distance": (flies(speed) * random.normal(1, 0.025, count)).round(1)})


def draw(throws: pd.DataFrame, model=None, at: float | None = None) -> plots.Figure:
    """Throws as dots; with a model the line that it answers with, and what a ball really does at another speed.

    Args:
        throws: columns speed and distance.
        model: fitted, from a table with the column speed to distances.
        at: a speed to look at, in metres a second.
    """
    figure = plots.Figure(6.0, 3.2)
    axis = figure.axes_of()
    axis.plot(throws.speed, throws.distance, plots.MARKERS[0], color=plots.COLOURS[0], label="throws to learn from")
    figure.alt = (
        f"{len(throws)} throws: speeds from {throws.speed.min():g} to {throws.speed.max():g} metres a second, distances "
        f"from {throws.distance.min():g} to {throws.distance.max():g} metres, longer the faster."
    )
    if model is not None:
        speeds = [*throws.speed, *([] if at is None else [at])]
        ends = [min(speeds), max(speeds)]
        line = model.predict(pd.DataFrame({"speed": ends}))
        axis.plot(ends, line, "--", color=plots.COLOURS[1], label="what the model answers")
        figure.alt += f" The model answers with a line, up to {line[-1]:.1f} metres at {ends[-1]:g} metres a second."
    if at is not None:
        axis.plot(at, flies(at), plots.MARKERS[2], color=plots.COLOURS[2], markersize=9, label="what the ball does")
        figure.alt += f" The ball flies {flies(at):.1f} metres there."
    axis.set(xlabel="speed, metres a second", ylabel="distance, metres")
    axis.legend(frameon=False)
    return figure
