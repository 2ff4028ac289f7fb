"""The camera in JupyterLab, in headless Chromium, with a camera that is fed from a file of real photographs."""

import io
import json
import urllib.request

import nbformat
import pytest
from PIL import Image, ImageEnhance
from playwright.sync_api import expect, sync_playwright
from test_browser import ARTEFACTS, FLAGS, lab, look, os, outputs, shutil  # noqa: F401

from conftest import REAL, need

ONE, TWO, OTHER, DARK = range(4)  # what the camera is shown, for SECONDS each, again and again
SECONDS = 7
CELLS = {
    "set up": """import pathlib, tl_helpers as tl
body, said = tl.backbone("tf_efficientnet_lite0.in1k"), []
def heard(name):
    said.append(name)
    return f"heard {name}"
""",
    "camera": 'camera = tl.widgets.camera(body, folder="taken", on_answer=heard)\ncamera',
    "another": 'another = tl.widgets.camera(body, classes=("left", "right"))\nanother',
    "three": 'camera = tl.widgets.camera(body, classes=("mug", "glass", "bowl"), folder="taken")\ncamera',
    "saved": """task = tl.folder("taken", val=0)
model = tl.fit(tl.head(body, task), tl.features(body, task, progress=False), progress=False).model
result = tl.evaluate(model, task.test)
tl.save(model, "model taken", task, evaluation=result)
loaded = tl.load("model taken")
print(task.classes, f"of {result.n}, {result.accuracy:.2f} right", tl.export(loaded, "taken.onnx") < 1e-4,
    loaded.facts.classes[tl.predict(loaded, task.test.x.paths[0]).argmax()], camera.results()["examination"])""",
    "asked": """print([(name, len(getattr(camera.task(), name))) for name in ("train", "val", "test")],
    tl.folder("taken", val=0, test=0), set(said), camera.results())""",
}
# What the video shows now, by its pixels, and since when.
WATCH = """(seen) => {
    const canvas = Object.assign(document.createElement('canvas'), {width: 8, height: 8});
    const pen = canvas.getContext('2d', {willReadFrequently: true});
    window.shown = {what: -1, since: 0};
    setInterval(() => {
        const video = [...document.querySelectorAll('.tl-camera video')].find(video => video.srcObject);
        if (!video || !video.videoWidth) return (window.shown = {what: -1, since: 0});
        pen.drawImage(video, 80, 0, 480, 480, 0, 0, 8, 8);
        const pixels = pen.getImageData(0, 0, 8, 8).data;
        const off = seen.map(other => other.reduce((sum, value, i) => sum + Math.abs(value - pixels[4 * i + 1]), 0));
        const what = off.indexOf(Math.min(...off));
        if (what !== window.shown.what) window.shown = {what, since: performance.now()};
    }, 50);
}"""
TRACKS = """() => {
    window.tracks = [];
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await ask(wanted);
        window.tracks.push(...stream.getTracks());
        return stream;
    };
}"""


def photographs() -> list[Image.Image]:
    """Two things, something else, and the first in the dark and from elsewhere: 640 x 480."""
    need(REAL.exists(), "real photographs")
    ants, bees = (sorted((REAL / "hymenoptera_data" / "train" / kind).glob("*.jpg")) for kind in ("ants", "bees"))
    found = []
    for path in (ants[3], bees[5], bees[11]):
        with Image.open(path) as image:
            found.append(image.convert("RGB").resize((800, 600)))
    dark = ImageEnhance.Brightness(found[0].transpose(Image.Transpose.FLIP_LEFT_RIGHT).rotate(15)).enhance(0.5)
    return [*found, dark]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A file for Chromium's fake camera: each photograph, moved a little, for SECONDS; and 8 x 8 green pixels of each."""
    path, greens = tmp_path_factory.mktemp("film") / "film.mjpeg", []
    with open(path, "wb") as file:
        for image in photographs():
            for step in range(10):
                part = image.crop((40 + 4 * step, 60 - 3 * step, 680 + 4 * step, 540 - 3 * step))
                part.save(frame := io.BytesIO(), "JPEG", quality=90)
                file.write(frame.getvalue() * (SECONDS * 3))
            middle = image.crop((140, 45, 620, 525)).resize((8, 8), Image.Resampling.BOX)
            greens.append(list(middle.split()[1].tobytes()))
    return path, greens


@pytest.fixture(scope="module")
def browser(film):
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    need(bool(program), "Chromium")
    fed = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film[0]}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*FLAGS, *fed])
        yield browser
        browser.close()


