"""The lessons in JupyterLab as a person sees them, in headless Chromium."""

import contextlib
import io
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from conftest import DEEPER, PREFETCHED, REAL, ROOT, need
from conftest import LESSONS as FIRST

SETUP = """import tl_helpers as tl

task = tl.digits(5)
body = tl.backbone("resnet10t.letters")
probe = tl.fit(tl.head(body, task), tl.features(body, task), progress=False).model
raw = tl.fit(tl.RawCNN(), task, epochs=10, lr=3e-3, progress=False).model
both = {"letters": probe, "raw CNN": raw}

from tl_helpers.course import pictures_and_words as pairs

seen, unseen = pairs.split()
towers = pairs.learn(pairs.towers(), seen, steps=3)"""
CALLS = {  # every widget, in a notebook of its own
    "draw": "tl.widgets.draw(both, task=task)",
    "swap": "tl.widgets.swap(task, epochs=2)",
    "walk": "tl.widgets.walk(both, task.test[:40])",
    "explore": "tl.widgets.explore(epochs=2)",
    "shots": "tl.widgets.shots()",
    "thaw": "tl.widgets.thaw(probe, task, epochs=1)",
    "gallery": "tl.widgets.gallery(raw, task.test, task.classes)",
    "upload": "tl.widgets.upload(both)",
    "guess": 'number = tl.widgets.guess("What share is right?", low=0, high=1)\nnumber',
    "guess a choice": 'choice = tl.widgets.guess("Which is ahead?", choices=["letters", "raw CNN"])\nchoice',
    "guess an order": 'order = tl.widgets.guess("From best to worst:", order=["probe", "raw CNN", "chance"])\norder',
    "guess a curve": 'curve = tl.widgets.guess("Accuracy against labels per class:", curve=[1, 5, 10, 50])\ncurve',
    "by name": "tl.widgets.by_name(towers, unseen)",
    "letter": "tl.widgets.letter(towers, unseen.names)",
    "views": """from ipywidgets import Dropdown, FloatSlider, IntSlider, Text
from tl_helpers.course import lesson_12, lesson_14
from tl_helpers.widgets.base import Widget

letter = Text("k", description="letter", continuous_update=False)
strength = FloatSlider(1.0, min=0, max=2, step=0.25, description="strength", continuous_update=False)
left_out = Dropdown(options=[None, "turning", "thickness"], description="leave out")
Widget(lesson_12.views, name=letter, strength=strength, without=left_out)""",
    "bits": """bits = IntSlider(8, 2, 8, description="bits", continuous_update=False)
Widget(lambda bits: lesson_14.in_bits(probe, task.val, bits), bits=bits)""",
    "interact": "from ipywidgets import interact\n\ninteract(lambda level: level, level=(0, 9));",
    "shots again": "tl.widgets.shots(  )",  # a widget shown twice
}
WIDGETS = nbformat.v4.new_notebook(
    cells=[nbformat.v4.new_code_cell(text) for text in [SETUP, *CALLS.values()]],
    metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},  # else JupyterLab asks
)
EVERY_CELL_RAN = """() => window.jupyterapp.shell.currentWidget.content.widgets.every(
    cell => cell.model.type !== 'code' || cell.model.executionCount)"""
