"""What it looks like: every figure of the course, in one style (engine/style.py). Lesson 00 draws the first one.

No figure says anything by colour alone, and each has a text that says what it shows, for those who cannot see it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from .data import Files, InputConfig, Split
from .engine.diagram import anatomy  # noqa: F401  (lessons call it plots.anatomy)
from .engine.drawing import paste, scale, shades
from .engine.figure import Figure
from .engine.style import COLOURS, MARKERS, looks, looks_of_rows
from .engine.validate import brief, check_choice, check_kind, check_listed, check_number
from .images import prepare
from .results import Evaluation, mean_interval


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
    check_kind("plots.images", pictures, (Files, Tensor), "a split of images, or a tensor of them")
    labels = _checked(len(pictures), columns, size, labels)
    if not len(pictures):
        figure = Figure(2.0, 0.4)
        figure.text(0.05, 0.4, "no pictures")
        figure.alt = "No pictures."
        return figure
    if isinstance(pictures, Files):
        side = max(32, round(size * 150))
        pictures = prepare(Split(pictures, torch.zeros(len(pictures))), InputConfig((3, side, side), (0,) * 3, (1,) * 3))
    colours, columns = shades(pictures), min(columns, len(pictures))
    rows, line = -(-len(pictures) // columns), _line(pictures.shape[2:], size, labels)
    figure = Figure(columns * size, rows * line)
    tiles(figure.sheet(), colours, columns, size, labels)
    what = ", ".join(labels) if any(labels) else "no labels"
    figure.alt = f"{len(pictures)} small picture{'s' * (len(pictures) > 1)}. Labels in reading order: {what}."
    return figure


def maps(values: Tensor | np.ndarray, columns: int = 10, size: float = 0.75, titles: Sequence[str] | None = None) -> Figure:
    """Weights or feature maps side by side; blue is below zero, white zero, red above, each map on a scale of its own.

    Args:
        values: N x H x W.
        titles: a text above each; None to count them from 0.
    """
    check_kind("plots.maps", values, (Tensor, np.ndarray), "maps as a tensor or an array")
    if values.ndim != 3 or 0 in values.shape:
        raise ValueError(f"Maps are N x H x W numbers, at least one; these are {' x '.join(map(str, values.shape))}.")
    titles = _checked(len(values), columns, size, range(len(values)) if titles is None and len(values) > 1 else titles)
    columns = min(columns, len(values))
    rows, line = -(-len(values) // columns), _line(values.shape[1:], size, titles)
    figure = Figure(max(columns * size, 1.9), rows * line + 0.5)
    tiles(axis := figure.sheet(), signed(values), columns, size, titles)
    scale(axis, rows * line + 0.12)
    figure.alt = f"{len(values)} maps of {values.shape[1]} x {values.shape[2]} values, red above zero and blue below"
    figure.alt += f": {', '.join(titles)}." if any(titles) else "."
    return figure


def _checked(count: int, columns: int, size: float, labels: Sequence | None) -> list[str]:
    """A text for each picture, where the arguments of `images` and `maps` are what they must be."""
    check_number("columns", columns, "a whole number from 1", 1, whole=True)
    check_number("size", size, "inches, from 0.1 to 10", 0.1, 10)
    labels = [""] * count if labels is None else labels.tolist() if isinstance(labels, Tensor) else labels
    check_listed("A figure", labels, "a label for each picture")
    if len(labels := [str(label) for label in labels]) != count:
        raise ValueError(f"There are {count} pictures and {len(labels)} labels; each picture needs one.")
    return labels


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


def history(run) -> Figure:
    """Loss and accuracy of one run, epoch by epoch, in training and in validation."""
    frame, figure = _history(run), Figure(7.5, 2.8)
    for axis, what in zip(figure.axes_of(1, 2), ("loss", "accuracy")):
        for i, (column, label) in enumerate(((what, "training"), (f"val_{what}", "validation"))):
            if column in frame and frame[column].notna().any():  # without validation images there is no such line
                axis.plot(frame.epoch, frame[column], color=COLOURS[i], marker=MARKERS[i], markersize=3, label=label)
        axis.set(xlabel="epoch", ylabel=what)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if not frame.empty:
            axis.legend(frameon=False)
    figure.alt = f"Loss and accuracy by epoch. {run!r}."
    return figure


def _history(run) -> pd.DataFrame:
    if not isinstance(getattr(run, "history", None), pd.DataFrame):
        raise TypeError(f"This figure takes a run, as tl.fit returns one; this is {brief(run)}.")
    return run.history


def compare(*runs, names: Sequence[str] | None = None) -> Figure:
    """The validation accuracy of several runs, epoch by epoch."""
    for run in runs:
        _history(run)
    if not runs:
        raise ValueError("There is no run to show: give at least one.")
    if names is not None and (not isinstance(names, Sequence) or len(names) != len(runs)):
        raise ValueError(f"names must be {len(runs)} names, one for each run; not {brief(names)}.")
    figure = Figure(7.5, 3.2)
    axis = figure.axes_of()
    names = [run.name for run in runs] if names is None else names
    figure.alt = f"Validation accuracy by epoch. At the end: {curves(axis, [*zip(names, runs)])}"
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def curves(axis, runs: Sequence[tuple]) -> str:
    """Draw what `compare` shows on an axis, and return the accuracies of the models in words."""
    texts = []
    for (name, run), style in zip(runs, looks(name for name, _ in runs)):
        frame, row = run.history, run.result
        if row is None:
            texts.append(f"{name} no finished epoch")
            continue
        if np.isnan(row.val_accuracy):
            axis.plot([], [], label=f"{name}: no validation images", **style._asdict())
            texts.append(f"{name} without validation images")
            continue
        early = bool(row.epoch < len(frame))
        when = f"in epoch {row.epoch:.0f}, which is kept" if early else "at the end"
        axis.plot(
            frame.epoch, frame.val_accuracy, markersize=4, label=f"{name}: {row.val_accuracy:.2f} {when}", **style._asdict()
        )
        texts.append(f"{name} {row.val_accuracy:.2f}{f' {when}' * early}")
    axis.set(xlabel="epoch", ylabel="validation accuracy", ylim=(0, 1.02))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return "; ".join(texts)


def accuracies(
    results: dict[str, Evaluation | Sequence], xlabel: str = "", n: int | None = None, images: str = "test images"
) -> Figure:
    """A row for each method: one evaluation with its interval, or several draws with their mean and its interval.

    Args:
        results: evaluations, or what `mean_interval` takes: accuracies with n, answers, or other numbers.
        xlabel: if it is not "accuracy on the" and then the images.
        n: how many images the accuracies were measured on; images: what they are.
    """
    if not isinstance(results, dict) or not results:
        raise ValueError(f"results must be accuracies or evaluations by their names; not {brief(results)}.")
    figure = Figure(7.0, 0.9 + 0.4 * len(results))
    axis = figure.axes_of()
    words, covers = intervals(axis, results, n)
    covers, xlabel = covers.replace("test images", str(images)), str(xlabel)
    if not xlabel and max(float(np.max(line.get_xdata(), initial=0)) for line in axis.lines) > 1:
        raise ValueError("Accuracies are from 0 to 1: divide percentages by 100, or say in xlabel what these numbers are.")
    xlabel = xlabel or f"accuracy on the {images}"
    figure.alt = f"{xlabel}, with 95% intervals ({covers}): {words}" if covers else f"{xlabel}: {words}"
    axis.set(xlabel=f"{xlabel}\n95% intervals: {covers}" if covers else xlabel)
    return figure


def intervals(axis, results: dict[str, Evaluation | Sequence], n: int | None = None) -> tuple[str, str]:
    """Draw what `accuracies` shows on an axis, and return in words what it shows, and what the intervals cover."""
    texts, bars, dots, covers = [], [], [], {}
    for row, (name, result) in enumerate(results.items()):
        one = isinstance(result, Evaluation)
        found = mean_interval([result.accuracy], result.n) if one else mean_interval(result, n)
        values = [] if one or len(result) == 1 else [float(np.mean(np.asarray(value))) for value in result]
        dots += [(value, row + 0.22) for value in values]  # below the interval, which would hide them
        middle, low, high = _within(found, values or found[:1])
        bars.append((middle, low, high))
        known = np.isfinite(low)  # of one number there is no interval
        covers |= {found.covers: True} if known else {}
        axis.annotate(f"{middle:.3f}", (middle, row), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=9)
        texts.append(f"{name} {middle:.3f} ({low:.3f} to {high:.3f})" if known else f"{name} {middle:.3f}")
    middles, lows, highs = zip(*bars)
    axis.plot(*np.reshape(dots, (-1, 2)).T, ".", color="#7F7F7F")
    axis.hlines(range(len(bars)), lows, highs, [one.color for one in looks_of_rows(results)], linewidth=2)
    for row, one in enumerate(looks_of_rows(results)):
        axis.plot(middles[row], row, one.marker, color=one.color)
    axis.set_yticks(range(len(results)), list(results))
    axis.set(ylim=(len(results) - 0.4, -0.7))
    return "; ".join(texts), _either(covers) if covers else ""


def _either(covers: Iterable[str]) -> str:
    """What intervals cover, in words: "1 draw or 3 draws, 797 test images"."""
    heads, tails = zip(*(re.match("([^,;]*)(.*)", cover).groups() for cover in covers))
    return " or ".join(heads) + tails[0] if len(set(tails)) == 1 else " or ".join(covers)


def _within(found: Sequence[float], values: Sequence[float]) -> tuple[float, ...]:
    """Student's interval of shares may reach beyond what they can be; here it ends there."""
    return tuple(np.clip(found, 0, 1)) if min(values, default=0) >= 0 and max(values, default=1) <= 1 else tuple(found)


