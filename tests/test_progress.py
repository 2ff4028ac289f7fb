import types

import IPython
import pytest

import tl_helpers as tl
from tl_helpers import check


@pytest.fixture
def cell(tmp_path, monkeypatch):
    """Says which code the running cell of a notebook has."""
    monkeypatch.setenv("TL_HOME", str(tmp_path))
    shell = types.SimpleNamespace(kernel=True, user_ns={"In": [""]})
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    return lambda code: shell.user_ns.update(In=["", code])


def test_progress_counts_what_a_learner_passed_and_no_solution(cell):
    right = lambda side, chain: (
        side if not chain else right(side - chain[0][1] + 1 if chain[0][0] == "conv" else side // chain[0][1], chain[1:])
    )
    cell("tl.check.output_size(solution_2)")
    assert tl.check.output_size(right) and not any(check.progress("02").passed.values())
    cell("tl.check.output_size(output_size)")
    assert not tl.check.output_size(lambda side, chain: 5) and not any(check.progress("02").passed.values())
    assert tl.check.output_size(right) and check.progress("02").passed["output_size"]
    assert "1 of" in repr(check.progress("02")) and "✔ output size" in repr(check.progress("02"))
    check.forget_progress()
    assert not any(check.progress("02").passed.values())
    check.forget_progress()


def test_without_a_notebook_nothing_is_noted(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_HOME", str(tmp_path))
    check._remember("output_size")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "[", "7", "[1, null]", "{}"])
def test_a_damaged_file_stops_nothing(cell, content):
    check._store().write_text(content)
    assert "0 of" in repr(check.progress("02"))
    cell("tl.check.output_size(mine)")
    check._remember("output_size")
    assert check.progress("02").passed["output_size"]


def test_a_place_that_cannot_be_written_to_stops_nothing(cell, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TL_HOME", str(tmp_path / "file"))
    cell("tl.check.output_size(mine)")
    check._remember("output_size")


def test_every_lesson_with_exercises_is_known_and_others_get_a_sentence():
    for number in ("00", "01", "02", "03", "04", "05", "06"):
        assert check.progress(number).passed
    with pytest.raises(ValueError, match="not in '99'"):
        check.progress("99")
