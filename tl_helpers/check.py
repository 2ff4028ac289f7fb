"""Exercise checks: `tl.check.NAME(answer)` never raises; it says "Not yet" and why, or what you have now shown."""

from __future__ import annotations

import functools
from collections.abc import Callable


class NotYet(Exception):
    """What is still missing, in words that teach."""


class Verdict:
    """The answer of a check: `passed`, and `text` in words."""

    def __init__(self, passed: bool, text: str):
        self.passed, self.text = passed, text

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"{'✔ Passed.' if self.passed else 'Not yet.'} {self.text}"


def exercise(check: Callable[..., str]) -> Callable[..., Verdict]:
    """Turn a function that raises NotYet, or returns what the learner has shown, into a check that never raises."""

    @functools.wraps(check)
    def checked(*answers) -> Verdict:
        if any(answer is ... or answer is None for answer in answers):
            return Verdict(False, "Put your answer in place of the dots and run the cell again.")
        try:
            return Verdict(True, check(*answers))
        except NotYet as hint:
            return Verdict(False, str(hint))
        except Exception as error:  # whatever a learner's own code raises
            return Verdict(False, f"Your answer stopped with {type(error).__name__}: {error}")

    return checked
