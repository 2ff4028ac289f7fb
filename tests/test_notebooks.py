"""The contract of a lesson, as far as a test can read it. That the lessons run is nbval's part."""

import ast
import base64
import io
import re
import statistics
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from PIL import Image, ImageOps

import tl_helpers as tl
from conftest import DEEPER, LESSONS, REAL, ROOT, need


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / "notebooks").with_suffix("").as_posix()


@pytest.fixture(params=LESSONS + DEEPER, ids=name_of)
def path(request):
    return request.param


@pytest.fixture
def lesson(path):
    """A notebook of either track."""
    return nbformat.read(path, as_version=4)


@pytest.fixture(params=LESSONS, ids=name_of)
def first(request):
    """A lesson of the first course."""
    return nbformat.read(request.param, as_version=4)


def tags(cell) -> set[str]:
    return set(cell.metadata.get("tags", []))


def code(lesson) -> list:
    return [cell for cell in lesson.cells if cell.cell_type == "code"]


def test_the_lessons_are_numbered_and_in_the_readme():
    numbers = [path.name[:2] for path in LESSONS]
    assert numbers == sorted(set(numbers)) and {f"{n:02}" for n in range(9)} <= set(numbers)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"notebooks/{name_of(path)}.ipynb" in readme for path in LESSONS + DEEPER)
    for path in LESSONS:  # what a lesson needs, there and at its own top
        row = next(line for line in readme.splitlines() if line.startswith(f"| {path.name[:2]} |")).split("|")[5]
        head = nbformat.read(path, as_version=4).cells[0].source.split("**Needs**")[1].split("\n\n")[0]
        needs = {number for number in re.findall(r"\b[01]\d\b", head) if number != path.name[:2]}
        assert set(re.findall(r"\b[01]\d\b", row)) == needs, path.name


def test_the_two_tracks_lead_to_each_other(path, lesson):
    other, link = path.parent / "deeper" / path.name, f"(deeper/{path.name})"
    if path in DEEPER:
        other, link = path.parent.parent / path.name, f"(../{path.name})"
        assert other in LESSONS
    assert other.exists() == any(link in cell.source for cell in lesson.cells), f"{link} is missing, or leads nowhere"


def test_a_lesson_of_the_first_course_is_short(first):
    assert len(first.cells) <= 45
    assert sum(len(cell.source.split()) for cell in first.cells if cell.cell_type == "markdown") <= 1800
    for cell in code(first):
        if "solution" in tags(cell):
            continue
        assert len(cell.source.splitlines()) <= 15, cell.source
        assert not re.search(r"\bplt\.|\bax(es)?\b\.", cell.source), f"plotting code: {cell.source}"
        tree = ast.parse(re.sub(r"(?m)^[%!].*$", "", cell.source))
        loops = (ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp)
        for loop in (node for node in ast.walk(tree) if isinstance(node, loops)):
            inner = [node for node in ast.walk(loop) if isinstance(node, loops)]
            assert len(inner) == len(loop.generators) == 1, f"a loop within a loop: {cell.source}"


def test_a_lesson_of_the_first_course_asks_for_guesses(first):
    cells = [cell.source for cell in code(first)]
    assert sum("tl.widgets.guess(" in source for source in cells) >= 2
    assert sum(".reveal(" in source for source in cells) >= 2


def test_it_is_a_valid_notebook_run_from_top_to_bottom_without_an_error(lesson):
    nbformat.validate(lesson)
    # A cell without an execution count is never compared by nbval.
    assert [cell.execution_count for cell in code(lesson)] == list(range(1, len(code(lesson)) + 1))
    outputs = [output for cell in code(lesson) for output in cell.outputs]
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)


def test_head_and_tail(path, lesson):
    head, tail = lesson.cells[0].source, lesson.cells[-1].source
    number = re.match(r"# (\d\d) · ", head)
    assert number and all(words in head for words in ("The question", "You will be able to", "Time", "Needs"))
    tail = lesson.cells[-1].source
    assert "## What we learned" in tail and "Read next" in tail
    if path in LESSONS:
        following = [path.name for path in LESSONS if path.name[:2] == f"{int(number[1]) + 1:02}"]
        assert all(f"({name})" in tail for name in following)


