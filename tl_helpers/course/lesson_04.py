"""What lesson 04 needs beside the library: fair linear probes, and what the units of a network like in photographs.

Lesson 04 opens this file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from .. import glyphs, plots
from ..data import Split, Task, digits, letters
from ..datasets.free import free_photographs
from ..extraction import features
from ..images import open_photograph
from ..models import backbone, head, input_of
from ..training import evaluate, fit, predict
from .methods import watch

# Fair linear probes: every rival gets the same scale, the same search for its learning rate, the same digits.

RATES = (1e-3, 3e-3, 1e-2, 3e-2)
Make = Callable[[int], nn.Module]  # from a seed to a backbone


def random_body(seed: int, watched: bool = True) -> nn.Module:
    """A resnet10t with random weights. If `watched`, its batch norms know the mean and spread of what passes through them:
    they have watched 688 bent letters once. No label is needed for that, and no weight changes.
    """
    body = backbone("resnet10t.letters", pretrained=False, seed=seed)
    if not watched:
        return body.eval()
    some = glyphs.augment(letters().train.x[::4] / 255, torch.Generator().manual_seed(0))
    return watch(body, input_of(body).normalise(some))


def centred(task: Task) -> Task:
    """A task of vectors, each number less its mean over the training images, all divided by one number, their spread."""
    middle = task.train.x.mean(0)
    spread = (task.train.x - middle).std()
    parts = [Split((part.x - middle) / spread, part.y) for part in (task.train, task.val, task.test)]
    return Task(task.name, task.classes, *parts)


def seen_by(body: nn.Module | None, task: Task) -> Task:
    """The features a backbone makes of a task (see `features`); for None its pixels, as vectors in [0, 1]."""
    if body is not None:
        return features(body, task)
    parts = [Split(part.x.flatten(1) / 255, part.y) for part in (task.train, task.val, task.test)]
    return Task("pixels", task.classes, *parts)


def problems(make: Make | None, scaled: bool = True) -> list[tuple[nn.Module, Task]]:
    """For each of five seeds a linear layer to train, and ten vectors per class to train it on; the seed draws both.

    Args:
        make: gives the backbone whose features are the vectors; None for the pixels themselves.
        scaled: whether the vectors are `centred`.
    """
    found = []
    for seed in range(5):
        task, body = digits(shots=10, seed=seed), make(seed) if make else None
        torch.manual_seed(seed)
        layer = head(body, task, seed=seed).get_classifier() if make else nn.Linear(784, 10)
        vectors = seen_by(body, task)
        found.append((layer, centred(vectors) if scaled else vectors))
    return found


def _runs(found: list[tuple[nn.Module, Task]], rate: float) -> list:
    return [fit(layer, vectors, lr=rate, seed=seed, progress=False) for seed, (layer, vectors) in enumerate(found)]


def search(found: list[tuple[nn.Module, Task]], rates: Sequence[float] = RATES) -> pd.Series:
    """The mean validation accuracy over the seeds, for each learning rate."""
    return _validated({rate: _runs(found, rate) for rate in rates})


def _validated(runs: dict[float, list]) -> pd.Series:
    means = {rate: np.mean([run.history.val_accuracy.iloc[-1] for run in some]) for rate, some in runs.items()}
    return pd.Series(means).rename_axis("learning rate")


def probe(make: Make | None, scaled: bool = True, rates: Sequence[float] = RATES) -> list[float]:
    """Test accuracy on digits of a linear probe, for each of five seeds: with 10 labelled images per class, at the learning
    rate that is best on the validation images. Arguments as in `problems`.
    """
    found = problems(make, scaled=scaled)
    runs = {rate: _runs(found, rate) for rate in rates}
    best = _validated(runs).idxmax()
    return [evaluate(run.model, vectors.test).accuracy for run, (_, vectors) in zip(runs[best], found)]


def show_plane(points: np.ndarray, labels: Tensor, fitted, name: str) -> plots.Figure:
    """Digits on the plane of their first two principal components, each drawn as its class.

    Args:
        points: N x 2; labels: N; fitted: the PCA that made the points; name: of what made the features, for the title.
    """
    figure = plots.scatter(points, labels, [str(i) for i in range(10)])
    axis, shares = figure.axes[0], 100 * fitted.explained_variance_ratio_
    axis.set(
        title=f"{len(points)} digits, {name}",
        xlabel=f"first principal component ({shares[0]:.0f}% of the variance)",
        ylabel=f"second principal component ({shares[1]:.0f}%)",
    )
    figure.alt = (
        f"{name}, first two principal components with {shares[0]:.0f} and {shares[1]:.0f}% of the variance. {figure.alt}"
    )
    return figure


# Photographs.


def pixels_of(path: Path, height: int | None = None) -> Tensor:
    """A photograph, uint8, 1 x 3 x H x W; resized to this height, or as it is."""
    picture = open_photograph(path)
    if height:
        picture = picture.resize((round(picture.width * height / picture.height), height), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]


def show_photographs() -> plots.Figure:
    """The photographs side by side, each with its name above."""
    shown = {name: pixels_of(path, 200) for name, path in free_photographs().items()}
    widths = [1.85 * x.shape[3] / x.shape[2] for x in shown.values()]
    figure = plots.Figure(sum(widths) + 0.15 * len(widths), 2.2)
    sheet, left = figure.sheet(), 0.05
    for (name, x), width in zip(shown.items(), widths):
        sheet.text(left, 0.2, name, fontsize=9)
        sheet.imshow(plots.shades(x)[0], extent=(left, left + width, 2.17, 0.27), aspect="auto")
        left += width + 0.15
    figure.alt = (
        "Three photographs: a temple of red and gold with curved roofs under a blue sky; a large orange and pink flower "
        "close up; the portrait of a woman in the dark uniform of the US Navy, before a flag."
    )
    return figure


def asked(models: dict[str, nn.Module], path: Path, classes: Sequence[str]) -> pd.DataFrame:
    """What classifiers of ImageNet's thousand classes say to a photograph: their three likeliest answers, a row each."""
    rows = []
    for name, model in models.items():
        for share, label in zip(*map(Tensor.tolist, predict(model, path)[0].topk(3))):
            rows.append((name, classes[label].split(",")[0], round(share, 4)))
    return pd.DataFrame(rows, columns=["network", "answer", "probability"])


