"""Right and typical wrong answers to the exercises of lesson 09."""

import numpy as np
import torch


def _groups(chances, groups, join=lambda part: part.sum(1), dim=1):
    return torch.stack([join(chances[:, groups == group]) for group in range(int(groups.max()) + 1)], dim=dim)


def _normalised(pixels, config, shape=(-1, 1, 1), scale=255):
    mean, std = (torch.tensor(config[key]).view(shape) for key in ("mean", "std"))
    return (pixels.float() / scale - mean) / std


def _looks(p, n, looks):
    return np.random.default_rng(1).binomial(n, p, (4000, looks))


RIGHT = {
    "by_group": _groups,
    "will_it_help": (np.int64(20), "label"),  # as pandas gives it
    "normalised": _normalised,
    "best_of": lambda p, n, looks: _looks(p, n, looks).max(1).mean() / n,
}
WRONG = {
    "will_it_help": [
        ((20, "something else"), "one of"),
        ((20, 7), "one of"),
        ((5, "label"), "no longer touches"),
        ((200, "label"), "at none of the smaller ones"),
        ((20, "scratch"), "sure to be poor"),
        ((20, "probe"), "What would change that"),
        (("twenty", "label"), "Not 'twenty'"),
    ],
    "by_group": [
        (lambda chances, groups: None, "returns nothing"),
        (lambda chances, groups: groups[chances.argmax(1)], "one number for each photograph"),
        (lambda chances, groups: _groups(chances, groups, dim=0), "exchanged"),
        (lambda chances, groups: _groups(chances, groups, lambda part: part.mean(1)), "add them up"),
        (lambda chances, groups: _groups(chances, groups, lambda part: part.amax(1)), "likeliest"),
        (lambda chances, groups: _groups(chances, groups)[:, :2], "not (40, 3)"),
        (lambda chances, groups: _groups(chances, groups).flip(1), "are others"),
        (lambda chances, groups: torch.zeros(40, int(groups.max()) + 1), "add up to 1"),
    ],
    "normalised": [
        (lambda pixels, config: None, "returns nothing"),
        (lambda pixels, config: pixels.float() / 255, "now subtract"),
        (lambda pixels, config: _normalised(pixels, config, scale=1), "divide by 255"),
        (lambda pixels, config: _normalised(pixels, config, shape=(-1,)), "along the rows"),
        (lambda pixels, config: pixels / 255 - torch.tensor(config["mean"]).view(-1, 1, 1), "now divide"),
        (lambda pixels, config: _normalised(pixels, config).double(), "float32"),
        (lambda pixels, config: (pixels / 255 - 0.5) / 0.5, "its own mean"),
        (lambda pixels, config: _normalised(pixels, config)[0], "same shape"),
    ],
    "best_of": [
        (lambda p, n, looks: None, "returns nothing"),
        (lambda p, n, looks: p, "which is p"),
        (lambda p, n, looks: _looks(p, n, looks).mean() / n, "which is p"),
        (lambda p, n, looks: _looks(p, n, looks).max(1).mean(), "divide"),
        (lambda p, n, looks: _looks(p, n, looks).max() / n, "all rows at once"),
        (lambda p, n, looks: _looks(p, n, 2).max(1).mean() / n, "looking so often"),
    ],
}
