"""How long each widget takes from a changed control to its new picture, training aside: the goal is 100 ms.

`uv run python tests/benchmarks/widgets.py`. Measured in the kernel; the browser adds the way there and back.
"""

from __future__ import annotations

import itertools
import statistics
import time

import tl_helpers as tl
from tl_helpers import widgets

TIMES = 25


def measure(name: str, control, values) -> None:
    """Print the median and longest time on the clock, and the median of the processor: others disturb that less."""
    walls, works = [], []
    for value in itertools.islice(itertools.cycle(values), 1, TIMES + 3):
        wall, work = time.perf_counter(), time.process_time()
        control.value = value
        walls.append(1000 * (time.perf_counter() - wall))
        works.append(1000 * (time.process_time() - work))
    walls, works = walls[2:], works[2:]  # the first ones fill caches
    middle, longest, work = statistics.median(walls), max(walls), statistics.median(works)
    print(f"{name:45} {middle:8.0f} {longest:8.0f} {work:10.0f}", flush=True)


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


if __name__ == "__main__":
    main()
