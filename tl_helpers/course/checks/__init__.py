"""Exercise checks: `tl.check.NAME(answer)` never raises; it says "Not yet" and why, or what you have now shown.

`claims` holds the sentences of a lesson against what this machine measured. The checks of each lesson have a file.
"""

import importlib

from .base import CHECKS, LESSONS, Claims, NotYet, Progress, Verdict, claims, exercise, forget_progress, progress

__all__ = [
    "CHECKS",
    "LESSONS",
    "Claims",
    "NotYet",
    "Progress",
    "Verdict",
    "claims",
    "exercise",
    "forget_progress",
    "progress",
]


def __getattr__(name: str):
    for lesson in () if name.startswith("_") else LESSONS:
        importlib.import_module(f".lesson_{lesson}", __name__)
        if name in CHECKS[lesson]:
            return CHECKS[lesson][name]
    raise AttributeError(f"There is no check {name!r}.")
