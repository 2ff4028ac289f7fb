"""Checks of the exercises of lesson 08."""

from __future__ import annotations

import torch

from .base import NotYet, exercise, returned


@exercise("08")
def joined_labels(function) -> str:
    """function(first, second, classes): labels of two tasks as labels of one, the second behind the first."""
    first, second = torch.tensor([3, 0, 9]), torch.tensor([0, 1, 1, 0])
    given = (first.clone(), second.clone())
    found = function(*given, 10)
    returned(found, "put an expression in place of the dots.")
    found = torch.as_tensor(found)
    if found.shape != (7,):
        raise NotYet(f"Three and four labels should give seven in one row; the shape is {tuple(found.shape)}.")
    if found.tolist() == [3, 0, 9, 0, 1, 1, 0]:
        raise NotYet("Now 'even' has the same label as the digit 0. The labels of the second task have to begin at 10.")
    if not (given[0] == first).all() or not (given[1] == second).all():
        raise NotYet("The labels that were given have been changed in place: += changes a tensor, + makes a new one.")
    if found.tolist() != [3, 0, 9, 10, 11, 11, 10]:
        raise NotYet(f"From {first.tolist()} and {second.tolist()} with 10 classes came {found.tolist()}.")
    if torch.as_tensor(function(first, second, 4)).tolist()[3:] != [4, 5, 5, 4]:
        raise NotYet("It is right for 10 classes in the first task, and not for 4: use the argument.")
    return "Each task keeps labels of its own, and one network can be told both."


@exercise("08")
def of_one_head(function) -> str:
    """function(p, start, stop): the probabilities of one head out of those of all heads, so that rows add up to 1."""
    p = torch.softmax(torch.randn(5, 12, generator=torch.Generator().manual_seed(0)), 1)
    found = function(p.clone(), 0, 10)
    returned(found, "put an expression in place of the dots.")
    found = torch.as_tensor(found)
    if found.shape == p.shape or found.shape != (5, 10):
        raise NotYet(
            f"Of 12 columns those from 0 up to (not including) 10 are wanted: 5 x 10. The shape is {tuple(found.shape)}."
        )
    right = p[:, :10] / p[:, :10].sum(1, keepdim=True)
    if torch.allclose(found, p[:, :10]):
        raise NotYet(
            "These are the right columns, but their rows do not add up to 1: the other head has kept a part. Divide."
        )
    if not torch.allclose(found.sum(1), torch.ones(5), atol=1e-5):
        raise NotYet("Each row should add up to 1: divide it by its own sum, sum(1, keepdim=True).")
    if not torch.allclose(found, right, atol=1e-6):
        raise NotYet("The rows add up to 1, but the proportions have changed. Divide by the sum, nothing more.")
    second = torch.as_tensor(function(p, 10, 12))
    if second.shape != (5, 2) or not torch.allclose(second, p[:, 10:] / p[:, 10:].sum(1, keepdim=True), atol=1e-6):
        raise NotYet("It is right for the first head, and not for the second, from 10 to 12.")
    return "That is the question to one head alone: given that it is a digit, which one?"
