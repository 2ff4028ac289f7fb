"""What is learned: a `Task` holds plain images and their labels in three splits; each model brings its own input.

`prepare` is the only place where images are resized and normalised, so one task serves every model.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import glyphs


@dataclasses.dataclass(frozen=True)
class Input:
    """What a model expects to be fed: size (channels, height, width), and the mean and std of each channel."""

    size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"

    def normalise(self, pixels: Tensor) -> Tensor:
        """(pixels - mean) / std in each channel; pixels float, N x C x H x W, in [0, 1]."""
        mean, std = (torch.tensor(v, device=pixels.device).view(-1, 1, 1) for v in (self.mean, self.std))
        return (pixels - mean) / std


@dataclasses.dataclass(frozen=True, eq=False)  # compared and hashed by identity: tensors do not say yes or no
class Split:
    """Examples with their labels.

    x: plain images, uint8, N x C x H x W (C is 1 for grey, 3 for colour), or feature vectors, float32, N x D.
    y: labels, int64, N, counted from 0.
    """

    x: Tensor
    y: Tensor

    def __post_init__(self):
        if len(self.x) != len(self.y):
            raise ValueError(f"There are {len(self.x)} examples and {len(self.y)} labels; each example needs one label.")

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index) -> Split:
        """A part of the split: a slice, a list of positions, or a mask."""
        return Split(self.x[index], self.y[index])

    @property
    def are_vectors(self) -> bool:
        return self.x.ndim == 2

    def numpy(self) -> tuple[np.ndarray, np.ndarray]:
        """(X, y) as scikit-learn takes them: X float32, N x D (the pixels in [0, 1], or the features), y int64, N."""
        scale = 255 if self.x.dtype == torch.uint8 else 1
        return (self.x.flatten(1).float() / scale).numpy(), self.y.numpy()


@dataclasses.dataclass(frozen=True)
class Task:
    """Something to learn: train to learn from, val to make choices with, test to be looked at once, at the end."""

    name: str
    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.train.x.shape[1:]))
        kind = "vectors" if self.train.are_vectors else "images"
        sizes = f"{len(self.train)} train, {len(self.val)} val, {len(self.test)} test"
        return f"Task {self.name!r}: {len(self.classes)} classes, {kind} {shape}; {sizes}"

    @classmethod
    def of(cls, name: str, classes: Sequence[str], train, val, test) -> Task:
        """A task from arrays: each split a pair (images, labels), images uint8, N x H x W (grey) or N x H x W x 3 (colour).

        Raises:
            ValueError: the arrays are not images, or a label has no class.
        """
        return cls(name, tuple(map(str, classes)), *(_split(part, len(classes)) for part in (train, val, test)))


def _split(pair, classes: int) -> Split:
    images, raw = torch.as_tensor(np.asarray(pair[0])), np.asarray(pair[1])
    labels = torch.as_tensor(raw.astype(np.int64) if raw.dtype.kind in "iubf" else np.empty((0, 0)))
    if images.dtype != torch.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
        raise ValueError(
            f"Images must be whole numbers from 0 to 255 (uint8), N x height x width for grey or N x height x width x 3 for "
            f"colour; these are {images.dtype}, {' x '.join(map(str, images.shape))}."
        )
    if labels.ndim != 1 or raw.dtype.kind not in "iub":
        raise ValueError(
            f"Labels must be one whole number an image; these are {raw.dtype}, {' x '.join(map(str, raw.shape))}."
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"Labels must lie between 0 and {classes - 1}; here they go from {labels.min()} to {labels.max()}.")
    return Split(images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2), labels)


POOL, VAL = 90, 10  # of each digit, the images that can be drawn for training, and those for validation


@functools.lru_cache
def _digits() -> tuple[Split, list[np.ndarray], np.ndarray, np.ndarray]:
    """All 1,797 digits, and where the pool of each class, the validation images and the test images lie among them."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = torch.from_numpy(raw.images * (255 / 16)).float().unsqueeze(1)
    images = F.interpolate(images, (28, 28), mode="bicubic", align_corners=False).clamp(0, 255).round().byte()
    places = [np.random.default_rng(2018).permutation(np.flatnonzero(raw.target == digit)) for digit in range(10)]
    pool = [place[:POOL] for place in places]
    val = np.sort(np.concatenate([place[POOL : POOL + VAL] for place in places]))
    test = np.sort(np.concatenate([place[POOL + VAL :] for place in places]))
    return Split(images, torch.from_numpy(raw.target).long()), pool, val, test


