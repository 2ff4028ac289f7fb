"""Right and typical wrong answers to the exercises of lesson 08."""

import torch.nn.functional as F
from wrong_answers_tools import Later


def _loss(first=1.0, weighted=True, ignore=True):
    def loss(scores1, scores2, labels1, labels2, w):
        how = {"ignore_index": -1} if ignore else {}
        one, two = F.cross_entropy(scores1, labels1, **how), F.cross_entropy(scores2, labels2, **how)
        return first * one + (w if weighted else 1) * two

    return loss


def _each(scores1, scores2, labels1, labels2, w):
    return F.cross_entropy(scores1, labels1, reduction="none") + w * F.cross_entropy(scores2, labels2, reduction="none")


def _lead(partner):
    from tl_helpers.course import lesson_08

    return lesson_08.large(partner, lesson_08.SCRATCH)[0]


RIGHT = {
    "summed_loss": lambda *given: _loss()(*given).double(),
    "way_chosen": Later(lambda: ("transfer", _lead("fine-tuned letters backbone"))),
}
WRONG = {
    "summed_loss": [
        (lambda *_: None, "nothing so far"),
        (_loss(weighted=False), "should count half"),
        (lambda a, b, c, d, w: w * _loss(weighted=False)(a, b, c, d, w), "weighted both"),
        (lambda a, b, c, d, w: w * F.cross_entropy(a, c) + F.cross_entropy(b, d), "weighted the first"),
        (lambda a, b, c, d, w: F.cross_entropy(a, c), "second loss is missing"),
        (_loss(first=2.0), "the sum is"),
        (_each, "one number"),
        (lambda a, b, c, d, w: _loss(ignore=False)(a, b, c.clamp(0), d, w), "ignore_index"),
        (lambda a, b, c, d, w: F.cross_entropy(a, c, ignore_index=-1) + w * F.cross_entropy(b, d.clamp(0)), "whichever"),
    ],
    "way_chosen": [
        (("both", 1.0), "Choose one of"),
        (("alone", 0.0), "the baseline"),
        (("transfer", "it is cheaper"), "needs a number"),
        (("transfer", 40.0), "another number"),
        (Later(lambda: ("together", _lead("letters"))), "all over again"),
    ],
}
