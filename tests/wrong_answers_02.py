"""Right and typical wrong answers to the exercises of lesson 02."""

import torch
from torch import nn

import tl_helpers as tl


def _rows(*rows):
    return [[value] * 5 for value in rows]


def _columns(*columns):
    return [list(columns)] * 5


def _size(side, chain):
    for kind, k in chain:
        side = side - k + 1 if kind == "conv" else side // k
    return side


def _size_minus_one(side, chain):
    for kind, k in chain:
        side = side - k if kind == "conv" else side // k
    return side


def _size_with_parts(side, chain):
    for kind, k in chain:
        side = side - k + 1 if kind == "conv" else side / k
    return side


def _net(relu=nn.ReLU, end=lambda: [nn.LogSoftmax(dim=1)], drop=nn.Dropout, flat=320, maps=20):
    return nn.Sequential(
        *(nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), relu()),
        *(nn.Conv2d(10, maps, 5), nn.Dropout2d(0.5), nn.MaxPool2d(2), relu()),
        *(nn.Flatten(), nn.Linear(flat, 50), relu(), drop(0.5), nn.Linear(50, 10), *end()),
    )


RIGHT = {
    "stroke_kernel": _rows(-3, 2, 2, 2, -3),
    "output_size": _size,
    "parameters_of_conv": lambda inputs, outputs, kernel: outputs * (inputs * kernel**2 + 1),
    "article_net": _net(),
}
WRONG = {
    "stroke_kernel": [
        ([[1, 2], [3, 4]], "5 x 5 was asked for"),
        (_rows(0, 0, 0, 0, 0), "All weights are 0"),
        (torch.zeros(5, 5) / torch.zeros(5, 5).sum(), "not finite numbers"),
        (torch.tensor(_rows(-1.0, 0, 2, 0, -1)) / torch.tensor(_rows(-1.0, 0, 2, 0, -1)).sum(), "not finite numbers"),
        (_rows(0, 1, 1, 1, 0), "evenly white"),
        (_rows(3, -2, -2, -2, 3), "turn all signs"),
        (_columns(-3, 2, 2, 2, -3), "vertical strokes"),
        (_columns(-1, -1, 0, 1, 1), "vertical strokes"),
        (_rows(-1, -1, 0, 1, 1), "edges"),
        (_rows(0, -1, 2, -1, 0), "three pixels thick"),
    ],
    "output_size": [
        (lambda side, chain: None, "returns nothing"),
        (_size_minus_one, "24 places"),
        (_size_with_parts, "//"),
        (lambda side, chain: float(_size(side, chain)), "//"),  # 24.0 was asked how many places there are
        (lambda side, chain: side, "without sticking out"),
        (lambda side, chain: 24, "it should be 12"),
        (lambda side, chain: _size(side, chain[:1]), "each layer in turn"),
    ],
    "parameters_of_conv": [
        (lambda inputs, outputs, kernel: None, "returns nothing"),
        (lambda inputs, outputs, kernel: outputs * inputs * kernel**2, "one bias besides"),
        (lambda inputs, outputs, kernel: outputs * (kernel**2 + 1), "all input maps"),
        (lambda inputs, outputs, kernel: inputs * outputs * (kernel**2 + 1), "not once for each input map"),
        (lambda inputs, outputs, kernel: outputs * (inputs * kernel + 1), "square"),
        (lambda inputs, outputs, kernel: 260, "PyTorch counts 5020"),
    ],
    "article_net": [
        (tl.RawCNN(), "compose the layers yourself"),
        (_net(flat=400), "cannot take"),
        (_net(maps=10, flat=160), "21,840"),
        (_net(end=list), "log-softmax over dim=1"),
        (_net(end=lambda: [nn.LogSoftmax(dim=0)]), "do not add up to 1"),
        (_net(relu=nn.Sigmoid), "ReLU"),
        (_net(drop=nn.Identity), "dropouts are missing"),
        (nn.Sequential(*list(_net())[:-2]), "8 x 10"),
    ],
}
