"""The readable site, built from the stored notebooks and read in headless Chromium, from a plain server under a sub-path."""

import html.parser
import http.server
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import sync_playwright
from test_browser import ARTEFACTS, FLAGS

from conftest import DEEPER, LESSONS, ROOT, need

pytestmark = pytest.mark.slow
PAGES = ["index", "notebooks/00_start_here", "notebooks/CLAIMS", "notebooks/deeper/01_black_boxes"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of a built site."""
    need(importlib.util.find_spec("myst_nb") is not None, "sphinx and myst-nb (run with --group site)")
    folder, start = tmp_path_factory.mktemp("site"), time.perf_counter()
    done = subprocess.run([sys.executable, ROOT / "site" / "build.py", "--into", folder], capture_output=True, text=True)
    assert not done.returncode, done.stderr + done.stdout  # a warning of Sphinx's is an error
    print(f"built in {time.perf_counter() - start:.0f} s")
    assert time.perf_counter() - start < 120
    return folder / "html"


@pytest.fixture(scope="module")
def address(site):
    """Where a plain server of files has the site: under a sub-path."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def translate_path(self, path):
            below = unquote(urlsplit(path).path).removeprefix("/some/course/")
            return str(site / below) if not below.startswith("/") else str(site / "nowhere")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/some/course/"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    need(bool(program), "Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """Opens pages; afterwards fails if one asked another host for something or complained."""
    contexts, troubles = [], []

    def open_page(name: str = "", **arguments):
        contexts.append(browser.new_context(**arguments))
        page = contexts[-1].new_page()
        ours = (address, "data:", f"blob:{address.partition('/some')[0]}")
        page.on("request", lambda asked: asked.url.startswith(ours) or troubles.append(f"asked for {asked.url}"))
        page.on("console", lambda said: said.type in ("error", "warning") and troubles.append(said.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(address + name)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not troubles


class Links(html.parser.HTMLParser):
    """What a page links to and shows, the names of its places, and pictures without words."""

    def __init__(self, path: Path):
        super().__init__()
        self.links, self.names, self.mute = set(), set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.links |= {found[name] for name in ("href", "src") if found.get(name)}
        self.names |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "img" and not found.get("alt"):
            self.mute.append(self.get_starttag_text()[:200])


def test_every_link_leads_somewhere_and_every_picture_has_words(site):
    found = {path: Links(path) for path in site.glob("**/*.html") if "_static" not in path.parts}
    lost, mute = [], [picture for page in found.values() for picture in page.mute]
    for path, page in found.items():
        for link in map(urlsplit, page.links):
            if link.scheme or link.netloc:
                continue
            other = (path.parent / unquote(link.path)).resolve() if link.path else path
            other = other / "index.html" if other.is_dir() else other
            if not other.is_file() or link.fragment and other in found and unquote(link.fragment) not in found[other].names:
                lost.append(f"{path.relative_to(site)}: {link.geturl()}")
    assert not lost and not mute
    assert len(found) > 25


def test_each_lesson_is_a_page_that_shows_its_outputs_and_says_how_it_is_run(site):
    for path in LESSONS + DEEPER:
        name = path.relative_to(ROOT).as_posix()
        text = (site / name).with_suffix(".html").read_text(encoding="utf-8")
        words = re.sub(r"<[^>]+>", "", text)
        assert f"jupyter lab --notebook-dir=. {name}" in words and "Binder" in words and "Colab" in words
        assert text.count("cell_output") > 5 and "data:image/png;base64" in text, name
    lesson = (site / "notebooks" / "00_start_here.html").read_text(encoding="utf-8")
    folded = re.findall(r"<details.*?</details>", lesson, re.DOTALL)
    assert sum("solution" in part and "hide" in part for part in folded) >= 2


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_readable_on_a_screen_and_a_phone_in_both_themes(page, width, theme):
    from axe_playwright_python.sync_playwright import Axe

    (ARTEFACTS / "site").mkdir(parents=True, exist_ok=True)
    for name in PAGES:
        opened = page(f"{name}.html", viewport={"width": width, "height": 900}, color_scheme=theme)
        opened.wait_for_load_state("networkidle")
        assert opened.evaluate("document.documentElement.scrollWidth") <= width, name
        opened.screenshot(path=ARTEFACTS / "site" / f"{name.replace('/', '-')}-{width}-{theme}.png")
        results = Axe().run(opened, options={"preload": False}).response  # axe-core would fetch style sheets by itself
        serious = [found for found in results["violations"] if found["impact"] in ("serious", "critical")]
        assert not serious, (name, [(found["id"], found["nodes"][0]["html"]) for found in serious])


def test_it_can_be_searched(page):
    opened = page("search.html?q=Wilson")
    opened.locator("#search-results li a", has_text="Black boxes").first.wait_for(timeout=20_000)
