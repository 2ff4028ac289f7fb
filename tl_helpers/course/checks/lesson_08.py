"""Checks of the exercises of lesson 08."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .base import NotYet, exercise, returned


@exercise("08")
def summed_loss(function) -> str:
    """function(scores1, scores2, labels1, labels2, w): loss1 + w * loss2, where the label -1 means none."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(5, 10, generator=generator), torch.randn(5, 2, generator=generator)
    labels = torch.tensor([3, 0, 9, 1, 4]), torch.tensor([0, 1, 1, 0, 1])
    found = function(*scores, *labels, 0.5)
    returned(found, "put its body in place of the dots.")
    found = torch.as_tensor(found).float()
    if found.ndim:
        raise NotYet(f"A loss is one number; this has the shape {tuple(found.shape)}. cross_entropy takes the mean already.")
    one, two = (F.cross_entropy(s, y) for s, y in zip(scores, labels))
    for wrong, words in (
        (one + two, "The weight is missing: with w = 0.5 the second loss should count half."),
        (0.5 * (one + two), "You have weighted both losses. Only the second one is multiplied by w."),
        (0.5 * one + two, "You have weighted the first loss. It is the second one that is multiplied by w."),
        (one, "The second loss is missing."),
    ):
        if torch.allclose(found, wrong):
            raise NotYet(words)
    if not torch.allclose(found, one + 0.5 * two):
        raise NotYet(
            f"The losses are {one:.3f} and {two:.3f}; with w = 0.5 the sum is {one + 0.5 * two:.3f}, not {found:.3f}."
        )
    some = torch.tensor([3, 0, -1, -1, 4]), torch.tensor([-1, 1, 1, 0, -1])
    for given in ((some[0], labels[1]), (labels[0], some[1])):
        found = torch.as_tensor(function(*scores, *given, 2.0)).float()
        one, two = (F.cross_entropy(s, y, ignore_index=-1) for s, y in zip(scores, given))
        if not torch.allclose(found, one + 2 * two):
            raise NotYet("Images with the label -1 should be left out of that loss, whichever it is: ignore_index=-1.")
    return "Each head learns from its own loss, and the body is pulled by both."


@exercise("08")
def way_chosen(choice, lead) -> str:
    """choice: how to learn digits from few labels when letters are at hand; lead: the reason, over learning alone."""
    from .. import lesson_08
    from ..methods import SCRATCH, TUNED

    if not isinstance(choice, str) or choice not in ("alone", "together", "transfer"):
        raise NotYet("Choose one of 'alone', 'together' and 'transfer' as the first answer.")
    if choice == "alone":
        raise NotYet("Learning alone is the baseline of the table. In the large network both other ways are ahead of it.")
    if isinstance(lead, bool) or not isinstance(lead, (int, float)):
        raise NotYet("A decision needs a number: give the lead of your choice over learning alone in points, as a number.")
    found = lesson_08.large("letters" if choice == "together" else TUNED, SCRATCH)
    if not abs(lead - found[0]) < 0.15:
        raise NotYet(f"The lead of {choice!r} over learning alone is another number: see the rows of the large network.")
    if choice == "together":
        raise NotYet(
            "The figure is right, and the two ways cannot be told apart by accuracy. But only one answer is wanted, and the "
            "next target would need the letters all over again. Which way is cheaper then?"
        )
    middle, low, high = found
    return (
        f"{middle:+.1f} points ({low:+.1f} to {high:+.1f}) over learning alone, the letters are learned once for all "
        "targets, and nobody asked for a second answer."
    )
