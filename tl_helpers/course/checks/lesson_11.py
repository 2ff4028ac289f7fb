"""Checks of the exercises of lesson 11."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .base import NotYet, exercise, returned


@exercise("11")
def accumulated(backward) -> str:
    """backward(model, images, labels, most): gradients of the mean loss over all images, of which `most` fit at a time."""

    class Narrow(nn.Linear):
        def forward(self, x):
            seen.append(len(x))
            return super().forward(x)

    for n, most in ((10, 4), (12, 4), (3, 5)):
        seen, random = [], torch.Generator().manual_seed(0)
        model, images = Narrow(6, 3), torch.randn(n, 6, generator=random)
        labels = torch.randint(3, (n,), generator=random)
        weights, parts = model.weight.detach().clone(), [*zip(images.split(most), labels.split(most))]
        losses = [F.cross_entropy(F.linear(x, model.weight, model.bias), y) for x, y in parts]
        means = [torch.autograd.grad(loss, model.weight)[0] for loss in losses]
        right = sum(g * len(x) for g, (x, _) in zip(means, parts)) / n
        backward(model, images, labels, most)
        found, case = model.weight.grad, f"With {n} images and room for {most}"
        if not torch.equal(weights, model.weight):
            raise NotYet("The weights have changed. Leave the step to the optimizer; only gradients were asked for.")
        if found is None or not found.any():
            raise NotYet("After it the weights have no gradient: call backward() on the loss of each part.")
        if max(seen) > most:
            raise NotYet(f"{case}, the model was given {max(seen)} at once.")
        if torch.allclose(found, right, atol=1e-5):
            continue
        if torch.allclose(found, sum(means), atol=1e-5):
            raise NotYet(f"{case}, the gradients are {len(parts)} times too large: each part's mean counts as a whole one.")
        if torch.allclose(found, sum(means) / len(parts), atol=1e-5):
            raise NotYet("The mean of the parts' means: right only for equal parts. Weigh each by its share of the images.")
        if torch.allclose(found, means[-1], atol=1e-5) or torch.allclose(
            found, means[-1] * len(parts[-1][0]) / n, atol=1e-5
        ):
            raise NotYet("Only the last part is in the gradients: zero_grad between the parts throws the others away.")
        if sum(seen) != n:
            raise NotYet(f"{case}, the model saw {sum(seen)} images: none may be lost, and none seen twice.")
        raise NotYet(f"{case}, the gradients are not those of the mean loss over the whole batch.")
    return "A batch as large as you like, in the memory of a small one, with the same step at its end."


@exercise("11")
def shared(share) -> str:
    """share(batch, rank, size): the part of a list that one of `size` processes takes."""
    for n, size in ((10, 3), (8, 4), (11, 4), (5, 1)):
        batch = [100 + 7 * i for i in range(n)]
        parts = [share(list(batch), rank, size) for rank in range(size)]
        if any(part is None or part is ... for part in parts):
            raise NotYet("The function returns nothing so far: it should return a part of the list.")
        parts, case = [list(part) for part in parts], f"Of {n} examples for {size} processes"
        together = [example for part in parts for example in part]
        if not set(together) <= set(batch):
            raise NotYet("It returns what was not in the batch. The examples themselves are wanted, not their places.")
        if len(together) > len(set(together)):
            raise NotYet(f"{case}, some are taken twice.")
        if len(together) < n:
            raise NotYet(f"{case}, some are lost. What does not divide evenly has to go somewhere.")
        if max(map(len, parts)) - min(map(len, parts)) > 1:
            raise NotYet(f"{case}, the parts have {[len(part) for part in parts]}: all wait for the one with the most.")
    return "Everybody knows what is theirs, and nobody had to ask."


@exercise("11")
def bytes_on_the_wire(function) -> str:
    """function(parameters, processes): the bytes that each process sends in one ring of float32 gradients."""
    for parameters, processes in ((1000, 4), (21_840, 2), (25_000_000, 64), (1000, 1)):
        found, right = function(parameters, processes), 8 * parameters * (processes - 1) / processes
        returned(found, "it should return a number of bytes.")
        for wrong, hint in {
            right / 4: "That is how many numbers are sent; each is float32, of four bytes.",
            right / 2: "Around once the pieces are added up, around a second time the sums reach everybody: twice.",
            right * processes: "That is what all processes send together; for each one, divide by how many there are.",
            8 * parameters: "Nearly: nobody sends the piece that it keeps. So (n - 1) / n of it, and alone nothing.",
        }.items():
            if wrong != right and abs(found - wrong) < 0.5:
                raise NotYet(hint)
        if abs(found - right) > 0.5:
            raise NotYet(
                f"{parameters:,} parameters in {processes} processes make {right:,.0f} bytes; it says {found:,.0f}."
            )
    return "Twice the gradients, nearly, however many take part: the wire of each one need not grow with the team."


@exercise("11")
def worth_it(most) -> str:
    """most(seconds, least): the largest number of processes whose speed-up, divided by that number, is at least `least`."""
    slow, odd = {1: 8.0, 2: 4.4, 4: 2.5, 8: 1.6, 16: 1.4}, {8: 1.0, 1: 6.0, 2: 5.0, 4: 1.7}
    for seconds, least, right in ((slow, 0.75, 4), (slow, 0.5, 8), (slow, 0.95, 1), (slow, 0.3, 16), (odd, 0.7, 8)):
        found = most(dict(seconds), least)
        returned(found, "it should return one of the numbers of processes.")
        if found not in seconds:
            raise NotYet(f"It returned {found!r}; one of the numbers of processes was asked for, {list(seconds)}.")
        if found == right:
            continue
        efficiency = seconds[1] / seconds[found] / found
        if efficiency >= least:
            raise NotYet(f"For {seconds} and at least {least}, {right} processes will do as well: take the largest number.")
        if found == max(n for n in seconds if seconds[1] / seconds[n] >= least):
            raise NotYet("That asks for a speed-up of `least`. The efficiency is the speed-up divided by the processes.")
        raise NotYet(f"For {seconds}, {found} processes have an efficiency of {efficiency:.2f}; at least {least} is wanted.")
    return "So many are worth their price. More would be quicker still, and each second of them dearer."