def lines(
    frame: pd.DataFrame, x: str, y: str = "accuracy", by: str | None = None, log: bool = False, n: int | None = None
) -> Figure:
    """y against x, a line for each value of `by`: a dot for each run, the mean of the runs, and its 95% interval as a band.

    Args:
        frame: one row for each run.
        log: draw x on a logarithmic axis.
        y: a number, or the answers to all test images (see `mean_interval`).
        n: how many test images y is the accuracy on, so that the band covers them too.
    """
    check_kind("plots.lines", frame, pd.DataFrame, "a table, one row for each run")
    check_choice("log", log, (False, True))
    for name, column in (("x", x), ("y", y), ("by", y if by is None else by)):
        check_choice(name, column, list(frame.columns))
    if not len(frame) or frame[x].hasnans or not pd.api.types.is_numeric_dtype(frame[x]) or log and frame[x].min() <= 0:
        raise ValueError(f"The column {x!r} must hold numbers{', above 0 on a logarithmic axis' * log}.")
    figure = Figure(8.0, 3.8)
    axis = figure.axes_of()
    texts, covers = [], {}
    groups = [(None, frame)] if by is None else list(frame.groupby(by, sort=False, dropna=False))
    for (name, part), style in zip(groups, looks(name for name, _ in groups)):
        found = {at: mean_interval(group[y], n) for at, group in part.groupby(x)}
        covers |= {interval.covers: True for interval in found.values() if np.isfinite(interval[1])}  # of one run none
        dots = part[y].map(np.mean)
        bands = {at: _within(interval, dots) for at, interval in found.items()}
        table = pd.DataFrame(bands, index=["mean", "low", "high"]).T
        axis.plot(table.index, table["mean"], label=name, markersize=5, **style._asdict())
        axis.fill_between(table.index, table["low"], table["high"], color=style.color, alpha=0.15, linewidth=0)
        axis.plot(part[x], dots, ".", color=style.color, markersize=3, alpha=0.5)
        values = ", ".join(f"{value:.3f} at {at:g}" for at, value in table["mean"].items())
        texts.append(f"{'' if name is None else f'{name}: '}{values}")
    if log:
        axis.set_xscale("log")
        ticks = sorted(frame[x].unique())
        ticks = ticks[:: 1 + (len(ticks) > 8)]  # more would not fit beside each other
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    covers = _either(covers) if covers else ""
    axis.set(xlabel=f"{x}\nbands: 95% intervals, {covers}" if covers else x, ylabel=y)
    if by is not None:
        axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    means = f"means of the runs, with 95% intervals ({covers}) as bands" if covers else "one run each"
    figure.alt = f"{y} against {x}, {means}. " + "; ".join(texts)
    return figure


