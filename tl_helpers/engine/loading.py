"""From a task's examples to what a network takes, batch by batch. No lesson opens this file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ..data import Split, in_floats
from ..device import place_for
from ..images import prepare
from ..models import input_of
from .arguments import Settings, shape
from .distributed import Distributed
from .examples import check_order
from .memory import to_device
from .parts import checksums_before_head, facts_of


def load(
    model: nn.Module, split: Split, device: torch.device, raw: bool = False, judged: bool = True
) -> tuple[Tensor, Tensor, Callable]:
    """The examples in the model's size, on the device if they fit there, the labels, and what each batch has to go through.

    Small images are normalised here once, unless they are wanted raw (to be augmented); photographs stay bytes, a quarter
    of the memory, and each batch is normalised.

    Args:
        judged: the labels are needed. Where they are not, a model may know some of the classes by other numbers, as one of
            ImageNet's thousand does; where it knows all of them, its answers are about to be held against these labels.

    Raises:
        ValueError: the labels count classes of the model in another order, or the vectors are another backbone's.
    """
    learned = facts_of(model).classes
    if judged or {*split.classes} <= {*learned}:
        check_order("The model", learned, split.classes)
    own = checksums_before_head(model) if split.body else {}  # none of a head alone
    if own and not split.body.items() <= own.items():  # a new head may come with a norm of its own before it
        raise ValueError(
            "These vectors were made by another backbone, or by this model's before it was trained further: make them anew "
            "with tl.features(model, task), or give the images."
        )
    x, normalise = split.x, lambda x: x
    if not split.are_vectors:
        wanted = input_of(model)
        x, normalise = prepare(split, wanted), wanted.normalise
    x = x.to(place_for(x.nbytes, device))
    if x.is_floating_point() and not raw:
        x, normalise = normalise(x), lambda x: x
    return x, split.y.to(x.device), normalise


class Batches:
    """Training data as the loop takes them, in a new order each time: images or vectors, labels, size of the whole batch.

    They are augmented, normalised and on the device; of several processes each gets its share of every batch.
    """

    def __init__(self, model: nn.Module, split: Split, how: Settings, device: torch.device, processes: Distributed):
        self.x, self.y, self.normalise = load(model, split, device, raw=how.augment is not None)
        self.augment, self.device, self.share = how.augment, device, processes.share
        self.number = processes.batches(len(split), how.batch_size)
        order = torch.Generator().manual_seed(int(how.seed))  # on the CPU, so that every machine draws the same
        self.generators = {"order": order, "augment": torch.Generator(device).manual_seed(int(how.seed) + processes.rank)}

    def __len__(self) -> int:
        return self.number

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, int]]:
        order = torch.randperm(len(self.x), generator=self.generators["order"]).to(self.x.device)
        for number, batch in enumerate(order.tensor_split(self.number)):
            images, labels = (to_device(_rows(part, self.share(batch)), self.device) for part in (self.x, self.y))
            if self.augment is not None:
                images = augmented(self.augment, in_floats(images), self.generators["augment"], look=not number)
            yield self.normalise(images), labels, len(batch)

    def first(self, count: int) -> tuple[Tensor, Tensor, Callable]:
        """So many examples, as `load` gives them."""
        return self.x[:count], self.y[:count], self.normalise


def augmented(augment: Callable, images: Tensor, generator: torch.Generator, look: bool = True) -> Tensor:
    """What `augment` makes of a batch of images.

    Args:
        look: for numbers that are none, and for pixels that are not from 0 to 1, too; to look in each step would make a GPU
            wait.

    Raises:
        ValueError: it does not take (images, generator), or returns something else than images of the same kind.
    """
    try:
        found = augment(images, generator)
    except TypeError as error:
        raise ValueError(f"augment must be a function of images and a generator; called so, it says: {error}.") from error
    alike = isinstance(found, Tensor) and (found.shape, found.dtype) == (images.shape, images.dtype)
    if not alike or look and not found.isfinite().all():
        what = f"{found.dtype}, {shape(found)}" if isinstance(found, Tensor) else type(found).__name__
        what = "NaN or infinite numbers" if alike else what
        raise ValueError(
            f"augment must return images as it gets them ({images.dtype}, {shape(images)}); it returned {what}."
        )
    if look and len(found) and not -0.05 <= found.mean() <= 1.05:  # noise may reach beyond 0 and 1
        raise ValueError(
            f"augment gets pixels from 0 to 1 and must return such; it returned {found.min():.2g} to {found.max():.2g}. The "
            "model's own mean and std come after it."
        )
    return found


def _rows(x: Tensor, places: Tensor) -> Tensor:
    """x[places]. index_select is quicker, but would put images whose channels lie last in memory into the usual order."""
    return x.index_select(0, places) if x.is_contiguous() else x[places]
