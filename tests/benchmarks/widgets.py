"""How long each widget takes from a changed control to its new picture, training aside: the goal is 100 ms.

`uv run python tests/benchmarks/widgets.py`. Measured in the kernel; the browser adds the way there and back.
"""

from __future__ import annotations

import functools
import io
import itertools
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import tl_helpers as tl
from tl_helpers import widgets
from tl_helpers.widgets.nearest import SIDE, as_jpeg, square

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"  # photographs, for tests only
TIMES = 25


def measure(name: str, control, values, times: int = TIMES) -> tuple[str, float, float]:
    """The name, and the median and longest time on the clock in ms; printed with the processor's, less disturbed by others.

    control: what gets a new value each time, or a function of the value.
    """
    change = control if callable(control) else functools.partial(setattr, control, "value")
    walls, works = [], []
    for value in itertools.islice(itertools.cycle(values), 1, times + 3):
        wall, work = time.perf_counter(), time.process_time()
        change(value)
        walls.append(1000 * (time.perf_counter() - wall))
        works.append(1000 * (time.process_time() - work))
    walls, works = walls[2:], works[2:]  # the first ones fill caches
    middle, longest, work = statistics.median(walls), max(walls), statistics.median(works)
    print(f"{name:45} {middle:8.0f} {longest:8.0f} {work:10.0f}", flush=True)
    return name, middle, longest


def main() -> None:
    task = tl.digits(10)
    body = tl.backbone("resnet10t.letters")
    probe = tl.fit(tl.head(body, task), tl.features(body, task), progress=False).model
    raw = tl.fit(tl.RawCNN(), task, lr=3e-3, progress=False).model
    both = {"letters": probe, "raw CNN": raw}
    print(f"{'milliseconds':45} {'median':>8} {'longest':>8} {'processor':>10}")
    seven, one = [[*stroke] for stroke in widgets.SEVEN], [[140, 30, 140, 250]]
    measure("draw: a stroke, two models", tl.widgets.draw(both).pad, [seven, one])
    swap = tl.widgets.swap(task, epochs=2)
    measure("swap: kernel", swap.controls["kernel"], [3, 5])
    swap.buttons[0].click()
    measure("swap: kernel, with a run beside it", swap.controls["kernel"], [3, 5])
    walk = tl.widgets.walk({"raw CNN": raw, "letters": probe}, task.test)
    measure("walk: picture, raw CNN", walk.controls["picture"], range(9))
    measure("walk: unit, raw CNN", walk.controls["unit"], range(9))
    walk.controls["model"].value = probe
    walk.controls["layer"].value = "layer2.0.conv1"
    measure("walk: picture, ResNet", walk.controls["picture"], range(9))
    measure("walk: unit, ResNet", walk.controls["unit"], range(99))
    explore = tl.widgets.explore(epochs=2)
    measure("explore: shots", explore.controls["shots"], [5, 10])
    explore.buttons[0].click()
    explore.buttons[1].click()
    measure("explore: shots, with a run and its surface", explore.controls["shots"], [5, 10])
    shots = tl.widgets.shots()
    measure("shots: draw, 1 of each digit", shots.controls["seed"], range(9))
    shots.controls["shots"].value = 50
    measure("shots: draw, 50 of each digit", shots.controls["seed"], range(9))
    thaw = tl.widgets.thaw(probe, task, epochs=1)
    measure("thaw: a block", thaw.controls["block_3"], [True, False])
    gallery = tl.widgets.gallery(raw, task.test, task.classes)
    measure("gallery: picture, raw CNN", gallery.controls["picture"], range(9))
    gallery = tl.widgets.gallery(probe, task.test, task.classes)
    measure("gallery: picture, ResNet", gallery.controls["picture"], range(9))
    upload = tl.widgets.upload(both)
    turned = [Image.fromarray(255 - np.pad(widgets.drawn(widgets.SEVEN), 60)).rotate(angle) for angle in (0, 180)]
    for image, file in zip(turned, files := [io.BytesIO(), io.BytesIO()]):
        image.save(file, "PNG")
    measure("upload: a file, two models", upload.controls["picture"], [file.getvalue() for file in files])
    photographs()


def photographs(times: int = TIMES) -> list[tuple[str, float, float]]:
    """The same of the ImageNet network that comes with the set-up on photographs, where there are any; first it alone."""
    files = sorted((REAL / "hymenoptera_data" / "val").rglob("*.jpg"))[::4]
    if not files:
        print("no photographs on this machine")
        return []
    network, body = tl.imagenet(), tl.backbone("tf_efficientnet_lite0.in1k")
    timed = functools.partial(measure, times=times)
    split = tl.Split(tl.data.Files(files), torch.tensor([file.parent.name == "bees" for file in files]).long())
    wanted = tl.models.input_of(body)
    ready = wanted.normalise(tl.images.prepare(split[:8], wanted)).split(1)
    with torch.inference_mode():
        rows = [timed("the network alone, on one photograph", body, ready)]

    camera = tl.widgets.camera(body, ("ants", "bees"))
    camera.send = lambda *_: None  # there is no browser
    frames = [as_jpeg(square(tl.images.open_photograph(file)), SIDE) for file in files]

    def show(frame: bytes, **more) -> None:
        camera._heard(None, {"kind": "frame", "view": "", "n": 0, **more}, [frame])

    for place in (*range(8), *range(-8, 0)):  # ants come first, bees last
        show(frames[place], take=int(place < 0), exam=False)
    rows.append(timed("camera: an answer", show, frames))
    camera.close()

    walk = tl.widgets.walk(network, split)
    layers = [layer for _, layer in walk.controls["layer"].options]
    for layer in (layers[0], layers[len(layers) // 2]):
        walk.controls["layer"].value = layer
        rows.append(timed(f"walk: picture, {layer}", walk.controls["picture"], range(99)))
        rows.append(timed(f"walk: unit, {layer}", walk.controls["unit"], range(30)))
    task = tl.Task("ants and bees", ("ants", "bees"), split, split[:0], split)
    probe = tl.fit(tl.head(body, task), tl.features(body, task, progress=False), progress=False).model
    gallery = tl.widgets.gallery(probe, split, task.classes)
    gallery.controls["cell"].value = [1, 1]
    rows.append(timed("gallery: picture", gallery.controls["picture"], range(9)))
    upload = tl.widgets.upload(probe, task.classes, example=files[0])
    rows.append(timed("upload: a photograph", upload.controls["picture"], [file.read_bytes() for file in files[:2]]))
    return rows


if __name__ == "__main__":
    main()
