"""What every check is, and which have passed. The first cells of each lesson with exercises open this file."""

from __future__ import annotations

import contextlib
import functools
import html
import importlib
import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path


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

    def _repr_html_(self) -> str:  # JupyterLab breaks lines of plain text within words
        text = re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(repr(self)))
        return f"<div>{text}</div>"


LESSONS = sorted(path.stem.removeprefix("lesson_") for path in Path(__file__).parent.glob("lesson_*.py"))
CHECKS: dict[str, dict[str, Callable[..., Verdict]]] = {}  # by lesson, then by name; filled by `exercise`


def checks_of(lesson: str) -> dict[str, Callable[..., Verdict]]:
    """The checks of a lesson ("03", or "deeper/03" for the notebook behind it) by name, in the order of its exercises."""
    importlib.import_module(f".lesson_{lesson.removeprefix('deeper/')}", __package__)
    return CHECKS.get(lesson, {})


def exercise(lesson: str) -> Callable:
    """Register a check under its lesson: a function that raises NotYet, or returns what the learner has shown.

    Called with `...` or None, or with code that fails, what is registered says "Not yet."; it never raises.
    """

    def register(check: Callable[..., str]) -> Callable[..., Verdict]:
        @functools.wraps(check)
        def checked(*answers) -> Verdict:
            if any(answer is ... or answer is None for answer in answers):
                return Verdict(False, "Put your answer in place of the dots and run the cell again.")
            try:
                verdict = Verdict(True, check(*answers))
                _note_passed(check.__name__)
                return verdict
            except NotYet as hint:
                return Verdict(False, str(hint))
            except Exception as error:  # whatever a learner's own code raises
                return Verdict(False, f"Your answer stopped with {type(error).__name__}: {error}")

        CHECKS.setdefault(lesson, {})[check.__name__] = checked
        return checked

    return register


def returned(found, wanted: str) -> None:
    """Raise NotYet if the learner's function returned nothing; `wanted` says what it should."""
    if found is None or found is ...:
        raise NotYet(f"The function returns nothing so far: {wanted}")


# Which checks have passed on this machine, for the learner's own eyes.


def store() -> Path:
    """The file that keeps it: TL_PROGRESS if that is set, else one in TL_HOME or where this system keeps a user's data."""
    from ...engine.validate import user_folder

    folder = os.environ.get("TL_HOME") or user_folder("data")
    return Path(os.environ.get("TL_PROGRESS") or (Path(folder, "progress.json") if folder else os.devnull))


def guesses() -> Path:
    """The file that keeps guesses, beside that of the exercises."""
    return store().with_name("guesses.json")


def kept(path: Path) -> list:
    """What the lines of a file that `keep` wrote hold. Damaged ones are left out: nothing depends on them."""
    found = []
    with contextlib.suppress(OSError, UnicodeError):  # none yet, or not ours
        for line in path.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
    return found


def keep(path: Path, value) -> None:
    """Add a line to a file. What stands there is never written over: not by two notebooks at once, a kill or a full disk."""
    with contextlib.suppress(OSError):  # a disk that is full or cannot be written to stops no lesson
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps(value)}\n")  # on a line of its own, even after one that a full disk cut off


def _passed() -> set[str]:
    lists = (line if isinstance(line, list) else [line] for line in kept(store()))  # it was one list at first
    return {name for names in lists for name in names if isinstance(name, str)}


def _note_passed(name: str) -> None:
    """Note that a check passed, if a learner's cell called it.

    That is a cell of a notebook that names no `solution_...`, as every solution of the course does. What tests and scripts
    call counts for nothing either: they have no notebook.
    """
    from IPython import get_ipython

    shell = get_ipython()
    if not hasattr(shell, "kernel") or "solution_" in shell.user_ns.get("In", ["solution_"])[-1]:
        return
    if name not in _passed():
        keep(store(), name)


class Progress:
    """The exercises of a lesson, and which of them passed on this machine."""

    def __init__(self, lesson: str, passed: dict[str, bool]):
        self.lesson, self.passed = lesson, passed

    def __repr__(self) -> str:
        many, done = len(self.passed), sum(self.passed.values())
        marks = ", ".join(f"{'✔' if passed else '○'} {name.replace('_', ' ')}" for name, passed in self.passed.items())
        return f"Exercises of lesson {self.lesson} passed on this machine: {done} of {many} ({marks})"


def progress(lesson: str) -> Progress:
    """Which exercises of a lesson, "02" or "deeper/02", have passed on this machine. Nothing in the course depends on it.

    Raises:
        ValueError: there is no such lesson, or it has no exercises.
    """
    if lesson.removeprefix("deeper/") not in LESSONS or not checks_of(lesson):
        raise ValueError(f"There are exercises in lessons {', '.join(LESSONS)}; not in {lesson!r}.")
    done = _passed()
    return Progress(lesson, {name: name in done for name in checks_of(lesson)})


def forget_progress() -> None:
    """Begin anew, for the next person at this machine: no exercise has passed, and no guess is kept."""
    for place in (store(), guesses()):
        if place.exists():
            place.write_text("", encoding="utf-8")


class Claims:
    """Sentences, and for each whether the numbers at hand bear it out."""

    def __init__(self, sentences: dict[str, bool]):
        self.sentences = {}
        for text, holds in sentences.items():
            one = hasattr(holds, "item") and math.prod(holds.shape) == 1  # as numpy and torch give it
            self.sentences[text] = holds.item() if one else holds
            if not isinstance(self.sentences[text], bool):  # anything else is mostly true, whatever it says
                raise TypeError(f"A claim is a sentence with true or false; of {text!r} it is {holds!r}.")

    def __bool__(self) -> bool:
        return all(self.sentences.values())

    def __repr__(self) -> str:
        lines = [f"{'✔ holds:       ' if holds else '✘ not here:    '}{text}" for text, holds in self.sentences.items()]
        if not self:
            lines.append("Where a claim does not hold: did you change a number above? Then this is your finding.")
        return "\n".join(lines)


def claims(sentences: dict[str, bool]) -> Claims:
    """Hold what a lesson says against what was measured in it: a dict of sentences and conditions."""
    return Claims(sentences)
