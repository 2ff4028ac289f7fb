"""Checks of the exercises of lesson 13."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .base import NotYet, exercise, returned


@exercise("13")
def contrastive_loss(function) -> str:
    """function(image_vectors, name_vectors, scale): CLIP's loss of N pairs, from vectors of length 1."""
    generator = torch.Generator().manual_seed(0)
    images, names = (F.normalize(torch.randn(6, 8, generator=generator), dim=1) for _ in range(2))
    found = function(images, names, 5.0)
    returned(found, "put its body in place of the dots.")
    found = torch.as_tensor(found).float()
    if found.ndim:
        raise NotYet(f"A loss is one number; this has the shape {tuple(found.shape)}. cross_entropy takes the mean already.")
    scores, own = 5.0 * images @ names.T, torch.arange(6)
    one, other = F.cross_entropy(scores, own), F.cross_entropy(scores.T, own)
    for wrong, words in (
        (one, "So far each picture looks for its name. Each name must look for its picture too: the same with scores.T."),
        (other, "So far each name looks for its picture. Each picture must look for its name too: scores without .T."),
        (one + other, "Both halves, added up. Take their mean, so that the loss stays as large as one cross-entropy."),
        (F.cross_entropy(scores / 5, own) / 2 + F.cross_entropy(scores.T / 5, own) / 2, "The scale is missing."),
    ):
        if torch.allclose(found, wrong):
            raise NotYet(words)
    right = (one + other) / 2
    if not torch.allclose(found, right):
        raise NotYet(
            f"For six pairs of random vectors and scale 5 the two halves are {one:.3f} and {other:.3f}, and their mean is "
            f"{right:.3f}, not {found:.3f}. Row i of the scores belongs to name i: the labels are 0, 1, 2, and so on."
        )
    images, names = images[:3], names[:3]
    scores, own = 2.0 * images @ names.T, torch.arange(3)
    right = (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2
    if not torch.allclose(torch.as_tensor(function(images, names, 2.0)).float(), right):
        raise NotYet("It is right for six pairs and not for three: take the number of pairs from len(image_vectors).")
    return "In every batch, the other names are the wrong answers. Nobody had to write down a list of classes."


LEAST = 0.4  # of the 900 digits, from ten names; guessing gets .1


@exercise("13")
def names_for_digits(names, towers) -> str:
    """names: ten names of letters, one for each digit; towers: trained ones, with `see` and `read`."""
    from ...data import digits
    from ..pictures_and_words import NEVER_MET, bags, digits_read

    if not isinstance(names, (list, tuple)) or len(names) != 10 or not all(isinstance(name, str) for name in names):
        raise NotYet("Give a list of ten names, as text: the first for 0, the last for 9.")
    for digit, name in enumerate(names):
        for word in name.upper().split():
            if word in NEVER_MET:
                raise NotYet(f"The word {word} stands in no training pair: its vector is still random. Name a look-alike.")
        try:
            bags([name])
        except ValueError as error:
            raise NotYet(f"The name for {digit}: {error}") from None
    if len({frozenset(name.upper().split()) for name in names}) < 10:
        raise NotYet("Two digits have the same words, so nothing can tell them apart. Give each its own name.")
    if not all(callable(getattr(towers, part, None)) for part in ("see", "read")):
        raise NotYet("Give your trained towers as the second answer.")
    train = digits().train
    right = digits_read(towers, list(names), train)
    share = right.double().mean().item()
    each = torch.stack([right[train.y == digit].double().mean() for digit in range(10)])
    if share < LEAST:
        worst = int(each.argmin())
        raise NotYet(
            f"{share:.2f} of 900 handwritten digits get the right name; {LEAST} is wanted. The name for {worst} finds only "
            f"{each[worst]:.2f} of them: which letter looks more like a handwritten {worst}?"
        )
    best = int(each.argmax())
    return (
        f"{share:.2f} of 900 handwritten digits, without a single labelled one (guessing: .10). Best is {best} with "
        f"{each[best]:.2f}. Choosing the words well is called prompt engineering."
    )


@exercise("13")
def towers_can(decisions) -> str:
    """decisions: for each of four requests ("yes" or "no", the reason)."""
    right = {
        "A": ("yes", "words were met"),
        "B": ("no", "word never met"),
        "C": ("no", "one vector"),
        "D": ("no", "bag of words"),
    }
    reasons = [reason for _, reason in right.values()]
    if not isinstance(decisions, dict) or set(decisions) != set(right):
        raise NotYet('Give a dictionary with the keys "A", "B", "C" and "D".')
    hints = {
        "A": "No picture of it was in training, but each word of its name stands in other names. What did you measure?",
        "B": "Which training pair has the words of this name?",
        "C": "How many vectors does a picture get, and how near can one vector be to two names?",
        "D": "Look at what the text tower is given: ones and zeros, one for each word. Where would the order be?",
    }
    for key, (can, reason) in right.items():
        given = decisions[key]
        if (
            not isinstance(given, (tuple, list))
            or len(given) != 2
            or given[0] not in ("yes", "no")
            or given[1] not in reasons
        ):
            raise NotYet(f'Request {key} waits for your decision: a pair like ("no", "bag of words").')
        if given[0] != can:
            raise NotYet(f"Request {key}: {hints[key]}")
        if key == "D" and given[1] == "one vector":
            raise NotYet("Request D: true, but why is it the same vector? Look at what the text tower is given.")
        if given[1] != reason:
            raise NotYet(f"Request {key}: the decision is right, but another of the four reasons is the one. {hints[key]}")
    return "Known words in new combinations: that is what it can do, and it is a lot. The rest is outside what it was shown."
