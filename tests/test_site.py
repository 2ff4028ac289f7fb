"""The readable site and its live page in headless Chromium, from a plain server under a sub-path."""

import dataclasses
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

import numpy as np
import pytest
import torch
from playwright.sync_api import expect, sync_playwright
from sklearn.linear_model import LogisticRegression
from test_browser import ARTEFACTS, FLAGS

import tl_helpers as tl
from conftest import DEEPER, LESSONS, ROOT, need
from tl_helpers.course import lesson_00
from tl_helpers.images import prepare
from tl_helpers.models import input_of
from tl_helpers.widgets.drawing import SEVEN, as_digit, drawn

resource = pytest.importorskip("resource")  # not on Windows
pytestmark = pytest.mark.slow
PAGES = ["try", "index", "notebooks/00_start_here", "notebooks/CLAIMS", "notebooks/deeper/01_black_boxes"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of a built site."""
    need(importlib.util.find_spec("myst_nb") is not None, "sphinx and myst-nb (run with --group site)")
    need(bool(shutil.which("npm")), "npm")
    folder, before = tmp_path_factory.mktemp("site"), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, ROOT / "site" / "build.py", "--into", folder], capture_output=True, text=True)
    assert not done.returncode, done.stderr + done.stdout  # a warning of Sphinx's is an error
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime  # whatever else the machine does
    print(f"built in {seconds:.0f} s")
    assert seconds < 120
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

    def open_page(name: str = "", script: str = "", **arguments):
        contexts.append(browser.new_context(**arguments))
        page = contexts[-1].new_page()
        page.add_init_script(script)
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


# The live page.


def strokes_of(count: int) -> list:
    """Drawings: those of lesson 00, each moved, turned, stretched and shaken otherwise."""
    rng, found = np.random.default_rng(0), []
    for place in range(count):
        turn, size = rng.normal(0, 0.15), rng.uniform(0.4, 1, (2, 1))
        matrix = size * [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        drawing = [np.reshape(stroke, (-1, 2)) for stroke in lesson_00.DRAWINGS[place % 10]]
        shaken = [(stroke - 140) @ matrix.T + 140 + rng.normal(0, 4, stroke.shape) for stroke in drawing]
        found.append([stroke.round().ravel().tolist() for stroke in shaken])
    return found


def scratch(shots: int) -> torch.nn.Module:
    """As live.py trains it."""
    model = tl.fit(tl.RawCNN(seed=0), tl.digits(shots, 0), epochs=100, lr=1e-2, progress=False).model
    return model.half().float()


def head_on(features: tl.Task) -> LogisticRegression:
    """The head as scikit-learn fits it; of numbers in 32 bits it would stop too early."""
    vectors, labels = features.train.numpy()
    return LogisticRegression(tol=1e-8, max_iter=10_000).fit(vectors.astype(float), labels)


@pytest.fixture
def live(page):
    """The live page, when it is ready."""

    expect.set_options(timeout=20_000)  # other tests run beside it

    def go(**arguments):
        opened = page("try.html", **arguments)
        expect(opened.locator("#draw")).to_be_visible(timeout=60_000)
        return opened

    return go


def seven(opened) -> None:
    """Draw a 7 with the mouse, and wait for the answer."""
    opened.locator("canvas.tl-pad").scroll_into_view_if_needed()
    box, (x, y, *rest) = opened.locator("canvas.tl-pad").bounding_box(), SEVEN[0]
    opened.mouse.move(box["x"] + x, box["y"] + y)
    opened.mouse.down()
    for x, y in zip(rest[::2], rest[1::2]):
        opened.mouse.move(box["x"] + x, box["y"] + y, steps=8)
    opened.mouse.up()
    expect(opened.get_by_text("letters network: 7 with")).to_be_visible()


def loaded(opened) -> dict[str, int]:
    """The bytes of each file that the page has loaded so far."""
    sizes = opened.evaluate("performance.getEntriesByType('resource').map((one) => [one.name, one.encodedBodySize])")
    return {name.rpartition("/")[2]: size for name, size in sizes}


def test_the_live_page_answers_as_python_does(live):
    strokes, task = strokes_of(200), tl.digits(10, 0)
    found = live().evaluate(
        "async (all) => { const out = []; for (const one of all) out.push(await live.ask(one)); return out; }", strokes
    )
    pictures = torch.cat([as_digit(drawn(one)) for one in strokes])
    assert np.array_equal(pictures.flatten(1).numpy(), [one["picture"] for one in found])
    split = tl.Split(pictures, torch.zeros(len(pictures), dtype=torch.long))
    for name, model in {"letters": tl.backbone("resnet10t.letters"), "scratch": scratch(10)}.items():
        wanted = input_of(model)
        features = tl.features(model, dataclasses.replace(task, val=task.val[:0], test=split), progress=False)
        ours = {
            "pixels": wanted.normalise(prepare(split, wanted)).flatten(1).numpy(),
            "vector": features.test.x.numpy(),
            "shares": head_on(features).predict_proba(features.test.x.numpy()),
        }
        off = {what: np.abs(ours[what] - [one[name][what] for one in found]).max() for what in ours}
        print(name, off, "largest feature", ours["vector"].max())
        assert max(off.values()) < 1e-3


def test_it_reads_a_drawing_is_taught_and_says_how_well_it_does(live):
    start = time.perf_counter()
    opened = live(viewport={"width": 1280, "height": 900})
    seven(opened)
    print(f"{time.perf_counter() - start:.1f} s to the first answer")
    needed = {name: size for name, size in loaded(opened).items() if not re.search(r"\.test\.|scratch-[125]\b", name)}
    print(f"{sum(needed.values()):,} bytes for it, {sum(loaded(opened).values()):,} so far: {needed}")
    assert 10e6 < sum(needed.values()) < 12e6
    opened.get_by_label("This is a").select_option("3")
    opened.get_by_role("button", name="Keep as training example").click()
    expect(opened.locator("#kept")).to_contain_text("101 examples")
    expect(opened.locator("#kept")).to_contain_text("letters network: 3 with")
    opened.get_by_role("button", name="Forget what was kept").click()
    expect(opened.locator("#kept")).to_contain_text("100 examples again")
    expect(opened.get_by_text("letters network: 7 with")).to_be_visible()
    opened.screenshot(path=ARTEFACTS / "site" / "try-answer.png")
    for shots in (10, 5, 2, 1):
        opened.locator("#shots").focus()
        expect(opened.locator("#many")).to_have_text(str(shots))
        features = tl.features(tl.backbone("resnet10t.letters"), tl.digits(shots, 0), progress=False)
        accuracy = head_on(features).score(*features.test.numpy())
        mean, low, high = (f"{end:.3f}"[1:] for end in tl.results.mean_interval([accuracy], 797))
        expect(opened.locator("#accuracies tr").first).to_have_text(f"letters network{mean}{low} to {high}")
        opened.keyboard.press("ArrowLeft")


def test_it_goes_on_without_a_network_by_finger_and_by_keys(live):
    opened = live(viewport={"width": 360, "height": 700}, has_touch=True)
    expect(opened.locator("#accuracies tr")).to_have_count(2)
    with_ten = opened.locator("#accuracies").inner_text()
    names = "performance.getEntriesByType('resource').map(entry => entry.name)"
    opened.wait_for_function(names + ".filter(name => /scratch-\\d+\\.(train|test|weights)\\.gz$/.test(name)).length == 12")
    opened.context.set_offline(True)
    opened.locator("canvas.tl-pad").tap()
    expect(opened.get_by_text("from scratch: ")).to_be_visible()
    opened.get_by_role("button", name="Clear").click()
    opened.locator("canvas.tl-pad").focus()
    opened.keyboard.press("Space")
    for _ in range(6):
        opened.keyboard.press("ArrowDown")
    opened.keyboard.press("Space")
    expect(opened.get_by_text("letters network: 1 with")).to_be_visible()
    opened.locator("#shots").press("Home")
    expect(opened.locator("#many")).to_have_text("1")
    expect(opened.locator("#accuracies")).not_to_have_text(with_ten)
    expect(opened.locator("#kept")).to_be_empty()  # nothing went wrong
    assert opened.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("lacks", ["delete window.DecompressionStream", "WebAssembly.validate = () => false"])
def test_an_old_browser_is_told_so(page, lacks):
    opened = page("try.html", script=lacks)
    expect(opened.locator("#loading")).to_contain_text("This browser is too old")
    expect(opened.locator("#draw")).to_be_hidden()
