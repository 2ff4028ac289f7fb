"""What `fit` returns: a `Run`, with the trained model and its history. Lesson 03 opens this file."""

from __future__ import annotations

import dataclasses
import math

import pandas as pd
from torch import nn

from . import plots


class Diverged(ValueError):
    """The loss became infinite or no number. `.run` holds the epochs that were finished before."""


@dataclasses.dataclass
class Run:
    """What `fit` returns.

    model: the trained model, on the device it was trained on.
    history: one row an epoch: epoch, loss, accuracy, val_loss, val_accuracy, lr, seconds (since the start). Loss and
        accuracy are means over the epoch's training batches as they went by, so dropout and augmentation are in them.
    name: what was trained, for legends.
    stopped: why training ended before its last epoch, or None.
    """

    model: nn.Module
    history: pd.DataFrame
    name: str
    stopped: str | None = None

    def plot(self):
        """Loss and accuracy over the epochs, as a figure."""
        return plots.history(self)

    def __repr__(self) -> str:
        if self.history.empty:
            return f"Run of {self.name}: no finished epoch"
        last = self.history.iloc[-1]
        end = f"; {self.stopped}" if self.stopped else ""
        val = "" if math.isnan(last.val_accuracy) else f", validation accuracy {last.val_accuracy:.3f}"
        return (
            f"Run of {self.name}: {len(self.history)} epochs in {last.seconds:.1f} s, "
            f"training accuracy {last.accuracy:.3f}{val}{end}"
        )
