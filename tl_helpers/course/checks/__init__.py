"""Exercise checks: `tl.check.NAME(answer)` never raises; it says "Not yet" and why, or what you have now shown.

Lesson 00 says how. `claims` checks what a lesson claims against what this machine measured. The checks of each lesson
have a file.
"""

from .base import LESSONS, Claims, NotYet, Progress, Verdict, checks_of, claims, exercise, forget_progress, progress

__all__ = ["Claims", "NotYet", "Progress", "Verdict", "claims", "exercise", "forget_progress", "progress"]


def __getattr__(name: str):
    for lesson in () if name.startswith("_") else [*LESSONS, *(f"deeper/{lesson}" for lesson in LESSONS)]:
        if name in checks_of(lesson):
            return checks_of(lesson)[name]
    raise AttributeError(f"There is no check {name!r}.")
