"""Checks of the exercises of lesson 11."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .base import NotYet, exercise, returned


@exercise("deeper/11")
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


@exercise("deeper/11")
def shared(share) -> str:
    """share(batch, rank, size): the part of a list that one of `size` processes takes."""
    for n, size in ((10, 3), (8, 4), (11, 4), (5, 1)):
        batch = [100 + 7 * i for i in range(n)]
        parts = [share(list(batch), rank, size) for rank in range(size)]
        if any(part is None or part is ... for part in parts):
            raise NotYet("The function returns nothing so far: it should return a part of the list.")
        parts, case = [np.asarray(list(part)).tolist() for part in parts], f"Of {n} examples for {size} processes"
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


@exercise("deeper/11")
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
        if not abs(found - right) <= 0.5:
            raise NotYet(
                f"{parameters:,} parameters in {processes} processes make {right:,.0f} bytes; it says {found:,.0f}."
            )
    return "Nearly twice the gradients, however many take part: each process's wire need not grow with their number."


@exercise("deeper/11")
def worth_it(most) -> str:
    """most(seconds, least): the largest number of processes whose speed-up, divided by that number, is at least `least`."""
    slow, odd = {1: 8.0, 2: 4.4, 4: 2.5, 8: 1.6, 16: 1.4}, {8: 1.0, 1: 6.0, 2: 5.0, 4: 1.7}
    cases = (slow, 0.75, 4), (slow, 0.5, 8), (slow, 0.95, 1), (slow, 0.3, 16), (odd, 0.7, 8), ({1: 8.0, 2: 4.0}, 1.0, 2)
    for seconds, least, right in cases:
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
    return "So many are worth their price. More would be quicker still, but each second of them costs more."


@exercise("11")
def no_giveaway(hide) -> str:
    """hide(text, names): the text without the words in `names`, whatever their case; all other words in their order."""
    cases = [
        ("Plot with Matplotlib or pandas", ["matplotlib", "pandas"], "Plot with or"),
        ("a pandas DataFrame of PANDAS", ["pandas"], "a DataFrame of"),
        ("fit the model", ["sklearn"], "fit the model"),
        ("the rows and the columns of pandas", ["pandas"], "the rows and the columns of"),
        ("expandasble words stay", ["pandas"], "expandasble words stay"),
        ("pandas", ["pandas"], ""),
    ]
    for text, names, right in cases:
        found = hide(text, list(names))
        returned(found, "it should return a text.")
        if not isinstance(found, str):
            raise NotYet(f"It should return a text, and returned {type(found).__name__}: join the words with spaces.")
        if found.split() == right.split():
            continue
        left = [word for word in found.split() if word.lower() in names]
        if left:
            raise NotYet(f"Of {text!r} the word {left[0]!r} is left: a name counts in any case. Compare word.lower().")
        if text.split() == right.split() or "expandasble" in text:
            raise NotYet(f"{text!r} should stay as it is: take out whole words only. Split the text first.")
        if found.lower().split() == right.lower().split():
            raise NotYet("The other words have changed their case. Compare in lower case, and keep the word itself.")
        raise NotYet(f"{text!r} without {names} should be {right!r}; it returned {found!r}.")
    return "What is left has to be told by its content, and the result means what it says."


@exercise("11")
def adapter_share(share) -> str:
    """share(rows, columns, rank): the numbers in a low-rank adapter, as a share of those in the matrix that it adapts."""
    for rows, columns, rank in ((4096, 4096, 8), (1280, 320, 4), (10, 10, 5)):
        found, right = share(rows, columns, rank), rank * (rows + columns) / (rows * columns)
        returned(found, "it should return a share, a number.")
        for wrong, hint in {
            rank * (rows + columns): "That is how many numbers the adapter has. Divide by those of the whole matrix.",
            rank * rows / (rows * columns): "That is one of two thin matrices: B has rows x rank, A has rank x columns.",
            rank * columns / (rows * columns): "That is one of two thin matrices: B has rows x rank, A has rank x columns.",
            1 / right: "The other way round: the adapter's numbers over the matrix's.",
            100 * right: "That is in per cent. As a share, 1 is all.",
        }.items():
            if abs(wrong - right) > 1e-9 and abs(found - wrong) < 1e-9 * max(1, abs(wrong)):
                raise NotYet(hint)
        if not abs(found - right) <= 1e-9:
            raise NotYet(f"For {rows} x {columns} and rank {rank} it should be {right:.4f}; it says {found:.4f}.")
    return "Two thin matrices instead of one large one: a fraction of the numbers to train, to keep and to send."


VERDICTS = {
    "A": ("stop", "licence", "nobody has read under which licence the downloaded weights may be used"),
    "B": ("go", "measured first", "a cheap test against what you do today comes before any spending"),
    "C": ("stop", "unlike the use", "pictures by day say nothing about pictures at night"),
    "D": ("stop", "cheaper way", "a pretrained network and a probe take minutes, so try them first"),
}


@exercise("11")
def advised(decisions) -> str:
    """decisions: for each proposal A to D a pair, "go" or "stop", and one of four reasons."""
    if not isinstance(decisions, dict) or sorted(map(str, decisions)) != sorted(VERDICTS):
        raise NotYet("Answer with a dict that has the keys A, B, C and D.")
    reasons = [reason for _, reason, _ in VERDICTS.values()]
    for name, (what, why, because) in VERDICTS.items():
        answer = decisions[name]
        if answer is ... or answer is None:
            raise NotYet(f'Proposal {name} waits for your decision: a pair like ("go", "measured first").')
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise NotYet(f"For {name} give a pair: what you decide, and why.")
        if answer[0] not in ("go", "stop") or answer[1] not in reasons:
            raise NotYet(f'For {name} decide "go" or "stop", with one of these reasons: {", ".join(reasons)}.')
        if answer[0] != what:
            raise NotYet(f"Think again about {name}: {because}.")
        if answer[1] != why:
            raise NotYet(f"{answer[0]!r} is right for {name}, but {answer[1]!r} is not the main reason: {because}.")
    return "A small measurement on your own data, before money and promises: that is most of the advice there is."