class Page:
    """A notebook of CELLS in a page of its own, run."""

    def __init__(self, browser, lab, film, name: str, *names: str, allowed: bool = True):  # noqa: F811
        self.names, self.name = ["set up", *names], name.removesuffix(".ipynb")
        book = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(CELLS[cell].replace("taken", f"taken {self.name}")) for cell in self.names],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        place = lab(name).replace("/lab/tree/", "/api/contents/")
        data = json.dumps({"type": "notebook", "content": book}).encode()
        urllib.request.urlopen(urllib.request.Request(place, data, method="PUT")).close()
        context = browser.new_context(viewport={"width": 1280, "height": 900}, permissions=["camera"] * allowed)
        self.page = context.new_page()
        self.page.set_default_timeout(180_000)
        self.page.add_init_script(f"({TRACKS})()")
        self.page.goto(lab(name))
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        self.page.evaluate(f"({WATCH})({json.dumps(film[1])})")
        self.do("await context.sessionContext.ready; await app.commands.execute('notebook:run-all-cells')")
        self.page.set_default_timeout(60_000)

    def do(self, code: str):
        return self.page.evaluate(f"""async () => {{ const app = window.jupyterapp; await app.restored;
            const notebook = app.shell.currentWidget, context = notebook.context; {code} }}""")

    def run(self, name: str) -> str:
        """Run a cell; returns what it printed."""
        place = self.names.index(name)
        self.do(f"notebook.content.activeCellIndex = {place}; await app.commands.execute('notebook:run-cell')")
        found = self.do(f"return notebook.content.model.sharedModel.cells[{place}].toJSON().outputs")
        return "".join(map(str, [part for out in found for part in [*out.get("text", []), out.get("evalue", "")]]))

    def camera(self, name: str = "camera"):
        place = self.names.index(name)
        self.page.evaluate("n => window.jupyterapp.shell.currentWidget.content.scrollToItem(n, 'start')", place)
        cell = self.page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{place}'] .tl-camera").first
        cell.wait_for()
        return cell

    def until(self, what: int, seconds: float = 0) -> None:
        """Wait until the camera has seen this for so long (and not much longer)."""
        seen = "performance.now() - window.shown.since"
        self.page.wait_for_function(
            f"([what, from]) => window.shown.what === what && {seen} >= from && {seen} < from + 1500",
            arg=[what, 1000 * seconds],
            timeout=60_000,
        )

    def live(self) -> int:
        return self.page.evaluate("() => window.tracks.filter(track => track.readyState === 'live').length")

    def picture(self, kind: str) -> None:
        (ARTEFACTS / "camera").mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=ARTEFACTS / "camera" / f"{self.name}-{kind}.png")


@pytest.fixture
def opened(browser, lab, film):  # noqa: F811
    pages = []

    def go(name: str, *names: str, **arguments) -> Page:
        pages.append(Page(browser, lab, film, name, *names, **arguments))
        return pages[-1]

    yield go
    for page in pages:
        page.do("await context.sessionContext.shutdown()")
        page.page.context.close()


def start(camera) -> None:
    camera.get_by_role("button", name="Start the camera").click()
    camera.get_by_role("button", name="Stop the camera").wait_for()


def words(camera):
    return camera.locator(".words")


def hold(page: Page, camera, place: int, of: int = 3, row: int = 0) -> None:
    """Hold the button of a class with the mouse until so many more pictures have been taken."""
    button, thumbs = camera.locator(".hold").nth(place), camera.locator(".card").nth(place).locator(".thumbs").nth(row)
    button.scroll_into_view_if_needed()
    box, wanted = button.bounding_box(), thumbs.locator(".thumb").count() + of
    page.page.mouse.move(box["x"] + 20, box["y"] + 10)
    page.page.mouse.down()
    if of:
        thumbs.locator(".thumb").nth(wanted - 1).wait_for(timeout=10_000)
    page.page.mouse.up()


def count(camera, place: int, row: int = 0) -> int:
    return camera.locator(".card").nth(place).locator(".thumbs").nth(row).locator(".thumb").count()


def expect_several(camera, *places: int, of: int = 2) -> None:
    for place in places:
        expect(camera.locator(".card").nth(place).locator(".thumb").nth(of - 1)).to_be_visible(timeout=10_000)


def taught(page: Page, camera) -> None:
    start(camera)
    for place in (ONE, TWO):
        page.until(place)
        hold(page, camera, place)


