"""What changes when one thing is changed: a part of the network, the learning rate, the number of labels, what is frozen.

Lessons 02, 03, 06 and 07 show them.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable

import ipywidgets
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import models, plots
from ..course import experiments
from ..course.experiments import chosen, load
from ..course.methods import BEND, METHODS
from ..data import Split, Task, digits, letters
from ..device import seeded
from ..engine import diagram
from ..engine.drawing import WIDE, paste
from ..engine.memory import predict_logits
from ..engine.parts import keep_frozen_still, uncompiled
from ..engine.style import looks
from ..engine.validate import check_listed, check_number
from ..engine.weights import create_pretrained
from ..images import prepare
from ..models import ACTIVATIONS, POOLINGS, RawCNN, count_parameters
from ..results import Evaluation
from ..runs import Run
from ..training import evaluate, fit
from .base import Widget
from .cache import cached


def _add(runs: dict, name: str, run, most: int = len(plots.COLOURS)) -> None:
    """Keep a run under its name, as the newest; where there are too many, the oldest goes."""
    runs.pop(name, None)
    runs[name] = run
    while len(runs) > most:
        del runs[next(iter(runs))]


def _clearing(*kept: dict) -> Callable[..., str]:
    """What the button "Clear the runs" does."""

    def clear(**_) -> str:
        for runs in kept:
            runs.clear()
        return "The runs are gone."

    return clear


def layers(model: nn.Module, runs: dict[str, Run] | None = None) -> plots.Figure:
    """A network layer by layer: what comes out of each, and how many parameters it has; beside it runs, if there are any.

    Args:
        model: a network with a `pretrained_cfg`, as RawCNN and timm's models have it.
        runs: by their names.
    """
    rows = []

    def note(name):
        def hook(module, _, out):
            rows.append(
                (f"{name}: {type(module).__name__}", " x ".join(map(str, out.shape[1:])), count_parameters(module)[1])
            )

        return hook

    leaves = [(name, m) for name, m in model.named_modules() if not [*m.children()] and not isinstance(m, nn.Identity)]
    hooks = [module.register_forward_hook(note(name)) for name, module in leaves]
    try:
        predict_logits(model, model, torch.zeros(1, *models.input_of(model).size))
    finally:
        for hook in hooks:
            hook.remove()
    below = 0.8 + 0.24 * len(rows)
    figure = plots.Figure(WIDE if runs else 5.6, below + (2.7 + 0.19 * len(runs or ())) * bool(runs))
    sheet, most = figure.sheet(), max(n for *_, n in rows)
    sheet.text(0.1, 0.3, "layer", weight="bold", fontsize=9)
    sheet.text(2.0, 0.3, "what comes out", weight="bold", fontsize=9)
    sheet.text(3.4, 0.3, f"parameters: {count_parameters(model)[1]:,}", weight="bold", fontsize=9)
    for i, (name, shape, n) in enumerate(rows):
        y = 0.58 + 0.24 * i
        sheet.text(0.1, y, name, fontsize=9, va="center")
        sheet.text(2.0, y, shape, fontsize=9, va="center")
        sheet.barh(y, 1.3 * n / most, 0.16, 3.4, color=plots.COLOURS[0])
        sheet.text(3.45 + 1.3 * n / most, y, f"{n:,}" if n else "none", fontsize=9, va="center")
    figure.alt = f"A network of {count_parameters(model)[1]:,} parameters. " + "; ".join(
        f"{name} gives {shape}, {n:,} parameters" for name, shape, n in rows
    )
    if runs:
        axis = figure.part(0.7, below + 0.1, 6.2, 2.0)
        figure.alt += f". Validation accuracy of the runs at the end: {plots.curves(axis, [*runs.items()])}"
        axis.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.19), labelspacing=0.2)
    return figure


def swap(task: Task | None = None, epochs: int = 10, lr: float = 3e-3) -> Widget:
    """Swap parts of the raw CNN: shapes and parameters follow at once, and a button trains it; the runs stay side by side.

    The same as code: `tl.widgets.layers(tl.RawCNN(activation="tanh"))`, and `tl.fit` and `tl.plots.compare` for the runs.

    Args:
        task: what to train on; None for 20 of each digit.
        epochs, lr: of the training, the same for all.
    """
    task, runs = task or digits(20), {}
    network = lambda norm, **parts: RawCNN(len(task.classes), norm=None if norm == "none" else norm, **parts)
    usual = {name: argument.default for name, argument in inspect.signature(RawCNN).parameters.items()} | {"norm": "none"}
    words = lambda part, value: f"{part} {value:g}" if part in ("kernel", "dropout") else f"{value} {part}"

    def train(**parts) -> str:
        run = fit(network(**parts), task, epochs=epochs, lr=lr, progress=False)
        name = ", ".join(words(part, value) for part, value in parts.items() if value != usual[part]) or "the article's"
        _add(runs, name, run)
        last = run.history.iloc[-1]
        return f"{name}: validation accuracy {last.val_accuracy:.2f} after {epochs} epochs, {last.seconds:.1f} s. One run."

    return Widget(
        lambda **parts: layers(network(**parts), runs),
        {"Train": train, "Clear the runs": _clearing(runs)},
        activation=ipywidgets.Dropdown(options=list(ACTIVATIONS), description="activation"),
        kernel=ipywidgets.IntSlider(5, 1, 9, description="kernel"),
        pooling=ipywidgets.Dropdown(options=list(POOLINGS), description="pooling"),
        dropout=ipywidgets.FloatSlider(0.5, min=0, max=0.9, step=0.1, description="dropout"),
        norm=ipywidgets.Dropdown(options=["none", "batch"], description="norm"),
    )


@cached(20)
def loss_around(model: nn.Module, split: Split, span: float = 1.0, steps: int = 19, seed: int = 0) -> np.ndarray:
    """The loss on a plane of weights through a model's own: float, steps x steps, the model itself in the middle.

    Two random directions span the plane, each filter of them as long as the model's filter (biases and norms stay put).

    Args:
        span: how far the plane reaches each way; at 1 a filter is changed by as much as it is long.
        steps: how many points each way, an odd number from 3.
        seed: which directions.

    Raises:
        ValueError: steps is even, or there are no images.

    Source: Li and others 2018, Visualizing the Loss Landscape of Neural Nets, https://arxiv.org/abs/1712.09913
    """
    check_number("steps", steps, "an odd number from 3", 3, whole=True)
    if steps % 2 == 0:
        raise ValueError(f"steps must be an odd number from 3, so that the model is one of the points; not {steps}.")
    if not len(split):
        raise ValueError("There are no images here to take the loss of.")
    wanted = models.input_of(model)
    x = wanted.normalise(prepare(split, wanted))
    weights = {name: p.detach() for name, p in model.named_parameters()}
    generator = torch.Generator().manual_seed(seed)

    def direction(p: Tensor) -> Tensor:
        if p.ndim < 2:
            return torch.zeros_like(p)
        d = torch.randn(p.shape, generator=generator).to(p.device)
        norms = (v.flatten(1).norm(dim=1).view(-1, *[1] * (p.ndim - 1)) for v in (p, d))
        return d * next(norms) / next(norms)

    plane = [{name: direction(p) for name, p in weights.items()} for _ in range(2)]
    where = next(iter(weights.values())).device
    x, y = x.to(where), split.y.to(where)
    ticks, values = np.linspace(-span, span, steps), np.empty((steps, steps))
    for i, up in enumerate(ticks):
        for j, right in enumerate(ticks):
            moved = {name: p + right * plane[0][name] + up * plane[1][name] for name, p in weights.items()}
            logits = predict_logits(model, lambda x: torch.func.functional_call(model, moved, (x,)), x)  # noqa: B023
            values[i, j] = F.cross_entropy(logits, y).item()
    values.flags.writeable = False  # these are kept, for whoever asks again
    return values


def surface(model: nn.Module, split: Split, **arguments) -> plots.Figure:
    """The loss around a trained model, as a map (see `loss_around`, which takes the same arguments)."""
    figure = plots.Figure(4.8, 3.6)
    figure.alt = _map(figure.axes_of(), None, loss_around(model, split, **arguments), arguments.get("span", 1.0))
    return figure


@functools.lru_cache(maxsize=8)
def _mapped(values: bytes, steps: int) -> tuple[np.ndarray, str]:
    """A loss surface, drawn, and in words."""
    figure = plots.Figure(3.3, 3.5)
    figure.sheet()
    axis, bar = figure.part(0.6, 0.45, 2.1, 2.4), figure.part(2.8, 0.45, 0.1, 2.4)
    words = _map(axis, bar, np.frombuffer(values).reshape(steps, steps))
    return figure.pixels(), words


def _map(axis, bar, values: np.ndarray, span: float = 1.0) -> str:
    """Draw a loss surface on an axis, what its colours mean on another or beside it, and say in words how it lies."""
    middle, ticks = values[len(values) // 2, len(values) // 2], np.linspace(-span, span, len(values))
    low = max(np.nanmin(values), 1e-3)
    levels = np.geomspace(low, max(np.nanquantile(values, 0.95), 1.01 * low), 9)
    axis.grid(False)
    filled = axis.contourf(ticks, ticks, np.clip(values, levels[0], levels[-1]), levels, cmap="cividis")
    axis.figure.colorbar(filled, cax=bar, ax=axis if bar is None else None, ticks=levels[::2], format="%.3g")
    lines = axis.contour(ticks, ticks, values, levels, colors="white", linewidths=0.6)
    axis.clabel(lines, levels[1::2], fontsize=7, fmt="%.3g")
    axis.plot(0, 0, "*", color="white", markeredgecolor="black", markersize=11)
    axis.set(xticks=(-span, 0, span), yticks=(-span, 0, span))
    axis.set(xlabel="first direction", ylabel="second direction", title="training loss around the weights (star)")
    axis.title.set_fontsize(9)
    edge = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    return f"The loss around the weights: {middle:.2g} at the weights, {edge.min():.2g} to {edge.max():.2g} at the edge."


def _check_one_kind(rows: pd.DataFrame, keys: list[str], grid: str) -> None:
    """Raise a ValueError where rows that a figure would take for draws of one kind are of several."""
    if rows.task.nunique() > 1 or rows.duplicated([*keys, "seed"]).any():
        raise ValueError(
            f"The grid {grid!r} has several tasks, networks or settings under one name, which must not be averaged: take "
            f"another grid, 'digits' say, or draw a part of tl.experiments.load({grid!r}) with tl.plots."
        )


def rates(
    method: str, shots: int, runs: dict[str, Run] | None = None, values: np.ndarray | None = None, grid: str = "digits"
) -> plots.Figure:
    """The stored runs of a method at each learning rate, a dot for each seed, and beside them runs of your own.

    Args:
        method, shots, grid: which stored results (see `tl.experiments.load`).
        runs: your own, by their names.
        values: a loss surface (see `loss_around`).

    Raises:
        ValueError: there are no such runs, or they are of several tasks, networks or settings.
    """
    rows = load(grid)
    rows = rows[(rows.method == method) & (rows.shots == shots)]
    _check_one_kind(rows, ["lr"], grid)
    found = {lr: accuracies.tolist() for lr, accuracies in rows.groupby("lr").val}
    if not found:
        raise ValueError(f"No stored runs of {method!r} with {shots} labelled images per class: choose another number.")
    mapped, beside = values is not None, bool(runs)
    figure = plots.Figure(3.6 + 3.4 * (beside or mapped), 3.5 * (1 + (beside and mapped)))
    sheet, means = figure.sheet(), {lr: np.mean(accuracies) for lr, accuracies in found.items()}
    axis = figure.part(0.7, 0.45, 2.7, 2.4)
    axis.set_xscale("log")
    axis.minorticks_off()
    dots = [(lr, accuracy) for lr, accuracies in found.items() for accuracy in accuracies]
    (style,) = looks([method])
    axis.plot(*zip(*dots), style.marker, color=style.color, alpha=0.6, markersize=5)
    axis.plot(list(means), list(means.values()), color=style.color)
    axis.set(xlabel="learning rate", ylabel="validation accuracy", ylim=(0, 1.02))
    ticks = [*means][:: 1 + (len(means) > 5)]  # more would not fit beside each other
    axis.set_xticks(ticks, [f"{lr:g}" for lr in ticks])
    axis.set_title(f"stored: {method},\n{shots} per class, a mark for each seed, line: mean", fontsize=9)
    figure.alt = f"Stored runs of {method} with {shots} labelled images per class. Mean validation accuracy: " + ", ".join(
        f"{mean:.2f} at learning rate {lr:g} ({len(found[lr])} seeds)" for lr, mean in means.items()
    )
    if runs:
        axis = figure.part(4.15, 0.45, 2.7, 2.45 - 0.19 * len(runs))
        figure.alt += f". Runs made here, validation accuracy at the end: {plots.curves(axis, [*runs.items()])}"
        axis.set_title("made here", fontsize=9)
        axis.set_xlabel("epoch", labelpad=1)
        axis.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.2), labelspacing=0.2)
    if values is not None:
        drawn, words = _mapped(np.ascontiguousarray(values, dtype=float).tobytes(), len(values))
        paste(sheet, drawn, left=0.1 if beside else 3.7, top=3.5 * beside)
        figure.alt += f". {words}"
    return figure


def explore(grid: str = "digits", epochs: int = 20) -> Widget:
    """Learning rate and seed: stored runs at a few rates, and runs of the raw CNN at any rate, made here.

    The same as code: `tl.widgets.rates("raw CNN from scratch", 10)`, `tl.fit(..., lr=...)`, and `tl.widgets.surface(model,
    task.train)` for the loss around a trained network.
    """
    rows = load(grid)
    rows = rows[rows.lr.notna()]
    methods, counts = list(rows.method.unique()), sorted(rows.shots.unique().tolist())
    runs, around, last = {}, {}, {}

    def train(method, shots, lr, seed) -> str:
        task = digits(shots, seed)
        run = fit(RawCNN(seed=seed), task, lr=lr, seed=seed, epochs=epochs, progress=False)
        name = f"{shots} a class, rate {lr:.2g}, seed {seed}"
        around.clear()
        last.update(name=name, images=task.train)
        _add(runs, name, run)
        return f"Raw CNN, {name}: validation accuracy {run.history.val_accuracy.iloc[-1]:.2f}."

    def look(method, shots, lr, seed) -> str:
        if not last:
            return "Train first: the loss is drawn around the weights of the last run."
        around["values"] = loss_around(runs[last["name"]].model, last["images"])
        return f"The loss on the {len(last['images'])} training digits around the weights of {last['name']}."

    return Widget(
        lambda method, shots, lr, seed: rates(method, shots, runs, around.get("values"), grid),
        {"Train a raw CNN": train, "Loss surface of the last run": look, "Clear the runs": _clearing(runs, around, last)},
        method=ipywidgets.Dropdown(
            options=methods, value=next((m for m in methods if "raw" in m), methods[0]), description="stored runs of"
        ),
        shots=ipywidgets.SelectionSlider(
            options=counts, value=10 if 10 in counts else counts[0], description="labelled images per class"
        ),
        lr=ipywidgets.FloatLogSlider(3e-3, min=-4, max=-0.5, step=0.25, description="learning rate"),
        seed=ipywidgets.IntSlider(0, 0, 19, description="seed"),
    )


@functools.lru_cache(maxsize=16)
def _compared(results: tuple[tuple[str, tuple], ...], n: int | None) -> tuple[np.ndarray, str]:
    """How far each method gets, from its results (see `experiments.values`): drawn, and in words."""
    figure = plots.Figure(WIDE, 0.9 + 0.34 * len(results))
    figure.sheet()
    axis = figure.part(2.8, 0.15, 4.2, figure.get_figheight() - 0.85)
    words, covers = plots.intervals(axis, dict(results), n)
    axis.tick_params("y", labelsize=9)
    axis.set_xlabel(f"test accuracy, 95% interval:\n{covers}", fontsize=9)
    axis.set_xlim(0, 1.02)
    return figure.pixels(), f"mean with its 95% interval ({covers}): {words}"


def sampled(shots: int, seed: int = 0, grid: str = "digits") -> plots.Figure:
    """So many labelled images of each digit, as a seed draws them, and how far each method gets with so many.

    Args:
        shots: one of those in the stored results.
        seed: which images are shown; the accuracies are those of all stored seeds.
        grid: which stored results (see `tl.experiments.load`).

    Raises:
        ValueError: there are no stored results for so many, or they are of several tasks, networks or settings.
    """
    rows = chosen(load(grid))
    part, order = rows[rows.shots == shots], [*METHODS]
    if part.empty:
        known = ", ".join(map(str, sorted(rows.shots.unique())))
        raise ValueError(f"There are stored results for {known} labelled images per class; not for {shots}.")
    keys = ["method", "backbone"] if part.groupby("method").backbone.nunique().max() > 1 else ["method"]
    _check_one_kind(part, keys, grid)
    groups = sorted(part.groupby(keys, sort=False), key=lambda group: (*order, group[0][0]).index(group[0][0]))
    n = experiments.test_images(part.task.iloc[0])
    results = tuple((", ".join(filter(None, key)), experiments.values(group)) for key, group in groups)
    drawn, words = _compared(results, n)
    # Classes side by side in a row, or one class in several rows: whichever leaves the pictures largest.
    across = [shots * k for k in (1, 2, 5, 10)] + [shots // k for k in (2, 3, 5) if shots % k == 0]
    sides = {columns: min(0.6, 7.0 / columns, 2.8 * columns / (10 * shots) - 0.02) for columns in across}
    columns = max(sides, key=sides.get)
    below = 0.45 + 10 * shots / columns * (sides[columns] + 0.02)
    figure = plots.Figure(WIDE, below + len(drawn) / 120)
    sheet = figure.sheet()
    paste(sheet, drawn, top=below)
    pictures = plots.shades(digits(shots, seed).train.x)
    plots.tiles(sheet, pictures, columns, sides[columns], left=0.1, top=0.35)
    sheet.text(0.1, 0.25, f"{shots} of each digit, draw {seed}", fontsize=9)
    figure.alt = (
        f"{shots} labelled images of each digit, and the test accuracy of methods that learned from so many, {words}."
    )
    return figure


def shots(grid: str = "digits") -> Widget:
    """How many labels: the images that a method learns from, and how far each method gets with them.

    The same as code: `tl.widgets.sampled(5)`.
    """
    counts = sorted(chosen(load(grid)).shots.unique().tolist())
    return Widget(
        lambda shots, seed: sampled(shots, seed, grid),
        shots=ipywidgets.SelectionSlider(options=counts, description="labelled images per class"),
        seed=ipywidgets.IntSlider(0, 0, 19, description="draw"),
    )


def thawed(model: nn.Module, blocks: list[int], norms: str = "still") -> nn.Module:
    """A copy of a classifier in which the head and some blocks learn, and nothing else.

    Args:
        blocks: which, counted from 0 at the input (see `tl.models.blocks`).
        norms: "still": batch norms and dropout of frozen blocks compute in training as they do afterwards; "moving": only
            the weights are frozen, and batch norms go on adapting their statistics, which is the common mistake.

    Raises:
        ValueError: there is no such block or no such mode.
    """
    check_listed("thawed", blocks, "the numbers of blocks, a list")
    parts = models.blocks(model)
    if norms not in ("still", "moving"):
        raise ValueError(f"norms must be 'still' or 'moving'; not {norms!r}.")
    if not set(blocks) <= set(range(len(parts))):
        raise ValueError(f"The blocks of this network are 0 to {len(parts) - 1}; not {sorted(blocks)}.")
    model = models.unfreeze(uncompiled(copy.deepcopy(model)))
    frozen = {name for i, part in enumerate(parts) if i not in blocks for name in part}
    for name, weights in model.named_parameters():
        weights.requires_grad_(name not in frozen)
    if norms == "still":
        keep_frozen_still(model)
    return model


def letters_read(model: nn.Module) -> Evaluation:
    """What a network that came from a letters backbone still reads of the letters, under their old head.

    Raises:
        ValueError: no letters backbone is of its architecture.
    """
    name = f"{model.pretrained_cfg.get('architecture')}.letters"
    if name.removesuffix(".letters") not in models.LETTERS:
        raise ValueError(f"This network did not come from a letters backbone, as {', '.join(models.LETTERS)} do.")
    head, split = _old_head(name)
    old = copy.deepcopy(model)
    with seeded(0):
        old.reset_classifier(head.out_features)
    old.get_classifier().load_state_dict(head.state_dict())
    return evaluate(old, split)


@functools.lru_cache(maxsize=2)
def _old_head(name: str) -> tuple[nn.Module, Split]:
    return create_pretrained(name, {}).get_classifier(), letters().test[::7]


def parts(model: nn.Module, results: dict[str, dict[str, Evaluation]] | None = None) -> plots.Figure:
    """A network as a diagram (see `tl.plots.anatomy`), and below it results, if any.

    Args:
        model: a classifier, frozen in part or not (see `thawed`).
        results: for each network by its name, evaluations by what was asked.
    """
    found = diagram.dissect(model)
    flat = {f"{name}: {asked}": one for name, asked_of in (results or {}).items() for asked, one in asked_of.items()}
    top = diagram.height_of(found)
    figure = plots.Figure(WIDE, top + (0.85 + 0.36 * len(flat)) * bool(flat))
    figure.alt = diagram.draw(figure.sheet(), found)
    if flat:
        left = 0.25 + 0.075 * max(map(len, flat))
        axis = figure.part(left, top + 0.1, WIDE - 0.2 - left, 0.15 + 0.36 * len(flat))
        figure.alt += f" Accuracies with 95% intervals: {plots.intervals(axis, flat)[0]}."
        axis.tick_params("y", labelsize=9)
        axis.set(xlabel="accuracy", xlim=(0, 1.02))
    return figure


def thaw(model: nn.Module, task: Task, epochs: int = 12) -> Widget:
    """Choose which blocks of a probe learn, and how its batch norms behave; a button trains it and asks about both tasks.

    The same as code: `tl.widgets.parts(tl.widgets.thawed(model, [4]))`, `tl.fit`, and `tl.widgets.letters_read(model)`.

    Args:
        model: a trained probe on a letters backbone.
        task: what it was trained on, and is trained on further; the result is measured on its validation images.
        epochs: of the training.
    """
    model = copy.deepcopy(model)  # `before` goes on being true of it
    here = task.name.split(",")[0]
    here = "this task" if here == "letters" else here
    before, runs = {here: evaluate(model, task.val), "letters": letters_read(model)}, {}

    def chosen_blocks(**which):
        return [int(name.removeprefix("block_")) for name, free in which.items() if free]

    def train(lr, norms, **which) -> str:
        blocks = chosen_blocks(**which)
        run = fit(thawed(model, blocks, norms), task, lr=lr, epochs=epochs, augment=BEND, progress=False)
        name = f"blocks {', '.join(map(str, blocks)) or 'none'}, {lr:.2g}, norms {norms}"
        new = {here: evaluate(run.model, task.val), "letters": letters_read(run.model)}
        _add(runs, name, new, 5)
        words = "; ".join(f"{what} {new[what].accuracy:.2f}, before {before[what].accuracy:.2f}" for what in before)
        return f"{name}: {words}. One run, {run.history.seconds.iloc[-1]:.1f} s."

    free = {
        f"block_{i}": ipywidgets.Checkbox(description=f"block {i}", indent=False, layout={"width": "auto"})
        for i in range(len(models.blocks(model)))
    }
    return Widget(
        lambda lr, norms, **which: parts(thawed(model, chosen_blocks(**which), norms), {"before": before} | runs),
        {"Train": train, "Clear the runs": _clearing(runs)},
        **free,
        norms=ipywidgets.Dropdown(
            options=[("keep still", "still"), ("go on adapting", "moving")], description="batch norms of frozen blocks"
        ),
        lr=ipywidgets.FloatLogSlider(3e-3, min=-4, max=-1, step=0.25, description="learning rate"),
    )
