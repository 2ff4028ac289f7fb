"""What it looks like: every figure of the course, in one style.

Colours are Okabe and Ito's, which colour-blind readers can tell apart, and no figure says anything by colour alone: lines
differ in markers too. Each figure carries a text that says what it shows, for those who cannot see it.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import matplotlib.figure
import numpy as np
import pandas as pd
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from .data import Files, Input, Split, prepare
from .experiments import mean_interval
from .photos import Report
from .training import Evaluation, Run

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000", "#E69F00", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure that shows itself in a notebook with an alternative text; `alt` is that text.

    It belongs to no pyplot window, so nothing stays open when the cell is run again.
    """

    alt = ""

    def __init__(self, width: float = 7.0, height: float = 3.0):
        super().__init__(figsize=(width, height), dpi=120, layout="constrained")

    def axes_of(self, *args, **kwargs):
        """`subplots` in the style of the course."""
        axes = self.subplots(*args, **kwargs)
        for axis in np.ravel(axes):
            axis.spines[["top", "right"]].set_visible(False)
            axis.grid(alpha=0.25)
        return axes

    def html(self) -> str:
        """The figure as an image of a web page, its alternative text with it."""
        file, canvas = io.BytesIO(), FigureCanvasAgg(self)
        canvas.draw()
        canvas.print_png(file)
        picture = base64.b64encode(file.getvalue()).decode()
        width = round(self.get_figwidth() * 96)
        style = f"width:{width}px;max-width:100%;background:white"
        return f'<img alt="{html.escape(self.alt)}" style="{style}" src="data:image/png;base64,{picture}">'

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        display(HTML(self.html()))


def images(pictures: Split | Tensor, labels: Sequence | None = None, columns: int = 10, size: float = 0.75) -> Figure:
    """Pictures side by side, with a label above each.

    Args:
        pictures: a split, or a tensor N x C x H x W: uint8, or float in [0, 1], or photographs in Files, of which the
            square in the middle is shown.
        labels: a text for each picture; None for the labels of the split.
        columns: how many in a row.
        size: of one picture, in inches.
    """
    if isinstance(pictures, Split):
        labels = pictures.y.tolist() if labels is None else labels
        pictures = pictures.x
    if isinstance(pictures, Files):
        side = max(32, round(size * 150))
        pictures = prepare(Split(pictures, torch.zeros(len(pictures))), Input((3, side, side), (0,) * 3, (1,) * 3))
    labels = [""] * len(pictures) if labels is None else [str(label) for label in labels]
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = Figure(columns * size, rows * (size + (0.25 if any(labels) else 0.02)))
    for axis in np.ravel(figure.subplots(rows, columns)):
        axis.axis("off")
    top = 255 if pictures.dtype == torch.uint8 else 1
    for axis, picture, label in zip(figure.axes, pictures, labels):
        axis.imshow(picture.permute(1, 2, 0).squeeze(-1).cpu().numpy(), cmap="gray", vmin=0, vmax=top)
        axis.set_title(label, fontsize=9, pad=2)
    what = ", ".join(labels) if any(labels) else "no labels"
    figure.alt = f"{len(pictures)} small picture{'s' * (len(pictures) > 1)}. Labels in reading order: {what}."
    return figure


