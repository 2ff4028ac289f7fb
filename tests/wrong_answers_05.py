"""Right and typical wrong answers to the exercises of lesson 05."""

import torch
from torch import nn

import tl_helpers as tl


def _means(train):
    return torch.stack([train.x[train.y == digit].mean(0) for digit in range(10)])


def _sums(train):
    return torch.stack([train.x[train.y == digit].sum(0) for digit in range(10)])


def _norms(model):
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def _by_method(model):
    for norm in _norms(model):
        norm.eval()
        norm.train = lambda mode=True, norm=norm: norm
    return model


def _without_momentum(model):
    for norm in _norms(model):
        norm.momentum = 0.0
    return model


def _norms_in_eval(model):
    for norm in _norms(model):
        norm.eval()
    return model


def _reset(model):
    for norm in _norms(_by_method(model)):
        norm.reset_running_stats()
    return model


RIGHT = {
    "nearest_centroid": lambda train, vectors: torch.cdist(vectors, _means(train)).argmin(1),
    "trainable": lambda model: sum(p.numel() for p in model.parameters() if p.requires_grad),
    "really_frozen": _by_method,
}
WRONG = {
    "nearest_centroid": [
        (lambda train, vectors: None, "returns nothing so far"),
        (lambda train, vectors: torch.cdist(vectors, _means(train)), "one label for each"),
        (lambda train, vectors: torch.cdist(vectors, _means(train)).argmin(0), "one label for each"),
        (lambda train, vectors: torch.cdist(vectors, _means(train)).argmax(1), "farthest centroids"),
        (lambda train, vectors: train.y[torch.cdist(vectors, train.x).argmin(1)], "nearest training vector"),
        (lambda train, vectors: torch.cdist(vectors, train.x).argmin(1), "positions of training vectors"),
        (lambda train, vectors: torch.cdist(vectors, _sums(train)).argmin(1), "the centroid is the mean"),
        (lambda train, vectors: (vectors @ _means(train).T).argmax(1), "largest product"),
        (lambda train, vectors: torch.zeros(len(vectors)), "another class than that of the nearest centroid"),
    ],
    "trainable": [
        (lambda model: None, "returns nothing so far"),
        (lambda model: sum(p.numel() for p in model.parameters()), "all parameters"),
        (lambda model: sum(p.numel() for p in model.parameters() if not p.requires_grad), "frozen ones"),
        (lambda model: sum(p.requires_grad for p in model.parameters()), "how many tensors"),
        (lambda model: sum(p.numel() for p in model.parameters() if p.requires_grad and p.ndim > 1), "biases"),
        (lambda model: 5130, "it should be"),
    ],
    "really_frozen": [
        (lambda model: None, "returns nothing so far"),
        (lambda model: model, "has moved"),
        (lambda model: model.eval(), "has moved"),
        (_norms_in_eval, "has moved"),
        (_without_momentum, "depend on its neighbours"),
        (lambda model: tl.freeze(model).requires_grad_(False), "the last layer is frozen too"),
        (lambda model: tl.unfreeze(model), "require a gradient again"),
        (_reset, "Even in evaluation"),
    ],
}
