"""A guess before the result: asked, kept and shown beside what was measured; never graded. Lesson 00 asks the first."""

from __future__ import annotations

import contextlib
import html
import math
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from decimal import Decimal
from pathlib import Path

import anywidget
import traitlets

from .. import plots
from ..course.checks import base as checks
from ..engine.figure import Figure
from .base import SLIDERS, close_those_of_the_last_run

NONE = "You had not made a guess. Make one above: a button then appears that shows both."


class Guess(anywidget.AnyWidget):
    """A question with one kind of answer. `value` is the guess, None before there is one; setting it in code guesses too."""

    _esm = Path(__file__).with_name("guess.js").read_text(encoding="utf-8") + SLIDERS
    question = traitlets.Unicode().tag(sync=True)
    kind = traitlets.Unicode().tag(sync=True)  # number, choices, order or curve
    options = traitlets.List().tag(sync=True)  # what to choose from or to sort; of a curve, where its points stand
    low = traitlets.Float(0.0).tag(sync=True)
    high = traitlets.Float(1.0).tag(sync=True)
    step = traitlets.Float(0.01).tag(sync=True)
    value = traitlets.Any(None).tag(sync=True)
    beside = traitlets.Dict().tag(sync=True)  # `words` show the `guess` and what was measured; empty before both

    def __init__(self, **asked):
        super().__init__(**asked)
        self.made, self.measured = [self, self.layout], None
        with contextlib.suppress(ValueError):  # what was kept answers another question of the same words
            self.value = _kept().get(self.question)
        self.observe(self._guessed, "value")
        close_those_of_the_last_run(self)

    @traitlets.validate("value")
    def _check(self, proposal):
        return None if proposal.value is None else self._checked(proposal.value, "A guess")

    def _checked(self, answer, who: str):
        """An answer in the form of this question: a guess, or what was measured."""
        if self.kind == "number":
            return self._number(answer, who, bounded=who == "A guess")
        if self.kind == "choices":
            answer = str(answer)  # options are texts
            if answer not in self.options:
                raise ValueError(f"{who} is one of {', '.join(self.options)}; this is {answer!r}.")
            return answer
        if isinstance(answer, (Mapping, Set)):
            raise ValueError(f"{who} is a list, in order; this is a {type(answer).__name__}.")
        answer = list(answer) if isinstance(answer, Iterable) and not isinstance(answer, str) else [answer]
        if self.kind == "order":
            answer = list(map(str, answer))
            if sorted(answer) != sorted(self.options):
                raise ValueError(f"{who} has each of {', '.join(self.options)} once; this is {', '.join(answer)}.")
            return answer
        if len(answer) != len(self.options):
            raise ValueError(
                f"{who} has {len(self.options)} numbers, one at each of {self.options}; this has {len(answer)}."
            )
        return [self._number(number, who, bounded=who == "A guess") for number in answer]

    def _number(self, answer, who: str, bounded: bool) -> float:
        try:
            number = float(answer)
        except (TypeError, ValueError):
            raise ValueError(f"{who} is a number from {self.low:g} to {self.high:g}; this is {answer!r}.") from None
        if not math.isfinite(number) or bounded and not self.low <= number <= self.high:
            raise ValueError(f"{who} is a number from {self.low:g} to {self.high:g}; this is {number:g}.")
        return number

    def _guessed(self, change) -> None:
        _keep(self.question, change.new)
        if self.measured is not None:  # after Run All the result is older than the guess
            self.reveal(self.measured)

    def reveal(self, answer) -> Revealed:
        """The guess beside what was measured. A guess that is made later has a button below it that shows both.

        Args:
            answer: a number, the right choice, the right order, or the values of the curve.

        Raises:
            ValueError: this does not answer the question.
        """
        self.measured = self._checked(answer, "What was measured")
        shown = Revealed(self, self.measured)
        self.beside = {} if self.value is None else {"guess": self.value, "words": shown.words}
        return shown

    def __repr__(self) -> str:
        return f"Your guess: {self.question}"

    def close(self) -> None:
        self.unobserve_all()
        self.layout.close()
        super().close()

    def _repr_mimebundle_(self, **arguments):
        options = "" if self.kind in ("number", "curve") else f" ({', '.join(map(str, self.options))})"
        still = f"<p><b>Your guess:</b> {html.escape(self.question + options)}<br>Run this cell to answer.</p>"
        data, metadata = super()._repr_mimebundle_(**arguments)
        return data | {"text/html": still}, metadata