def maps(values: Tensor | np.ndarray, columns: int = 10, size: float = 0.75, titles: Sequence[str] | None = None) -> Figure:
    """Weights or feature maps side by side; blue is below zero, white zero, red above, each map on a scale of its own.

    Args:
        values: N x H x W.
    """
    values = torch.as_tensor(values).detach().cpu().float().numpy()
    columns = min(columns, len(values))
    rows = -(-len(values) // columns)
    figure = Figure(columns * size, rows * (size + (0.25 if titles else 0.02)))
    for axis in np.ravel(figure.subplots(rows, columns)):
        axis.axis("off")
    for i, (axis, value) in enumerate(zip(figure.axes, values)):
        limit = max(np.abs(value).max(), 1e-9)
        axis.imshow(value, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axis.set_title(titles[i] if titles else "", fontsize=9, pad=2)
    figure.alt = f"{len(values)} maps of {values.shape[1]} x {values.shape[2]} values, red above zero and blue below"
    figure.alt += f": {', '.join(titles)}." if titles else "."
    return figure


def history(run: Run) -> Figure:
    """Loss and accuracy of one run, epoch by epoch, in training and in validation."""
    figure = Figure(7.5, 2.8)
    frame = run.history
    for axis, what in zip(figure.axes_of(1, 2), ("loss", "accuracy")):
        for i, (column, label) in enumerate(((what, "training"), (f"val_{what}", "validation"))):
            if column in frame:
                axis.plot(frame.epoch, frame[column], color=COLOURS[i], marker=MARKERS[i], markersize=3, label=label)
        axis.set(xlabel="epoch", ylabel=what)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if not frame.empty:
            axis.legend(frameon=False)
    figure.alt = f"Loss and accuracy by epoch. {run!r}."
    return figure


def compare(*runs: Run, names: Sequence[str] | None = None) -> Figure:
    """The validation accuracy of several runs, epoch by epoch."""
    names = [run.name for run in runs] if names is None else list(names)
    figure = Figure(7.5, 3.2)
    axis = figure.axes_of()
    for i, (run, name) in enumerate(zip(runs, names)):
        frame, style = run.history, {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}
        last = frame.val_accuracy.iloc[-1]
        axis.plot(frame.epoch, frame.val_accuracy, markersize=4, label=f"{name}: {last:.2f} at the end", **style)
    axis.set(xlabel="epoch", ylabel="validation accuracy", ylim=(0, 1.02))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.alt = "Validation accuracy by epoch. At the end: " + "; ".join(
        f"{name} {run.history.val_accuracy.iloc[-1]:.2f}" for run, name in zip(runs, names)
    )
    return figure


def accuracies(results: dict[str, Evaluation | Sequence[float]], xlabel: str = "accuracy on the test images") -> Figure:
    """A row for each method: one evaluation with its interval, or several accuracies with their mean and its interval."""
    figure = Figure(7.0, 0.7 + 0.4 * len(results))
    axis = figure.axes_of()
    texts = []
    for row, (name, result) in enumerate(results.items()):
        if isinstance(result, Evaluation):
            middle, (low, high) = result.accuracy, result.interval
        else:
            middle, low, high = mean_interval(result)
            if min(result) >= 0 and max(result) <= 1:
                low, high = max(low, 0.0), min(high, 1.0)
            axis.plot(result, [row + 0.22] * len(result), ".", color="#7F7F7F")  # below the interval, which would hide them
        axis.plot([low, high], [row, row], color=COLOURS[0], linewidth=2)
        axis.plot(middle, row, MARKERS[0], color=COLOURS[0])
        axis.annotate(f"{middle:.3f}", (middle, row), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=9)
        texts.append(f"{name} {middle:.3f} ({low:.3f} to {high:.3f})")
    axis.set_yticks(range(len(results)), list(results))
    axis.set(xlabel=xlabel, ylim=(len(results) - 0.4, -0.7))
    figure.alt = f"{xlabel}, with 95% intervals: " + "; ".join(texts)
    return figure


def lines(frame: pd.DataFrame, x: str, y: str = "accuracy", by: str | None = None, log: bool = False) -> Figure:
    """y against x, a line for each value of `by`: a dot for each run, the mean of the runs, and its 95% interval as a band.

    Args:
        frame: one row for each run.
        log: draw x on a logarithmic axis.
    """
    figure = Figure(8.0, 3.8)
    axis = figure.axes_of()
    texts = []
    groups = [(None, frame)] if by is None else list(frame.groupby(by, sort=False))
    for i, (name, part) in enumerate(groups):
        style = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}
        table = pd.DataFrame({at: mean_interval(group[y]) for at, group in part.groupby(x)}, index=["mean", "low", "high"]).T
        axis.plot(table.index, table["mean"], label=name, markersize=5, **style)
        low, high = table["low"], table["high"]
        if part[y].between(0, 1).all():  # shares: the interval of few and different ones may reach beyond what they can be
            low, high = low.clip(0, 1), high.clip(0, 1)
        axis.fill_between(table.index, low, high, color=style["color"], alpha=0.15, linewidth=0)
        axis.plot(part[x], part[y], ".", color=style["color"], markersize=3, alpha=0.5)
        values = ", ".join(f"{value:.3f} at {at:g}" for at, value in table["mean"].items())
        texts.append(f"{'' if name is None else f'{name}: '}{values}")
    if log:
        axis.set_xscale("log")
        ticks = sorted(frame[x].unique())
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    axis.set(xlabel=x, ylabel=y)
    if by is not None:
        axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.alt = f"{y} against {x}, means of the runs. " + "; ".join(texts)
    return figure


def scatter(points: Tensor | np.ndarray, labels: Sequence, names: Sequence[str]) -> Figure:
    """Points of a plane, each drawn as the name of its class.

    Args:
        points: N x 2.
        labels: the class of each, counted from 0.
    """
    points, labels = np.asarray(points), np.asarray(labels)
    figure = Figure(5.5, 5.0)
    axis = figure.axes_of()
    for (px, py), label in zip(points, labels):
        colour = COLOURS[label % len(COLOURS)]
        axis.text(px, py, names[label], color=colour, ha="center", va="center", fontsize=9, weight="bold")
    low, high = points.min(0), points.max(0)
    pad = 0.05 * (high - low)
    axis.set(xlim=(low[0] - pad[0], high[0] + pad[0]), ylim=(low[1] - pad[1], high[1] + pad[1]), xticks=[], yticks=[])
    figure.alt = f"{len(points)} examples as points of a plane, each drawn as its class, one of {', '.join(names)}."
    return figure


def report(found: Report) -> Figure:
    """What `tl.folder` found (`task.report`): images by class and split, and how large they are."""
    counts, kept = found.counts, found.files[found.files.split != ""]
    figure = Figure(8.5, max(2.6, 0.8 + 0.22 * len(counts)))
    bars, sizes = figure.axes_of(1, 2)
    left = np.zeros(len(counts))
    for i, (split, hatch) in enumerate(zip(counts.columns, ("", "///", "..."))):
        look = {"color": COLOURS[i], "edgecolor": "white", "hatch": hatch, "label": split}
        bars.barh(range(len(counts)), counts[split], 0.75, left, **look)
        left += counts[split].to_numpy()
        part = kept[kept.split == split]
        sizes.plot(part.width, part.height, MARKERS[i], color=COLOURS[i], alpha=0.6, markersize=4, label=split)
    bars.set_yticks(range(len(counts)), counts.index, fontsize=9)
    bars.set(xlabel="images", ylim=(len(counts) - 0.4, -0.6))
    sizes.set(xlabel="width in pixels", ylabel="height in pixels", xlim=(0, 1.05 * kept.width.max()))
    sizes.set_ylim(0, 1.05 * kept.height.max())
    for axis in (bars, sizes):
        axis.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    classes = "; ".join(f"{name} {', '.join(f'{n} {split}' for split, n in row.items())}" for name, row in counts.iterrows())
    figure.alt = (
        f"Images by class and split: {classes}. Widths from {kept.width.min()} to {kept.width.max()} and heights from "
        f"{kept.height.min()} to {kept.height.max()} pixels."
    )
    return figure


def probabilities(picture: Tensor, answers: dict[str, Tensor], classes: Sequence[str]) -> Figure:
    """One picture, and beside it the probability that each model gives each class; the likeliest class is named.

    Args:
        picture: 1 x H x W, uint8.
        answers: for each model by its name, one number for each class.
    """
    width, height = 1.7 + 2.2 * len(answers), 0.75 + 0.22 * len(classes)
    figure = Figure(width, height)
    figure.set_layout_engine("none")
    axis = figure.add_axes((0, 0, 1, 1))  # one for all, in inches: widgets draw this at every stroke, and axes take long
    axis.axis("off")
    axis.imshow(picture.squeeze(0).numpy(), cmap="gray", vmin=0, vmax=255, extent=(0.1, 1.6, 2.1, 0.6))
    axis.set(xlim=(0, width), ylim=(height, 0))
    axis.text(0.85, 0.5, "as the networks see it", ha="center", fontsize=9)
    rows = 0.7 + 0.22 * np.arange(len(classes))
    texts = []
    for i, (name, shares) in enumerate(answers.items()):
        left, best = 2.1 + 2.2 * i, int(shares.argmax())
        axis.barh(rows, 1.4 * shares.numpy(), 0.16, left, color=[COLOURS[row == best] for row in range(len(classes))])
        axis.plot([left, left], [0.56, height - 0.1], color="black", linewidth=0.8)
        axis.text(left - 0.2, 0.4, f"{name}:\n{classes[best]}", fontsize=10)
        for row, (y, share) in enumerate(zip(rows, shares.tolist())):
            weight = "bold" if row == best else "normal"
            axis.text(left - 0.06, y, classes[row], ha="right", va="center", fontsize=9, weight=weight)
            if share >= 0.005:
                axis.text(left + 1.4 * share + 0.05, y, f"{share:.2f}", va="center", fontsize=8, weight=weight)
        texts.append(f"{name}: {classes[best]} with {shares[best]:.2f}")
    figure.alt = f"A picture of {' x '.join(map(str, picture.shape[1:]))}, and what models make of it: {'; '.join(texts)}."
    return figure
