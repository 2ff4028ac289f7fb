"""Two tasks at once: the pieces that lesson 08 puts together, and the loop that its stored grids ran.

The lesson writes the class and the loop in its own cells; here they stand again, for `methods.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import glyphs
from ..data import Split, in_floats
from ..device import seeded
from ..models import RawCNN, input_of

NONE = -1  # the label of an image that has none for a task: cross_entropy leaves such images out


class SmallBody(nn.Module):
    """The raw CNN of lesson 02 without its last layer: images N x 1 x 28 x 28, normalised, to 50 features."""

    num_features = RawCNN.num_features

    def __init__(self, seed: int = 0):
        super().__init__()
        self.network = RawCNN(classes=1, seed=seed)
        self.network.fc2 = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.network.forward_head(self.network.forward_features(x), pre_logits=True)


class TwoHeads(nn.Module):
    """A body and two linear heads; returns the logits of both, N x `first` and N x `second`."""

    def __init__(self, body: nn.Module, first: int, second: int, seed: int = 0):
        super().__init__()
        with seeded(seed):
            self.body = body
            self.first = nn.Linear(body.num_features, first)
            self.second = nn.Linear(body.num_features, second)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x)
        return self.first(features), self.second(features)


def images_of(split: Split) -> Tensor:
    """The images of a split as the small body takes them: normalised, N x 1 x 28 x 28."""
    return input_of(RawCNN()).normalise(split.x)


def batches(*parts: tuple[Split, Tensor, Tensor], steps: int, size: int = 32, seed: int = 0) -> Iterator[tuple]:
    """Random batches: `size` images of each part, bent a little; (images, labels of the first task, of the second).

    Args:
        parts: for each set of images a split, and its labels for the first and the second task, NONE where there are none.
        steps: how many batches.
    """
    generator, normalise = torch.Generator().manual_seed(seed), input_of(RawCNN()).normalise
    pixels = [in_floats(split.x) for split, _, _ in parts]
    for _ in range(steps):
        drawn = [torch.randint(len(split), (size,), generator=generator) for split, _, _ in parts]
        bent = glyphs.augment(torch.cat([x[i] for x, i in zip(pixels, drawn)]), generator, 0.25)
        labels = ([part[k][i] for part, i in zip(parts, drawn)] for k in (1, 2))
        yield normalise(bent), *map(torch.cat, labels)


def unlabelled(split: Split) -> Tensor:
    """A label that says "none" for each image."""
    return torch.full((len(split),), NONE)


def learn(model: TwoHeads, stream: Iterator[tuple], w: float, steps: int, lr: float = 3e-3, seed: int = 0) -> TwoHeads:
    """Train both heads and the body: loss1 + w * loss2, one forward pass a step. Changes the model, and returns it."""
    optimizer = torch.optim.AdamW(model.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    with seeded(seed):  # dropout
        for x, first, second in stream:
            scores1, scores2 = model(x)
            loss = _loss(scores1, first) + w * _loss(scores2, second)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def _loss(scores: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy of the images that have a label; 0 if none has."""
    return F.cross_entropy(scores, labels, ignore_index=NONE) if (labels != NONE).any() else scores.sum() * 0


def right(model: TwoHeads, split: Split, head: int = 0) -> float:
    """The share of a split that one head (0 or 1) reads right."""
    with torch.no_grad():
        return (model(images_of(split))[head].argmax(1) == split.y).double().mean().item()
