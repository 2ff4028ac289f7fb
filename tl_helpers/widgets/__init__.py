"""What the learner touches. Each widget has a plain function beside it that answers the same question without one."""

from .drawing import SEVEN, answers, as_digit, draw, drawn, keep
from .looking import confusion, feature_maps, gallery, grad_cam, mistakes, seen, walk
from .trying import explore, layers, letters_read, loss_around, parts, rates, sampled, shots, surface, swap, thaw, thawed
from .uploading import recognise, upload

__all__ = [
    "SEVEN",
    "answers",
    "as_digit",
    "confusion",
    "draw",
    "drawn",
    "explore",
    "feature_maps",
    "gallery",
    "grad_cam",
    "keep",
    "layers",
    "letters_read",
    "loss_around",
    "mistakes",
    "parts",
    "rates",
    "recognise",
    "sampled",
    "seen",
    "shots",
    "surface",
    "swap",
    "thaw",
    "thawed",
    "upload",
    "walk",
]
