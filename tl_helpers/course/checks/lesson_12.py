"""Checks of the exercises of lesson 12."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from .. import without_labels
from .base import NotYet, exercise, returned


@exercise("12")
def pair_loss(function) -> str:
    """function(vectors, temperature): the loss of pairs, of 2 N x D vectors whose partners stand N rows apart."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(6, 8, generator=generator)
    found = function(vectors.clone(), 0.5)
    returned(found, "put its body in place of the dots.")
    found = torch.as_tensor(found).float()
    if found.ndim:
        raise NotYet(f"A loss is one number; this has the shape {tuple(found.shape)}. cross_entropy takes the mean already.")
    right = without_labels.pair_loss
    unit, partner = F.normalize(vectors, dim=1), torch.arange(6).roll(3)
    alone = lambda similar: similar.clone().fill_diagonal_(-torch.inf)
    neighbour = torch.arange(6) + torch.tensor([1, -1]).repeat(3)
    for wrong, words in (
        (right(vectors, 1.0), "The temperature is missing: divide the similarities by it."),
        (right(vectors, 2.0), "You have multiplied by the temperature. Divide by it: the smaller, the stricter."),
        *(
            (
                F.cross_entropy((unit @ unit.T).fill_diagonal_(low) / 0.5, partner),
                "Each view may still choose itself, only at another price. Put -inf on the diagonal: softmax makes it 0.",
            )
            for low in (0.0, -0.5, -1.0)
        ),
        *(
            (wrong, "Each view must choose among all 2 N - 1 others, those of its own half too; here it sees one half only.")
            for across in [unit[:3] @ unit[3:].T / 0.5]
            for wrong in (
                F.cross_entropy(across, torch.arange(3)),
                (F.cross_entropy(across, torch.arange(3)) + F.cross_entropy(across.T, torch.arange(3))) / 2,
            )
        ),
        (
            F.cross_entropy(unit @ unit.T / 0.5, partner),
            "Each view may still choose itself, and nothing is more like a view than itself. Put -inf on the diagonal.",
        ),
        (
            F.cross_entropy(alone(vectors @ vectors.T / 0.5), partner),
            "Long vectors win here. Bring each to length 1 first: F.normalize(vectors, dim=1).",
        ),
        (
            F.cross_entropy(alone(unit @ unit.T / 0.5), neighbour),
            "You have paired neighbouring rows. The partner of row i stands N rows further on, not next to it.",
        ),
        (
            F.cross_entropy(alone(unit @ unit.T / 0.5)[:3], partner[:3]),
            "That asks the first views only. The second ones have partners too: all 2 N rows count.",
        ),
    ):
        if torch.allclose(found, wrong, atol=1e-5):
            raise NotYet(words)
    if not torch.allclose(found, right(vectors, 0.5), atol=1e-5):
        raise NotYet(f"For six vectors at temperature 0.5 the loss is {right(vectors, 0.5):.3f}, not {found:.3f}.")
    more = torch.randn(10, 4, generator=generator)
    if not torch.allclose(torch.as_tensor(function(more.clone(), 0.1)).float(), right(more, 0.1), atol=1e-5):
        raise NotYet("It is right for six vectors, and wrong for ten: take how many there are from the vectors.")
    same = float(function(torch.ones(8, 4), 0.2))
    return f"Vectors that are all alike cost {same:.2f}, which is ln 7 = {math.log(7):.2f}: a guess among seven others."


ANSWERS = {"A": "colour", "B": "half turns", "C": "none of them", "D": "thickness"}
QUESTIONS = {
    "A": "One of them does spoil it. What do you look at when you choose a banana?",
    "B": "One of them does spoil it. Is there a digit that becomes another one?",
    "D": "One of them does spoil it. What sets bold type apart?",
}


@exercise("12")
def views_chosen(choices) -> str:
    """choices: for each of four tasks the change in its views that would spoil the answer."""
    if not isinstance(choices, dict) or set(choices) != set(ANSWERS):
        raise NotYet("Give a dictionary with the keys A, B, C and D.")
    for name, choice in choices.items():
        if choice is ...:
            raise NotYet(f"Task {name} waits for your choice.")
        if choice not in ANSWERS.values():
            raise NotYet(f"{name}: choose one of {', '.join(map(repr, sorted(ANSWERS.values())))}.")
    for name, choice in choices.items():
        if choice != ANSWERS[name] and choice == "none of them":
            raise NotYet(f"{name}: {QUESTIONS[name]}")
        if choice != ANSWERS[name]:
            raise NotYet(f"{name}: would the right answer change if two views differed in {choice}?")
    return (
        "A: a green banana and a yellow one would be made alike. B: a 6 turned by half is a 9. C: a cell stays a cell. "
        "D: bold and regular differ in thickness alone."
    )
