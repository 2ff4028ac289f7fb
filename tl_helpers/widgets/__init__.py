"""What the learner touches. Each widget has a plain function beside it that answers the same question without one."""

from .drawing import SEVEN, answers, as_digit, draw, drawn, keep
from .trying import explore, layers, letters_read, loss_around, parts, rates, sampled, shots, surface, swap, thaw, thawed

__all__ = [
    "SEVEN",
    "answers",
    "as_digit",
    "draw",
    "drawn",
    "explore",
    "keep",
    "layers",
    "letters_read",
    "loss_around",
    "parts",
    "rates",
    "sampled",
    "shots",
    "surface",
    "swap",
    "thaw",
    "thawed",
]
