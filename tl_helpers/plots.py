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
import torch.nn.functional as F
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

from .data import Files, InputConfig, Split
from .images import prepare
from .results import Evaluation, mean_interval

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000", "#E69F00", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", ":", "-.")  # the second eight, the third


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

    def sheet(self):
        """One axis over all of the figure, in inches from its top left corner: many axes would take long to draw."""
        self.set_layout_engine("none")
        axis = self.add_axes((0, 0, 1, 1))
        axis.axis("off")
        axis.set(xlim=(0, self.get_figwidth()), ylim=(self.get_figheight(), 0))
        return axis

    def part(self, left: float, top: float, width: float, height: float):
        """An axis in the style of the course at this place, in inches, beside or over a `sheet`."""
        full_width, full_height = self.get_size_inches()
        bottom = full_height - top - height
        axis = self.add_axes((left / full_width, bottom / full_height, width / full_width, height / full_height))
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
        return axis

    def pixels(self) -> np.ndarray:
        """The figure as an image, uint8, height x width x 3, 120 dots to the inch."""
        canvas = FigureCanvasAgg(self)
        canvas.draw()
        return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])

    def html(self, quick: bool = False) -> str:
        """The figure as an image of a web page, its alternative text with it; quick makes it sooner, and larger."""
        file = io.BytesIO()
        Image.fromarray(self.pixels()).save(file, "PNG", compress_level=1 if quick else 6)
        picture = base64.b64encode(file.getvalue()).decode()
        width = round(self.get_figwidth() * 96)
        style = f"width:{width}px;max-width:100%;min-width:{min(width, 640)}px;background:white"
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
    if not len(pictures):
        figure = Figure(2.0, 0.4)
        figure.text(0.05, 0.4, "no pictures")
        figure.alt = "No pictures."
        return figure
    if isinstance(pictures, Files):
        side = max(32, round(size * 150))
        pictures = prepare(Split(pictures, torch.zeros(len(pictures))), InputConfig((3, side, side), (0,) * 3, (1,) * 3))
    labels = [""] * len(pictures) if labels is None else [str(label) for label in labels]
    columns = min(columns, len(pictures))
    rows, line = -(-len(pictures) // columns), _line(pictures.shape[2:], size, labels)
    figure = Figure(columns * size, rows * line)
    tiles(figure.sheet(), shades(pictures), columns, size, labels)
    what = ", ".join(labels) if any(labels) else "no labels"
    figure.alt = f"{len(pictures)} small picture{'s' * (len(pictures) > 1)}. Labels in reading order: {what}."
    return figure


def maps(values: Tensor | np.ndarray, columns: int = 10, size: float = 0.75, titles: Sequence[str] | None = None) -> Figure:
    """Weights or feature maps side by side; blue is below zero, white zero, red above, each map on a scale of its own.

    Args:
        values: N x H x W.
    """
    columns = min(columns, len(values))
    rows, line = -(-len(values) // columns), _line(values.shape[1:], size, titles or [])
    figure = Figure(columns * size, rows * line)
    tiles(figure.sheet(), signed(values), columns, size, titles)
    figure.alt = f"{len(values)} maps of {values.shape[1]} x {values.shape[2]} values, red above zero and blue below"
    figure.alt += f": {', '.join(titles)}." if titles else "."
    return figure


def shades(pictures: Tensor) -> np.ndarray:
    """Pictures, uint8 or float in [0, 1], N x C x H x W, as colours for `tiles`: float, N x H x W x 3, in [0, 1]."""
    pixels = pictures.detach().cpu().float() / (255 if pictures.dtype == torch.uint8 else 1)
    return pixels.clamp(0, 1).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()


def signed(values: Tensor | np.ndarray) -> np.ndarray:
    """Numbers, N x H x W, as colours for `tiles`: blue below zero, white zero, red above, each map on a scale of its own."""
    values = torch.as_tensor(values).detach().cpu().float().numpy()
    limits = np.abs(values).max((1, 2), initial=1e-9, keepdims=True)
    return colormaps["RdBu_r"](values / limits / 2 + 0.5)[..., :3]


def tiles(
    axis, colours: np.ndarray, columns: int, size: float, labels: Sequence | None = None, left: float = 0, top: float = 0
):
    """Draw pictures side by side on a `sheet`, with a label above each: as one image, however many they are.

    Args:
        colours: N x H x W x 3, in [0, 1].
        columns: how many in a row.
        size: the side of one in inches, the gap between them included; the labels come on top of it.
        left, top: where the first begins, in inches.
    """
    labels = [str(label) for label in labels] if labels is not None and any(map(str, labels)) else []
    line, dpi = _line(colours.shape[1:3], size, labels), axis.figure.dpi
    side = min(round(0.94 * size * dpi), int(size * dpi) - 1)
    height, width = (max(1, round(side * edge / max(colours.shape[1:3]))) for edge in colours.shape[1:3])
    pictures = torch.from_numpy(np.ascontiguousarray(colours, dtype=np.float32)).permute(0, 3, 1, 2)
    mode = "area" if height < colours.shape[1] else "nearest"
    pictures = F.interpolate(pictures, (height, width), mode=mode).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    # In the dots of the figure: more would take long to draw, and not be seen.
    page = np.full((round(-(-len(colours) // columns) * line * dpi), round(columns * size * dpi), 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y = round((i // columns + 1) * line * dpi) - height
        x = round(i % columns * size * dpi) + (round(size * dpi) - width) // 2
        page[y : y + height, x : x + width] = picture
    paste(axis, page, left, top)
    for i, label in enumerate(labels):
        axis.text(
            left + (i % columns + 0.5) * size,
            top + i // columns * line + _room(labels) - 0.05,
            label,
            ha="center",
            fontsize=9,
        )


def _line(edges: Sequence[int], size: float, labels: Sequence[str]) -> float:
    """The height in inches of a row of pictures of so many pixels, height and width, with the labels above them."""
    return size * edges[0] / max(edges) + _room(labels)


def _room(labels: Sequence[str]) -> float:
    """The height in inches that labels take above pictures."""
    return 0.1 + 0.15 * max(label.count("\n") + 1 for label in labels) if any(labels) else 0.02


def paste(axis, pixels: np.ndarray, left: float = 0, top: float = 0) -> None:
    """Lay an image on a `sheet`, dot for dot: what does not change need not be drawn again (see `Figure.pixels`)."""
    height, width = np.divide(pixels.shape[:2], axis.figure.dpi)
    axis.imshow(pixels, extent=(left, left + width, top + height, top), aspect="auto", interpolation="nearest")


def history(run) -> Figure:
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


def compare(*runs, names: Sequence[str] | None = None) -> Figure:
    """The validation accuracy of several runs, epoch by epoch."""
    figure = Figure(7.5, 3.2)
    axis = figure.axes_of()
    names = [run.name for run in runs] if names is None else names
    figure.alt = f"Validation accuracy by epoch. At the end: {curves(axis, [*zip(names, runs)])}"
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def curves(axis, runs: Sequence[tuple]) -> str:
    """Draw what `compare` shows on an axis, and return the accuracies of the models in words."""
    texts = []
    for i, (name, run) in enumerate(runs):
        frame, row, style = (
            run.history,
            run.result,
            {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]},
        )
        if row is None:
            texts.append(f"{name} no finished epoch")
            continue
        early = bool(row.epoch < len(frame))
        when = f"in epoch {row.epoch:.0f}, which is kept" if early else "at the end"
        axis.plot(frame.epoch, frame.val_accuracy, markersize=4, label=f"{name}: {row.val_accuracy:.2f} {when}", **style)
        texts.append(f"{name} {row.val_accuracy:.2f}{f' {when}' * early}")
    axis.set(xlabel="epoch", ylabel="validation accuracy", ylim=(0, 1.02))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return "; ".join(texts)


def accuracies(results: dict[str, Evaluation | Sequence[float]], xlabel: str = "accuracy on the test images") -> Figure:
    """A row for each method: one evaluation with its interval, or several accuracies with their mean and its interval."""
    figure = Figure(7.0, 0.7 + 0.4 * len(results))
    axis = figure.axes_of()
    figure.alt = f"{xlabel}, with 95% intervals: {intervals(axis, results)}"
    axis.set(xlabel=xlabel)
    return figure


def intervals(axis, results: dict[str, Evaluation | Sequence[float]]) -> str:
    """Draw what `accuracies` shows on an axis, and return it in words."""
    texts, bars, dots = [], [], []
    for row, (name, result) in enumerate(results.items()):
        if isinstance(result, Evaluation):
            middle, (low, high) = result.accuracy, result.interval
        else:
            middle, low, high = mean_interval(result)
            if min(result) >= 0 and max(result) <= 1:
                low, high = max(low, 0.0), min(high, 1.0)
            dots += [(value, row + 0.22) for value in result]  # below the interval, which would hide them
        bars.append((middle, low, high))
        axis.annotate(f"{middle:.3f}", (middle, row), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=9)
        texts.append(f"{name} {middle:.3f} ({low:.3f} to {high:.3f})")
    middles, lows, highs = zip(*bars)
    axis.plot(*np.reshape(dots, (-1, 2)).T, ".", color="#7F7F7F")
    axis.hlines(range(len(bars)), lows, highs, color=COLOURS[0], linewidth=2)
    axis.plot(middles, range(len(bars)), MARKERS[0], color=COLOURS[0])
    axis.set_yticks(range(len(results)), list(results))
    axis.set(ylim=(len(results) - 0.4, -0.7))
    return "; ".join(texts)


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
        style = {
            "color": COLOURS[i % len(COLOURS)],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": LINES[i // len(COLOURS)],
        }
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
        ticks = ticks[:: 1 + (len(ticks) > 7)]  # more would not fit beside each other
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


def report(found) -> Figure:
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
        picture: 1 x H x W or 3 x H x W, uint8.
        answers: for each model by its name, one number for each class.
    """
    height = max(2.2, 0.75 + 0.22 * len(classes))
    room = 0.15 + 0.08 * max(map(len, classes))  # for their names
    figure = Figure(1.7 + (1.6 + room) * len(answers), height)
    axis = figure.sheet()
    axis.imshow(shades(picture[None])[0], extent=(0.1, 1.6, 2.1, 0.6), aspect="auto")
    axis.text(0.85, 0.5, "as the networks see it", ha="center", fontsize=9)
    rows = 0.7 + 0.22 * np.arange(len(classes))
    texts = []
    for i, (name, shares) in enumerate(answers.items()):
        left, best = 1.7 + room + (1.6 + room) * i, int(shares.argmax())
        axis.barh(rows, 1.2 * shares.numpy(), 0.16, left, color=[COLOURS[row == best] for row in range(len(classes))])
        axis.plot([left, left], [0.56, height - 0.1], color="black", linewidth=0.8)
        axis.text(left - 0.1, 0.4, f"{name}:\n{classes[best]}", fontsize=10)
        for row, (y, share) in enumerate(zip(rows, shares.tolist())):
            weight = "bold" if row == best else "normal"
            axis.text(left - 0.06, y, classes[row], ha="right", va="center", fontsize=9, weight=weight)
            if share >= 0.005:
                axis.text(left + 1.2 * share + 0.05, y, f"{share:.2f}", va="center", fontsize=8, weight=weight)
        texts.append(f"{name}: {classes[best]} with {shares[best]:.2f}")
    figure.alt = f"A picture of {' x '.join(map(str, picture.shape[1:]))}, and what models make of it: {'; '.join(texts)}."
    return figure
