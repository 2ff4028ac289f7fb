"""Right and typical wrong answers to the exercises of lesson 01."""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC
from wrong_answers_tools import Later

import tl_helpers as tl


def _margin(accuracy, n):
    return 1.96 * np.sqrt(accuracy * (1 - accuracy) / n)


def _svm(split="train", count=None, **settings):
    X, y = getattr(tl.digits(10, seed=0), split).numpy()
    return SVC(**settings).fit(X[:count], y[:count])


def _in_place(images, dx, dy):
    images.copy_(F.pad(images, (dx, -dx, dy, -dy)))
    return images


def _slices(images, dx, dy):
    moved = torch.zeros_like(images)
    moved[:, :, dy:, dx:] = images[:, :, :-dy, :-dx]
    return moved


RIGHT = {
    "whom_to_help": ("bank", "a"),
    "majority_baseline": lambda train, test: (test == np.bincount(train).argmax()).mean(),
    "half_width": (_margin, 17),
    "shifted": lambda images, dx, dy: F.pad(images, (dx, -dx, dy, -dy)),
    "chosen_svm": Later(lambda: _svm(C=10, gamma=0.003)),
}
WRONG = {
    "whom_to_help": [
        (("museum", "a"), "What did two pixels do"),
        (("museum", "b"), "What did two pixels do"),
        (("bank", "b"), "does not use shape"),
        (("bank", "c"), "next to nothing"),
        (("both", "a"), '"bank" or "museum"'),
        (("bank", "d"), '"a", "b" or "c"'),
    ],
    "majority_baseline": [
        (lambda train, test: None, "returns nothing"),
        (lambda train, test: (test == np.bincount(test).argmax()).mean(), "most common of the test labels"),
        (lambda train, test: np.bincount(train).max() / len(train), "accuracy on the training labels"),
        (lambda train, test: np.bincount(train).argmax(), "between 0 and 1"),
        (lambda train, test: 0.25, "95 of 100"),
        (lambda train, test: 0.25 if len(train) == 10 else float("nan"), "95 of 100"),
        (lambda train, test: (test == train[0]).mean(), "which share of the test labels is 3"),
        (lambda train, test: 0.1, "which share of the test labels is 3"),
    ],
    "half_width": [
        ((lambda accuracy, n: None, 17), "returns nothing"),
        ((lambda accuracy, n: 2 * _margin(accuracy, n), 17), "whole interval"),
        ((lambda accuracy, n: _margin(accuracy, n) / 1.96, 17), "1.96 is missing"),
        ((lambda accuracy, n: 1.96 * np.sqrt(accuracy * (1 - accuracy)) / n, 17), "square root"),
        ((lambda accuracy, n: 0.0208, 17), "the formula gives"),
        ((lambda accuracy, n: float("nan"), 17), "the formula gives"),
        ((_margin, 0.0208), "share so far"),
        ((_margin, 16), "round up"),
        ((_margin, 5), "Times 797"),
    ],
    "shifted": [
        (lambda images, dx, dy: None, "returns nothing"),
        (lambda images, dx, dy: images.roll((dy, dx), (2, 3)), "comes back on the other"),
        (lambda images, dx, dy: F.pad(images, (dy, -dy, dx, -dx)), "dx counts to the right"),
        (lambda images, dx, dy: F.pad(images, (-dx, dx, -dy, dy)), "dx counts to the right"),
        (lambda images, dx, dy: F.pad(images, (max(dx, 0), 0, max(dy, 0), 0)), "as large as"),
        (lambda images, dx, dy: images, "nothing moves"),
        (_in_place, "have changed"),
        (_slices, "[0:-0]"),
    ],
    "chosen_svm": [
        (Later(lambda: RandomForestClassifier(5).fit(*tl.digits(10).train.numpy())), "RandomForestClassifier"),
        (0.94, "float"),
        (SVC(C=10), "not been fitted"),
        (Later(lambda: _svm()), "as it comes"),
        (Later(lambda: _svm("val", C=10, gamma=0.003)), "other pictures"),
        (Later(lambda: _svm("test", C=10, gamma=0.003)), "other pictures"),
        (Later(lambda: _svm(count=50, C=10, gamma=0.003)), "fitted on 50"),
        (Later(lambda: _svm(C=1, gamma=0.1)), "wider grid"),
    ],
}