def test_it_is_taught_with_the_mouse_answers_live_is_examined_and_gives_a_task(opened):
    page = opened("taught.ipynb", "camera", "asked")
    camera = page.camera()
    expect(camera.locator("video")).to_be_visible()
    assert not page.live()  # it does not start by itself
    taught(page, camera)
    page.until(ONE)
    expect(camera.locator(".name")).to_have_text("this", timeout=5500)
    expect(camera.locator(".spoken")).to_have_text("this", timeout=5500)
    page.picture("answers")
    page.until(TWO)
    expect(camera.locator(".name")).to_have_text("that", timeout=5500)
    print(camera.locator(".rate").inner_text())
    page.until(OTHER)
    expect(camera.locator(".name")).to_have_text("I don't know", timeout=5500)

    before = count(camera, 0)
    camera.locator(".thumb").first.click()
    expect(camera.locator(".card").first.locator(".thumb")).to_have_count(before - 1)

    camera.get_by_role("radio", name="the examination").check()
    page.until(DARK)
    hold(page, camera, 0, row=1)
    page.until(TWO, 3)  # later than before: the very same pictures in train and test would be left out by tl.folder
    hold(page, camera, 1, row=1)
    expect(camera.locator(".card").nth(1).locator(".thumbs").nth(1)).to_contain_text("✓", timeout=10_000)
    expect(camera.locator(".results tr")).to_have_count(3)
    expect(camera.get_by_text("Now make it fail")).to_be_visible()
    page.page.wait_for_timeout(1000)
    page.picture("examined")
    numbers = [count(camera, place, row) for row in (0, 1) for place in (0, 1)]
    camera.get_by_role("button", name="Stop the camera").click()
    expect(words(camera)).to_have_text("The camera is off.")
    assert not page.live()
    text = page.run("asked")
    assert f"('test', {sum(numbers[2:])})" in text and f"{sum(numbers[:2])} train" in text and "'this'" in text
    assert "'examination'" in text and "error" not in {out["output_type"] for out in outputs(page.page)}


@pytest.mark.slow
def test_three_things_are_taught_and_examined_and_their_folder_becomes_a_saved_and_exported_model(opened):
    page = opened("three.ipynb", "three", "saved")
    camera = page.camera("three")
    start(camera)
    for place in (ONE, TWO, OTHER):
        page.until(place)
        hold(page, camera, place)
    expect(camera.locator(".name")).to_have_text("bowl", timeout=5500)
    camera.get_by_role("radio", name="the examination").check()
    for place, what, seconds in ((0, DARK, 0), (1, TWO, 3), (2, OTHER, 3)):  # new pictures: later ones, and in the dark
        page.until(what, seconds)
        hold(page, camera, place, row=1)
    expect(camera.locator(".results tr")).to_have_count(3)
    camera.get_by_role("button", name="Stop the camera").click()
    numbers = [count(camera, place, 1) for place in range(3)]
    right = [camera.locator(".card").nth(place).get_by_text("✓").count() for place in (1, 2)]
    assert right == numbers[1:]
    row = camera.locator(".results tr").nth(2)
    expect(row).to_contain_text(f"of {sum(numbers)}")
    expect(row).to_contain_text(" to ")  # the interval
    page.picture("examined")
    page.page.set_default_timeout(180_000)
    text = page.run("saved")
    assert f"('bowl', 'glass', 'mug') of {sum(numbers)}, " in text and " True bowl " in text and "(interval " in text, text


@pytest.mark.slow
def test_it_is_used_by_keys_and_by_a_finger(opened):
    page = opened("keys.ipynb", "camera")
    camera, keys = page.camera(), page.page.keyboard
    camera.get_by_role("button", name="Start the camera").focus()
    keys.press("Enter")
    camera.get_by_role("button", name="Stop the camera").wait_for()
    page.until(ONE)
    camera.locator(".hold").first.focus()
    keys.down(" ")
    expect_several(camera, 0)
    keys.up(" ")
    page.page.wait_for_timeout(1500)
    first = count(camera, 0)
    keys.press("2")  # a short press takes one
    expect(camera.locator(".card").nth(1).locator(".thumb")).to_have_count(1)
    cells = page.do("return notebook.content.widgets.length")
    camera.locator(".thumb").first.focus()
    keys.press("ArrowRight")
    assert camera.locator(".thumb").nth(1).evaluate("thumb => thumb === document.activeElement")
    keys.press("Delete")
    expect(camera.locator(".card").first.locator(".thumb")).to_have_count(first - 1)
    assert page.page.evaluate("() => document.activeElement.className") == "thumb"
    assert cells == page.do("return notebook.content.widgets.length")  # JupyterLab has not heard the keys

    button = camera.locator(".hold").nth(1)
    button.scroll_into_view_if_needed()
    box, device = button.bounding_box(), page.page.context.new_cdp_session(page.page)
    touch = [{"x": box["x"] + 20, "y": box["y"] + 10}]
    device.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": touch})
    expect_several(camera, 1, of=3)
    device.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.page.wait_for_timeout(1500)
    many = count(camera, 1)
    page.page.wait_for_timeout(700)
    assert count(camera, 1) == many  # let go of


