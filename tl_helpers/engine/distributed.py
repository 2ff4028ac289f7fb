"""Several processes that train one model together. Lesson 11 opens this file."""

from __future__ import annotations

import atexit
import contextlib
import math
import re
from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


class Distributed:
    """The processes that train one model together: those that `torchrun` started, or this one alone.

    Each has a copy of the model and takes its share of every batch; torch's DistributedDataParallel averages the gradients.
    """

    def __init__(self):
        if dist.is_available() and dist.is_torchelastic_launched() and not dist.is_initialized():
            dist.init_process_group()
            atexit.register(dist.destroy_process_group)
        several = dist.is_available() and dist.is_initialized()
        self.rank, self.size = (dist.get_rank(), dist.get_world_size()) if several else (0, 1)

    def batches(self, examples: int, batch_size: int) -> int:
        """How many equal batches an epoch is cut into, each with something for every process."""
        batches = math.ceil(examples / batch_size)
        if examples // batches < self.size:
            raise ValueError(
                f"{self.size} processes share each batch, and a batch has {examples // batches} of the {examples} examples: "
                "take a larger batch_size or fewer processes."
            )
        return batches

    def share(self, batch: Tensor) -> Tensor:
        """The part of a batch that is this process's."""
        return batch if self.size == 1 else batch.tensor_split(self.size)[self.rank]

    def wrap(self, forward: nn.Module) -> nn.Module:
        """A module that does the same, and whose gradients are averaged over the processes."""
        return forward if self.size == 1 else nn.parallel.DistributedDataParallel(forward)

    def sum(self, numbers: Tensor) -> Tensor:
        """The sum over the processes."""
        if self.size > 1:
            dist.all_reduce(numbers)
        return numbers

    def join(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """function(x), of which each process works out its share."""
        if self.size == 1 or len(x) < self.size:
            return function(x)
        part = function(self.share(x))
        whole = part.new_zeros(len(x), *part.shape[1:])
        self.share(whole).copy_(part)
        return self.sum(whole)

    def gather(self, value) -> list:
        """The values of all processes, in their order."""
        values = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values

    def from_first(self, make: Callable):
        """What `make()` returns or raises in the first process, in all of them."""
        found = [None]
        if not self.rank:
            try:
                found = [make()]
            except ValueError as error:
                found = [error]
        if self.size > 1:
            dist.broadcast_object_list(found)
        if isinstance(found[0], ValueError):
            raise found[0]
        return found[0]

    @contextlib.contextmanager
    def together(self, checkpoint: str | None):
        """Inside the `with` block batch norms take their statistics over the whole batch, not over this process's share.

        The end of another process is said in words there.
        """
        try:
            with contextlib.nullcontext() if self.size == 1 else _Norms():
                yield
        except RuntimeError as error:
            if self.size == 1 or not re.search("gloo|nccl|connection|store", str(error), re.I):
                raise
            rest = "give fit a checkpoint to be able to go on from the last finished epoch"
            if checkpoint:
                rest = f"{checkpoint} holds the last finished epoch: the same command goes on from there"
            raise ConnectionError(
                f"Process {self.rank} of {self.size} stops, since another one has ended, which says itself why; {rest}."
            ) from error


class _Norms(torch.overrides.TorchFunctionMode):
    """F.batch_norm over all processes, exactly. torch's SyncBatchNorm is for CUDA only, and a layer of another class."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return (_norm if function is F.batch_norm else function)(*args, **kwargs or {})


def _norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    from torch.distributed.nn.functional import all_reduce  # the sum over the processes, through which gradients flow

    axes, shape = [0, *range(2, x.ndim)], (1, -1, *[1] * (x.ndim - 2))
    pixels = x.float()
    sums = all_reduce(torch.cat([pixels.sum(axes), pixels.new_tensor([x.numel() / x.shape[1]])]))
    count, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
    centred = pixels - mean.view(shape)
    var = all_reduce((centred * centred).sum(axes)) / count
    if running_mean is not None:
        running_mean.lerp_(mean.detach(), momentum)
        running_var.lerp_(var.detach() * (count / (count - 1)), momentum)
    scale = (var + eps).rsqrt() if weight is None else (var + eps).rsqrt() * weight
    result = centred * scale.view(shape)
    return (result if bias is None else result + bias.view(shape)).to(x.dtype)
