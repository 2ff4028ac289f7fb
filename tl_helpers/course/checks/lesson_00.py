"""Checks of the exercises of lesson 00."""

from __future__ import annotations

import functools

import torch

from ...data import digits
from ...extraction import features
from ...models import backbone, head
from ...results import Evaluation
from ...training import evaluate, fit
from .base import NotYet, exercise, returned


@exercise("00")
def single_example(accuracy) -> str:
    """The test accuracy of the probe on letters features with one example of each digit, seed 0."""
    if callable(accuracy):
        raise NotYet("That is the function itself. Call it: its name, and the number of examples in parentheses.")
    if isinstance(accuracy, Evaluation):
        raise NotYet("That is all of the evaluation. Take its accuracy: `.accuracy`.")
    if 1 < accuracy <= 100:
        raise NotYet(f"Accuracy is a share between 0 and 1 here; {accuracy!r} is not. Take what the function returns.")

    right = _measured(1)
    if not abs(accuracy - right) <= 0.005:
        if abs(accuracy - _measured(10)) < 0.005:
            raise NotYet("That is the accuracy with ten examples of each digit. Call the function with 1.")
        raise NotYet(f"{accuracy!r} is not what comes out with one example of each digit. Call the function with 1.")
    return f"One example of each digit, and {right:.3f} of the test pictures are read right. Guessing gives 0.1."


@functools.cache
def _measured(shots: int) -> float:
    task, body = digits(shots, seed=0), backbone("resnet10t.letters")
    return evaluate(fit(head(body, task), features(body, task), lr=1e-2, progress=False).model, task.test).accuracy


@exercise("00")
def share_right(function) -> str:
    """function(answers, labels): the share of places where two tensors agree."""
    answers, labels = torch.tensor([7, 1, 2, 3, 9, 9, 0, 4]), torch.tensor([7, 7, 2, 3, 4, 9, 0, 4])
    share = function(answers.clone(), labels.clone())
    returned(share, "put an expression in place of the dots.")
    if isinstance(share, torch.Tensor) and share.numel() > 1:
        raise NotYet("It returns one answer for each place. Take the mean of them: the share of those that are true.")
    share = float(share)
    if share == 6:
        raise NotYet("That is the number of right answers; divide by how many there are, and it is a share.")
    if abs(share - 75) < 1e-4:
        raise NotYet("That is a percentage. A share lies between 0 and 1.")
    if abs(share - 2 / 8) < 1e-6:
        raise NotYet("That is the share of wrong answers.")
    if not abs(share - 6 / 8) <= 1e-6:
        raise NotYet(f"For {answers.tolist()} and {labels.tolist()} it returned {share:g}; how many of the 8 agree?")
    if not abs(float(function(answers[:3], labels[:3])) - 2 / 3) <= 1e-6:
        raise NotYet("It is right for the first eight numbers tried, and not for three of which two agree.")
    return "This is accuracy, the number that the whole course measures by. `tl.evaluate` computes it for you."
