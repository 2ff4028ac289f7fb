"""Guesses: asked in four ways, kept, shown beside the result; and one clear sentence for what is no answer."""

import types

import IPython
import pytest

import tl_helpers as tl
from tl_helpers.course.checks import base

FORMS = {
    "number": ({"low": 0, "high": 1}, 0.6, 0.87, "Measured: 0.87. You guessed 0.60; it is 0.27 more."),
    "a larger number": ({"low": 0, "high": 800, "step": 1}, 600, 612.0, "Measured: 612. You guessed 600; it is 12 more."),
    "the same number": ({"low": 0, "high": 1}, 0.6, 0.601, "Measured: 0.60. You guessed 0.60: the same."),
    "choices": ({"choices": ["letters", "scratch"]}, "scratch", "letters", "letters, where you guessed scratch."),
    "the right choice": ({"choices": ["letters", "scratch"]}, "letters", "letters", "letters, as you guessed."),
    "a choice of numbers": ({"choices": [1, 5, 10]}, 5, 10, "Measured: 10, where you guessed 5."),
    "order": ({"order": ["a", "b", "c"]}, ["b", "a", "c"], ["a", "b", "c"], "Of 3 pairs, 2 are in the measured order."),
    "an order of numbers": ({"order": [1, 5, 10]}, [5, 1, 10], [10, 5, 1], "Of 3 pairs, 1 are in the measured order."),
    "the same order": ({"order": ["a", "b"]}, ["b", "a"], ["b", "a"], "You guessed the same order."),
    "curve": ({"curve": [1, 10]}, [0.5, 0.5], [0.6, 0.9], "On average your curve is 0.25 away, at most 0.40."),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_guess_and_the_result_are_shown_together(form):
    options, mine, measured, words = FORMS[form]
    asked = tl.widgets.guess("What will it be?", **options)
    assert asked.value is None and "You had not made a guess" in repr(asked.reveal(measured)) and asked.beside == {}
    asked.value = mine
    # A guess after Run All: what was measured need not be measured again.
    assert asked.beside["words"].endswith(words) and asked.beside["guess"] == asked.value
    shown = asked.reveal(measured)
    assert repr(shown).startswith("Measured: ") and repr(shown).endswith(words)
    assert "What will it be?" in shown._repr_html_() and "<script" not in shown._repr_html_()
    asked.close()


def test_numbers_are_told_as_fine_as_the_slider_is():
    asked = tl.widgets.guess("Hours?", low=0, high=10, step=0.25)
    asked.value = 0.25
    assert repr(asked.reveal(0.75)) == "Measured: 0.75. You guessed 0.25; it is 0.50 more."
    assert repr(tl.widgets.guess("Seconds?", low=0, high=1000, step=100).reveal(340)).startswith("Measured: 340.")


def test_a_curve_is_drawn_with_its_words():
    asked = tl.widgets.guess("Accuracy", curve=[1, 10])
    picture = asked.reveal([0.61, 0.9])._repr_html_()
    assert 'alt="Accuracy Measured: 0.61 at 1, 0.90 at 10.' in picture and "image/png" in picture
    assert [line.get_label() for line in asked.reveal([0.6, 0.9]).figure.axes[0].lines] == ["measured"]
    asked.value = [0, 1]
    assert [line.get_ydata().tolist() for line in asked.reveal([0.6, 0.9]).figure.axes[0].lines] == [[0.6, 0.9], [0, 1]]


@pytest.mark.parametrize("form", ["number", "choices", "order", "curve"])
@pytest.mark.parametrize(
    "wrong", ["nothing such", 7, float("nan"), ["a", "a", "b"], [0.5], [0.5, float("inf")], [2, 0.5], {}]
)
def test_what_is_no_answer_gets_a_sentence_and_changes_nothing(form, wrong):
    options, mine, *_ = FORMS[form]
    asked = tl.widgets.guess("What?", **options)
    asked.value = mine
    with pytest.raises(ValueError, match="A guess (is|has) "):
        asked.value = wrong
    assert asked.value == mine


@pytest.mark.parametrize("wrong", [None, "b and more", float("nan"), [1], [], {1: 0.6, 10: 0.9}, {"a": 1, "b": 3, "c": 2}])
@pytest.mark.parametrize("form", ["number", "choices", "order", "curve"])
def test_what_was_measured_must_answer_the_question(form, wrong):
    with pytest.raises(ValueError, match="What was measured (is|has) "):
        tl.widgets.guess("What?", **FORMS[form][0]).reveal(wrong)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"choices": ["a", "b"], "order": ["a", "b"]},
        {"choices": ["a", "b"], "low": 0},
        {"choices": ["a"]},
        {"order": ["a", "a"]},
        {"curve": []},
        {"low": 1, "high": 1},
        {"low": 2},
        {"low": 0, "high": float("inf")},
        {"low": 0, "high": 1, "step": 0},
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(options):
    with pytest.raises(ValueError, match="A guess|at least two"):
        tl.widgets.guess("What?", **options)


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_HOME", str(tmp_path))
    monkeypatch.delenv("TL_PROGRESS")
    monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace(kernel=None))
    monkeypatch.setattr("tl_helpers.widgets.guessing.close_those_of_the_last_run", lambda widget: None)
    return tmp_path / "guesses.json"


def test_guesses_are_kept_and_change_no_progress(notebook):
    first, other = tl.widgets.guess("How many?", low=0, high=1), tl.widgets.guess("Which?", choices="ab")
    first.value, other.value = 0.3, "b"
    assert base.kept(notebook) == [{"How many?": 0.3}, {"Which?": "b"}] and not base.store().exists()
    assert tl.widgets.guess("How many?", low=0, high=1).value == 0.3
    assert tl.widgets.guess("How many?", low=5, high=9).value is None  # the same words, another question
    assert tl.widgets.guess("Which?", choices=["c", "d"]).value is None
    tl.check.forget_progress()
    assert tl.widgets.guess("How many?", low=0, high=1).value is None  # the next person guesses for themselves


@pytest.mark.parametrize("content", ["", "[", "7", "[1]"])
def test_a_damaged_file_stops_nothing(notebook, content):
    notebook.write_text(content)
    asked = tl.widgets.guess("How many?", low=0, high=1)
    assert asked.value is None
    asked.value = 0.3
    assert tl.widgets.guess("How many?", low=0, high=1).value == 0.3


def test_outside_a_notebook_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_HOME", str(tmp_path))
    monkeypatch.delenv("TL_PROGRESS")
    tl.widgets.guess("How many?", low=0, high=1).value = 0.3
    assert not list(tmp_path.iterdir())


def test_a_stored_notebook_shows_the_question():
    data, _ = tl.widgets.guess("Which <one>?", choices=["a", "b"])._repr_mimebundle_()
    assert "Which &lt;one&gt;? (a, b)" in data["text/html"] and "Run this cell" in data["text/html"]
