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
        const place = content.widgets.findIndex(w => w.model.sharedModel.source.includes('interact'));
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
