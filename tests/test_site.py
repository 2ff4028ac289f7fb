"""The readable site and its live page in headless Chromium, from a plain server under a sub-path."""

import base64
import dataclasses
import html.parser
import http.server
import importlib.util
import io
import json
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
from PIL import Image
from playwright.sync_api import expect
from sklearn.linear_model import LogisticRegression
from test_browser import ARTEFACTS, FLAGS, browser, os  # noqa: F401
from test_camera_browser import DARK, ONE, OTHER, TRACKS, TWO, WATCH, film, hold, photographs, start, words  # noqa: F401

import tl_helpers as tl
from conftest import DEEPER, LESSONS, REAL, ROOT, need
from tl_helpers.course import lesson_00
from tl_helpers.data import Files
from tl_helpers.images import prepare
from tl_helpers.models import input_of
from tl_helpers.widgets import elsewhere, left_out, likeness, line_below, vectors_of
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


@pytest.fixture
def page(browser, address):  # noqa: F811
    """Opens pages; afterwards fails if one asked another host for something or complained."""
    contexts, troubles = [], []

    def open_page(name: str = "", script: str = "", on=browser, **arguments):
        contexts.append(on.new_context(**arguments))
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
    for _ in range(600):  # what the page still fetches for itself
        if sum(bool(re.search(r"scratch-\d+\.(train|test|weights)\b", name)) for name in loaded(opened)) == 12:
            break
        opened.wait_for_timeout(100)
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
    opened.get_by_role("button", name=OPENED).click()
    expect(opened.locator("#opened")).to_contain_text("This browser is too old")
    expect(opened.locator("#show")).to_be_hidden()


# Its other half, with a camera that is fed from a file of real photographs.

BODY = "tf_efficientnet_lite0.in1k"
OPENED = re.compile("^(Open|Close) the camera part$")