def scatter(
    points: Tensor | np.ndarray,
    labels: Sequence,
    names: Sequence[str],
    axes: Sequence[str] = ("first direction", "second direction"),
) -> Figure:
    """Points of a plane, each drawn as the name of its class.

    Args:
        points: N x 2.
        labels: the class of each, counted from 0.
        axes: what the two numbers of a point are.
    """
    try:
        points, labels = np.asarray(points, dtype=float), np.asarray(labels)
    except (TypeError, ValueError):
        raise ValueError("Points and labels must be numbers, in a tensor or an array.") from None
    if not isinstance(names, Sequence) or isinstance(names, bytes):
        raise ValueError(f"names must be the names of the classes; not {brief(names)}.")
    fits = points.ndim == 2 and points.shape[1] == 2 and labels.shape == (len(points),) and labels.dtype.kind in "iu"
    if not fits or not len(points) or not 0 <= labels.min() <= labels.max() < len(names) or not np.isfinite(points).all():
        raise ValueError("Give finite points, N x 2, and for each the number of its class, from 0 and below that of names.")
    names, figure = [str(name) for name in names], Figure(5.5, 5.0)
    axis = figure.axes_of()
    for (px, py), label in zip(points, labels):
        colour = COLOURS[label % len(COLOURS)]
        axis.text(px, py, names[label], color=colour, ha="center", va="center", fontsize=9, weight="bold")
    low, high = points.min(0), points.max(0)
    pad = 0.05 * (high - low)
    axis.set(xlim=(low[0] - pad[0], high[0] + pad[0]), ylim=(low[1] - pad[1], high[1] + pad[1]), xticks=[], yticks=[])
    axis.set(xlabel=axes[0], ylabel=axes[1])
    what = f"{len(points)} examples as points of a plane ({axes[0]}, {axes[1]})"
    figure.alt = f"{what}, each drawn as its class, one of {', '.join(names)}."
    return figure