class Revealed:
    """A guess and what was measured, as words; as a picture too where it is a curve."""

    def __init__(self, guess: Guess, answer):
        self.question, self.guess, self.answer, self.figure = guess.question, guess.value, answer, None
        self.words = getattr(self, f"_{guess.kind}")(guess)

    @staticmethod
    def _places(asked: Guess) -> int:
        """How many after the point: as many as the step has, at most six."""
        return min(6, max(0, -Decimal(f"{asked.step:.10g}").as_tuple().exponent))

    def _number(self, asked: Guess) -> str:
        places = self._places(asked)
        measured = f"Measured: {self.answer:.{places}f}."
        if self.guess is None:
            return f"{measured} {NONE}"
        apart = self.answer - self.guess
        if abs(apart) <= asked.step / 2:
            return f"{measured} You guessed {self.guess:.{places}f}: the same."
        more = "more" if apart > 0 else "less"
        return f"{measured} You guessed {self.guess:.{places}f}; it is {abs(apart):.{places}f} {more}."

    def _choices(self, asked: Guess) -> str:
        if self.guess is None:
            return f"Measured: {self.answer}. {NONE}"
        guessed = "as you guessed" if self.guess == self.answer else f"where you guessed {self.guess}"
        return f"Measured: {self.answer}, {guessed}."

    def _order(self, asked: Guess) -> str:
        measured = f"Measured: {', '.join(self.answer)}."
        if self.guess is None:
            return f"{measured} {NONE}"
        if self.guess == self.answer:
            return f"{measured} You guessed the same order."
        place = {name: i for i, name in enumerate(self.answer)}
        pairs = [(a, b) for i, a in enumerate(self.guess) for b in self.guess[i + 1 :]]
        right = sum(place[a] < place[b] for a, b in pairs)
        return f"{measured} You guessed: {', '.join(self.guess)}. Of {len(pairs)} pairs, {right} are in the measured order."

    def _curve(self, asked: Guess) -> str:
        at, places = list(map(str, asked.options)), self._places(asked)
        words = "Measured: " + ", ".join(f"{value:.{places}f} at {x}" for x, value in zip(at, self.answer)) + "."
        lines = {"measured": self.answer} | ({"your guess": self.guess} if self.guess else {})
        self.figure = Figure(5.6, 2.6)
        axis = self.figure.axes_of()
        for (name, values), colour, marker in zip(lines.items(), plots.COLOURS, plots.MARKERS):
            axis.plot(at, values, color=colour, marker=marker, linestyle="-" if name == "measured" else "--", label=name)
        axis.set_title(self.question.rstrip(":"), fontsize=10, wrap=True)
        shown, room = [asked.low, asked.high, *self.answer], (asked.high - asked.low) / 30  # the axis that was drawn on
        axis.set_ylim(min(shown) - room, max(shown) + room)
        axis.legend()
        if self.guess is None:
            words = f"{words} {NONE}"
        else:
            apart = [abs(a - b) for a, b in zip(self.answer, self.guess)]
            words += f" On average your curve is {sum(apart) / len(apart):.{places}f} away, at most {max(apart):.{places}f}."
        self.figure.alt = f"{self.question} {words}"
        return words

    def __repr__(self) -> str:
        return self.words

    def _repr_html_(self) -> str:
        picture = self.figure.html() if self.figure else ""
        return f'<p role="status"><b>{html.escape(self.question)}</b><br>{html.escape(self.words)}</p>{picture}'


def guess(
    question: str,
    *,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    choices: Sequence[str] | None = None,
    order: Sequence[str] | None = None,
    curve: Sequence[float] | None = None,
) -> Guess:
    """Ask for a guess before the result is known; `.reveal(result)` in a later cell shows both together.

    The guess is kept beside the progress of the exercises, so that it stands there again tomorrow. Nothing is graded. The
    same in code: `asked.value = 0.6`.

    Args:
        question: what is asked; one of the four forms of an answer goes with it.
        low, high: a number between them, on a slider; with `curve`, the ends of its axis, 0 and 1 when left out.
        step: of the slider; a hundredth of the range when left out.
        choices: one of these.
        order: these, to be sorted.
        curve: a number at each of these, drawn.

    Raises:
        ValueError: there is no form of answer, or more than one, or a form that cannot be answered.
    """
    forms = {"choices": choices, "order": order, "curve": curve}
    given = [kind for kind, options in forms.items() if options is not None]
    ends = low is not None or high is not None
    if len(given) > 1 or not given and not ends or ends and given and given != ["curve"]:
        raise ValueError(
            "A guess is a number from low to high, or one of choices, or an order, or a curve: give one of these."
        )
    kind = given[0] if given else "number"
    options = list(forms[kind]) if given else []
    if kind in ("choices", "order"):
        options = list(map(str, options))
    if given and (len(options) < 2 or len(set(options)) < len(options)):
        raise ValueError(f"{kind} needs at least two different entries; these are {options}.")
    low, high = 0.0 if low is None else float(low), 1.0 if high is None else float(high)
    step = (high - low) / 100 if step is None else float(step)
    if not (math.isfinite(low) and math.isfinite(high) and low < high and 0 < step <= high - low):
        raise ValueError(
            f"A guess lies between low and a larger high, in steps above 0; these are {low:g}, {high:g}, {step:g}."
        )
    return Guess(question=question, kind=kind, options=options, low=low, high=high, step=step)


def _place() -> Path | None:
    """The file that keeps guesses; None where nothing is to be kept."""
    return None if str(checks.store()) == os.devnull else checks.guesses()


def _kept() -> dict:
    place = _place() if _in_a_notebook() else None
    lines = checks.kept(place) if place else ()
    return {question: value for line in lines if isinstance(line, dict) for question, value in line.items()}


def _keep(question: str, value) -> None:
    place = _place() if _in_a_notebook() else None
    if place:
        checks.keep(place, {question: value})


def _in_a_notebook() -> bool:
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")