@pytest.fixture(scope="module")
def filmed(browser, film):  # noqa: F811
    """A Chromium whose camera shows the film."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    fed = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film[0]}"]
    filmed = browser.browser_type.launch(executable_path=program, args=[*FLAGS, *fed])
    yield filmed
    filmed.close()


class Shown:
    """The live page with its camera part open; what test_camera_browser does with a notebook can be done with it."""

    def __init__(self, page, seen):
        self.page, self.camera = page, page.locator("#camera")
        expect(page.locator("#draw")).to_be_visible(timeout=60_000)
        page.get_by_role("button", name=OPENED).click()
        expect(self.camera.locator(".tl-camera")).to_be_visible(timeout=60_000)
        page.evaluate(f"({WATCH})({json.dumps(seen)})")

    def until(self, what: int, seconds: float = 0) -> None:
        """Wait until the camera has seen this for so long; the page's own rules forbid Playwright's wait_for_function."""
        for _ in range(1200):
            shown = self.page.evaluate("window.shown.what + 1000 * Math.round(performance.now() - window.shown.since)")
            if shown % 1000 == what and 1000 * seconds <= shown // 1000 < 1000 * seconds + 1500:
                return
            self.page.wait_for_timeout(50)
        pytest.fail(f"The camera never saw {what}")

    def live(self) -> int:
        return self.page.evaluate("window.tracks.filter(track => track.readyState === 'live').length")

    def kept(self, name: str, to: Path) -> Path:
        """Press the button of a file, and save what is downloaded."""
        with self.page.expect_download() as got:
            self.page.locator(f"#{name}").click()
        got.value.save_as(to / got.value.suggested_filename)
        return to / got.value.suggested_filename


@pytest.fixture
def shown(page, filmed, film):  # noqa: F811
    expect.set_options(timeout=20_000)

    def go(allowed: bool = True, **arguments) -> Shown:
        permissions = ["camera"] * allowed
        return Shown(page("try.html", script=f"({TRACKS})()", on=filmed, permissions=permissions, **arguments), film[1])

    return go


def in_base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def numbers(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype=np.float32)


def test_the_camera_part_sees_photographs_as_python_does(live, tmp_path):
    need(REAL.exists(), "real photographs")
    ants, bees = (sorted((REAL / "hymenoptera_data" / "train" / kind).glob("*.jpg"))[:25] for kind in ("ants", "bees"))
    files, labels = Files([*ants, *bees]), torch.tensor([0] * 25 + [1] * 25)
    opened = live()
    opened.get_by_role("button", name=OPENED).click()
    expect(opened.locator(".tl-camera")).to_be_visible(timeout=60_000)
    opened.evaluate("window.base64 = (values) => new Uint8Array(new Float32Array(values).buffer).toBase64()")
    look = """async (file) => {
        const { pixels, vector } = await live.look(Uint8Array.fromBase64(file));
        (window.found ??= []).push(vector.slice());
        return [pixels, vector].map(base64);
    }"""
    found = [list(map(numbers, opened.evaluate(look, in_base64(path)))) for path in files]
    body = tl.backbone(BODY)
    wanted, split = input_of(body), tl.Split(files, labels)
    pixels, vectors = wanted.normalise(prepare(split, wanted)).flatten(1).numpy(), vectors_of(body, files)
    off = {"pixels": np.abs(pixels - [one[0] for one in found]).max()}
    off["features"] = np.abs(vectors.numpy() - [one[1] for one in found]).max()

    # Four of five teach, the others are asked about.
    new = torch.arange(50) % 5 == 0
    judge = """async ([place, labels, fresh]) => {
        const { learned, leftOut, likeness } = await import(place + "nearest.js");
        const { fitted, probabilities } = await import(place + "heads.js"), known = found.filter((_, i) => !fresh[i]);
        const all = learned(known, labels, live.camera.others, 2), asked = found.filter((_, i) => fresh[i]);
        const head = fitted(known, labels, 2);
        return { line: [all.line], like: asked.map((one) => likeness(all, one)), without: leftOut(all),
                 shares: asked.map((one) => [...probabilities(head, one)]) };
    }"""
    place = opened.evaluate("new URL('live/', location.href).href")
    theirs = opened.evaluate(judge, [place, labels[~new].tolist(), new.tolist()])
    known = {"vectors": vectors[~new], "labels": labels[~new], "others": elsewhere(body)}
    ours = {
        "line": [line_below(**known)],
        "like": likeness(new=vectors[new], **known).numpy(),
        "without": left_out(**known).numpy(),
        "shares": LogisticRegression(tol=1e-8, max_iter=10_000)
        .fit(vectors[~new].double().numpy(), labels[~new])
        .predict_proba(vectors[new].double().numpy()),
    }
    off |= {name: np.abs(np.array(ours[name]) - theirs[name]).max() for name in ours}
    print(off, "largest feature", vectors.max().item())
    assert max(off.values()) < 1e-3

    photographs()[0].resize((224, 224)).save(tmp_path / "one.jpg")
    devtools = opened.context.new_cdp_session(opened)
    devtools.send("Performance.enable")

    def spent() -> float:
        """Seconds of a processor so far, which other programs do not lengthen as they do seconds of the clock."""
        return next(m["value"] for m in devtools.send("Performance.getMetrics")["metrics"] if m["name"] == "ThreadTime")

    many, before = "async (file) => { for (let i = 0; i < 30; i++) await live.look(Uint8Array.fromBase64(file)); }", spent()
    opened.evaluate(many, in_base64(tmp_path / "one.jpg"))
    in_page, before = (spent() - before) / 30, time.process_time()
    for _ in range(30):
        vectors_of(body, Files([tmp_path / "one.jpg"]))
    ratio = 30 * in_page / (time.process_time() - before)
    print(f"a picture takes {1000 * in_page:.0f} ms in the page, {ratio:.2f} times as long as in the kernel")
    assert in_page < 0.1  # ten answers a second


def test_three_things_are_taught_examined_and_taken_along(shown, tmp_path):
    here = shown(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page, camera = here.page, here.camera
    assert sum(loaded(page).values()) < 27e6 and not here.live()
    page.context.set_offline(True)  # from here on nothing is fetched
    start(camera)
    camera.get_by_role("button", name="Add a class").click()
    for place, name in enumerate(("wasp", "bee", "flower & so")):
        field = camera.get_by_label(f"Name of class {place + 1}")
        field.fill(name)
        field.press("Enter")
        expect(camera.locator(".hold").nth(place)).to_have_text(f"Hold to take: {name}")
    for place in (ONE, TWO, OTHER):
        here.until(place)
        hold(here, camera, place, of=4)
    for place, name in ((ONE, "wasp"), (TWO, "bee"), (OTHER, "flower & so")):
        here.until(place)
        expect(camera.locator(".name")).to_have_text(name, timeout=5500)
    print(camera.locator(".rate").inner_text())

    thumbs = camera.locator(".card").first.locator(".thumbs").first.locator(".thumb")
    many = thumbs.count()
    thumbs.first.click()
    expect(thumbs).to_have_count(many - 1)
    camera.get_by_role("radio", name="the examination").check()
    here.until(DARK)
    hold(here, camera, 0, row=1)
    here.until(TWO, 3)
    hold(here, camera, 1, row=1)
    expect(camera.locator(".results tr")).to_have_count(3)
    row = camera.locator(".results tr").nth(2).locator("td").all_inner_texts()
    right, n = map(int, row[2].split(" of "))
    assert row[:2] == interval_in_words(right / n, n) and n >= 6
    (ARTEFACTS / "site").mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / "site" / "try-camera.png", full_page=True)

    camera.get_by_role("button", name="Train a linear probe").click()
    expect(words(camera)).to_contain_text("A linear probe, trained on")
    n = int(camera.locator(".results tr").nth(2).inner_text().split(" of ")[1].split()[0])  # one may have come later
    shutil.unpack_archive(here.kept("zip", tmp_path), tmp_path / "mine")
    task = tl.folder(tmp_path / "mine", val=0, seed=0)
    head = here.kept("head", tmp_path)
    expect(page.locator("#given")).to_contain_text("it tells apart bee, flower & so, wasp")
    model = tl.load(head)
    assert task.classes == model.facts.classes == ("bee", "flower & so", "wasp")
    ask = "(c => [...c.pictures.values()].map(({ vector }) => c.spread(c.probe, vector)))(live.camera)"
    theirs = page.evaluate(ask)
    names = page.evaluate("live.camera.files().map(([name]) => name)")
    assert len(task.test) == n and len(names) == len(theirs) and "train/flower & so/camera-0001.jpg" in names
    shares = tl.predict(model, tl.Split(Files(tmp_path / "mine" / name for name in names), torch.zeros(len(names))))
    off = np.abs(shares.numpy() - np.array(theirs)[:, [1, 2, 0]]).max()  # in the order of the names
    print(f"{len(names)} pictures, probabilities off by {off:.1e}")
    assert off < 1e-3

    camera.get_by_role("button", name="New examination").click()
    expect(camera.locator(".results tr")).to_have_count(2)
    assert here.live() == 1
    page.get_by_role("button", name=OPENED).click()
    expect(page.locator("#show")).to_be_hidden()
    assert not here.live()  # its light is out
    page.get_by_role("button", name=OPENED).click()
    expect(thumbs).to_have_count(many - 1)  # and what was taken is there again
    assert not here.live()


def interval_in_words(right: float, n: int) -> list[str]:
    mean, low, high = (re.sub("^0", "", f"{round(end, 3):.2f}") for end in tl.results.mean_interval([right], n))
    return [mean, f"{low} to {high}"]


def test_the_camera_part_by_keys_by_a_finger_and_on_a_narrow_screen(shown):
    here = shown(viewport={"width": 360, "height": 700}, has_touch=True)
    page, camera, keys = here.page, here.camera, here.page.keyboard
    camera.get_by_role("button", name="Start the camera").press("Enter")
    camera.get_by_role("button", name="Stop the camera").wait_for()
    here.until(ONE)
    camera.locator(".hold").first.focus()
    keys.down(" ")
    expect(camera.locator(".card").first.locator(".thumb").nth(2)).to_be_visible()
    keys.up(" ")
    here.until(TWO)
    button = camera.locator(".hold").nth(1)
    button.scroll_into_view_if_needed()
    box, device = button.bounding_box(), page.context.new_cdp_session(page)
    touch = [{"x": box["x"] + 20, "y": box["y"] + 10}]
    device.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": touch})
    expect(camera.locator(".card").nth(1).locator(".thumb").nth(2)).to_be_visible()
    device.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    here.until(OTHER)
    expect(camera.locator(".name")).to_have_text("I don't know", timeout=5500)
    here.until(ONE)
    expect(camera.locator(".spoken")).to_have_text("this", timeout=5500)  # what screen readers hear
    thumbs = camera.locator(".card").first.locator(".thumb")
    many = thumbs.count()
    thumbs.first.press("Delete")
    expect(thumbs).to_have_count(many - 1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_each_trouble_of_the_camera_part_gets_a_sentence(shown):
    here = shown(allowed=False)
    page, camera, button = here.page, here.camera, here.camera.get_by_role("button", name="Start the camera")

    def refused(sentence: str) -> None:
        button.click()
        expect(words(camera)).to_have_text(f"{sentence} Pictures can be chosen from files too, below.")
        expect(button).to_be_enabled()
        assert not here.live()

    refused("The browser was not allowed to use the camera: allow it beside the page's address, and start again.")
    refuse = "name => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('odd', name); }; }"
    page.evaluate(refuse, "NotFoundError")
    refused("There is no camera on this machine.")
    page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    refused("Browsers give the camera only to pages from https or from localhost, and this page's address is neither.")

    page.locator("#zip").click()
    expect(page.locator("#given")).to_have_text("There are no pictures yet: take some first.")
    page.locator("#head").click()
    expect(page.locator("#given")).to_contain_text("pictures of 0 classes yet, and it takes 2")
    for place, image in enumerate(photographs()[:2]):
        image.save(file := io.BytesIO(), "PNG")
        sent = [{"name": f"{n}.png", "mimeType": "image/png", "buffer": file.getvalue()} for n in range(2)]
        camera.locator("input[type=file]").nth(place).set_input_files(sent)
        expect(camera.locator(".card").nth(place).locator(".thumb")).to_have_count(2)
    Image.new("RGBA", (300, 200), (0, 0, 0, 0)).save(file := io.BytesIO(), "PNG")
    clear = {"name": "clear.png", "mimeType": "image/png", "buffer": file.getvalue()}
    camera.locator("input[type=file]").nth(1).set_input_files(clear)
    expect(camera.locator(".card").nth(1).locator(".thumb")).to_have_count(3)
    taken = bytes(page.evaluate("[...[...live.camera.pictures.values()].at(-1).file]"))
    assert np.asarray(Image.open(io.BytesIO(taken))).min() > 250  # what is transparent is white, as tl.folder has it
    name = camera.get_by_label("Name of class 1")
    for wrong, sentence in {"THAT": "cannot both be called", "a/b": "that a folder can have", "": "not ''"}.items():
        name.fill(wrong)
        name.press("Enter")
        expect(words(camera)).to_contain_text(sentence)
        expect(name).to_have_value("this")
    camera.get_by_role("button", name="Train a linear probe").click()
    expect(words(camera)).to_contain_text("trained on 5 pictures")
    camera.locator(".thumb").first.click()
    expect(words(camera)).to_contain_text("The pictures have changed")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_camera_part_is_readable_on_a_screen_and_a_phone_in_both_themes(shown, width, theme):
    from axe_playwright_python.sync_playwright import Axe

    here = shown(viewport={"width": width, "height": 900}, color_scheme=theme)
    page, camera = here.page, here.camera
    start(camera)
    for place in (ONE, TWO):
        here.until(place)
        hold(here, camera, place)
    camera.get_by_role("radio", name="the examination").check()
    hold(here, camera, 1, row=1)
    expect(camera.locator(".results tr")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=ARTEFACTS / "site" / f"try-camera-{width}-{theme}.png", full_page=True)
    results = Axe().run(page, options={"preload": False}).response
    assert not [(found["id"], found["nodes"][0]["html"]) for found in results["violations"]]
