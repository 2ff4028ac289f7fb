"""What a teacher hands out and shows: made from the course, opened, run."""

import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from test_browser import browser  # noqa: F401

from conftest import DEEPER, LESSONS, ROOT
from tl_helpers.__main__ import main

EDITIONS = [path.relative_to(ROOT) for path in LESSONS + DEEPER]


def make(kind: str, folder: Path, capsys=None) -> str:
    assert main(["edition", f"--{kind}", str(folder)]) == 0
    return capsys.readouterr().out if capsys else ""


@pytest.fixture(scope="module")
def learners(tmp_path_factory):
    make("learner", folder := tmp_path_factory.mktemp("room") / "for learners")
    return folder


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    make("slides", folder := tmp_path_factory.mktemp("room") / "to show")
    return folder


def test_the_survey_is_printed_on_one_sheet(shown, browser):  # noqa: F811
    page = browser.new_page()
    page.goto((shown / "SURVEY.html").as_uri())
    sheets = page.pdf(format="A4", margin={side: "1cm" for side in ("top", "right", "bottom", "left")})
    assert len(re.findall(rb"/Type /Page\b", sheets)) == 1
    page.close()


def solved(lesson) -> str:
    return "\n".join(cell.source for cell in lesson.cells if "solution" in cell.metadata.get("tags", []))


def test_learners_get_every_lesson_without_solutions_and_outputs_and_with_hints(learners):
    for name in EDITIONS:
        full, theirs = (nbformat.read(place / name, as_version=4) for place in (ROOT, learners))
        nbformat.validate(theirs)
        kept = [cell for cell in full.cells if "solution" not in cell.metadata.get("tags", [])]
        assert [cell.id for cell in theirs.cells] == [cell.id for cell in kept] and len(kept) < len(full.cells)
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in theirs.cells)
        hints = [sum("<summary>Hint" in cell.source for cell in lesson.cells) for lesson in (full, theirs)]
        assert hints[0] == hints[1] > 0


def test_what_learners_get_tells_of_no_file_that_they_do_not_get(learners):
    for page in [learners / "README.md", *learners.glob("notebooks/*.md")]:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"tests/|site/|INSTRUCTOR|ROOMS|CONTRIBUTING|CHANGELOG|SECURITY|git pull", text), page.name
    assert "## The lessons" in (learners / "README.md").read_text(encoding="utf-8")


def test_no_solution_is_left_anywhere(learners):
    """No line of a solution that the lesson itself does not show, in any text that is handed out."""
    texts = {
        path: path.read_text(encoding="utf-8")
        for path in learners.rglob("*")
        if path.suffix in (".md", ".ipynb", ".py") and path.parent.name != "checks"  # which have to know what is right
    }
    lessons = [nbformat.read(path, as_version=4) for path in LESSONS + DEEPER]
    elsewhere = "\n".join(
        c.source for lesson in lessons for c in lesson.cells if "solution" not in c.metadata.get("tags", [])
    )
    lines = {line.strip() for lesson in lessons for line in solved(lesson).splitlines()}
    lines = {line for line in lines if len(line) > 25 and line not in elsewhere}
    assert len(lines) > 150
    found = [(path.name, line) for path, text in texts.items() for line in lines if line in text.replace('\\"', '"')]
    assert not found
    assert not any("solution is folded" in text for path, text in texts.items() if path.suffix == ".ipynb")
    assert not list(learners.rglob("INSTRUCTOR.md")) and not list(learners.rglob("wrong_answers*"))


def test_what_is_handed_out_is_whole(learners):
    """Every file of the package and the data, and no link into the void."""
    for part in ("tl_helpers", "data"):
        names = {p.relative_to(ROOT) for p in (ROOT / part).rglob("*") if p.is_file() and "__pycache__" not in p.parts}
        assert len(names) > 10 and all((learners / name).exists() for name in names)
    assert (learners / "pyproject.toml").exists() and (learners / "LICENSE").exists()
    for path in [*learners.glob("*.md"), *(learners / "notebooks").rglob("*")]:
        if path.suffix in (".md", ".ipynb"):
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".ipynb":
                cells = nbformat.reads(text, as_version=4).cells
                text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
            for target in re.findall(r"\]\((?!https?://|mailto:|#)([^)#\s]+)", text):
                assert (path.parent / target).exists(), (path.name, target)
    readme = (learners / "README.md").read_text(encoding="utf-8")
    assert "pytest" not in readme and "## Measured" in readme and "## Licence" in readme
    assert "git pull" not in readme and "in the full course" not in readme  # no clone, and no page of answers