@pytest.mark.slow
def test_classes_are_renamed_and_added_a_probe_trained_and_files_chosen(opened, film):
    page = opened("classes.ipynb", "camera")
    camera = page.camera()
    name = camera.get_by_label("Name of class 1")
    name.fill("ant")
    name.press("Enter")
    expect(camera.locator(".hold").first).to_have_text("Hold to take: ant")
    name.fill("that")
    name.press("Enter")
    expect(words(camera)).to_contain_text("cannot both be called")
    expect(name).to_have_value("ant")
    camera.get_by_role("button", name="Add a class").click()
    expect(camera.locator(".hold").nth(2)).to_have_text("Hold to take: class 3")
    for place, image in enumerate(photographs()[:3]):
        image.save(file := io.BytesIO(), "PNG")
        sent = [{"name": f"{n}.png", "mimeType": "image/png", "buffer": file.getvalue()} for n in range(3)]
        camera.locator("input[type=file]").nth(place).set_input_files(sent)
        expect(camera.locator(".card").nth(place).locator(".thumb")).to_have_count(3)
    camera.locator("input[type=file]").first.set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": b"no"})
    expect(words(camera)).to_have_text("x.png cannot be read as a picture.")
    camera.get_by_role("button", name="Train a linear probe").click()
    expect(words(camera)).to_contain_text("trained on 9 pictures")
    start(camera)
    for what, said in ((ONE, "ant"), (TWO, "that"), (OTHER, "class 3")):
        page.until(what)
        expect(camera.locator(".name")).to_have_text(said, timeout=5500)
    page.picture("probe")
    camera.get_by_role("button", name="Back to the nearest centroid").click()
    expect(words(camera)).to_have_text("The nearest centroid answers again.")


@pytest.mark.slow
def test_two_in_one_notebook_answer_for_themselves_and_a_rerun_puts_the_light_out(opened):
    page = opened("two.ipynb", "camera", "another")
    first = page.camera()
    taught(page, first)
    second = page.camera("another")
    start(second)
    assert page.live() == 2
    page.until(OTHER)
    hold(page, second, 1)
    assert not count(second, 0) and second.locator(".name").inner_text() == ""
    page.run("another")
    expect(page.camera("another").get_by_role("button", name="Start the camera")).to_be_visible()
    page.page.wait_for_function("() => window.tracks.filter(track => track.readyState === 'live').length === 1")
    assert not count(page.camera("another"), 1)  # nothing was kept
    page.run("camera")  # whose pictures lie in a folder
    again = page.camera()
    page.page.wait_for_function("() => !window.tracks.some(track => track.readyState === 'live')")
    expect(words(again)).to_contain_text("pictures were read from taken two")
    expect_several(again, 0, 1)
    start(again)
    page.do("notebook.content.activeCellIndex = 1; await app.commands.execute('notebook:delete-cell')")
    page.page.wait_for_function("() => !window.tracks.some(track => track.readyState === 'live')")