# What units like. A stage is what timm calls so: the layers between two reductions of the maps.


DEPTHS = {"early": (0, 16), "middle": (2, 64), "late": (4, 160)}  # of each the stage, and the side of its patches in pixels
UNITS, MANY = 6, 4  # units of a stage, and patches of a unit


@torch.no_grad()
def maps_of(model: nn.Module, x: Tensor, stage: int) -> Tensor:
    """What one stage of a timm model makes of images of any size (uint8, N x 3 x H x W): maps, N x C x h x w."""
    plain = input_of(model).normalise(x)
    return model.eval().forward_intermediates(plain, indices=[stage], intermediates_only=True)[0]


def watch_photographs(model: nn.Module) -> nn.Module:
    """Let the batch norms of a network with random weights learn the mean and spread of what passes through them, from the
    three photographs; no weight changes. Changes the model, and returns it.
    """
    pictures = torch.cat([F.interpolate(pixels_of(path, 320).float(), (320, 320)) for path in free_photographs().values()])
    return watch(model, input_of(model).normalise(pictures / 255))


def favourites(
    model: nn.Module, pictures: dict[str, Tensor], stage: int, side: int
) -> dict[int, list[tuple[str, int, int]]]:
    """Where in some photographs some units answer most: for each unit (photograph, row, column), the strongest first.

    The units are the most selective ones: those whose strongest answers stand out most from all of their answers. No two
    places of a unit are nearer to each other than three quarters of a patch.
    """
    maps = {name: maps_of(model, x, stage)[0] for name, x in pictures.items()}
    answers = torch.cat([out.flatten(1) for out in maps.values()], 1)
    most = answers.topk(max(MANY, answers.shape[1] // 500), 1).values.mean(1)
    chosen = ((most - answers.mean(1)) / answers.std(1).clamp_min(1e-6)).topk(UNITS).indices.tolist()
    return {unit: _places(unit, maps, pictures, side) for unit in chosen}


def _places(unit: int, maps: dict, pictures: dict, side: int) -> list[tuple[str, int, int]]:
    left = {name: out[unit].clone() for name, out in maps.items()}
    found = []
    while len(found) < MANY:
        name = max(left, key=lambda name: left[name].max().item())
        out, (height, width) = left[name], pictures[name].shape[2:]
        row, column = divmod(int(out.argmax()), out.shape[1])
        step = height / out.shape[0]
        y, x = (round((at + 0.5) * step) for at in (row, column))
        found.append((name, min(max(y, side // 2), height - side // 2), min(max(x, side // 2), width - side // 2)))
        near = int(0.75 * side / step) + 1
        out[max(0, row - near) : row + near + 1, max(0, column - near) : column + near + 1] = -torch.inf
    return found


def show_favourites(model: nn.Module) -> plots.Figure:
    """What units of an early, a middle and a late stage like best in the photographs: a row of patches for each unit."""
    pictures = {name: pixels_of(path, 480) for name, path in free_photographs().items()}
    size, gap = 0.57, 0.25
    width = MANY * size + gap
    figure = plots.Figure(width * len(DEPTHS), 0.5 + UNITS * size)
    sheet, words = figure.sheet(), []
    for i, (depth, (stage, side)) in enumerate(DEPTHS.items()):
        found = favourites(model, pictures, stage, side)
        patches = torch.cat([_patch(pictures[name], y, x, side) for places in found.values() for name, y, x in places])
        small = F.interpolate(patches.float() / 255, (64, 64), mode="bicubic" if side < 64 else "area").clamp(0, 1)
        sheet.text(i * width + 0.05, 0.2, f"{depth}: patches of {side} x {side}", fontsize=9)
        plots.tiles(sheet, plots.shades(small), MANY, size, left=i * width, top=0.3)
        names = [[name for name, *_ in places] for places in found.values()]
        from_where = [max(dict.fromkeys(some), key=some.count) for some in names]
        words.append(f"{depth}, patches of {side} pixels, mostly from {', '.join(from_where)}")
    figure.alt = (
        f"For {UNITS} units each, the {MANY} patches of three photographs that excite them most: {'; '.join(words)}."
    )
    return figure


def _patch(picture: Tensor, y: int, x: int, side: int) -> Tensor:
    return picture[:, :, y - side // 2 : y + side // 2, x - side // 2 : x + side // 2]
