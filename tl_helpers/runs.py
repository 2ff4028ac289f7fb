"""What `fit` returns: a `Run`, with the trained model and its history. Lesson 03 opens this file."""

from __future__ import annotations

import dataclasses
import math

import pandas as pd
from torch import nn

from . import plots


class Diverged(ValueError):
    """The loss became infinite or NaN. `.run` holds the epochs that were finished before."""


@dataclasses.dataclass
class Run:
    """What `fit` returns.

    model: the trained model, on the device it was trained on.
    history: one row an epoch: epoch, loss, accuracy, val_loss, val_accuracy, lr (of the epoch's last step, in the group
        nearest to the output), seconds (since the start). Loss and accuracy are means over the epoch's training batches as
        they went by, so dropout and augmentation are in them.
    name: what was trained, for legends.
    stopped: why training ended before its last epoch, or None.
    kept: the epoch whose weights the model has, with patience the best one; None for the last.
    """

    model: nn.Module
    history: pd.DataFrame
    name: str
    stopped: str | None = None
    kept: int | None = None

    @property
    def result(self) -> pd.Series | None:
        """The row of the history that is about the model: that of the epoch which was kept; None without any epoch."""
        if self.history.empty:
            return None
        return self.history.iloc[-1 if self.kept is None else self.kept - 1]

    def plot(self):
        """Loss and accuracy over the epochs, as a figure."""
        return plots.history(self)

    def __repr__(self) -> str:
        row, epochs = self.result, len(self.history)
        if row is None:
            return f"Run of {self.name}: no finished epoch"
        what = f"{epochs} epochs in {self.history.seconds.iloc[-1]:.1f} s"
        what += f", the best of them, epoch {row.epoch:.0f}, kept" if row.epoch < epochs else ""
        val = "" if math.isnan(row.val_accuracy) else f", validation accuracy {row.val_accuracy:.3f}"
        end = f"; {self.stopped}" if self.stopped else ""
        return f"Run of {self.name}: {what}, training accuracy {row.accuracy:.3f}{val}{end}"