@pytest.fixture
def without(monkeypatch, learners):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(learners), os.environ["PYTHONPATH"]]))


def test_a_lesson_of_theirs_runs_from_top_to_bottom_with_its_own_package(learners, without):
    path = learners / "notebooks" / "01_black_boxes.ipynb"
    lesson = nbformat.read(path, as_version=4)
    lesson.cells.append(nbformat.v4.new_code_cell("tl.__file__"))
    NotebookClient(lesson, timeout=600, kernel_name="python3", resources={"metadata": {"path": path.parent}}).execute()

    def said(tag):
        cells = [cell for cell in lesson.cells if tag in cell.metadata.get("tags", [])]
        return [cell.outputs[-1].data["text/plain"] for cell in cells]

    assert len(said("exercise")) == 2 and all(text.startswith("Not yet.") for text in said("exercise"))
    assert "✔ holds" in said("claims")[0] and "✘" not in said("claims")[0]
    assert str(learners) in lesson.cells[-1].outputs[0].data["text/plain"]


def test_what_a_learner_has_written_stays(learners, tmp_path, capsys):
    shutil.copytree(learners, folder := tmp_path / "again")
    mine, gone = folder / "notebooks" / "02_inside_a_raw_cnn.ipynb", folder / "notebooks" / "GLOSSARY.md"
    mine.write_text("my answers")
    gone.unlink()
    said = make("learner", folder, capsys)
    assert mine.read_text() == "my answers" and gone.exists()
    assert "1 file. 1 were there already" in said and "02_inside_a_raw_cnn.ipynb." in said


def test_pages_to_show_ask_no_other_host_for_anything(shown, browser):  # noqa: F811
    """Read, and opened in a browser that notes each request."""
    pages = sorted(shown.rglob("*.html"))
    assert len(pages) == len(EDITIONS) + len([*(ROOT / "notebooks").glob("*.md")])  # an index, and no page for teachers
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(
            r"<(script|img|iframe)\b[^>]*\bsrc=[\"']?(https?:)?//|<link\b[^>]*href|@import|url\([\"']?http", text
        )
    asked = []
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.on("request", lambda request: asked.append(request.url))
    page.goto((shown / "index.html").as_uri())
    page.get_by_role("link", name="05 · Feature extraction").first.click()
    top = "() => Math.round(document.scrollingElement.scrollTop)"
    assert page.evaluate(top) == 0
    page.keyboard.press("ArrowRight")
    second = page.evaluate(top)
    page.keyboard.press("ArrowRight")
    assert page.evaluate(top) > second > 0
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(top) == second
    answer = page.get_by_text("def solution_1")
    assert answer.count() and not answer.first.is_visible()
    page.get_by_text("Solution", exact=True).first.click()
    assert answer.first.is_visible()
    measured = page.locator("section", has_text="Measured: 0.95")
    assert measured.count() == 1 and "What share will the nearest centroid" not in measured.inner_text().split("Measured")[1]
    assert "tl.widgets.guess(" not in measured.inner_text().split("Measured")[0]  # a guess has a page of its own
    page.get_by_role("link", name="deeper/05").first.click()
    assert page.url.endswith("deeper/05_feature_extraction.html")
    page.close()
    assert asked and all(url.startswith(("file:", "data:")) for url in asked), asked


@pytest.mark.parametrize("where", ["", "notebooks", "data/results", "tl_helpers/edition"])
def test_the_course_itself_takes_no_edition(where, capsys):
    assert main(["edition", "--learner", str(ROOT / where)]) == 1
    said = capsys.readouterr()
    assert "belongs to the course itself" in said.err and len(said.err.splitlines()) == 1 and not said.out


def test_a_package_without_its_course_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("tl_helpers.course.edition.ROOT", tmp_path)
    assert main(["edition", "--slides", str(tmp_path / "new")]) == 1
    assert "get the course with git clone" in capsys.readouterr().err and not (tmp_path / "new").exists()
