"""Ten digits drawn by hand, and the pictures that two networks read differently. Lesson 00 calls it."""

from __future__ import annotations

from torch import Tensor

# One drawing of each digit, 0 to 9, made by those who wrote the course: strokes as x, y, x, y, ... on a pad of 280 x 280.
DRAWINGS = (
    [[150, 45, 110, 55, 85, 95, 78, 145, 88, 200, 118, 235, 155, 232, 188, 200, 200, 148, 194, 95, 175, 58, 148, 46]],
    [[112, 88, 150, 48, 146, 140, 142, 238]],
    [[84, 98, 96, 62, 134, 44, 176, 60, 184, 98, 160, 142, 118, 186, 80, 228, 130, 226, 204, 222]],
    [[86, 66, 132, 44, 178, 62, 180, 102, 132, 132, 182, 152, 196, 194, 164, 230, 116, 236, 78, 214]],
    [[126, 46, 104, 96, 78, 152, 140, 150, 208, 146], [170, 96, 166, 160, 160, 240]],
    [[194, 48, 104, 52, 98, 130, 146, 116, 190, 142, 196, 190, 164, 228, 114, 236, 80, 214]],
    [[176, 44, 128, 84, 96, 142, 88, 194, 116, 232, 160, 230, 186, 198, 174, 160, 136, 148, 98, 172]],
    [[72, 56, 206, 50, 172, 118, 136, 184, 118, 240]],
    [[142, 136, 100, 108, 96, 66, 136, 44, 178, 62, 176, 104, 140, 136, 98, 170, 88, 212, 126, 238, 176, 226, 190, 188]
     + [142, 136]],
    [[184, 92, 158, 54, 114, 56, 92, 96, 110, 134, 154, 134, 184, 92, 184, 152, 172, 200, 148, 240]],
)  # fmt: skip


def disputed(first: Tensor, second: Tensor) -> list[int]:
    """The pictures that two networks classify differently, those first of which both are surest.

    Args:
        first, second: what each network answers, as `tl.predict` gives it: probabilities, N x classes.

    Returns: positions, counted from 0. Both are as sure as the less sure of the two.
    """
    (sure, one), (sure_too, other) = first.max(1), second.max(1)
    both = sure.minimum(sure_too)
    apart = (one != other).nonzero().flatten().tolist()
    return sorted(apart, key=lambda i: -both[i].item())
