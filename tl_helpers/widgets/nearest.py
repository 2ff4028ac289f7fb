"""What a picture is most like, or "I don't know", by its distance to the mean of each class. Lesson 09 asks the camera this.

Also how pictures become vectors, and how they are brought to one square size.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ..data import Files, Split
from ..datasets.free import free_photographs
from ..engine.memory import predict_logits
from ..engine.parts import before_head
from ..images import open_photograph, prepare
from ..models import input_of

SIDE = 224  # of the pictures, in pixels


@torch.no_grad()
def vectors_of(body: nn.Module, pictures: Tensor | Files) -> Tensor:
    """What a backbone makes of each picture: vectors float32, N x D, the same as those of `tl.features`.

    Args:
        body: a backbone, or a whole classifier, whose head is then left out.
        pictures: uint8, N x 3 x H x W, or Files.
    """
    split = Split(pictures, torch.zeros(len(pictures), dtype=torch.long))
    wanted = input_of(body)
    return predict_logits(body, lambda x: before_head(body, wanted.normalise(x)), prepare(split, wanted)).cpu()


def elsewhere(body: nn.Module) -> Tensor:
    """Vectors (float32, 15 x D) of something else, to know how far that is: parts of three photographs."""
    photographs = [open_photograph(path) for path in free_photographs().values()]
    parts = []
    for photograph in photographs:
        width, height = photograph.size
        side = min(width, height) // 2
        corners = [(x, y, x + side, y + side) for x in (0, width - side) for y in (0, height - side)]
        parts += [photograph, *map(photograph.crop, corners)]
    return vectors_of(body, stacked(map(square, parts)))


def likeness(vectors: Tensor, labels: Tensor, new: Tensor, others: Tensor, classes: int | None = None) -> Tensor:
    """How like each class new pictures are (float32, M x classes), by their distance to the class's centroid (its mean).

    1 is the centroid itself. 0 is as far from it as something else is: the median distance from all centroids to `others`.
    The nearest class is the one with the largest number. A class without pictures has minus infinity.

    Args:
        vectors: of the known pictures, float32, N x D.
        labels: their classes, int64, N, counted from 0.
        new: of the new pictures, float32, M x D.
        others: of something else, float32, K x D (see `elsewhere`).
        classes: how many there are; None for as many as the labels tell.
    """
    centroids, far = _centroids(vectors, labels, others, classes)
    return (1 - torch.cdist(new, centroids) / far).nan_to_num(nan=-torch.inf)


def left_out(vectors: Tensor, labels: Tensor, others: Tensor, classes: int | None = None) -> Tensor:
    """The likeness of each known picture (N x classes), where the centroid of its own class is that of the others only.

    So it is judged by what has not seen it. For the only picture of a class nothing is left of its class: minus infinity.
    """
    centroids, far = _centroids(vectors, labels, others, classes)
    away, own = torch.cdist(vectors, centroids), torch.arange(len(labels))
    count = labels.bincount()[labels].float()
    away[own, labels] *= count / (count - 1)  # from the mean of the others
    return (1 - away / far).nan_to_num(nan=-torch.inf, neginf=-torch.inf)


def _centroids(vectors: Tensor, labels: Tensor, others: Tensor, classes: int | None) -> tuple[Tensor, Tensor]:
    """The mean of each class (NaN where there is none), and the median distance to something else."""
    present = [vectors[labels == kind].mean(0) for kind in range(classes or int(labels.max()) + 1)]
    centroids = torch.stack(present)
    return centroids, torch.cdist(others, centroids).nanmedian().clamp(min=1e-6)


def line_below(vectors: Tensor, labels: Tensor, others: Tensor) -> float:
    """The likeness below which the answer is "I don't know": halfway between something else and the known pictures.

    Something else has likeness 0. For the known pictures stands the likeness to their own class, each left out of it, that
    19 of 20 reach; 1 where no class has two pictures.

    Measured on parts of 115 photographs of ants, bees and pets with EfficientNet-Lite0, two of them as classes with five
    parts each, 150 draws: 99.9% of other parts of the two, larger, smaller, lighter or darker, were above the line, and
    1.2% of the other photographs; with one part each 95% and .2%.
    """
    own = left_out(vectors, labels, others).gather(1, labels[:, None])[:, 0]
    own = own[own.isfinite()]
    return max(0.0, own.quantile(0.05).item() / 2) if len(own) else 0.5


def said(shares: Tensor, likenesses: Tensor, line: float) -> list[int]:
    """The class with the largest share for each picture, or -1 for "I don't know", where no likeness reaches the line."""
    return torch.where(likenesses.amax(1) >= line, shares.argmax(1), -1).tolist()


def stacked(images) -> Tensor:
    """Square pictures of PIL's: uint8, N x 3 x 224 x 224."""
    return torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images])


def square(image: Image.Image) -> Image.Image:
    """The middle of a picture, 224 x 224."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, (left, top, left + side, top + side), reducing_gap=2)


def as_jpeg(image: Image.Image, side: int) -> bytes:
    image.resize((side, side), reducing_gap=2).save(file := io.BytesIO(), "JPEG", quality=90)
    return file.getvalue()
