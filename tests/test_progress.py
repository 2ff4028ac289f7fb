import re
import types

import IPython
import nbformat
import pytest

import tl_helpers as tl
from conftest import DEEPER, LESSONS, ROOT
from tl_helpers.course import checks as check
from tl_helpers.course.checks import base


@pytest.fixture
def cell(tmp_path, monkeypatch):
    """Says which code the running cell of a notebook has."""
    monkeypatch.setenv("TL_HOME", str(tmp_path))
    monkeypatch.delenv("TL_PROGRESS")
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


def test_an_answer_is_a_page_s_text_in_a_notebook():
    assert base.Verdict(False, "Is 1 < 2?")._repr_html_() == "<div>Not yet. Is 1 &lt; 2?</div>"
    assert base.Verdict(True, "Use `x < 1`.")._repr_html_() == "<div>✔ Passed. Use <code>x &lt; 1</code>.</div>"


def test_without_a_notebook_nothing_is_noted(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_HOME", str(tmp_path))
    monkeypatch.delenv("TL_PROGRESS")
    base._note_passed("output_size")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "[", "7", "[1, null]", "{}"])
def test_a_damaged_file_stops_nothing(cell, content):
    base.store().write_text(content)
    assert "0 of" in repr(check.progress("02"))
    cell("tl.check.output_size(mine)")
    base._note_passed("output_size")
    assert check.progress("02").passed["output_size"]


def test_a_place_that_cannot_be_written_to_stops_nothing(cell, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TL_HOME", str(tmp_path / "file"))
    cell("tl.check.output_size(mine)")
    base._note_passed("output_size")


def test_forgetting_deletes_no_file_that_the_variable_names(cell, tmp_path, monkeypatch):
    monkeypatch.setenv("TL_PROGRESS", str(tmp_path / "mine"))
    cell("tl.check.output_size(mine)")
    base._note_passed("output_size")
    assert check.progress("02").passed["output_size"] and [path.name for path in tmp_path.iterdir()] == ["mine"]
    check.forget_progress()
    assert (tmp_path / "mine").exists() and not check.progress("02").passed["output_size"]


@pytest.mark.parametrize("path", LESSONS + DEEPER, ids=lambda path: path.stem)
def test_every_lesson_with_exercises_shows_a_newcomers_progress_at_its_head(path):
    cells = nbformat.read(path, as_version=4).cells
    number = path.relative_to(ROOT / "notebooks").as_posix().split("_")[0]  # "03", or "deeper/03"
    tagged = lambda tag: [cell for cell in cells if tag in cell.metadata.get("tags", [])]
    used = [re.search(r"tl\.check\.(\w+)\(", cell.source)[1] for cell in tagged("exercise")]
    if used:
        head = [cell for cell in cells[:4] if cell.cell_type == "code"]
        shown = next(cell for cell in head if f'tl.check.progress("{number}")' in cell.source)
        assert check.progress(number).passed == dict.fromkeys(used, False)  # in their order, and no other
        assert shown.outputs[0].data["text/plain"] == repr(check.progress(number))
        assert "nbval-check-output" in shown.metadata.tags
        assert all("solution_" in cell.source for cell in tagged("solution")), "else it would count as an answer"


def test_a_lesson_without_exercises_gets_a_sentence():
    with pytest.raises(ValueError, match="not in '99'"):
        check.progress("99")
