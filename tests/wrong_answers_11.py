"""Right and typical wrong answers to the exercises of lesson 11."""

import re

import numpy as np
import torch
import torch.nn.functional as F


def _parts(weight):
    def backward(model, images, labels, most):
        parts = [*zip(images.split(most), labels.split(most))]
        for x, y in parts:
            (F.cross_entropy(model(x), y) * weight(len(x), len(images), len(parts))).backward()

    return backward


def _forgetful(model, images, labels, most):
    for x, y in zip(images.split(most), labels.split(most)):
        model.zero_grad()
        (F.cross_entropy(model(x), y) * len(x) / len(images)).backward()


def _stepping(model, images, labels, most):
    _right(model, images, labels, most)
    torch.optim.SGD(model.parameters(), 0.1).step()


def _without_the_rest(model, images, labels, most):
    for i in range(len(images) // most):
        F.cross_entropy(model(images[i * most : (i + 1) * most]), labels[i * most : (i + 1) * most]).backward()


def _lumps(batch, rank, size):
    begin = rank * (len(batch) // size)
    return batch[begin:] if rank == size - 1 else batch[begin : begin + len(batch) // size]


def _padded(batch, rank, size):
    return (batch + batch[: -len(batch) % size])[rank::size]


def _efficient(seconds, least):
    return [n for n in seconds if seconds[1] / seconds[n] / n >= least]


_right = _parts(lambda part, whole, parts: part / whole)


def _hide(text, names):
    return " ".join(word for word in text.split() if word.lower() not in names)


def _adapter(rows, columns, rank):
    return rank * (rows + columns) / (rows * columns)


_ADVICE = {
    "A": ("stop", "licence"),
    "B": ("go", "measured first"),
    "C": ("stop", "unlike the use"),
    "D": ("stop", "cheaper way"),
}


RIGHT = {
    "no_giveaway": _hide,
    "adapter_share": _adapter,
    "advised": _ADVICE,
    "accumulated": _right,
    "shared": lambda batch, rank, size: batch[rank::size],
    "bytes_on_the_wire": lambda parameters, n: 8 * parameters * (n - 1) / n,
    "worth_it": lambda seconds, least: max(_efficient(seconds, least)),
}
ALSO_RIGHT = {
    "shared": [
        lambda batch, rank, size: torch.tensor(batch).tensor_split(size)[rank],
        lambda batch, rank, size: list(torch.tensor(batch))[rank::size],
        lambda batch, rank, size: np.array_split(batch, size)[rank],
    ]
}
WRONG = {
    "no_giveaway": [
        (lambda text, names: None, "returns nothing"),
        (lambda text, names: _hide(text, names).split(), "join the words"),
        (lambda text, names: " ".join(word for word in text.split() if word not in names), "in any case"),
        (lambda text, names: _hide(text, names).lower(), "changed their case"),
        (lambda text, names: re.sub("|".join(names), "", text, flags=re.IGNORECASE), "whole words"),
        (lambda text, names: "", "should be"),
        (lambda text, names: " ".join(dict.fromkeys(_hide(text, names).split())), "should be"),
    ],
    "adapter_share": [
        (lambda rows, columns, rank: None, "returns nothing"),
        (lambda rows, columns, rank: rank * (rows + columns), "Divide by"),
        (lambda rows, columns, rank: rank / rows, "one of two thin"),
        (lambda rows, columns, rank: 1 / _adapter(rows, columns, rank), "other way round"),
        (lambda rows, columns, rank: 100 * _adapter(rows, columns, rank), "per cent"),
        (lambda rows, columns, rank: 0.5, "it should be"),
    ],
    "advised": [
        ({"A": ("go", "licence")}, "keys A, B, C and D"),
        ({**_ADVICE, "B": ...}, "waits for your decision"),
        ({**_ADVICE, "B": "go"}, "give a pair"),
        ({**_ADVICE, "B": ("go", "because")}, "one of these reasons"),
        ({**_ADVICE, "C": ("go", "measured first")}, "Think again about C"),
        ({**_ADVICE, "D": ("stop", "licence")}, "not the main reason"),
    ],
    "accumulated": [
        (lambda model, images, labels, most: None, "no gradient"),
        (lambda model, images, labels, most: F.cross_entropy(model(images), labels).backward(), "10 at once"),
        (_parts(lambda part, whole, parts: 1), "3 times too large"),
        (_parts(lambda part, whole, parts: 1 / parts), "equal parts"),
        (_parts(lambda part, whole, parts: 7.0), "not those of the mean"),
        (_forgetful, "throws the others away"),
        (_stepping, "Leave the step"),
        (_without_the_rest, "saw 8 images"),
    ],
    "shared": [
        (lambda batch, rank, size: None, "returns nothing"),
        (lambda batch, rank, size: list(range(len(batch)))[rank::size], "not their places"),
        (lambda batch, rank, size: batch, "taken twice"),
        (lambda batch, rank, size: torch.arange(len(batch)).tensor_split(size)[rank], "not their places"),
        (_padded, "taken twice"),
        (lambda batch, rank, size: batch[rank::size][: len(batch) // size], "some are lost"),
        (_lumps, "all wait for"),
    ],
    "bytes_on_the_wire": [
        (lambda parameters, n: None, "returns nothing"),
        (lambda parameters, n: 2 * parameters * (n - 1) / n, "four bytes"),
        (lambda parameters, n: 4 * parameters * (n - 1) / n, "twice"),
        (lambda parameters, n: 8 * parameters * (n - 1), "all processes send together"),
        (lambda parameters, n: 8 * parameters, "alone nothing"),
        (lambda parameters, n: 8 * parameters * (n - 1) / n if n > 1 else 1, "make 0 bytes"),
    ],
    "worth_it": [
        (lambda seconds, least: None, "returns nothing"),
        (lambda seconds, least: seconds[1] / seconds[2], "one of the numbers"),
        (lambda seconds, least: max(n for n in seconds if seconds[1] / seconds[n] >= least), "speed-up of `least`"),
        (lambda seconds, least: max(seconds), "speed-up of `least`"),
        (lambda seconds, least: _efficient(seconds, least)[0], "will do as well"),
        (lambda seconds, least: _efficient(seconds, least)[-1], "will do as well"),
        (lambda seconds, least: max([n for n in seconds if seconds[1] / seconds[n] / n > least] or [1]), "will do as well"),
        (lambda seconds, least: 8, "have an efficiency of 0.62"),
    ],
}
