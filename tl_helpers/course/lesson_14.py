"""What lesson 14 reads out of its stored grid (`small.py`), and its two figures to touch. Leads are in points."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from .. import plots
from ..data import Split, Task
from ..engine import style
from ..engine.figure import Figure
from ..results import Interval
from ..saving import export
from ..training import evaluate
from . import experiments, lesson_07, photographs, small
from .experiments import RAW, in_points
from .methods import BEND, PROBE, TUNED
from .small import BIASES, DISTILLED, LOW_RANK, NORMS, RANK, SOLAR, looks, merged

__all__ = ["BEND", "SOLAR", "looks", "merged"]

ON = {"digits": (PROBE, TUNED), SOLAR: (photographs.SMALL, photographs.TUNED)}  # the frozen and the whole network
LABELS = {"digits": 5, SOLAR: 100}
WAYS = ("probe", "fine-tuning", NORMS, BIASES, LOW_RANK)  # biases only were not tried on solar cells


def ways(task: str, shots: int | None = None) -> list[str]:
    """Those of WAYS that were tried on a task, at so many labels per class (None: as LABELS says)."""
    return [way for way in WAYS if way != BIASES or task == "digits" and shots in (None, LABELS[task])]


def of(way: str, task: str = "digits", shots: int | None = None) -> pd.DataFrame:
    """The results of one of WAYS, with as many labels per class as LABELS says, or others.

    On solar cells the probe and fine-tuning are those of the grid "photographs", of the seeds that the others have.
    """
    method = dict(zip(WAYS, ON[task])).get(way, way)
    if task == SOLAR and method != way:
        rows = photographs.results(task, method=method, shots=shots or LABELS[task])
        rows = rows[rows.seed.isin(small.SOLAR_SEEDS)]
        return rows.assign(bytes=4 * (rows.trainable + small.statistics(photographs.LITE0) * (way == "fine-tuning")))
    return small.rows(method, task, shots or LABELS[task], f"rank={RANK}" if way == LOW_RANK else "")


def lead(one: pd.DataFrame, other: pd.DataFrame, level: float = 0.95) -> Interval:
    """The lead of results over others of the same seeds, in points, over draws and test images."""
    return in_points(photographs.interval(one, minus=other, level=level))


def over_tuning(way: str, task: str = "digits", shots: int | None = None, level: float = 0.95) -> Interval:
    """The lead of a way over fine-tuning, in points."""
    return lead(of(way, task, shots), of("fine-tuning", task, shots), level)


def _words(points: Interval) -> str:
    return "{:+.1f} ({:+.1f} to {:+.1f})".format(*points)


def adapters(task: str = "digits", shots: int | None = None) -> pd.DataFrame:
    """A row for each way: accuracy with its 95% interval, numbers that learned, kilobytes to keep, processor seconds.

    The last column is its lead over fine-tuning on the same draws, in points, with the 95% interval.
    """
    found = {}
    for way in ways(task, shots):
        part = of(way, task, shots)
        accuracy, low, high = photographs.interval(part)
        found[way] = (
            round(accuracy, 3),
            f"{low:.3f} to {high:.3f}",
            int(part.trainable.iloc[0]),
            round(part.bytes.mean() / 1000),
            round(part.seconds.mean(), 1),
            "" if way == "fine-tuning" else _words(over_tuning(way, task, shots)),
        )
    columns = ["accuracy", "95% interval", "parameters", "kB to keep", "seconds", "minus fine-tuning"]
    # The seconds of the grid "photographs" are of another kind: in several threads, beside other work.
    table = pd.DataFrame(list(found.values()), index=list(found), columns=columns)  # a column of numbers is one
    return table.drop(columns=["seconds"] if task == SOLAR else [])


def nearest(shots: int = 20) -> str:
    """Of the cheap ways the one with the highest mean accuracy on the digits."""
    return max(
        (way for way in ways("digits", shots) if way != "fine-tuning"), key=lambda way: of(way, shots=shots).test.mean()
    )


def trade(task: str = "digits", shots: int | None = None) -> Figure:
    """Accuracy against the bytes to keep for a task, a point with its 95% interval for each way."""
    figure, texts = Figure(7.2, 3.4), []
    axis = figure.axes_of()
    shown = ways(task, shots)
    for way, look in zip(shown, style.looks(shown)):
        part = of(way, task, shots)
        accuracy, low, high = found = photographs.interval(part)
        kilobytes = part.bytes.mean() / 1000
        bars = [[accuracy - low], [high - accuracy]]
        axis.errorbar(
            [kilobytes], [accuracy], bars, color=look.color, marker=look.marker, markersize=8, label=way, capsize=3
        )
        texts.append(f"{way} {accuracy:.3f} with {kilobytes:,.0f} kB")
    many = shots or LABELS[task]
    axis.set(xscale="log", xlabel=f"kilobytes to keep for each task\nbars: 95% intervals, {found.covers}")
    axis.set_ylabel("accuracy on the test images")
    axis.set_title(f"{task.replace('-', ' ')}, {many} labels per class", fontsize=10)
    ticks = (10, 100, 1000, 10000)
    axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.alt = f"Accuracy against the kilobytes to keep, with 95% intervals ({found.covers}): {'; '.join(texts)}."
    return figure


def students() -> pd.DataFrame:
    """By labels per class: the raw CNN taught by labels, by the teacher; the teacher; the share of its lead."""
    found = {}
    for shots in small.STUDENTS:
        raw, teacher = (lesson_07.rows(shots=shots, method=method) for method in (RAW, TUNED))
        student = small.rows(DISTILLED, shots=shots, variant=small.SOFT)
        low, middle, high = (part[part.seed.isin(student.seed)].test.mean() for part in (raw, student, teacher))
        words = _words(lesson_07.lead(student, raw))
        found[shots] = (f"{low:.3f}", f"{middle:.3f}", f"{high:.3f}", f"{(middle - low) / (high - low):.2f}", words)
    columns = ["by its labels", "by the teacher", "teacher", "share of the lead", "gain in points"]
    table = pd.DataFrame(found, columns).T
    return table.rename_axis("labels per class")


def gain(shots: int, variant: str = small.SOFT, over: str | None = None, level: float = 0.95) -> Interval:
    """The lead of a student over the raw CNN that learned from the labels alone, or over another student, in points."""
    student = small.rows(DISTILLED, shots=shots, variant=variant)
    other = lesson_07.rows(shots=shots, method=RAW) if over is None else small.rows(DISTILLED, shots=shots, variant=over)
    return lesson_07.lead(student, other, level=level)


def curves() -> Figure:
    """Accuracy of teacher, student and the raw CNN alone against labels per class."""
    columns = {"shots": "labelled images per class", "test": "accuracy on the test digits"}
    student = small.rows(DISTILLED, variant=small.SOFT)

    def beside(method: str, name: str) -> pd.DataFrame:
        part = lesson_07.rows(method=method)
        return part[part.seed.isin(student.seed) & part.shots.isin(student.shots)].assign(method=name)

    teacher, alone = beside(TUNED, "fine-tuned, the teacher"), beside(RAW, "raw CNN, taught by labels")
    frame = pd.concat([teacher, student.assign(method="raw CNN, taught by the teacher"), alone]).rename(columns=columns)
    return plots.lines(frame, *columns.values(), by="method", log=True, n=experiments.test_images("digits"))


def kinds(shots: int = 5) -> pd.DataFrame:
    """Students of one number of labels: by temperature, by the teacher's likeliest class only, on labelled images only.

    The last column is the lead over temperature 4 on the same draws, in points, with the 95% interval.
    """
    names = {small.SOFT: "temperature 4", "T=1": "temperature 1", small.HARD: "likeliest class only"}
    names |= {small.LABELLED: "temperature 4, labelled images only"}
    found = {}
    for variant, name in names.items():
        part = small.rows(DISTILLED, shots=shots, variant=variant)
        accuracy, low, high = photographs.interval(part)
        ahead = "" if variant == small.SOFT else _words(gain(shots, variant, over=small.SOFT))
        found[name] = (f"{accuracy:.3f}", f"{low:.3f} to {high:.3f}", ahead)
    return pd.DataFrame(found, ["accuracy", "95% interval", "minus temperature 4"]).T


EXPORTED = {
    "fine-tuned letters backbone, digits": (TUNED, "digits", 5, ""),
    "distilled raw CNN, digits": (DISTILLED, "digits", 5, f"{small.SOFT},"),
    "EfficientNet-Lite0 and probe, solar cells": (photographs.PROBE, SOLAR, 100, ""),
}


def exported(name: str, precision: str) -> pd.DataFrame:
    """The results of a network of EXPORTED, "float32" or "int8"."""
    method, task, shots, variant = EXPORTED[name]
    return small.rows(method, task, shots, f"{variant}precision={precision}")


def cost_of_int8(name: str, level: float = 0.95) -> Interval:
    """What 8 bits change in the accuracy of a network of EXPORTED, in points."""
    return lead(exported(name, small.EIGHT), exported(name, small.WHOLE), level)


def precisions() -> pd.DataFrame:
    """A row for each exported network and precision: kilobytes, milliseconds an image, accuracy; what 8 bits change."""
    found = {}
    for name in EXPORTED:
        for precision in (small.WHOLE, small.EIGHT):
            part = exported(name, precision)
            words = _words(cost_of_int8(name)) if precision == small.EIGHT else ""
            numbers = f"{part.bytes.mean() / 1000:,.0f}", f"{part.milliseconds.median():.2f}", f"{part.test.mean():.3f}"
            found[name, precision] = (*numbers, words)
    return pd.DataFrame(found, ["kB", "milliseconds", "accuracy", "change in points"]).T


def in_words(name: str) -> str:
    """What 8 bits do to a network of EXPORTED: kilobytes, milliseconds an image and accuracy, before and after."""
    whole, eight = (exported(name, precision) for precision in (small.WHOLE, small.EIGHT))
    return (
        f"{whole.bytes.mean() / 1000:,.0f} to {eight.bytes.mean() / 1000:,.0f} kB, "
        f"{whole.milliseconds.median():.2f} to {eight.milliseconds.median():.2f} ms, "
        "{:+.1f} points ({:+.1f} to {:+.1f})".format(*cost_of_int8(name))
    )


# Numbers of fewer bits, made here: what int8 does to the weights, without its packages.


def rounded(model: nn.Module, bits: int = 8) -> nn.Module:
    """A copy of a model whose weights are rounded to 2 ** bits - 1 values, evenly from -max to max in each output channel.

    Adapters are merged first. Biases and norms stay as they are: they are few.

    Raises:
        ValueError: bits is not a whole number from 2 to 16.
    """
    if not isinstance(bits, int) or isinstance(bits, bool) or not 2 <= bits <= 16:
        raise ValueError(f"bits must be a whole number from 2 to 16; not {bits!r}.")
    model, most = merged(model), 2 ** (bits - 1) - 1
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                rows = module.weight.flatten(1)
                step = rows.abs().amax(1, keepdim=True).clamp_min(1e-12) / most
                module.weight.copy_(((rows / step).round() * step).view_as(module.weight))
    return model


def in_bits(model: nn.Module, split: Split, bits: int = 8) -> Figure:
    """Nine kernels of the first layer of a model in so many bits, and how much of a split it then gets right."""
    coarse = rounded(model, bits)
    first = next(module for module in coarse.modules() if isinstance(module, nn.Conv2d))
    right = evaluate(coarse, split).accuracy
    weights = [module.weight.numel() for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    size = math.ceil(sum(weights) * bits / 8) / 1000
    figure = plots.maps(first.weight[:9, 0], columns=9, size=0.75, titles=[""] * 9)
    words = f"{bits} bits: {2**bits - 1} values, {size:,.0f} kB of weights, validation accuracy {right:.3f}"
    figure.set_figheight(figure.get_figheight() + 0.4)
    figure.axes[0].set_ylim(figure.get_figheight() - 0.4, -0.4)
    figure.axes[0].text(0.1, -0.15, words, fontsize=11, weight="bold")
    figure.alt = f"Kernels of the first layer in {words}. {figure.alt}"
    return figure


def quiet(task: Task) -> Task:
    """The task without validation images: nothing looks at them after every epoch."""
    return dataclasses.replace(task, val=task.val[:0])


def rate(way: str) -> float:
    """The learning rate that did best on validation digits, in draws that are used for nothing else."""
    return float(of(way).lr.iloc[0])


def in_both(model: nn.Module, task: Task) -> pd.DataFrame:
    """A model as an ONNX file in float32 and in int8: kilobytes, milliseconds an image (one thread), test accuracy.

    The ranges of its activations are found on the training images.

    Raises:
        ValueError: the packages onnx, onnxscript and onnxruntime are missing.
    """
    found, test = {}, task.test
    with tempfile.TemporaryDirectory() as folder:
        export(model, path := Path(folder) / "model.onnx", task)
        paths = {small.WHOLE: path}
        paths[small.EIGHT] = small.in_int8(path, small.pixels_for(model, task.train[:100]), path.with_name("int8.onnx"))
        for precision, file in paths.items():
            session = small.Session(file)
            right = (session(model, test).argmax(1) == test.y).double().mean().item()
            milliseconds = session.milliseconds(small.pixels_for(model, test[:10]))
            found[precision] = (f"{file.stat().st_size / 1000:,.0f}", f"{milliseconds:.2f}", f"{right:.3f}")
    return pd.DataFrame(found, ["kB", "milliseconds", "accuracy"]).T


def megabytes(way: str) -> float:
    """What has to be kept for one task, beside the backbone (of fine-tuning, in its place)."""
    return of(way).bytes.mean() / 1e6