LESSONS = [path.relative_to(ROOT / "notebooks").as_posix() for path in FIRST + DEEPER]
ARTEFACTS = ROOT / "test-artefacts"
BROKEN = re.compile("Error displaying widget|Loading widget|model not found")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@contextlib.contextmanager
def jupyterlab(folder: Path, *words: str, **variables: str):
    """A JupyterLab that runs in a folder; gives what makes an address of the path of a file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    command = [sys.executable, "-m", "jupyterlab", *words, "--no-browser", "--allow-root", f"--port={port}"]
    command += [f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True"]
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=os.environ | variables)
    address = f"http://127.0.0.1:{port}"
    for _ in range(900):
        try:
            urllib.request.urlopen(f"{address}/api", timeout=1)
            break
        except OSError:
            time.sleep(0.1)
    else:
        server.kill()
        pytest.fail((folder / "server.log").read_text())
    yield lambda path: f"{address}/lab/tree/{path}?token={token}&reset"
    server.terminate()
    server.wait(20)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab of its own on a copy of the course, on this machine only; gives the address of a notebook."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    quiet = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
    settings = folder / "config" / "labconfig" / "default_setting_overrides.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps(quiet))  # no question about news in the pictures
    nbformat.write(WIDGETS, folder / "notebooks" / "widgets.ipynb")
    places = {"JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_DATA_DIR": str(folder / "jupyter")}
    if REAL.exists():  # the photographs that tests have
        places["TL_HOME"] = PREFETCHED.name
    with jupyterlab(folder, "--ip=127.0.0.1", f"--ServerApp.root_dir={folder}", **places) as address:
        yield lambda name: address(f"notebooks/{name}")


@pytest.fixture(scope="module")
def browser():
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    need(bool(program), "Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def run_all(browser, lab):
    """Open a lesson and Run All; returns the page when every cell has run."""
    pages = []

    def go(name: str):
        pages.append(opened(browser, lab, name))
        return pages[-1]

    yield go
    for page in pages:
        page.close()


def opened(browser, lab, name: str):
    """A page with a notebook in which every cell has been run."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(600_000)
    page.goto(lab(name))
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=180_000)
    page.evaluate("""async () => {
        const app = window.jupyterapp; await app.restored;
        const session = app.shell.currentWidget.context.sessionContext;
        await session.ready; await session.session.kernel.info;
        await app.commands.execute('notebook:run-all-cells');
    }""")
    return page


def outputs(page) -> list[dict]:
    """The outputs of all cells, from the notebook's model: cells out of sight are not in the page."""
    return page.evaluate("""() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells
        .filter(cell => cell.cell_type === 'code').flatMap(cell => cell.toJSON().outputs)""")


def look(page, width: int, theme: str) -> str:
    """Show the page so wide and in this theme, and return a name for its pictures."""
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", f"JupyterLab {theme}")
    page.wait_for_timeout(800)
    return f"{width}-{theme.lower()}"


def pictures(page, name: str) -> None:
    """The whole lesson as screenshots, one a screenful, for people to look at; every widget must be there."""
    folder = ARTEFACTS / Path(name).stem
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    count = page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length")
    for width, theme in ((1280, "Light"), (768, "Dark")):
        kind = look(page, width, theme)
        for place in range(0, count, 4):
            page.evaluate("n => window.jupyterapp.shell.currentWidget.content.scrollToItem(n, 'start')", place)
            page.wait_for_timeout(200)
            expect(page.get_by_text(BROKEN)).to_have_count(0)
            page.screenshot(path=folder / f"{kind}-{place:03}.png")


def check(run_all, name: str) -> None:
    page = run_all(name)
    found = outputs(page)
    assert len(found) > 10 and not [o for o in found if o["output_type"] == "error" or o.get("name") == "stderr"]
    place = page.evaluate("""async () => {
        const content = window.jupyterapp.shell.currentWidget.content;
        const place = content.widgets.findIndex(w => w.model.type === 'code'
            && /interact\\(|\\bWidget\\(|widgets\\.(swap|explore|walk|thaw|shots|gallery|upload|by_name)\\(/.test(
                w.model.sharedModel.source));
        const guess = content.widgets.findIndex(w => /widgets\\.guess\\(/.test(w.model.sharedModel.source));
        await content.scrollToItem(place < 0 ? guess : place, 'start');
        return place;
    }""")
    if place < 0:  # a lesson with a camera, which waits to be started, and guesses
        page.locator(".tl-guess").first.wait_for(timeout=60_000)
    else:
        page.locator(".jupyter-widgets").first.wait_for(timeout=30_000)
        shown = ".widget-interact .jp-OutputArea-output img, .widget-interact pre, .jupyter-widgets .widget-html img"
        page.locator(shown).first.wait_for(timeout=60_000)
    pictures(page, name)