def report(found) -> Figure:
    """What `tl.folder` found (`task.report`): images by class and split, and how large they are."""
    if not isinstance(getattr(found, "files", None), pd.DataFrame):
        raise TypeError(f"This figure takes the report of a folder, task.report; this is {brief(found)}.")
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
    sizes.set(xlabel="width in pixels", ylabel="height in pixels", xlim=(0, 1.3 * kept.width.max()))
    sizes.set_ylim(0, 1.3 * kept.height.max())
    for at, n in kept.groupby(["width", "height"]).size().nlargest(2).items():
        sizes.annotate(
            f"{n} of {at[0]} x {at[1]}" * (n > 1), at, (0, 8), textcoords="offset points", ha="center", fontsize=9
        )
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
        answers: for each model by its name, one number from 0 to 1 for each class.
    """
    if not isinstance(classes, Sequence) or not classes or not isinstance(answers, dict):
        raise ValueError("Give answers by the names of the models, and the names of the classes.")
    classes = [str(name) for name in classes]
    for name, shares in answers.items():
        fits = isinstance(shares, Tensor) and shares.shape == (len(classes),) and 0 <= shares.min() <= shares.max() < 1.001
        if not fits:  # logits, or what is no number
            raise ValueError(f"The answer of {name!r} must be {len(classes)} probabilities, one for each class.")
    answers = {name: shares.detach().cpu().float() for name, shares in answers.items()}
    colours = shades(picture[None] if isinstance(picture, Tensor) else picture)[0]
    height = max(2.2, 0.75 + 0.22 * len(classes))
    room = 0.15 + 0.08 * max(map(len, classes))  # for their names
    figure = Figure(1.7 + (1.6 + room) * len(answers), height)
    axis = figure.sheet()
    axis.imshow(colours, extent=(0.1, 1.6, 2.1, 0.6), aspect="auto")
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
