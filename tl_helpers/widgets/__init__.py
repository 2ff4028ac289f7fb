"""What the learner touches. Each widget has a plain function beside it that answers the same question without one.

Lesson 00 shows the first.
"""

# ruff: noqa: F401
from .camera import camera
from .drawing import SEVEN, answers, as_digit, draw, drawn, keep
from .guessing import guess
from .looking import confusion, feature_maps, gallery, grad_cam, mistakes, seen, walk
from .naming import as_print, by_name, found, letter, ranked
from .nearest import elsewhere, left_out, likeness, line_below, said, vectors_of
from .trying import explore, layers, letters_read, loss_around, parts, rates, sampled, shots, surface, swap, thaw, thawed
from .uploading import recognise, upload
