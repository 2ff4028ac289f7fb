"""JupyterLab as the README's first command opens it: at the course's root, with nothing in the way, and every link works."""

import json
import os
import re
import shutil

import nbformat
import psutil
import pytest
from test_browser import LESSONS, browser, jupyterlab  # noqa: F401

from conftest import ROOT

PATH = "() => window.jupyterapp.shell.currentWidget?.context?.path"
ANCHORS = ".jp-RenderedMarkdown a[href*='/files/']"
QUIET = json.loads((ROOT / "tl_helpers" / "jupyterlab.json").read_text(encoding="utf-8"))
# All cells in the page, not only those in sight; and a notebook that is closed leaves no kernel behind.
ALL = {"@jupyterlab/notebook-extension:tracker": {"windowingMode": "none", "kernelShutdown": True}}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The course in a JupyterLab, as the first command starts it; gives the address of a file."""
    folder = tmp_path_factory.mktemp("course")
    for name in ("notebooks", "tl_helpers", "data", "tests", "LICENSES"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    for pattern in ("*.md", "LICENSE", "*.cff", "*.yml", "pyproject.toml"):
        for path in ROOT.glob(pattern):
            shutil.copy(path, folder)
    settings = folder / ".config" / "labconfig" / "default_setting_overrides.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps(QUIET | ALL))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    words = re.search(r"uv run jupyter lab (.+)$", readme, re.M)[1].split()
    places = {"JUPYTER_CONFIG_DIR": str(folder / ".config"), "JUPYTER_DATA_DIR": str(folder / ".jupyter")}
    with jupyterlab(folder, *words, **places) as address:
        yield address


@pytest.fixture
def page(browser):  # noqa: F811
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    yield page
    page.close()


def test_the_first_lesson_stands_at_the_courses_root_with_nothing_over_it(page, course):
    hosts = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2].split(":")[0]))
    page.goto(course("notebooks/00_start_here.ipynb"))
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    files = page.locator(".jp-DirListing-itemText")
    page.evaluate("() => window.jupyterapp.commands.execute('filebrowser:go-to-path', {path: '/'})")
    page.get_by_text("README.md", exact=True).wait_for()
    assert {"notebooks", "tl_helpers", "data", "README.md"} <= set(files.all_inner_texts())
    page.wait_for_timeout(3_000)  # the question about news came within two seconds
    assert page.locator(".jp-Dialog, .Toastify__toast").count() == 0
    assert hosts == {"127.0.0.1"}
    page.wait_for_function("""async () => {
        const session = window.jupyterapp.shell.currentWidget.context.sessionContext;
        await session.ready;
        return !!(await session.session.kernel.info);
    }""")
    ours = [child for child in psutil.Process().children(recursive=True) if "python" in child.name()]
    sockets = [line for child in ours for line in child.net_connections("inet")]
    listening = {line.laddr.ip for line in sockets if line.status == psutil.CONN_LISTEN}
    assert listening and listening <= {"127.0.0.1", "::1"}  # the server and its kernels: nobody else reaches them
    assert all(line.raddr.ip in ("127.0.0.1", "::1") for line in sockets if line.raddr)


@pytest.mark.slow
@pytest.mark.parametrize("lesson", ["README.md", "INSTRUCTOR.md", "ROOMS.md", *LESSONS])
def test_every_link_opens_what_it_names(page, course, lesson):
    place = lesson if lesson == "README.md" else f"notebooks/{lesson}"
    text = (ROOT / place).read_text(encoding="utf-8")
    if place.endswith(".ipynb"):
        text = "\n".join(cell.source for cell in nbformat.reads(text, 4).cells if cell.cell_type == "markdown")
    links = set(re.findall(r"(?<!!)\[[^]]*\]\(((?!https?:|#)[^)#]+)", text))
    page.goto(course(place))
    page.wait_for_selector(ANCHORS, state="attached")  # a page in Markdown too opens as a page, and not as its source
    page.evaluate("async () => { await window.jupyterapp.restored; window.here = window.jupyterapp.shell.currentWidget; }")
    for link in sorted(links):
        wanted = os.path.normpath(os.path.join(os.path.dirname(place), link))
        anchors = page.locator(ANCHORS)
        places = anchors.evaluate_all("found => found.map(a => decodeURI(new URL(a.href).pathname.slice('/files/'.length)))")
        assert wanted in places, f"{link} is no link to a file for JupyterLab"
        if (ROOT / wanted).is_dir():
            continue
        anchors.nth(places.index(wanted)).click()
        page.wait_for_function(f"wanted => ({PATH})() === wanted", arg=wanted)
        assert page.locator(".jp-Dialog").count() == 0
        page.evaluate("""() => {
            const opened = window.jupyterapp.shell.currentWidget;
            window.jupyterapp.shell.activateById(window.here.id);
            if (opened === window.here) return;
            opened.context.model.dirty = false;  // a notebook opened by a newer version is; else it asks
            opened.close();
        }""")
        page.wait_for_function("() => window.jupyterapp.shell.currentWidget === window.here")
