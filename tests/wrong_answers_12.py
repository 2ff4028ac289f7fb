"""Right and typical wrong answers to the exercises of lesson 12."""

import torch
import torch.nn.functional as F


def _loss(unit=True, alone=True, cool=lambda s, t: s / t, half=False, beside=False, reduction="mean", fill=None):
    def loss(vectors, temperature):
        n = len(vectors)
        vectors = F.normalize(vectors, dim=1) if unit else vectors
        similar = vectors @ vectors.T
        if fill is not None:
            similar.fill_diagonal_(fill)
        similar = cool(similar, temperature)
        if alone:
            similar.fill_diagonal_(-torch.inf)
        partner = torch.arange(n).roll(n // 2)
        if beside:
            partner = torch.arange(n) + torch.tensor([1, -1]).repeat(n // 2)
        rows = slice(n // 2) if half else slice(None)
        return F.cross_entropy(similar[rows], partner[rows], reduction=reduction)

    return loss


def _across(vectors, temperature):
    one, other = F.normalize(vectors, dim=1).chunk(2)
    return F.cross_entropy(one @ other.T / temperature, torch.arange(len(one)))


CHOSEN = {"A": "colour", "B": "half turns", "C": "none of them", "D": "thickness"}
RIGHT = {"pair_loss": _loss(), "views_chosen": CHOSEN}
WRONG = {
    "pair_loss": [
        (lambda *_: None, "nothing so far"),
        (_loss(reduction="none"), "one number"),
        (_loss(cool=lambda s, t: s), "temperature is missing"),
        (_loss(cool=lambda s, t: s * t), "multiplied by the temperature"),
        (_loss(alone=False), "may still choose itself"),
        (_loss(alone=False, fill=0.0), "at another price"),
        (_loss(alone=False, fill=-1.0), "at another price"),
        (_across, "its own half too"),
        (_loss(unit=False), "Long vectors win"),
        (_loss(beside=True), "neighbouring rows"),
        (_loss(half=True), "first views only"),
        (lambda v, t: _loss()(v, t) + 1, "the loss is"),
        (lambda v, t: _loss()(v, t) * (1 if len(v) == 6 else 2), "wrong for ten"),
    ],
    "views_chosen": [
        ({"A": "colour"}, "the keys A, B, C and D"),
        (CHOSEN | {"D": ...}, "Task D waits"),
        (CHOSEN | {"A": "smell"}, "choose one of"),
        (CHOSEN | {"B": "none of them"}, "a digit that becomes another"),
        (CHOSEN | {"C": "half turns"}, "differed in half turns"),
        (CHOSEN | {"A": "thickness"}, "would the right answer change"),
    ],
}
