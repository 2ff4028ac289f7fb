"""Where things are, and what to do where the memory does not hold them."""

from __future__ import annotations

import copy
import functools
import math
import re
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..device import autocast
from .distributed import Team


def short_of_memory(error: RuntimeError) -> bool:
    """Whether that is what an error says: CUDA has a class of its own for it, Apple's MPS and the CPU have only words."""
    words = re.search("out of memory|not enough memory|can't allocate memory", str(error))
    return isinstance(error, torch.cuda.OutOfMemoryError) or bool(words)


def halving(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """function(x), or where the memory does not hold that, the function of its halves put together."""
    try:
        return function(x)
    except RuntimeError as error:
        if len(x) < 2 or not short_of_memory(error):
            raise
    return torch.cat([halving(function, half) for half in x.tensor_split(2)])


def bring(part: Tensor, where: torch.device) -> Tensor:
    """A part of the data on the device; a GPU gets it through pinned memory, while still at work on the step before."""
    if where.type == "cuda" and part.device.type == "cpu":
        part = part.pin_memory()
    return part.to(where, non_blocking=True)


def on(model: nn.Module, where: torch.device) -> nn.Module:
    """The model itself if it is on the device already, else a copy of it there."""
    first = next(model.parameters(), None)
    return model if first is None or first.device == where else copy.deepcopy(model).to(where)


@torch.no_grad()
def outputs(model: nn.Module, forward: Callable, x: Tensor, batch_size: int | None = None) -> Tensor:
    """forward(x) in batches, with the model in evaluation mode: float32, N x whatever it returns.

    A batch is of 256, and of fewer where images are large (33 of 224 x 224 in colour), since their maps fill the memory.
    """
    batch_size = batch_size or max(1, min(256, 5_000_000 // max(1, x[0:1].numel())))
    where = next(model.parameters(), x).device
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with autocast(where):
            return torch.cat([halving(forward, bring(part, where)).float() for part in x.split(batch_size)])
    finally:  # each part as it was: some may have been put into evaluation mode by hand
        for module, mode in modes.items():
            module.training = mode


class Steps:
    """Goes forward and backward through a batch at once, or in equal parts where the memory does not hold the whole.

    Gradients add up over the parts, so the step of the optimizer is the same. A batch norm sees a part at a time.
    """

    def __init__(self, learn: Callable[[Tensor, Tensor, float], Tensor], optimizer: torch.optim.Optimizer, team: Team):
        self.learn, self.optimizer, self.team = learn, optimizer, team
        self.parts, self.said = 1, False

    def __call__(self, images: Tensor, labels: Tensor, whole: int) -> Tensor:
        """The sum of what `learn(images, labels, share)` returns; share is of the whole batch, in all processes."""
        before = self.parts
        while True:
            self.optimizer.zero_grad()
            pieces = zip(images.tensor_split(self.parts), labels.tensor_split(self.parts))
            try:
                sums = functools.reduce(torch.add, [self.learn(x, y, len(x) * self.team.size / whole) for x, y in pieces])
                break
            except RuntimeError as error:
                if not short_of_memory(error):
                    raise
                if self.team.size > 1 or self.parts >= len(images):
                    advice = "take more processes" if self.team.size > 1 else "take a smaller model or smaller images"
                    size = math.ceil(len(images) / self.parts)
                    raise ValueError(f"The memory does not hold a step with a batch of {size}: {advice}.") from error
            self.parts = min(2 * self.parts, len(images))
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
        if self.parts > before and not self.said:
            self.said = True
            size = math.ceil(len(images) / self.parts)
            warnings.warn(
                f"The memory does not hold a step with a batch of {len(images)}: from here on each step adds up the "
                f"gradients of {self.parts} parts of at most {size}. The result is the same, but for batch norms.",
                stacklevel=4,
            )
        return sums