def test_a_lesson_runs_in_the_browser_and_its_widget_answers(run_all):
    check(run_all, LESSONS[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", LESSONS[1:])
def test_every_lesson_runs_in_the_browser(run_all, name):
    if os.environ.get("CI") and name[:2] not in ("05", "07", "09"):
        pytest.skip("CI has ninety minutes, and nbval runs this one there; here it takes minutes")
    check(run_all, name)


def test_a_digit_can_be_drawn_with_the_mouse_and_with_the_keyboard(run_all):
    name = LESSONS[0]
    page = run_all(name)
    page.set_default_timeout(30_000)
    page.evaluate("""async () => {
        const content = window.jupyterapp.shell.currentWidget.content;
        const place = content.widgets.findIndex(w => w.model.sharedModel.source.includes('widgets.draw('));
        await content.scrollToItem(place, 'start');
    }""")
    pad = page.locator("canvas.tl-pad")
    pad.wait_for(timeout=60_000)
    pad.scroll_into_view_if_needed()
    words = page.locator("div:has(> canvas.tl-pad) > [role=status]")  # the pad's own: guesses have some too
    expect(words).to_have_text(re.compile("Draw a digit"))
    place, mouse = pad.bounding_box(), page.mouse

    def stroke(*points):
        mouse.move(place["x"] + points[0][0], place["y"] + points[0][1])
        mouse.down()
        for x, y in points[1:]:
            mouse.move(place["x"] + x, place["y"] + y, steps=12)
        mouse.up()

    stroke((70, 50), (205, 50), (120, 240))
    expect(words).to_have_text(re.compile(r"^letters network: 7 with .*from scratch: \d with "), timeout=20_000)
    picture = page.locator(".jp-OutputArea-output .widget-html img[alt*='letters network: 7 with']").first
    picture.wait_for()
    folder = ARTEFACTS / Path(name).stem
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / "drawn.png")

    source = "document.querySelector('.widget-html img')?.src"
    before = page.evaluate(source)
    start = time.perf_counter()  # one more stroke: from the lifted pen to the new picture
    stroke((100, 140), (190, 140))
    page.wait_for_function(f"old => {source} !== old", arg=before)
    print(f"second stroke answered after {time.perf_counter() - start:.2f} s, the drawing of it included")
    page.get_by_role("button", name="Undo").click()
    picture.wait_for()
    page.get_by_role("button", name="Clear").click()
    expect(words).to_have_text(re.compile("Draw a digit"))

    cells = page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length")
    pad.focus()
    for key in ["ArrowUp"] * 7 + [" "] + ["ArrowDown"] * 14:
        page.keyboard.press(key)
    expect(words).to_have_text("The pen is down.")
    page.screenshot(path=folder / "keyboard.png")
    page.keyboard.press(" ")
    expect(words).to_have_text(re.compile(r"^letters network: \d with "), timeout=20_000)
    page.keyboard.press("u")
    expect(words).to_have_text(re.compile("Draw a digit"))
    page.keyboard.press(" ")
    page.keyboard.press("c")
    expect(words).to_have_text(re.compile("Draw a digit"))
    # JupyterLab has meanings of its own for these keys (copy a cell, go to the next one): it must not have heard them.
    assert page.evaluate("() => document.activeElement.className") == "tl-pad"
    assert cells == page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length")
    look(page, 1280, "Dark")
    page.screenshot(path=folder / "dark.png")


@pytest.mark.parametrize("hand", ["touch", "pen"])
def test_a_digit_can_be_drawn_with_a_finger_and_with_a_pen(widgets, hand):
    page, show = widgets
    cell = show("draw")
    pad, words = cell.locator("canvas.tl-pad"), cell.locator("[role=status]").first
    pad.scroll_into_view_if_needed()
    cell.get_by_role("button", name="Clear").click()
    expect(words).to_have_text(re.compile("Draw a digit"))
    pad.evaluate("pad => pad.addEventListener('pointerdown', event => { pad.dataset.hand = event.pointerType; })")
    place, device = pad.bounding_box(), page.context.new_cdp_session(page)
    corners = np.array([[70, 50], [205, 50], [120, 240]]) + [place["x"], place["y"]]
    path = [*np.linspace(*corners[:2], 12), *np.linspace(*corners[1:], 12)]

    def send(step: str, x: float, y: float) -> None:
        if hand == "touch":
            kind = {"down": "touchStart", "move": "touchMove", "up": "touchEnd"}[step]
            device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}] * (step != "up")})
        else:
            kind = {"down": "mousePressed", "move": "mouseMoved", "up": "mouseReleased"}[step]
            button = {"button": "left", "buttons": 1, "clickCount": 1, "pointerType": "pen"}
            device.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y} | button)

    send("down", *path[0].tolist())
    for point in path:
        send("move", *point.tolist())
    send("up", *path[-1].tolist())
    expect(words).to_have_text(re.compile("^letters: 7 with "), timeout=20_000)
    assert pad.get_attribute("data-hand") == hand and pad.bounding_box() == place  # drawn, not scrolled
    page.screenshot(path=folder_of("widgets") / f"drawn-{hand}.png")
    cell.get_by_role("button", name="Clear").click()
    expect(words).to_have_text(re.compile("Draw a digit"))


