"""What is learned: a `Task` holds plain images and their labels in three splits; each model brings its own input.

`prepare` is the only place where images are resized, so one task serves every model. Small images are tensors; photographs
stay in their files (`Files`) until a model says in which size it wants them.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import glyphs

if TYPE_CHECKING:
    pass


@dataclasses.dataclass(frozen=True)
class InputConfig:
    """What a model expects to be fed: size (channels, height, width), and the mean and std of each channel.

    How photographs come to that size is said by interpolation, crop_pct (the share of the shorter side that the crop in the
    middle keeps) and crop_mode, as timm means them.
    """

    size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    crop_pct: float = 1.0
    crop_mode: str = "center"

    def normalise(self, pixels: Tensor) -> Tensor:
        """(pixels - mean) / std in each channel; pixels N x C x H x W: float in [0, 1], or uint8.

        Colour images come back with the channels last in memory: convolutions are up to twice as fast then, on a CPU too.
        """
        mean, std = (torch.tensor(v, device=pixels.device).view(-1, 1, 1) for v in (self.mean, self.std))
        order = torch.channels_last if pixels.shape[1] > 1 else torch.contiguous_format
        return (in_floats(pixels).contiguous(memory_format=order) - mean).div_(std)


def in_floats(pixels: Tensor) -> Tensor:
    """Pixels as float32 in [0, 1]; those that are floats already stay as they are."""
    return pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels


class Files(Sequence):
    """Photographs in files, of any sizes, in the place of a tensor of images: `prepare` reads them when their size is known.

    Any index, also a single number, gives a part of them that is again Files.
    """

    ndim = 4  # once read: N x C x H x W

    def __init__(self, paths: Iterable[str | os.PathLike]):
        self.paths = tuple(map(Path, paths))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index) -> Files:
        return Files(np.array(self.paths, dtype=object)[np.atleast_1d(np.arange(len(self))[_as_index(index)])])

    def __iter__(self) -> Iterator[Path]:
        return iter(self.paths)

    def __repr__(self) -> str:
        return f"Files({len(self)} photographs)"

    def marks(self) -> Tensor:
        """Names and sizes of the files as bytes, by which another set of files is told from this one."""
        marks = "".join(f"{path.name}\0{path.stat().st_size}\0" for path in self.paths)
        return torch.tensor(list(os.fsencode(marks)), dtype=torch.uint8)


def _as_index(index):
    if isinstance(index, (slice, int, np.integer)):
        return index
    index = np.asarray(index)
    return index if index.size else index.astype(int)  # an empty list would be one of floats


@dataclasses.dataclass(frozen=True, eq=False)  # compared and hashed by identity: tensors do not say yes or no
class Split:
    """Examples with their labels.

    x: plain images, uint8, N x C x H x W (C is 1 for grey, 3 for colour), or photographs in Files, or feature vectors,
        float32, N x D.
    y: labels, int64, N, counted from 0.
    """

    x: Tensor | Files
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
        """(X, y) as scikit-learn takes them: X float32, N x D (the pixels in [0, 1], or the features), y int64, N.

        Raises:
            ValueError: the split holds photographs, which have no common size.
        """
        if isinstance(self.x, Files):
            raise ValueError("Photographs have no common size; take the numbers of tl.features(body, task) instead.")
        scale = 255 if self.x.dtype == torch.uint8 else 1
        return (self.x.flatten(1).float() / scale).numpy(), self.y.numpy()


@dataclasses.dataclass(frozen=True)
class Task:
    """Something to learn: train to learn from, val to make choices with, test to be looked at once, at the end.

    report: what `tl.folder` found in the folder; None for other tasks.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    report: object = dataclasses.field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        what = "photographs"
        if not isinstance(self.train.x, Files):
            shape = " x ".join(map(str, self.train.x.shape[1:]))
            what = f"{'vectors' if self.train.are_vectors else 'images'} {shape}"
        sizes = f"{len(self.train)} train, {len(self.val)} val, {len(self.test)} test"
        return f"Task {self.name!r}: {len(self.classes)} classes, {what}; {sizes}"

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

    The training images are the clean letters, one for each letter and font: give `fit` the argument
    `augment=tl.glyphs.augment` and no two epochs see the same ones. Test images are all of them, augmented once; validation
    images are a sixteenth, augmented otherwise.

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
    val, test = (Split((glyphs.augment(s.x / 255, generator) * 255).round().byte(), s.y) for s in (train[part], train))
    return Task(f"letters, {len(kept)} kinds", tuple(names[i] for i in kept), train, val, test)


def join_tasks(first: Task, second: Task) -> Task:
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


def draw(split: Split, shots: int | str | None, seed: int) -> Split:
    """So many examples of each class; one seed's 10 shots hold its 5 shots."""
    if shots is None or shots == "all":
        return split
    most = int(split.y.bincount().min())
    if isinstance(shots, bool) or not isinstance(shots, (int, np.integer)) or not 1 <= shots <= most:
        raise ValueError(
            f"shots is the number of labelled images a class: 1 to {most} here, or None for all; not {shots!r}."
        )
    rng = np.random.default_rng(seed)
    places = [np.flatnonzero(split.y.numpy() == kind) for kind in range(int(split.y.max()) + 1)]
    return split[np.concatenate([rng.permutation(place)[:shots] for place in places])]
