"""What a split may hold, checked: images, vectors, labels. Lesson 01 makes its first splits."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .validate import brief, check_choice, check_number


def as_tensor(values, wanted: str) -> Tensor:
    """A tensor on the CPU: of an array a copy, so that what is written into the array later changes nothing here."""
    try:
        if isinstance(values, Tensor):
            return values.detach().cpu()
        values = np.asarray(values)
        return torch.from_numpy(values.astype(values.dtype.newbyteorder("="), order="C"))  # torch takes no other order
    except (TypeError, ValueError) as error:  # texts, None, lists of unequal lengths
        raise ValueError(f"{wanted}, in a tensor or an array; this is something else.") from error


def described(x: Tensor) -> str:
    return f"{str(x.dtype).removeprefix('torch.')}, {' x '.join(map(str, x.shape)) or 'a single number'}"


def as_labels(values) -> Tensor:
    y = as_tensor(values, wanted := "Labels must be whole numbers from 0, one per image")
    y = y if y.is_floating_point() or y.is_complex() else y.long()
    if y.ndim != 1 or y.is_complex() or (y != y.long()).any() or (y < 0).any():
        raise ValueError(
            f"{wanted}; these are {described(y)}{f', from {y.real.min():g}' if y.ndim == 1 and len(y) else ''}."
        )
    return y.long()


def as_examples(values, prepared: bool) -> Tensor:
    x = as_tensor(values, wanted := "Examples must be images (uint8, N x C x H x W, C 1 or 3) or vectors (floats, N x D)")
    if x.ndim == 2 and x.is_floating_point():
        x = x.float()
        if not x.isfinite().all():
            raise ValueError("Vectors must be of finite numbers; some of these are infinite or no number (NaN).")
        return x
    floats = prepared and x.dtype == torch.float32 and (x.clamp(0, 1) == x).all()
    if x.ndim != 4 or x.shape[1] not in (1, 3) or 0 in x.shape[2:] or not (floats or x.dtype == torch.uint8):
        more = f" with {x.shape[1]} channels" if x.ndim == 4 else ""
        advice = ": from 0 to 1 they become images by (x * 255).round().to(torch.uint8)" if x.is_floating_point() else ""
        raise ValueError(f"{wanted}; these are {described(x)}{more}{advice}.")
    return x


def as_index(index) -> slice | np.ndarray:
    """A slice, or positions (int64) or a mask (bool): small numbers are positions, as 0 and 1 are too."""
    if isinstance(index, slice):
        return index
    index = np.atleast_1d(index)
    if index.dtype == object:  # a table's column of True and False that once had gaps
        index = np.array(index.tolist())
    if index.size and index.dtype.kind not in "biu":  # a mask of 1.0 and 0.0 would be taken for positions
        raise ValueError("A part is given by a slice, by positions (whole numbers), or by a mask of true and false.")
    return index.astype(bool if index.dtype == bool else int)


DARK = 16  # of 255: what is nowhere brighter is black to a network


def check_dark(train, val, test) -> None:
    """Raise a ValueError for images in bytes that are black to a network, as sklearn's digits (0 to 16) are when cast.

    Of those for validation and test it is said: they may be dark on purpose.
    """
    for what, split in (("training", train), ("validation", val), ("test", test)):
        x = split.x
        if isinstance(x, Tensor) and x.dtype == torch.uint8 and len(x) and 0 < (most := int(x.max())) <= DARK:
            words = (
                f"The brightest pixel of all {what} images is {most}, and white is 255: if {most} is white, give "
                f"(images * (255 / {most})).round(), as uint8 again."
            )
            if what == "training":
                raise ValueError(words)
            warnings.warn(words, stacklevel=4)


def tell_copies(train, val, test) -> None:
    """Say it where images for choosing or testing are also learned from, pixel for pixel."""
    seen = {hash(image.tobytes()) for image in train.x.numpy()}
    for name, split in (("validation", val), ("test", test)):
        copies = sum(hash(image.tobytes()) in seen for image in split.x.numpy())
        if copies:
            warnings.warn(
                f"Of the {len(split)} {name} images {copies} are training images too, pixel for pixel: accuracy on them "
                "says little about new ones.",
                stacklevel=3,
            )


def check_order(who: str, learned: Sequence[str], counted: Sequence[str]) -> None:
    """Raise a ValueError where labels count a class by another number than a model or a task (`who`) does."""
    for i, name in enumerate(counted):
        if name in learned and name not in learned[i : i + 1]:  # of two tasks joined, some names stand in it twice
            raise ValueError(
                f"{who} counts {name!r} as class {learned.index(name)}, and these labels count it as class {i}: number them "
                f"by the classes of {who.lower()}, in their order, and make the split anew with tl.Split(x, y)."
            )


def check_input(config) -> None:
    """Raise a ValueError for an InputConfig that no model can have."""
    for name in ("size", "mean", "std"):
        values, count = getattr(config, name), 3 if name == "size" else config.size[0]
        if not isinstance(values, (list, tuple)) or len(values) != count:
            raise ValueError(f"{name} of an InputConfig must be {count} numbers; not {brief(values)}.")
        for value in values:
            check_number(f"{name} of an InputConfig", value, f"{count} numbers", 1 if name == "size" else -1e9)
    if 0 in config.std:
        raise ValueError("std of an InputConfig must not be 0; a negative one turns black to white.")
    check_number("crop_pct", config.crop_pct, "a share of the picture, above 0 and up to 1", 1e-2, 1)
    check_choice("interpolation", config.interpolation, ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"))
    check_choice("crop_mode", config.crop_mode, ("center", "squash", "border"))