def test_links_between_the_lessons_lead_somewhere(path, lesson):
    for cell in lesson.cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\((?!https?://|#|attachment:)([^)#\s]+)", cell.source):
                assert (path.parent / target).exists(), target


def test_every_code_cell_has_a_sentence_before_it_and_is_short(lesson):
    for before, cell in zip(lesson.cells, lesson.cells[1:]):
        if cell.cell_type == "code":
            assert before.cell_type == "markdown", cell.source
    lengths = [len(cell.source.splitlines()) for cell in code(lesson) if "solution" not in tags(cell)]
    assert statistics.median(lengths) <= 8 and max(lengths) <= 30


def test_exercises_have_stub_hint_and_folded_solution(path, lesson):
    cells = lesson.cells
    exercises = [i for i, cell in enumerate(cells) if "exercise" in tags(cell)]
    assert 2 <= len(exercises) <= 4 or path in DEEPER
    for i in exercises:
        stub, hint, solution = cells[i : i + 3]
        assert re.search(r"### Exercise \d: .+\n+\*.*minutes?, (easy|medium|hard)\*", cells[i - 1].source)
        assert "<details>" in hint.source and "</details>" in hint.source
        assert "solution" in tags(solution) and solution.metadata.jupyter.source_hidden
        check = re.search(r"tl\.check\.(\w+)\(", stub.source)[1]
        assert f"tl.check.{check}(" in solution.source
        given, mine = (set(re.findall(r"^(?:def )?(\w+)(?: =|\()", text.source, re.M)) for text in (stub, solution))
        assert not given & mine, "a solution must not overwrite an answer"


def test_it_has_claims_something_to_touch_and_compared_outputs(lesson):
    assert sum("claims" in tags(cell) for cell in code(lesson)) == 1
    assert any(re.search(r"interact\(|tl\.widgets\.", cell.source) for cell in code(lesson))
    compared = [cell for cell in code(lesson) if "nbval-check-output" in tags(cell)]
    assert compared and all(cell.outputs for cell in compared)


def test_every_picture_has_a_text_beside_it(lesson):
    for cell in code(lesson):
        for output in cell.outputs:
            data = output.get("data", {})
            assert "image/png" not in data, "figures go through tl.plots, which gives them alternative texts"
            for image in re.findall(r"<img [^>]*>", data.get("text/html", "")):
                assert len(re.search(r'alt="([^"]*)"', image)[1]) > 20


def is_drawn(picture: Image.Image) -> bool:
    """Whether a few flat colours make up nearly all of a picture, as in a chart and not in a photograph."""
    colours = np.asarray(picture.convert("RGB").quantize(256, dither=0).convert("RGB")).reshape(-1, 3)
    counts = np.unique(colours, axis=0, return_counts=True)[1]
    return np.sort(counts)[-8:].sum() > 0.8 * len(colours)


def test_a_lesson_on_photographs_stores_none(lesson):
    """They are not ours to hand on: cells that show them are tagged, and what the others show is drawn.

    Three photographs may be shown, with their sources: those of `free_photographs`, in a cell tagged free-photograph.
    """
    if not any("tl.photos" in cell.source for cell in code(lesson)):
        return
    for cell in code(lesson):
        if "photograph" in tags(cell):
            assert not cell.outputs
        elif "free-photograph" in tags(cell):
            assert "free_photographs()" in cell.source and "tl.photos" not in cell.source
            assert any("CC BY 2.0" in text.source and "public domain" in text.source for text in lesson.cells)
        else:
            assert not re.search(r"plots\.(images|probabilities)|imshow|open_photograph|Image\.open", cell.source)
            stored = nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))
            for picture in re.findall(r"data:image/\w+;base64,([\w+/=]+)", stored):
                assert is_drawn(Image.open(io.BytesIO(base64.b64decode(picture)))), cell.source
            assert not re.search(r"image/(png|jpeg)\"", stored)


def test_a_photograph_is_told_from_a_chart():
    y, x = np.mgrid[0:1:200j, 0:1:300j]
    waves = [np.sin(9 * x + i) * np.cos(7 * y - i) for i in range(3)]
    photograph = np.random.default_rng(0).normal(127 + 90 * np.stack(waves, -1), 4).clip(0, 255).astype(np.uint8)
    page = np.full((400, 600, 3), 255, np.uint8)
    assert not is_drawn(Image.fromarray(photograph)) and is_drawn(Image.fromarray(page))
    page[50:250, 100:400] = photograph  # a quarter of the page
    assert not is_drawn(Image.fromarray(page))