@pytest.mark.slow
def test_a_busy_kernel_a_hidden_page_and_a_kernel_that_goes(opened):
    page = opened("busy.ipynb", "camera")
    camera = page.camera()
    taught(page, camera)
    page.page.wait_for_timeout(1500)
    stop = """import os, signal, subprocess
subprocess.Popen(["sh", "-c", f"sleep 6; kill -CONT {os.getpid()}"])
os.kill(os.getpid(), signal.SIGSTOP)"""  # a kernel that only sleeps in a cell still answers widgets
    page.do(f"context.sessionContext.session.kernel.requestExecute({{code: {json.dumps(stop)}}})")
    expect(words(camera)).to_contain_text("The kernel is busy")
    expect(words(camera)).not_to_contain_text("The kernel is busy", timeout=15_000)
    page.until(TWO)
    expect(camera.locator(".name")).to_have_text("that", timeout=5500)

    page.do(f"context.sessionContext.session.kernel.requestExecute({{code: {json.dumps(stop)}}})")
    expect(words(camera)).to_contain_text("The kernel is busy")
    camera.get_by_role("button", name="Stop the camera").click()
    page.page.wait_for_timeout(8000)  # the answer to the last picture has come
    expect(camera.locator(".name")).to_have_text("")
    start(camera)

    hide = """hidden => {
        Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.page.evaluate(hide, True)
    expect(words(camera)).to_contain_text("in the background")
    page.page.wait_for_timeout(500)
    page.page.evaluate("() => { document.querySelector('.tl-camera .name').textContent = 'old'; }")
    page.page.wait_for_timeout(1000)
    expect(camera.locator(".name")).to_have_text("old")
    page.page.evaluate(hide, False)
    expect(camera.locator(".name")).not_to_have_text("old", timeout=5000)

    assert page.live() == 1
    page.do("await context.sessionContext.restartKernel()")
    page.page.wait_for_function("() => !window.tracks.some(track => track.readyState === 'live')")
    expect(words(camera)).to_contain_text("run this cell again")
    page.run("set up"), page.run("camera")
    expect_several(page.camera(), 0, 1)


@pytest.mark.slow
def test_each_trouble_with_the_camera_gets_a_sentence_and_it_can_be_used_later(opened):
    page = opened("refused.ipynb", "another", allowed=False)
    camera, button = page.camera("another"), page.page.get_by_role("button", name="Start the camera")

    def refused(sentence: str) -> None:
        button.click()
        expect(words(camera)).to_contain_text(sentence)
        expect(button).to_be_enabled()
        assert not page.live()

    refused("was not allowed to use the camera")
    hold(page, camera, 0, of=0)
    expect(words(camera)).to_contain_text("Start the camera first")
    page.page.context.grant_permissions(["camera"])
    page.page.evaluate("() => { window.ask = navigator.mediaDevices.getUserMedia; }")
    for error, sentence in [
        ("NotFoundError", "There is no camera on this machine"),
        ("NotReadableError", "another program uses it"),
        ("AbortError", "cannot be used (odd)"),
    ]:
        page.page.evaluate(
            f"() => {{ navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('odd', '{error}'); }}; }}"
        )
        refused(sentence)
    page.page.evaluate("""() => {
        window.devices = navigator.mediaDevices;
        Object.defineProperty(navigator, 'mediaDevices', {value: undefined, configurable: true});
    }""")  # as it is at an address that browsers do not trust
    refused("only to pages from https or from localhost")
    page.page.evaluate("""() => {
        Object.defineProperty(navigator, 'mediaDevices', {value: window.devices, configurable: true});
        navigator.mediaDevices.getUserMedia = window.ask;
    }""")
    start(camera)
    page.until(ONE)
    hold(page, camera, 0)
    expect(camera.locator(".thumb").first).to_be_visible()
    page.page.evaluate("() => window.tracks.at(-1).dispatchEvent(new Event('ended'))")  # as when it is unplugged
    expect(words(camera)).to_have_text("The camera went away: start it again.")
    assert not page.live()
    start(camera)
    page.do("await context.sessionContext.session.kernel.requestExecute({code: 'another.close()'}).done")
    page.page.wait_for_function("() => !window.tracks.some(track => track.readyState === 'live')")


@pytest.mark.slow
def test_it_is_accessible_and_fits_a_narrow_page(opened):
    from axe_playwright_python.sync_playwright import Axe

    page = opened("looks.ipynb", "camera")
    camera = page.camera()
    taught(page, camera)
    camera.get_by_role("radio", name="the examination").check()
    page.until(DARK)
    hold(page, camera, 0, row=1)
    found = {}
    for theme in ("Light", "Dark"):
        page.do("app.shell.collapseLeft(); app.shell.collapseRight()")
        for width in (1280, 400):
            kind = look(page.page, width, theme)
            camera = page.camera()
            page.page.wait_for_timeout(800)
            page.picture(kind)
            camera.locator(".words").scroll_into_view_if_needed()
            page.picture(f"{kind}-below")
            for violation in Axe().run(page.page, context=".tl-camera").response["violations"]:
                found.setdefault(violation["id"], {})[violation["nodes"][0]["html"][:150]] = kind
            wide = camera.evaluate("e => [...e.querySelectorAll('*')].filter(x => x.scrollWidth > e.clientWidth + 1 "
                                   "&& !x.closest('.scroll')).map(x => x.className)")  # fmt: skip
            assert not wide, (kind, wide)
    print(json.dumps(found, indent=1))
    assert not found
