"""Checks of the exercises of lesson 14."""

from __future__ import annotations

from numbers import Real

import torch

from .base import NotYet, exercise, returned


@exercise("14")
def adapter_numbers(function) -> str:
    """function(outputs, inputs, side, rank): the numbers in A and B beside a convolution of side x side kernels."""
    for outputs, inputs, side, rank in ((512, 512, 3, 4), (64, 32, 3, 1), (256, 128, 1, 8), (10, 512, 1, 2)):
        found = function(outputs, inputs, side, rank)
        returned(found, "it should return a whole number.")
        found = found.item() if isinstance(found, torch.Tensor) and found.numel() == 1 else found
        if isinstance(found, bool) or not isinstance(found, Real):
            raise NotYet(f"A number is wanted, how many A and B have together; this is a {type(found).__name__}.")
        wide = inputs * side * side
        right = rank * (outputs + wide)
        case = f"With {outputs} outputs, {inputs} inputs, kernels of {side} x {side} and rank {rank}"
        for wrong, words in {
            rank * (outputs + inputs): f"Each row of the matrix holds whole kernels: {inputs} x {side} x {side} numbers.",
            rank * (outputs + inputs * side): f"A kernel has {side} x {side} numbers, not {side}.",
            outputs * wide: "That is the frozen matrix W itself. Count B (outputs x rank) and A (rank x the rest).",
            rank * outputs: "That is B alone. A has rank x (inputs x side x side) more.",
            rank * wide: "That is A alone. B has outputs x rank more.",
            rank * outputs * wide: "B and A are two matrices side by side: their numbers are added, not multiplied.",
            right / (outputs * wide): "That is a share of W. How many numbers are there in A and B?",
            4 * right: "Those are the bytes. How many numbers?",
        }.items():
            if found == wrong != right:
                raise NotYet(words)
        if found != right:
            raise NotYet(f"{case} it should be {right:,}; it says {found:,}.")
    return "A kernel is a row of numbers in a matrix, so what works for a language model works for an image model too."


@exercise("14")
def softened(function) -> str:
    """function(scores, temperature): the probabilities of each row of scores, N x classes, softened by a temperature."""
    generator = torch.Generator().manual_seed(0)
    for temperature in (1.0, 4.0, 0.5):
        scores = 4 * torch.randn(3, 5, generator=generator)
        kept = scores.clone()
        found = function(scores, temperature)
        returned(found, "it should return a tensor of probabilities.")
        if not torch.equal(scores, kept):
            raise NotYet("Your function changes the scores that it was given. Make new numbers: scores / temperature.")
        if not isinstance(found, torch.Tensor) or found.shape != scores.shape:
            raise NotYet(f"As many numbers as there are scores are wanted, a tensor of {tuple(scores.shape)}.")
        right = (scores / temperature).softmax(1)
        for wrong, words in (
            (scores.softmax(1), "The temperature plays no part yet."),
            (scores / temperature, "Those are scores still. softmax turns them into probabilities."),
            ((scores * temperature).softmax(1), "Multiplied, the scores get further apart with a high temperature. Divide."),
            (scores.softmax(1) / temperature, "Divide the scores, before softmax: these no longer add up to 1."),
            (
                (scores / temperature).softmax(0),
                "Each row is one image, whose probabilities add up to 1. Which dimension?",
            ),
            ((scores / temperature).log_softmax(1), "Those are logarithms of the probabilities: softmax, not log_softmax."),
        ):
            if not torch.allclose(wrong, right) and torch.allclose(found.to(wrong), wrong):
                raise NotYet(words)
        if not torch.allclose(found.to(right), right, atol=1e-6):
            raise NotYet(f"With the temperature {temperature:g} some probabilities are off.")
    return "The order of the classes stays, at any temperature: what changes is how much the second best counts."


CHOICES = ("probe", "fine-tuning", "norms only", "low-rank adapters")


@exercise("14")
def ten_tasks(choice, megabytes) -> str:
    """choice: how an app learns ten tasks in at most 25 MB, as accurately as it can; megabytes: all that it keeps."""
    from .. import lesson_14

    if not isinstance(choice, str) or choice not in CHOICES:
        raise NotYet(f"Choose one of {', '.join(map(repr, CHOICES))} as the first answer.")
    if isinstance(megabytes, bool) or not isinstance(megabytes, Real):
        raise NotYet("As the second answer give a number: the megabytes that the app keeps for all ten tasks.")
    each, whole = lesson_14.megabytes(choice), lesson_14.megabytes("fine-tuning")
    right = 10 * each + (0 if choice == "fine-tuning" else whole)
    near = lambda value: abs(megabytes - value) <= 0.004 * value
    if not near(right):
        if near(10 * each) and choice != "fine-tuning":
            raise NotYet("Those are the ten small files. They are of no use without the backbone that they belong to.")
        if near(10 * (each + whole)):
            raise NotYet("The backbone is the same for all ten tasks, and frozen: keep it once.")
        if near(each + whole) or near(each):
            raise NotYet("That is one task. There are ten.")
        if near(1000 * right):
            raise NotYet("That is in kilobytes. A megabyte has 1,000 of them.")
        raise NotYet(f"One file for {choice!r} has {each:.2f} MB and the backbone {whole:.1f} MB. What do ten tasks need?")
    if right > 25:
        raise NotYet(f"The figure is right, {right:.0f} MB, and the phone has room for 25.")
    lead = lesson_14.over_tuning(choice, shots=20)
    if lead[2] < 0:
        raise NotYet(
            f"It fits, but with 20 labels per class {choice!r} is {-lead[0]:.1f} points behind fine-tuning "
            f"({-lead[2]:.1f} to {-lead[1]:.1f}). Is there a way that fits and is not clearly behind?"
        )
    others = {
        way: 10 * lesson_14.megabytes(way) + whole
        for way in lesson_14.ways("digits", 20)
        if way not in (choice, "fine-tuning") and lesson_14.over_tuning(way, shots=20)[2] >= 0
    }
    also = "; ".join(f"{way}, {size:.1f} MB" for way, size in others.items() if size <= 25) or "nothing else"
    return (
        f"{right:.1f} MB for ten tasks instead of {10 * whole:.0f}, and with 20 labels per class {lead[0]:+.1f} points "
        f"({lead[1]:+.1f} to {lead[2]:+.1f}) against fine-tuning: not clearly behind. What passes too: {also}."
    )