@pytest.mark.slow
def test_a_lesson_on_photographs_runs_without_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for path in LESSONS + DEEPER:
        lesson = nbformat.read(path, as_version=4)
        if any("tl.photos" in cell.source for cell in code(lesson)):
            place = {"metadata": {"path": path.parent}}
            NotebookClient(lesson, timeout=600, kernel_name="python3", resources=place).execute()
            text = "".join(output.get("text", "") for cell in code(lesson) for output in cell.outputs)
            assert "python -m tl_helpers prefetch --only" in text
            claims = [cell for cell in code(lesson) if "claims" in tags(cell)][0].outputs[-1].data["text/plain"]
            assert claims.startswith("✔ holds:") and "✘" not in claims


def test_nothing_stored_names_a_place_on_the_machine_that_ran_it(lesson):
    text = nbformat.writes(lesson)
    assert not re.search(r"/(home|root|Users|tmp|work)/|\\\\Users", text)


def test_stored_widgets_are_stills(lesson):
    """JupyterLab shows an error in the place of a stored widget whose kernel is gone."""
    for cell in code(lesson):
        for output in cell.outputs:
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})


@pytest.mark.slow
def test_lesson_10_runs_on_a_folder_that_the_camera_filled(tmp_path, monkeypatch):
    """As it asks learners to do: pictures of their own, and Run All, with nothing from any cache."""
    need(REAL.exists(), "real photographs")
    for name in ("TL_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "empty"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    camera = tl.widgets.camera(classes=("ants", "bees"), folder=tmp_path / "mine")
    camera.send = lambda *_: None  # no browser listens
    for i, kind in enumerate(camera.classes):
        for n, path in enumerate(sorted((REAL / "hymenoptera_data" / "train" / kind).glob("*.jpg"))[:18]):
            with Image.open(path) as photograph:
                ImageOps.fit(photograph.convert("RGB"), (224, 224)).save(frame := io.BytesIO(), "JPEG", quality=90)
            content = {"kind": "frame", "view": "a", "n": n, "take": i, "exam": n >= 12}
            camera._heard(None, content, [memoryview(frame.getvalue())])
    camera.close()
    lesson = nbformat.read(ROOT / "notebooks" / "10_your_own_images.ipynb", as_version=4)
    settings = next(cell for cell in code(lesson) if "FOLDER = " in cell.source)
    settings.source = settings.source.replace('WORK / "chess"', 'Path("mine")').replace("SHOTS = 10", "SHOTS = None")
    NotebookClient(lesson, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    answers = pd.read_csv(tmp_path / "10_work" / "answers.csv")
    assert len(answers) == 12
    share = (answers["class"] == answers.file.str.split("/").str[0]).mean()  # in the terminal as in the notebook
    assert f"accuracy {share:.3f} (" in (tmp_path / "10_work" / "model" / "README.md").read_text(encoding="utf-8")
    assert (tmp_path / "10_work" / "model.onnx").exists()
    pages = [cell for cell in code(lesson) if "tl.check.one_page(" in cell.source]
    assert [cell.outputs[-1].data["text/plain"][:9] for cell in pages] == ["Not yet. ", "✔ Passed."]


def test_nothing_outside_a_solution_needs_it(lesson):
    """The edition for learners has no solutions, and still runs from top to bottom."""

    def names(cell, context):
        tree = ast.walk(ast.parse(re.sub(r"(?m)^[%!].*$", "", cell.source)))
        return {node.id for node in tree if isinstance(node, ast.Name) and isinstance(node.ctx, context)}

    solutions = [cell for cell in code(lesson) if "solution" in tags(cell)]
    others = [cell for cell in code(lesson) if "solution" not in tags(cell)]
    only_there = {name for cell in solutions for name in names(cell, ast.Store)}
    only_there -= {name for cell in others for name in names(cell, ast.Store)}
    for cell in others:
        assert not names(cell, ast.Load) & only_there, cell.source
