"""What the learner touches. Each widget has a plain function beside it that answers the same question without one."""

from .drawing import SEVEN, answers, as_digit, draw, drawn, keep

__all__ = ["SEVEN", "answers", "as_digit", "draw", "drawn", "keep"]
