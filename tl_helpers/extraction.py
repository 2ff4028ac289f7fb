"""Why transfer is cheap: a frozen backbone's outputs, computed once. Lesson 05 opens this file."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .data import Files, Split, Task, in_floats
from .device import device as find_device
from .engine.loading import augmented
from .engine.memory import predict_logits, to_device
from .engine.parts import before_head, checksums_before_head
from .engine.progress import Progress
from .engine.validate import check_choice, check_kind, check_number, check_seed
from .images import prepare
from .models import input_of

CHUNK = 64  # photographs in the memory at once


def features(
    body: nn.Module,
    task: Task,
    *,
    views: int = 1,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    seed: int = 0,
    device: str | None = None,
    progress: bool = True,
) -> Task:
    """A task of vectors: what the backbone makes of every image of a task, each image passed through it once.

    `fit` and `evaluate` take it like a task of images and run only the head; scikit-learn takes `features.train.numpy()`.

    Args:
        body: a backbone, or a whole classifier of timm's or RawCNN, whose head is then left out; of other networks the
            vectors are what they answer, so take their head off before.
        task: a task of images.
        views: how many versions of each training image: the image itself, and `views - 1` augmented ones.
        augment: makes the augmented ones (see `fit`); needed for more than one view.
        seed: of the augmentation.
        device: None for the best one here.
        progress: show a bar where photographs have to be read.

    Returns: the task with vectors float32, N x D; `views` times as many of them in train.

    Raises:
        ValueError: views is below 1 or lacks augment, or the task is one of vectors already.
    """
    check_kind("features", body, nn.Module, "a backbone first; of a run take run.model")
    check_kind("features", task, Task, "a task second, as tl.digits() gives one")
    generator = torch.Generator().manual_seed(check_seed(seed))
    if task.train.are_vectors:
        raise ValueError(f"{task.name!r} is a task of vectors already; features wants images.")
    rule = "a whole number from 1, and above 1 it needs augment, tl.glyphs.augment for example"
    check_number("views", views, rule, 1, 1 if augment is None else math.inf, whole=True)
    check_choice("progress", progress, (True, False))
    where = find_device(device)
    body = to_device(body, where)
    many, marks = sum(map(len, (task.train, task.val, task.test))), checksums_before_head(body)
    wanted = input_of(body)
    bar = Progress(many, shown=progress and isinstance(task.train.x, Files))

    def of_images(x: Tensor) -> Tensor:
        try:
            return predict_logits(body, lambda part: before_head(body, wanted.normalise(part)), x).cpu()
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"The backbone cannot take these images: {error}") from error

    def vectors(split: Split, views: int = 1) -> Split:
        """Photographs go through in chunks, so that never more than a chunk of them is held in the memory."""
        chunks = [split]
        if isinstance(split.x, Files) and len(split):
            chunks = [split[start : start + CHUNK] for start in range(0, len(split), CHUNK)]
        found = [[] for _ in range(views)]
        for chunk in chunks:
            pixels = prepare(chunk, wanted)
            for view, into in enumerate(found):
                version = augmented(augment, in_floats(pixels.clone()), generator) if view else pixels
                into.append(of_images(version))
            bar.update(len(chunk))
        return Split(torch.cat([part for parts in found for part in parts]), split.y.repeat(views), body=marks)

    splits = vectors(task.train, views), vectors(task.val), vectors(task.test)
    bar.end(f"Features of {bar.total:,} photographs")
    return Task(f"{task.name}, as features", task.classes, *splits, task.report)