@pytest.fixture(scope="module")
def widgets(browser, lab):
    """The page with every widget, run; and a function that brings the cell of one into view and gives its output."""
    page = opened(browser, lab, "widgets.ipynb")
    page.wait_for_function(EVERY_CELL_RAN)
    assert not [o for o in outputs(page) if o["output_type"] in ("error", "stream")]
    yield page, lambda name: shown(page, name)
    page.close()


def shown(page, name: str):
    place = 1 + list(CALLS).index(name)
    page.evaluate("n => window.jupyterapp.shell.currentWidget.content.scrollToItem(n, 'start')", place)
    cell = page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{place}'] .jp-OutputArea-output").first
    cell.locator(".tl-pad, .tl-guess, .widget-interact .widget-slider, .widget-html img").first.wait_for(timeout=120_000)
    return cell


def picture_changes(page, cell, action) -> None:
    """Do something, and wait until the cell's picture says something else."""
    picture = cell.locator(".widget-html img")
    before = picture.get_attribute("alt") if picture.count() else ""
    action()
    expect(picture).not_to_have_attribute("alt", before or "", timeout=120_000)
    page.screenshot(path=folder_of("widgets") / f"{time.time():.0f}.png")


def press(page, cell, label: str, *keys: str) -> None:
    """Move a slider by keys: it is found by the words before it."""
    cell.locator(".widget-hslider, .widget-slider").filter(has_text=label).locator(".noUi-handle").focus()
    for key in keys:
        page.keyboard.press(key)


def folder_of(name: str) -> Path:
    (ARTEFACTS / name).mkdir(parents=True, exist_ok=True)
    return ARTEFACTS / name


def test_a_slider_is_moved_by_keys_and_each_of_two_widgets_answers_for_itself(widgets):
    page, show = widgets
    cell = show("shots")
    picture_changes(page, cell, lambda: press(page, cell, "labelled images", "ArrowRight"))
    assert "2 labelled images of each digit" in cell.locator("img").get_attribute("alt")
    assert "1 labelled images of each digit" in show("shots again").locator("img").get_attribute("alt")


