"""Right and typical wrong answers to the exercises of lesson 13."""

import torch
import torch.nn.functional as F
from wrong_answers_tools import Later


def _loss(first=0.5, second=0.5, scaled=True, labels=None):
    def loss(image_vectors, name_vectors, scale):
        scores = (scale if scaled else 1) * image_vectors @ name_vectors.T
        own = torch.arange(len(image_vectors)) if labels is None else labels
        return first * F.cross_entropy(scores, own) + second * F.cross_entropy(scores.T, own)

    return loss


class Oracle:
    """Towers that know the digits, by their means, under the names of the course's look-alikes."""

    def __init__(self):
        import tl_helpers as tl
        from tl_helpers.course import pictures_and_words as pairs

        train = tl.digits().train
        pictures = pairs.as_letters(train.x).flatten(1)
        self.means = torch.stack([pictures[train.y == digit].mean(0) for digit in range(10)])
        self.names = pairs.LOOK_ALIKES

    def see(self, pictures):
        return F.one_hot(torch.cdist(pictures.flatten(1), self.means).argmin(1), 10).float()

    def read(self, names):
        zeros = torch.zeros(10)
        return torch.stack([torch.eye(10)[self.names.index(n.upper())] if n.upper() in self.names else zeros for n in names])


def _names(*changes):
    """The course's look-alikes, with some of them replaced, and towers that know these."""

    def make():
        oracle = Oracle()
        names = [name.lower() for name in oracle.names]
        for digit, name in changes:
            names[digit] = name
        return names, oracle

    return Later(make)


LETTERS = [(digit, f"latin small letter {letter} with acute") for digit, letter in enumerate("aceiklmnor")]
DECIDED = {
    "A": ("yes", "words were met"),
    "B": ("no", "word never met"),
    "C": ("no", "one vector"),
    "D": ("no", "bag of words"),
}

RIGHT = {
    "contrastive_loss": lambda one, other, scale: _loss()(one.double(), other.double(), scale),
    "names_for_digits": _names(),
    "towers_can": DECIDED,
}
WRONG = {
    "contrastive_loss": [
        (lambda *_: None, "in place of the dots"),
        (_loss(1, 0), "look for its picture too"),
        (_loss(0, 1), "look for its name too"),
        (_loss(1, 1), "as large as one cross-entropy"),
        (_loss(scaled=False), "scale is missing"),
        (_loss(labels=torch.zeros(6, dtype=torch.long)), "the labels are 0, 1, 2"),
        (lambda a, b, s: F.cross_entropy(s * a @ b.T, torch.arange(len(a)), reduction="none"), "one number"),
    ],
    "names_for_digits": [
        ((["latin capital letter o"] * 9, "towers"), "ten names"),
        (_names((7, "digit seven")), "no training pair"),
        (_names((7, "latin small letter seventh")), "The name for 7"),
        (_names((0, "latin capital letter z")), "the same words"),
        (_names(*LETTERS), "which letter looks more like"),
        (Later(lambda: (_names().make()[0], "towers")), "trained towers"),
    ],
    "towers_can": [
        ({"A": "yes"}, "a dictionary"),
        (DECIDED | {"B": "no"}, "Request B waits"),
        (DECIDED | {"A": ("no", "word never met")}, "No picture of it was in training"),
        (DECIDED | {"D": ("yes", "words were met")}, "Where would the order be"),
        (DECIDED | {"D": ("no", "one vector")}, "why is it the same vector"),
        (DECIDED | {"C": ("no", "bag of words")}, "another of the four reasons"),
    ],
}
