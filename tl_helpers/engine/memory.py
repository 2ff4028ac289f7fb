"""Where things are, and what to do where the memory does not hold them. Lesson 11 opens this file."""

from __future__ import annotations

import copy
import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from ..device import autocast
from .parts import in_evaluation


def short_of_memory(error: Exception) -> bool:
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


def to_device(what: Tensor | nn.Module, device: torch.device) -> Tensor | nn.Module:
    """A tensor or a model on a device: itself if it is there already, else a copy.

    A GPU gets a tensor through pinned memory, while it is still at work on the step before.
    """
    if isinstance(what, nn.Module):
        first = next(what.parameters(), None)
        return what if first is None or first.device == device else copy.deepcopy(what).to(device)
    if device.type == "cuda" and what.device.type == "cpu":
        what = what.pin_memory()
    return what.to(device, non_blocking=True)


@torch.no_grad()
def predict_logits(model: nn.Module, forward: Callable, x: Tensor) -> Tensor:
    """forward(x) in batches, with the model in evaluation mode: float32, N x whatever it returns.

    A batch is of 256, and of fewer where images are large: of 224 x 224 in colour 33 on a GPU, whose memory their maps fill,
    and 8 on a CPU, whose caches they leave (a batch of 33 takes up to 1.4 times as long an image).
    """
    device = next(model.parameters(), x).device
    numbers = 1_250_000 if device.type == "cpu" else 5_000_000
    batch_size = max(1, min(256, numbers // max(1, x[0:1].numel())))
    answers = []
    with in_evaluation(model), autocast(device):
        for part in x.split(batch_size):
            # Architectures of one fixed size take none at all.
            some = part if len(part) else part.new_zeros(1, *part.shape[1:])
            answer = halving(forward, to_device(some, device))
            if not isinstance(answer, Tensor):
                raise TypeError(f"it returns a {type(answer).__name__}, and is to return one tensor")
            answers.append(answer[: len(part)].float())
    return torch.cat(answers)


class MicroBatches:
    """Gradient accumulation: batches cut into equal parts, where the memory does not hold them whole.

    Gradients add up over the parts, so the step of the optimizer is the same. A batch norm sees a part at a time.

    Args:
        net: what is trained.
        processes: how many share each batch.
    """

    def __init__(self, net: nn.Module, processes: int):
        self.buffers, self.processes, self.parts, self.failed = list(net.buffers()), processes, 1, False

    def of(self, batches: Iterable[tuple[Tensor, Tensor, int]]) -> Iterator[list[tuple[Tensor, Tensor, float]]]:
        """For each batch (images, labels, its size in all processes) its parts: images, labels, share of the batch.

        After `halve` the same batch comes again, in more parts.
        """
        for images, labels, whole in batches:
            before, self.size = self.parts, len(images)
            while True:
                kept, self.failed = [buffer.clone() for buffer in self.buffers], False
                parts = min(self.parts, self.size)
                pairs = zip(images.tensor_split(parts), labels.tensor_split(parts))
                yield [(x, y, len(x) * self.processes / whole) for x, y in pairs]
                if not self.failed:
                    break
                for buffer, value in zip(self.buffers, kept):  # a batch norm notes what it saw, also of a failed attempt
                    buffer.copy_(value)
                if torch.cuda.is_initialized():
                    torch.cuda.empty_cache()
            if before == 1 < self.parts:
                warnings.warn(
                    f"The memory does not hold a step with a batch of {self.size}: from here on each step adds up the "
                    f"gradients of {self.parts} parts of at most {math.ceil(self.size / self.parts)}. The result is the "
                    "same, but for batch norms.",
                    stacklevel=4,
                )

    def halve(self, error: Exception) -> None:
        """After an error for want of memory: let the batch come again in smaller parts. Any other error is raised.

        Raises:
            ValueError: there are no smaller parts, or a batch norm was given a single example.
        """
        if "more than 1 value per channel" in str(error):
            raise ValueError(
                "A batch norm cannot learn from one example at a time, and a batch here has only one: take a larger "
                "batch_size or more training data, or freeze the batch norms (see tl.freeze)."
            ) from error
        if not short_of_memory(error):
            raise error
        if self.processes > 1 or self.parts >= self.size:
            advice = "take more processes" if self.processes > 1 else "take a smaller model or smaller images"
            size = math.ceil(self.size / self.parts)
            raise ValueError(f"The memory does not hold a step with a batch of {size}: {advice}.") from error
        self.parts, self.failed = min(2 * self.parts, self.size), True
