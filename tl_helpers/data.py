"""What is learned: a `Task` holds plain images and their labels in three splits. Lesson 01 opens this file.

Each model brings its own input (`InputConfig`), so one task serves every model. Small images are tensors; photographs stay
in their files (`Files`) until a model says in which size it wants them: `tl_helpers.images.prepare` brings both there.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import glyphs
from .engine import examples
from .engine.validate import brief, check_kind, check_listed, check_number, check_seed


@dataclasses.dataclass(frozen=True)
class InputConfig:
    """What a model expects to be fed: size (channels, height, width), and the mean and std of each channel.

    How pictures come to that size is said by interpolation, crop_pct and crop_mode, as timm means them (see `prepare`).
    """

    size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    crop_pct: float = 1.0
    crop_mode: str = "center"

    def __post_init__(self):
        examples.check_input(self)

    def normalise(self, pixels: Tensor) -> Tensor:
        """(pixels - mean) / std in each channel; pixels N x C x H x W: float in [0, 1], or uint8.

        Colour images come back with the channels last in memory: convolutions are up to twice as fast then, on a CPU too.
        """
        mean, std = (
            torch.tensor(v, dtype=torch.float32, device=pixels.device).view(-1, 1, 1) for v in (self.mean, self.std)
        )
        if pixels.ndim != 4 or pixels.shape[1] != len(mean):
            raise ValueError(f"This model takes images N x {len(mean)} x H x W; these are {examples.described(pixels)}.")
        order = torch.channels_last if pixels.shape[1] > 1 else torch.contiguous_format
        return (in_floats(pixels).contiguous(memory_format=order) - mean).div_(std)


def in_floats(pixels: Tensor) -> Tensor:
    """Pixels as float32 in [0, 1]; those that are floats already stay as they are."""
    if pixels.dtype != torch.uint8 and not pixels.is_floating_point():
        raise ValueError(f"Pixels are bytes (uint8), or floats from 0 to 1; these are {examples.described(pixels)}.")
    return pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels


class Files(Sequence):
    """Photographs in files, of any sizes, in the place of a tensor of images: `prepare` reads them when their size is known.

    Any index, also a single number, gives a part of them that is again Files.
    """

    ndim = 4  # once read: N x C x H x W

    def __init__(self, paths: str | os.PathLike | Iterable[str | os.PathLike]):
        paths = [paths] if isinstance(paths, (str, os.PathLike)) else paths
        check_listed("Files", paths, "paths of pictures")
        for path in (paths := list(paths)):
            check_kind("Files", path, (str, os.PathLike), "paths of pictures")
        self.paths = tuple(map(Path, paths))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index) -> Files:
        return Files(np.array(self.paths, dtype=object)[examples.as_index(index)])

    def __iter__(self) -> Iterator[Path]:
        return iter(self.paths)

    def __repr__(self) -> str:
        return f"Files({len(self)} photographs)"


@dataclasses.dataclass(frozen=True, eq=False)  # compared and hashed by identity: tensors do not say yes or no
class Split:
    """Examples with their labels, as tensors on the CPU; arrays and lists become some.

    x: plain images, uint8, N x C x H x W (C is 1 for grey, 3 for colour), or photographs in Files, or feature vectors,
        float32, N x D. Images in floats are an error: white might be 1, 255 or 2.1.
    y: labels, int64, N, counted from 0.
    prepared: x is what `prepare` made of images for the model at hand (uint8, or float32 in [0, 1]), to be taken as it is.
    classes: the names that the labels count, in order; a task gives its splits its own.
    body: of vectors, checksums of the backbone that made them, by name (see `features`).
    """

    x: Tensor | Files
    y: Tensor
    prepared: bool = False
    classes: tuple[str, ...] = ()
    body: dict[str, int] | None = dataclasses.field(default=None, repr=False)

    def __post_init__(self):
        x = self.x if isinstance(self.x, Files) else examples.as_examples(self.x, self.prepared)
        y = examples.as_labels(self.y)
        if len(x) != len(y):
            raise ValueError(f"There are {len(x)} examples and {len(y)} labels; each example needs one label.")
        vars(self).update(x=x, y=y)

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        return f"Split: {len(self)} {self.kind}"

    def __getitem__(self, index) -> Split:
        """A part of the split: a slice, a position or a list of them, or a mask."""
        index = examples.as_index(index)
        return dataclasses.replace(self, x=self.x[index], y=self.y[index])

    @property
    def are_vectors(self) -> bool:
        return self.x.ndim == 2

    @property
    def kind(self) -> str:
        """ "photographs", "images 1 x 28 x 28" or "vectors 512", say."""
        if isinstance(self.x, Files):
            return "photographs"
        return f"{'vectors' if self.are_vectors else 'images'} {' x '.join(map(str, self.x.shape[1:]))}"

    def numpy(self) -> tuple[np.ndarray, np.ndarray]:
        """(X, y) as scikit-learn takes them: X float32, N x D (the pixels in [0, 1], or the features), y int64, N."""
        if isinstance(self.x, Files):
            raise ValueError("Photographs have no common size; take the numbers of tl.features(body, task) instead.")
        return in_floats(self.x).flatten(1).numpy(), self.y.numpy()


@dataclasses.dataclass(frozen=True)
class Task:
    """Something to learn: train to learn from, val to make choices with, test to be looked at once, at the end.

    report: what `tl.folder` found in the folder, or of `tl.photos` whose photographs they are and their licence; else None.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    report: object = dataclasses.field(default=None, repr=False, compare=False)

    def __post_init__(self):
        check_listed("A task", self.classes, "the names of its classes")
        vars(self).update(name=str(self.name), classes=tuple(map(str, self.classes)))
        splits = {name: getattr(self, name) for name in ("train", "val", "test")}
        for name, split in splits.items():
            check_kind("A task", split, Split, f"a tl.Split(x, y) as {name}")
            if len(split) and split.y.max() >= len(self.classes):
                raise ValueError(
                    f"Labels must lie between 0 and {len(self.classes) - 1}; in {name} they go from {split.y.min()} to "
                    f"{split.y.max()}."
                )
            examples.check_order("The task", self.classes, split.classes)
            vars(self)[name] = split if split.classes == self.classes else dataclasses.replace(split, classes=self.classes)
        examples.check_dark(*splits.values())
        kinds = {split.kind if split.are_vectors else "images" for split in splits.values() if len(split)}
        if len(kinds) > 1:
            raise ValueError(f"The splits of a task must hold the same kind of examples, not {' and '.join(sorted(kinds))}.")

    def __repr__(self) -> str:
        sizes = f"{len(self.train)} train, {len(self.val)} val, {len(self.test)} test"
        return f"Task {self.name!r}: {len(self.classes)} classes, {self.train.kind}; {sizes}"

    @classmethod
    def of(cls, name: str, classes: Sequence[str], train, val, test) -> Task:
        """A task from arrays: each split a pair (images, labels), images uint8, N x H x W (grey) or N x H x W x 3."""
        splits = []
        for part in (train, val, test):
            if not isinstance(part, Sequence) or len(part) != 2:
                raise ValueError(f"Each split must be a pair of images and labels; not {brief(part)}.")
            images, labels = part
            x = examples.as_tensor(images, wanted := "Images must be N x H x W (grey) or N x H x W x 3 (colour)")
            if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[3] != 3):
                raise ValueError(f"{wanted}; these are {examples.described(x)}.")
            splits.append(Split(x.unsqueeze(1) if x.ndim == 3 else x.permute(0, 3, 1, 2), labels))
        examples.tell_copies(*splits)
        return cls(name, classes, *splits)


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

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI 1998; shipped with scikit-learn.
    """
    everything, pool, val, test = _digits()
    count = _check_shots(shots, POOL)
    rng = np.random.default_rng(check_seed(seed))
    train = np.concatenate([rng.permutation(places)[:count] for places in pool])
    return Task(f"digits, {count} per class", "0123456789", everything[train], everything[val], everything[test])


def _check_shots(shots, most: int) -> int:
    if isinstance(shots, str) and shots == "all":
        return most
    check_number("shots", shots, f"the number of labelled images per class, 1 to {most} here, or 'all'", 1, most, whole=True)
    return int(shots)


def letters(without: str = "", size: int = 32, seed: int = 0) -> Task:
    """Printed letters: 172 of the Latin, Greek and Cyrillic alphabets in 16 fonts; never a digit.

    The training images are the clean letters, one for each letter and font: give `fit` the argument
    `augment=tl.glyphs.augment` and no two epochs see the same ones. Test images are all of them, augmented once; validation
    images are a sixteenth, augmented otherwise.

    Args:
        without: letters to leave out, for example "OlISZB" (those that look like digits).
        size: side of the images in pixels, 4 to 256.
        seed: how the validation and test images are augmented.
    """
    check_kind("without of letters", without, str, 'the letters to leave out as one text, for example "OlISZB"')
    images, labels, names = glyphs.masters(size)
    kept = [i for i, name in enumerate(names) if name not in without]
    if len(kept) < 2:
        raise ValueError(f"A task needs at least two letters; without {without!r} only {len(kept)} are left.")
    mask = torch.isin(labels, torch.tensor(kept))
    train = Split(images[mask], torch.searchsorted(torch.tensor(kept), labels[mask]))
    generator = torch.Generator().manual_seed(check_seed(seed))
    part = torch.randperm(len(train), generator=generator)[: len(train) // 16]
    val, test = (Split((glyphs.augment(s.x / 255, generator) * 255).round().byte(), s.y) for s in (train[part], train))
    return Task(f"letters, {len(kept)} kinds", tuple(names[i] for i in kept), train, val, test)


def join_tasks(first: Task, second: Task) -> Task:
    """Two tasks on images of one size, in tensors, as one, for a network with two heads (`tl.models.Heads`).

    The labels of the second follow those of the first. The images of the smaller training split are repeated, so that both
    tasks are met equally often.
    """
    for task in (first, second):
        check_kind("join_tasks", task, Task, "two tasks")
    pairs = [(getattr(first, name), getattr(second, name)) for name in ("train", "val", "test")]
    kinds = {split.kind for pair in pairs for split in pair}
    if len(kinds) > 1 or kinds == {"photographs"} or not all(map(len, pairs[0])):
        raise ValueError(f"Both tasks need training images of one size, in tensors; not {' and '.join(sorted(kinds))}.")
    if any(a.prepared != b.prepared or a.body != b.body for a, b in pairs):
        raise ValueError("Both tasks must be prepared alike, and vectors be made by one backbone.")
    most = max(map(len, pairs[0]))
    pairs[0] = [split[np.arange(most) % len(split)] for split in pairs[0]]
    y = lambda a, b: torch.cat([a.y, b.y + len(first.classes)])
    splits = (Split(torch.cat([a.x, b.x]), y(a, b), prepared=a.prepared, body=a.body) for a, b in pairs)
    return Task(f"{first.name} and {second.name}", first.classes + second.classes, *splits)


def draw(split: Split, shots: int | str | None, seed: int) -> Split:
    """So many examples of each class; one seed's 10 shots hold its 5 shots."""
    check_kind("draw", split, Split, "a split")
    seed, counts = check_seed(seed), split.y.bincount()
    if shots is None or isinstance(shots, str) and shots == "all":
        return split
    if not len(split):
        raise ValueError("There are no examples to draw from.")
    shots = _check_shots(shots, int(counts[counts > 0].min()))
    rng = np.random.default_rng(seed)
    places = [np.flatnonzero(split.y.numpy() == kind) for kind in range(len(counts))]
    return split[np.concatenate([rng.permutation(place)[:shots] for place in places])]
