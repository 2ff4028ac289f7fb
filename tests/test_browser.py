"""The lessons in JupyterLab as a person sees them, in headless Chromium."""

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

import pytest

from conftest import ROOT, need

LESSONS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
ARTEFACTS = ROOT / "test-artefacts"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab of its own on a copy of the course, on this machine only; gives the address of a notebook."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"]
    command += ["--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None"]
    environment = os.environ | {"JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_DATA_DIR": str(folder / "jupyter")}
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/api", timeout=1)
            break
        except OSError:
            time.sleep(0.1)
    else:
        server.kill()
        pytest.fail((folder / "server.log").read_text())
    yield lambda name: f"{address}/lab/tree/notebooks/{name}?token={token}&reset"
    server.terminate()
    server.wait(20)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

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

    def go(name: str, width: int = 1280):
        page = browser.new_page(viewport={"width": width, "height": 900})
        pages.append(page)
        page.set_default_timeout(600_000)
        page.goto(lab(name))
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        page.evaluate("""async () => {
            const app = window.jupyterapp; await app.restored;
            const session = app.shell.currentWidget.context.sessionContext;
            await session.ready; await session.session.kernel.info;
            await app.commands.execute('notebook:run-all-cells');
        }""")
        return page

    yield go
    for page in pages:
        page.close()


def outputs(page) -> list[dict]:
    """The outputs of all cells, from the notebook's model: cells out of sight are not in the page."""
    return page.evaluate("""() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells
        .filter(cell => cell.cell_type === 'code').flatMap(cell => cell.toJSON().outputs)""")


def pictures(page, name: str) -> None:
    """The whole lesson as screenshots, one a screenful, for people to look at."""
    folder = ARTEFACTS / Path(name).stem
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    count = page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length")
    for place in range(0, count, 4):
        page.evaluate("n => window.jupyterapp.shell.currentWidget.content.scrollToItem(n, 'start')", place)
        page.wait_for_timeout(150)
        page.screenshot(path=folder / f"{place:03}.png")


def check(run_all, name: str) -> None:
    page = run_all(name)
    found = outputs(page)
    assert len(found) > 10 and not [o for o in found if o["output_type"] == "error" or o.get("name") == "stderr"]
    page.evaluate("""async () => {
        const content = window.jupyterapp.shell.currentWidget.content;
        const place = content.widgets.findIndex(w => w.model.sharedModel.source.includes('interact('));
        await content.scrollToItem(place, 'start');
    }""")
    page.locator(".jupyter-widgets").first.wait_for(timeout=30_000)
    page.locator(".widget-interact .jp-OutputArea-output img, .widget-interact pre").first.wait_for(timeout=60_000)
    assert not page.get_by_text(re.compile("Error displaying widget|Loading widget")).count()
    pictures(page, name)


def test_a_lesson_runs_in_the_browser_and_its_widget_answers(run_all):
    check(run_all, LESSONS[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", LESSONS[1:])
def test_every_lesson_runs_in_the_browser(run_all, name):
    check(run_all, name)


def test_a_digit_can_be_drawn_with_the_mouse_and_with_the_keyboard(run_all):
    from playwright.sync_api import expect

    name = LESSONS[0]
    page = run_all(name)
    page.evaluate("""async () => {
        const content = window.jupyterapp.shell.currentWidget.content;
        const place = content.widgets.findIndex(w => w.model.sharedModel.source.includes('widgets.draw('));
        await content.scrollToItem(place, 'start');
    }""")
    pad = page.locator("canvas.tl-pad")
    pad.wait_for(timeout=60_000)
    pad.scroll_into_view_if_needed()
    words = page.locator(".jp-OutputArea-output [role=status]")
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
    picture = page.locator(".jp-OutputArea-output .widget-html img[alt*='letters network: 7 with']")
    picture.wait_for()
    folder = ARTEFACTS / Path(name).stem
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / "drawn.png")

    start = time.perf_counter()  # one more stroke: from the lifted pen to the new words
    stroke((100, 140), (190, 140))
    before = picture.get_attribute("src") if picture.count() else ""
    page.wait_for_function("old => document.querySelector('.widget-html img').src !== old", arg=before)
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
    page.evaluate("""() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})""")
    page.wait_for_timeout(1500)
    page.screenshot(path=folder / "dark.png")