def digits(shots: int | str = "all", seed: int = 0) -> Task:
    """Handwritten digits, real ones: 8 x 8 scans of people's handwriting, enlarged to 28 x 28.

    797 images are for testing and 100 (10 of each digit) for validation; both are always the same. The training images are
    drawn from the other 900.

    Args:
        shots: how many labelled training images of each digit: 1 to 90, or "all" for 90.
        seed: which ones. One seed draws the same images every time, and 10 shots hold the 5 shots of the same seed.

    Raises:
        ValueError: shots is not a number from 1 to 90.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI 1998; shipped with scikit-learn.
    """
    everything, pool, val, test = _digits()
    count = POOL if shots == "all" else shots
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or not 1 <= count <= POOL:
        raise ValueError(f"shots is the number of labelled images a class: 1 to {POOL}, or 'all'; not {shots!r}.")
    rng = np.random.default_rng(seed)
    train = np.concatenate([rng.permutation(places)[:count] for places in pool])
    classes = tuple("0123456789")
    return Task(f"digits, {count} a class", classes, everything[train], everything[val], everything[test])


def letters(without: str = "", size: int = 32, seed: int = 0) -> Task:
    """Printed letters: 172 of the Latin, Greek and Cyrillic alphabets in 16 fonts; never a digit.

    The training images are the clean letters, one for each letter and font: give `fit` the argument `augment=tl.glyphs.bend`
    and no two epochs see the same ones. Test images are all of them, bent once; validation images are a sixteenth, bent
    otherwise.

    Args:
        without: letters to leave out, for example "OlISZB" (those that look like digits).
        size: side of the images in pixels.
        seed: how the validation and test images are bent.

    Raises:
        ValueError: fewer than two letters are left.
    """
    images, labels, names = glyphs.masters(size)
    kept = [i for i, name in enumerate(names) if name not in without]
    if len(kept) < 2:
        raise ValueError(f"A task needs at least two letters; without {without!r} only {len(kept)} are left.")
    mask = torch.isin(labels, torch.tensor(kept))
    train = Split(images[mask], torch.searchsorted(torch.tensor(kept), labels[mask]))
    generator = torch.Generator().manual_seed(seed)
    part = torch.randperm(len(train), generator=generator)[: len(train) // 16]
    val, test = (Split((glyphs.bend(s.x / 255, generator) * 255).round().byte(), s.y) for s in (train[part], train))
    return Task(f"letters, {len(kept)} kinds", tuple(names[i] for i in kept), train, val, test)


def together(first: Task, second: Task) -> Task:
    """Two tasks on images of one size as one, for a network with two heads (`tl.models.Heads`).

    The labels of the second follow those of the first. The images of the smaller training split are repeated, so that both
    tasks are met equally often.

    Raises:
        ValueError: the images are of different sizes.
    """
    if first.train.x.shape[1:] != second.train.x.shape[1:]:
        sizes = (" x ".join(map(str, task.train.x.shape[1:])) for task in (first, second))
        raise ValueError(f"Both tasks need images of one size; these are {' and '.join(sizes)}.")
    most = max(len(first.train), len(second.train))

    def joined(one: Split, two: Split, rounds: bool = False) -> Split:
        one, two = (part[torch.arange(most if rounds else len(part)) % max(1, len(part))] for part in (one, two))
        return Split(torch.cat([one.x, two.x]), torch.cat([one.y, two.y + len(first.classes)]))

    splits = (joined(first.train, second.train, True), joined(first.val, second.val), joined(first.test, second.test))
    return Task(f"{first.name} and {second.name}", first.classes + second.classes, *splits)


def prepare(split: Split, wanted: Input) -> Tensor:
    """The images of a split as a model wants them, not yet normalised: float32, N x C x H x W, in [0, 1].

    Grey images become colour ones by repeating the channel, colour images grey ones by their luminance.
    """
    channels, *size = wanted.size
    pixels = split.x.float() / 255
    if pixels.shape[1] == 1 and channels == 3:
        pixels = pixels.expand(-1, 3, -1, -1)
    elif pixels.shape[1] == 3 and channels == 1:
        pixels = (pixels * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    elif pixels.shape[1] != channels:
        raise ValueError(f"The images have {pixels.shape[1]} channels and the model takes {channels}.")
    if list(pixels.shape[2:]) != size:
        mode = wanted.interpolation if wanted.interpolation in ("bilinear", "bicubic") else "bicubic"
        pixels = F.interpolate(pixels, size, mode=mode, align_corners=False, antialias=True).clamp(0, 1)
    return pixels.contiguous()
