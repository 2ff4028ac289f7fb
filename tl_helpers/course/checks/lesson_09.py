"""Checks of the exercises of lesson 09."""

from __future__ import annotations

from numbers import Real

import numpy as np
import torch
from scipy.stats import binom

from .base import NotYet, exercise, returned


@exercise("deeper/09")
def by_group(function) -> str:
    """function(probabilities, groups): the probability of each group of classes, N x groups."""
    generator = torch.Generator().manual_seed(9)
    for groups in (torch.tensor([0, 1, 0, 2, 1, 1]), torch.tensor([1, 1, 0, 1, 1])):
        chances = (2 * torch.randn(40, len(groups), generator=generator)).softmax(1)
        member = torch.nn.functional.one_hot(groups).float()
        right = chances @ member
        found = function(chances.clone(), groups.clone())
        returned(found, "it should return a tensor, N x the number of groups.")
        found = torch.as_tensor(found).float()
        if found.shape == (40,):
            raise NotYet("That is one number for each photograph; a probability for each group was asked for.")
        if found.shape == right.T.shape and found.shape != right.shape:
            raise NotYet("Rows and columns are exchanged: torch.stack(..., dim=1) puts the groups into columns.")
        if found.shape != right.shape:
            raise NotYet(
                f"For 40 photographs, {len(groups)} classes and {right.shape[1]} groups it returned {tuple(found.shape)}, "
                f"not {tuple(right.shape)}."
            )
        if torch.allclose(found, right / member.sum(0), atol=1e-5):
            raise NotYet("That is the mean over the classes of a group, which makes large groups too small: add them up.")
        best = torch.stack([chances[:, groups == group].amax(1) for group in range(right.shape[1])], dim=1)
        if torch.allclose(found, best, atol=1e-5):
            raise NotYet("That is the likeliest class of each group. It is one class or another: add up all of them.")
        if not torch.allclose(found, right, atol=1e-5):
            total = " Each row should add up to 1." if not torch.allclose(found.sum(1), torch.ones(40), atol=1e-4) else ""
            raise NotYet(f"The numbers are others than the sums over the classes of each group.{total}")
    return "One model, two questions: the breeds, and by adding up, the species. No photograph had to be labelled again."


@exercise("deeper/09")
def normalised(function) -> str:
    """function(pixels, config): uint8 images as the network of this config wants them."""
    pixels = torch.randint(0, 256, (2, 3, 3, 3), generator=torch.Generator().manual_seed(9), dtype=torch.uint8)
    for mean, std in (((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ((0.1, 0.5, 0.7), (0.5, 0.3, 1.0))):
        m, s = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
        right = (pixels / 255 - m) / s
        found = function(pixels.clone(), {"mean": mean, "std": std, "input_size": (3, 3, 3)})
        returned(found, "it should return the pixels as the network wants them.")
        if not isinstance(found, torch.Tensor) or found.shape != right.shape:
            raise NotYet("It should return a tensor of the same shape as the pixels.")
        faults = {
            "The mean is meant for pixels from 0 to 1: divide by 255 first.": (pixels - m) / s,
            "That is pixels from 0 to 1; now subtract the mean and divide by the standard deviation.": pixels / 255,
            "Subtract the mean first, and divide what is left by the standard deviation.": pixels / 255 / s - m,
            "The mean is gone; now divide by the standard deviation.": pixels / 255 - m,
            "The standard deviation divides; it does not multiply.": (pixels / 255 - m) * s,
            "The numbers went along the rows of the picture, not the channels: give them the shape C x 1 x 1.": (
                (pixels / 255 - m.view(-1)) / s.view(-1)
            ),
        }
        for words, fault in faults.items():
            if torch.allclose(found.double(), fault.double(), atol=1e-4):
                raise NotYet(words)
        if not torch.allclose(found.double(), right.double(), atol=1e-4):
            raise NotYet("The numbers are others: (pixels / 255 - mean) / std, each channel with its own mean and std.")
        if found.dtype != torch.float32:
            raise NotYet(f"The numbers are right, but of type {found.dtype}; networks take float32.")
    return "That is all there is to it, and tl.data.InputConfig.normalise does the same."


@exercise("09")
def best_of(function) -> str:
    """function(p, n, looks): the mean of the best of so many accuracies, each on n photographs, of a network right for p."""
    for p, n, looks in ((0.94, 153, 25), (0.7, 50, 4), (0.9, 400, 10)):
        beaten = binom.cdf(np.arange(n), n, p) ** looks  # the chance that no look finds more than 0, 1, ... n - 1
        right = float((1 - beaten).sum() / n)
        found = function(p, n, looks)
        returned(found, "it should return an accuracy.")
        found = float(found)
        text = f"For p = {p}, n = {n} and {looks} looks it says {found:.3f}"
        if found > 1:
            raise NotYet(f"{text}. An accuracy is a share: divide the number of right answers by n.")
        if abs(found - right) < 0.004:
            continue
        if abs(found - p) < 0.004:
            raise NotYet(f"{text}, which is p. Take the best of each row of looks before the mean: .max(1).")
        if found > binom.ppf(0.999, n, p) / n - 1e-9:
            raise NotYet(f"{text}. Is that the best of all rows at once? Take the best of each row, then their mean.")
        raise NotYet(f"{text}, and about {right:.3f} is what looking so often gives.")
    return "The more often you look and the fewer photographs there are, the better it seems, and nothing has been learned."


@exercise("09")
def will_it_help(labels, first_step) -> str:
    """From how many labels per class ImageNet helps with solar cells, and what to do with five: probe, label or scratch."""
    from .. import photographs

    found = photographs.gains()
    sun = found[found.task == "solar-cells"].set_index("labels per class").sort_index()
    doubtful = sun.index[sun.low <= 0]
    right = int(sun.index[sun.index > doubtful.max()].min()) if len(doubtful) else int(sun.index[0])
    if not isinstance(first_step, str) or first_step not in ("probe", "label", "scratch"):
        raise NotYet('The first step is one of "probe", "label" and "scratch".')
    if isinstance(labels, bool) or not isinstance(labels, Real) or labels != right:
        known = f"The figure has points at {', '.join(map(str, sun.index))}."
        if labels in sun.index and sun.low[labels] > 0:
            raise NotYet(
                f"At {labels} the interval lies above zero, but look further: is that so at all larger ones too, and "
                f"at none of the smaller ones next to it? {known}"
            )
        raise NotYet(f"Not {labels!r}: look where the bar of the solar cells no longer touches the line at zero. {known}")
    if first_step == "scratch":
        raise NotYet(
            "A network trained from scratch on ten pictures is the one thing that is sure to be poor: see the table."
        )
    if first_step == "probe":
        raise NotYet(
            "With 5 labels of each kind nothing here is clearly ahead of plain pixels, and all of it is poor. What "
            "would change that?"
        )
    return (
        f"In the figure, at 5 labels, the interval runs from {sun.low[5]:+.2f} to {sun.high[5]:+.2f}: nobody can say that "
        f"ImageNet helps. From {right} on it does. Far from what a backbone has seen, labels come first."
    )