def test_a_cell_of_the_confusion_matrix_is_clicked_and_reached_by_keys(widgets):
    page, show = widgets
    cell = show("gallery")
    counts = {b.get_attribute("aria-label"): b for b in cell.locator("table button").all()}
    label = next(
        label for label in counts if " named " in label and not label.endswith(": 0 pictures") and label[0] != label[8]
    )
    picture_changes(page, cell, counts[label].click)
    true, said = label.split(":")[0].split(" named ")
    assert f"{true} named as {said}" in cell.locator("img").get_attribute("alt")
    picture_changes(page, cell, cell.get_by_role("button", name="All mistakes").click)
    cell.get_by_label("0 named 0").focus()
    for key in ("ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    picture_changes(page, cell, lambda: page.keyboard.press("Enter"))
    assert "1 named as 1" in cell.locator("img").get_attribute("alt")


def test_a_file_is_uploaded_and_one_that_is_no_picture_gets_a_sentence(widgets):
    page, show = widgets
    cell = show("upload")
    paper = np.full((300, 200), 255, np.uint8)
    paper[30:270, 90:110] = 0
    Image.fromarray(paper).save(file := io.BytesIO(), "PNG")
    chooser = cell.locator("input[type=file]")
    send = lambda name, data: chooser.set_input_files({"name": name, "mimeType": "image/png", "buffer": data})
    picture_changes(page, cell, lambda: send("one.png", file.getvalue()))
    assert "letters: 1 with" in cell.locator("img").get_attribute("alt")
    send("text.png", b"this is no picture")
    cell.get_by_text("cannot be read as a picture").wait_for()
    noise = np.random.default_rng(0).integers(0, 255, (2200, 2200, 3), dtype=np.uint8)
    noise[500:1700] = 255  # over 14 MB: more than a message to the kernel may carry
    Image.fromarray(noise).save(file := io.BytesIO(), "BMP")
    picture_changes(page, cell, lambda: send("large.png", file.getvalue()))


def test_a_name_is_typed_and_finds_letters(widgets):
    page, show = widgets
    cell = show("by name")
    line = cell.get_by_label("name", exact=True)
    line.fill("circumflex with latin letter small h")
    picture_changes(page, cell, lambda: line.press("Enter"))
    expect(cell.get_by_role("status")).to_have_text(re.compile(r"The letter of that name comes \d+ of 164\.$"))
    assert "8 pictures of letters for the name" in cell.locator("img").get_attribute("alt")
    picture_changes(page, cell, cell.get_by_role("button", name="Another name").click)
    line.fill("seventh")
    line.press("Enter")
    cell.get_by_text("No name here has the word 'SEVENTH'").wait_for()
    page.screenshot(path=folder_of("widgets") / "name-not-met.png")


def test_a_letter_is_drawn_by_keys_and_by_mouse_and_its_names_are_ranked(widgets):
    page, show = widgets
    cell = show("letter")
    pad, words = cell.locator("canvas"), cell.get_by_role("status").first
    expect(words).to_have_text(re.compile("Draw a letter"))
    pad.focus()
    for key in ["ArrowUp"] * 7 + [" "] + ["ArrowDown"] * 14 + [" "]:
        page.keyboard.press(key)
    expect(words).to_have_text(re.compile("^(LATIN|GREEK|CYRILLIC) .*; "), timeout=20_000)
    pad.scroll_into_view_if_needed()
    place = pad.bounding_box()
    picture = cell.locator("img")
    before = picture.get_attribute("alt")
    page.mouse.move(place["x"] + 90, place["y"] + 140)
    page.mouse.down()
    page.mouse.move(place["x"] + 200, place["y"] + 140, steps=9)
    page.mouse.up()
    expect(picture).not_to_have_attribute("alt", before, timeout=20_000)
    page.screenshot(path=folder_of("widgets") / "letter-drawn.png")
    cell.get_by_role("button", name="Clear").click()
    expect(words).to_have_text(re.compile("Draw a letter"))


@pytest.mark.slow
def test_views_of_a_letter_and_bits_of_a_network_are_changed_by_keys(widgets):
    page, show = widgets
    cell = show("views")
    picture_changes(page, cell, lambda: press(page, cell, "strength", "ArrowRight"))
    picture_changes(page, cell, lambda: cell.get_by_label("leave out").select_option("turning"))
    line = cell.get_by_label("letter", exact=True)
    line.fill("Ж")
    picture_changes(page, cell, lambda: line.press("Enter"))
    words = "The letter Ж as printed, and nine views of it, made with strength 1.25. They leave out turning."
    assert cell.locator("img").get_attribute("alt") == words
    line.fill("7")
    line.press("Enter")
    cell.get_by_text("'7' is none of the 172 letters").wait_for()
    line.fill("Ж")  # the page serves other tests, which wait for a picture
    line.press("Enter")
    expect(cell.locator(".widget-html img")).to_have_attribute("alt", words)
    cell = show("bits")
    picture_changes(page, cell, lambda: press(page, cell, "bits", "ArrowLeft"))
    assert "in 7 bits: 127 values" in cell.locator("img").get_attribute("alt")


@pytest.mark.slow
def test_swap_trains_and_keeps_the_runs(widgets):
    page, show = widgets
    cell = show("swap")
    picture_changes(page, cell, lambda: press(page, cell, "kernel", "ArrowLeft"))
    picture_changes(page, cell, lambda: cell.get_by_label("activation").select_option("tanh"))
    for activation in ("tanh", "relu"):
        cell.get_by_label("activation").select_option(activation)
        picture_changes(page, cell, cell.get_by_role("button", name="Train").click)
        cell.get_by_role("button", name="Train", exact=True).wait_for()  # no longer busy
    assert "; kernel 4 0." in cell.locator("img").get_attribute("alt")


@pytest.mark.slow
def test_a_walk_by_keys(widgets):
    page, show = widgets
    cell = show("walk")
    picture_changes(page, cell, lambda: press(page, cell, "unit", "ArrowRight", "ArrowRight"))
    picture_changes(page, cell, lambda: cell.get_by_label("network").select_option("raw CNN"))
    cell.get_by_label("layer").select_option("conv2: 20 maps")
    expect(cell.locator("img")).to_have_attribute("alt", re.compile("20 maps of 8 x 8"))  # the last of several pictures


@pytest.mark.slow
def test_explore_trains_by_the_enter_key_and_draws_the_surface(widgets):
    page, show = widgets
    cell = show("explore")
    press(page, cell, "learning rate", "ArrowRight")
    cell.get_by_role("button", name="Train a raw CNN").focus()
    picture_changes(page, cell, lambda: page.keyboard.press("Enter"))
    cell.get_by_role("button", name="Train a raw CNN", exact=True).wait_for()
    picture_changes(page, cell, cell.get_by_role("button", name="Loss surface").click)
    assert "The loss around the weights" in cell.locator("img").get_attribute("alt")


@pytest.mark.slow
def test_blocks_are_thawed_by_their_boxes(widgets):
    page, show = widgets
    cell = show("thaw")
    picture_changes(page, cell, lambda: cell.get_by_label("block 4").check())
    words = cell.locator("img").get_attribute("alt")
    assert "block 4: layer4" in words and "3,673,088 parameters, learns" in words and "919,040 parameters, frozen" in words
    picture_changes(page, cell, cell.get_by_role("button", name="Train").click)
    assert "blocks 4" in cell.locator("img").get_attribute("alt")


@pytest.mark.slow
def test_a_drawing_is_kept_as_a_training_example(widgets):
    page, show = widgets
    cell = show("draw")
    pad = cell.locator("canvas")
    pad.focus()
    for key in ["ArrowUp"] * 7 + [" "] + ["ArrowDown"] * 14 + [" "]:
        page.keyboard.press(key)
    cell.locator("img").wait_for()
    cell.get_by_label("This is a").select_option("8")
    picture_changes(page, cell, cell.get_by_role("button", name="Keep as training").click)
    assert "letters: 8 with" in cell.locator("img").get_attribute("alt")
    cell.get_by_text("Kept as a 8: 51 examples.").wait_for()


@pytest.mark.slow
def test_the_slider_of_an_interact_has_a_name(widgets):
    _, show = widgets
    cell = show("interact")
    cell.get_by_role("slider", name="level").press("ArrowRight")
    expect(cell.get_by_role("slider", name="level")).to_have_attribute("aria-valuenow", re.compile("^5"))


@pytest.mark.slow
def test_guesses_are_made_by_mouse_and_by_keys_and_reach_the_kernel(widgets):
    page, show = widgets

    def run(code: str) -> str:
        return page.evaluate(
            """async code => {
                const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
                const asked = kernel.requestExecute({code});
                let text = "";
                asked.onIOPub = message => { text += message.content.text || ""; };
                await asked.done;
                return text;
            }""",
            code,
        )

    cell = show("guess")
    expect(cell.get_by_role("status")).to_have_text("Move the slider, with the mouse or the arrow keys.")
    cell.get_by_role("slider", name="What share is right?").press("ArrowRight")
    expect(cell.get_by_role("status")).to_have_text("You guess 0.51.")
    compare = cell.get_by_role("button", name="Show what was measured")
    expect(compare).to_be_hidden()
    run("number.reveal(0.87)")  # as after Run All: the next guess can be compared at once
    cell.get_by_role("slider", name="What share is right?").press("ArrowRight")
    expect(cell.get_by_role("status")).to_have_text("You guess 0.52.")
    compare.click()
    expect(cell.get_by_role("status")).to_have_text("Measured: 0.87. You guessed 0.52; it is 0.35 more.")
    # However long the kernel takes to answer, nothing is compared with the guess before this one.
    run("import time; reveal = number.reveal; number.reveal = lambda answer: (time.sleep(3), reveal(answer))")
    cell.get_by_role("slider", name="What share is right?").press("ArrowRight")
    expect(compare).to_be_hidden(timeout=1000)
    compare.click()
    expect(cell.get_by_role("status")).to_have_text("Measured: 0.87. You guessed 0.53; it is 0.34 more.")
    cell = show("guess a choice")
    cell.get_by_label("letters").check()
    cell.get_by_label("letters").press("ArrowDown")
    expect(cell.get_by_role("status")).to_have_text("You guess: raw CNN.")
    cell = show("guess an order")
    cell.get_by_role("button", name="chance: up").press("Enter")
    expect(cell.get_by_role("status")).to_have_text("You guess: probe, chance, raw CNN.")
    expect(cell.get_by_role("button", name="chance: up")).to_be_focused()
    cell = show("guess a curve")
    cell.get_by_role("slider", name="at 5", exact=True).press("PageUp")
    expect(cell.get_by_role("status")).to_have_text("You guess 0.50 at 1, 0.60 at 5, 0.50 at 10, 0.50 at 50.")
    place = cell.locator("svg").bounding_box()
    page.mouse.move(place["x"] + 60, place["y"] + place["height"] * 0.7)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] - 10, place["y"] + 20, steps=30)
    page.mouse.up()
    expect(cell.get_by_role("status")).to_have_text(re.compile(r"You guess 0\.[23]\d at 1, .*, (1\.00|0\.9\d) at 50\."))
    page.screenshot(path=folder_of("widgets") / "guess-curve.png")
    values = run("print(number.value, choice.value, order.value, curve.value[0] < .5)")
    assert values.strip() == "0.53 raw CNN ['probe', 'chance', 'raw CNN'] True"


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_what_the_course_draws_is_accessible(widgets, theme):
    """By axe-core, at both widths, in both themes; the chrome of JupyterLab around it is not ours."""
    from axe_playwright_python.sync_playwright import Axe

    page, show = widgets
    found = {}
    for width in (1280, 768):
        kind = look(page, width, theme)
        for name in CALLS:
            show(name)
            page.wait_for_timeout(800)
            page.screenshot(path=folder_of("widgets") / f"{name.replace(' ', '_')}-{kind}.png")
            results = Axe().run(page, context=".jp-OutputArea-output").response
            for violation in results["violations"]:
                for node in violation["nodes"]:
                    found.setdefault(violation["id"], {})[node["html"][:150]] = name
    print(json.dumps(found, indent=1))
    assert not found


@pytest.mark.slow
def test_after_the_kernel_was_restarted_a_rerun_brings_every_widget_back(widgets):
    page, show = widgets
    page.evaluate("""async () => {
        const notebook = window.jupyterapp.shell.currentWidget;
        notebook.content.model.sharedModel.cells.forEach(cell => { cell.execution_count = null; });
        await notebook.context.sessionContext.restartKernel();
        window.jupyterapp.commands.execute('notebook:run-all-cells');
    }""")
    page.wait_for_function(EVERY_CELL_RAN)
    cell = show("shots")
    picture_changes(page, cell, lambda: press(page, cell, "labelled images", "ArrowRight"))
