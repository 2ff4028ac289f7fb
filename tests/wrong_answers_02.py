"""Right and typical wrong answers to the exercises of lesson 02."""

import torch
import torch.nn.functional as F
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


def _net(relu=nn.ReLU, end=lambda: [nn.LogSoftmax(dim=1)], drop=nn.Dropout, flat=320, maps=20, drop2=nn.Dropout2d, p=0.5):
    return nn.Sequential(
        *(nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), relu()),
        *(nn.Conv2d(10, maps, 5), drop2(p), nn.MaxPool2d(2), relu()),
        *(nn.Flatten(), nn.Linear(flat, 50), relu(), drop(p), nn.Linear(50, 10), *end()),
    )


def _moved(layer, to):
    """The article's network with a layer in another place."""
    layers = [*_net()]
    layers.insert(to, layers.pop(layer))
    return nn.Sequential(*layers)


class _Parts(nn.Sequential):
    """The article's network in parts, with layers of its own and functions."""

    class Features(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2, self.drop = nn.Conv2d(1, 10, 5), nn.Conv2d(10, 20, 5), nn.Dropout2d()

        def forward(self, x):
            x = F.relu(F.max_pool2d(self.conv1(x), 2))
            return F.relu(F.max_pool2d(self.drop(self.conv2(x)), 2)).flatten(start_dim=1)

    def __init__(self):
        head = nn.Sequential(nn.Linear(320, 50), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(50, 10))
        super().__init__(self.Features(), head)

    def forward(self, x):
        return F.log_softmax(super().forward(x), dim=1)


RIGHT = {
    "stroke_kernel": _rows(-3, 2, 2, 2, -3),
    "output_size": _size,
    "parameters_of_conv": lambda inputs, outputs, kernel: outputs * (inputs * kernel**2 + 1),
    "article_net": _net(),
}
ALSO_RIGHT = {"article_net": [_moved(4, 5), _moved(4, 6), _moved(10, 9), _Parts()]}  # equal in effect
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
        (_net(p=0.0), "do nothing"),
        *((_net(p=p), "drops otherwise") for p in (0.05, 0.25, 0.95)),
        *((_moved(*places), "drops otherwise") for places in ((4, 0), (4, 3), (10, 8), (10, 11), (10, 12))),
        (_net(drop=nn.Dropout2d, drop2=nn.Dropout), "drops otherwise"),
        (nn.Sequential(*list(_net())[:-2]), "8 x 10"),
    ],
}
