"""Pictures of ideas: what is carried from one task to another, what learns, what a kernel does, what each split is for.

Lesson 00 shows the first. Each function draws one diagram and returns it; those of a model itself are `tl.plots.anatomy`.
The small images are real digits, and what is calculated in a picture is calculated when it is drawn.
"""

from __future__ import annotations

import functools

import numpy as np

from .. import glyphs
from ..data import digits
from ..engine.drawing import INK, QUIET, WIDE, arrow, box, lock, mark, pixels, write
from ..engine.figure import Figure
from ..engine.style import COLOURS


@functools.lru_cache
def _scans() -> tuple[np.ndarray, np.ndarray]:
    """Digits as they were scanned, N x 8 x 8, whole numbers from 0 to 16, and which digit each is."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    return raw.images.astype(int), raw.target


def _sheet(height: float, alt: str, width: float = WIDE):
    figure = Figure(width, height)
    figure.alt = alt
    return figure, figure.sheet()


def _few_digits(axis, left: float, top: float, side: float = 0.48) -> None:
    """Four scanned digits in a square."""
    scans, labels = _scans()
    for i, digit in enumerate((3, 0, 4, 6)):
        image = scans[labels == digit][0]
        pixels(axis, image, left + i % 2 * (side + 0.05), top + i // 2 * (side + 0.05), side, interpolation="bicubic")


def _few_letters(axis, left: float, top: float, side: float = 0.48) -> None:
    """Four letters in a square, each in another type."""
    looks = ({"family": "serif"}, {"weight": "bold"}, {"style": "italic"}, {"family": "monospace"})
    for i, (letter, look) in enumerate(zip("BgЖλ", looks)):
        x, y = left + i % 2 * (side + 0.05), top + i // 2 * (side + 0.05)
        pixels(axis, np.zeros((1, 1)), x, y, side, vmin=0, vmax=1)
        axis.text(
            x + side / 2, y + side / 2, letter, color="white", fontsize=46 * side, ha="center", va="center_baseline", **look
        )


def transfer() -> Figure:
    """Transfer learning: what a network learned on a source task is carried to a target task."""
    figure, axis = _sheet(
        3.8,
        "Two rows. Above, the source task: many labelled letters go into a backbone and a head that names letters; both "
        "learn. An arrow leads down from this backbone to that of the lower row: its weights are carried over, and the old "
        "head stays behind. Below, the target task: a few labelled digits go into the same backbone, which is now frozen, "
        "and into a new head that names digits; only the new head learns.",
    )
    rows = (
        (0.2, "1  Source task: many labelled letters", _few_letters, "learns", "head for\nletters", "learns", "“B”"),
        (2.35, "2  Target task: a few labelled digits", _few_digits, "frozen", "new head\nfor digits", "learns", "“3”"),
    )
    for top, title, draw, state, head, head_state, answer in rows:
        write(axis, 0.1, top, title, 11, "left", weight="bold")
        y = top + 0.3
        draw(axis, 0.12, y)
        arrow(axis, (1.2, y + 0.5), (1.68, y + 0.5))
        box(axis, 1.75, y, 2.2, 1.0, state=state)
        write(axis, 2.85, y + 0.35, "backbone", 12, over=state == "frozen", weight="bold")
        mark(axis, 2.5, y + 0.7, state, size=10)
        arrow(axis, (4.0, y + 0.5), (4.43, y + 0.5))
        box(axis, 4.5, y, 1.4, 1.0, state=head_state)
        write(axis, 5.2, y + 0.35, head, 10, weight="bold")
        mark(axis, 4.88, y + 0.78, head_state, size=10)
        arrow(axis, (5.95, y + 0.5), (6.38, y + 0.5))
        write(axis, 6.75, y + 0.5, answer, 13)
    arrow(axis, (3.6, 1.55), (3.6, 2.58), 4, color=COLOURS[0])
    write(axis, 3.8, 2.06, "the weights are\ncarried over", 10, "left", weight="bold", color=COLOURS[0])
    write(axis, 5.2, 1.66, "stays behind", 10, color=QUIET, style="italic")
    return figure


def pretraining() -> Figure:
    """What pretraining is: many rounds of guessing, comparing and correcting, of which the backbone's weights are kept."""
    figure, axis = _sheet(
        2.75,
        "A circle of four steps: letters, bent anew each time; backbone and head guess which letter it is; the loss "
        "says how wrong the guess was; the weights are corrected, and it begins again, thousands of times. At the end "
        "the weights of the backbone are kept in a file, and the head is thrown away.",
    )
    _few_letters(axis, 0.12, 0.55)
    write(axis, 0.7, 0.28, "letters, bent\nanew each time", 9)
    arrow(axis, (1.2, 1.05), (1.63, 1.05))
    box(axis, 1.7, 0.55, 1.35, 1.0, state="learns")
    write(axis, 2.375, 0.9, "backbone", 11, weight="bold")
    mark(axis, 2.05, 1.25, "learns")
    arrow(axis, (3.1, 1.05), (3.38, 1.05))
    box(axis, 3.45, 0.55, 0.95, 1.0, state="learns")
    write(axis, 3.925, 0.9, "head", 11, weight="bold")
    mark(axis, 3.6, 1.25, "learns")
    arrow(axis, (4.45, 1.05), (4.88, 1.05))
    write(axis, 5.3, 0.75, "guess: “B”?", 9)
    box(axis, 4.95, 0.95, 0.75, 0.45, "loss", weight="bold")
    axis.plot([5.33, 5.33, 2.9], [1.45, 1.85, 1.85], color=INK, linewidth=1.5, linestyle="--")
    for x in (2.9, 4.2):
        axis.plot([x, x], [1.85, 1.75], color=INK, linewidth=1.5, linestyle="--")
        arrow(axis, (x, 1.75), (x, 1.6))
    write(axis, 5.5, 1.85, "both are corrected a little,\nthousands of times", 9, "left")
    arrow(axis, (2.375, 1.6), (2.375, 2.22), 3, color=COLOURS[0])
    box(axis, 1.55, 2.27, 1.65, 0.36, "file of weights", weight="bold")
    write(axis, 3.45, 2.45, "kept; the head is thrown away", 9, "left", style="italic", color=QUIET)
    return figure


def convolution() -> Figure:
    """A kernel of 3 x 3 sliding over a scanned digit: three places, their sums, and the map of all sums."""
    image = _scans()[0][0]  # a 0
    kernel = np.array([[-1, 0, 1]] * 3)
    found = np.array([[(image[y : y + 3, x : x + 3] * kernel).sum() for x in range(6)] for y in range(6)])
    places = {"A": (2, 0), "B": (1, 3), "C": (2, 5)}  # row and column of the window's corner
    looks = dict(zip(places, ((COLOURS[1], "-"), (COLOURS[2], "--"), (COLOURS[3], ":"))))
    sums = {}
    for name, (y, x) in places.items():
        part = image[y : y + 3, x : x + 3]
        right, left = (" + ".join(map(str, part[:, column])) for column in (2, 0))
        sums[name] = f"{right}  −  ({left})  =  {found[y, x]}".replace("-", "−")
    listed = "; ".join(f"at {name}, {words}" for name, words in sums.items())
    figure, axis = _sheet(
        4.35,
        "A digit 0 of 8 x 8 pixels, each with its brightness from 0 to 16; a kernel of 3 x 3 numbers, a column of -1, "
        "one of 0 and one of 1; and the map of 6 x 6 sums that the kernel makes as it slides over the digit. Three "
        f"places are marked, and what the kernel makes of each: right column minus left column, {listed}. The map is "
        "large where the digit grows brighter from left to right, and negative where it grows darker.",
    )
    cell, left, top, far = 0.31, 0.12, 0.42, 4.68
    write(axis, left, 0.2, "a digit, 8 x 8 pixels", 10, "left", weight="bold")
    pixels(axis, image, left, top, 8 * cell)
    for (y, x), value in np.ndenumerate(image):
        colour = "black" if value > 8 else "white"
        axis.text(left + (x + 0.5) * cell, top + (y + 0.5) * cell, value, color=colour, fontsize=9, ha="center", va="center")
    write(axis, 3.63, 0.87, "kernel", 10, weight="bold")
    for (y, x), value in np.ndenumerate(kernel):
        box(axis, 3.12 + x * 0.35, 1.05 + y * 0.35, 0.33, 0.33, f"{value}".replace("-", "−"), size=10)
    arrow(axis, (2.65, 1.57), (3.05, 1.57))
    arrow(axis, (4.2, 1.57), (4.6, 1.57))
    wide = 8 * cell / 6
    write(axis, far, 0.2, "the map, 6 x 6 sums", 10, "left", weight="bold")
    limit = np.abs(found).max()
    pixels(axis, found, far, top, 8 * cell, cmap="RdBu_r", vmin=-1.6 * limit, vmax=1.6 * limit)
    for (y, x), value in np.ndenumerate(found):
        words = f"{value}".replace("-", "−")
        axis.text(far + (x + 0.5) * wide, top + (y + 0.5) * wide, words, fontsize=9, ha="center", va="center", color="black")
    for i, (name, (y, x)) in enumerate(places.items()):
        colour, line = looks[name]
        _frame(axis, left + x * cell, top + y * cell, 3 * cell, colour, line)
        _frame(axis, far + x * wide, top + y * wide, wide, colour, line)
        for px, py in ((left + x * cell, top + y * cell), (far + x * wide, top + y * wide)):
            _name(axis, px + 0.02, py - 0.02, name, colour)
        _name(axis, 0.27, 3.45 + 0.32 * i, name, colour)
        write(axis, 0.5, 3.45 + 0.32 * i, sums[name], 10, "left")
    write(axis, 0.12, 3.13, "right column  −  left column  =  one number", 10, "left", weight="bold")
    words = "red, above zero: brighter\ntowards the right\nblue, below zero: darker\ntowards the right"
    write(axis, far, 3.5, words, 10, "left")
    write(axis, 3.63, 2.35, "slides over\nthe digit", 10)
    return figure


def _frame(axis, left: float, top: float, side: float, colour: str, line: str) -> None:
    x, y = np.array([0, 1, 1, 0, 0]) * side + left, np.array([0, 0, 1, 1, 0]) * side + top
    axis.plot(x, y, color="white", linewidth=4, solid_joinstyle="miter")
    axis.plot(x, y, color=colour, linewidth=2.5, linestyle=line)


def _name(axis, x: float, y: float, name: str, colour: str) -> None:
    """A letter in a small disc."""
    axis.plot(x, y, "o", color="white", markeredgecolor=colour, markeredgewidth=2, markersize=13, zorder=4)
    axis.text(x, y, name, fontsize=9, weight="bold", ha="center", va="center_baseline", color="black", zorder=5)


def pooling() -> Figure:
    """Max pooling: of every 2 x 2 numbers the largest goes on."""
    image = _scans()[0][0][0:4, 2:6]
    found = image.reshape(2, 2, 2, 2).max((1, 3))
    rows = [" ".join(map(str, row)) for row in image], [" ".join(map(str, row)) for row in found]
    figure, axis = _sheet(
        2.3,
        f"Sixteen numbers in four rows ({'; '.join(rows[0])}) are divided into four squares of 2 x 2. The largest of "
        f"each is kept, which leaves four numbers in two rows ({'; '.join(rows[1])}).",
        5.4,
    )
    write(axis, 1.0, 0.2, "4 x 4 numbers", 10, weight="bold")
    write(axis, 4.35, 0.2, "2 x 2 numbers", 10, weight="bold")
    cell, left, top = 0.44, 0.12, 0.4
    for (y, x), value in np.ndenumerate(image):
        kept = value == image[y // 2 * 2 : y // 2 * 2 + 2, x // 2 * 2 : x // 2 * 2 + 2].max()
        place = left + x * cell + 0.06 * (x // 2), top + y * cell + 0.06 * (y // 2)
        look = {"weight": "bold", "size": 13} if kept else {"color": QUIET, "size": 10}
        box(axis, *place, cell - 0.02, cell - 0.02, f"{value}", "learns" if kept else "", **look)
    arrow(axis, (2.1, 1.3), (3.55, 1.3))
    write(axis, 2.82, 1.0, "the largest\nof every four", 10)
    for (y, x), value in np.ndenumerate(found):
        box(axis, 3.75 + 0.6 * x, 0.72 + 0.6 * y, 0.57, 0.57, f"{value}", "learns", weight="bold", size=13)
    return figure


def splits() -> Figure:
    """Train, validation and test: what each is for, and how often it may be looked at."""
    task = digits(10)
    counts = [len(part) for part in (task.train, task.val, task.test)]
    parts = (
        ("train", "a model\nlearns from these", "again and again", "learns"),
        ("validation", "you choose with these:\nwhich model, which settings", "whenever you choose", ""),
        ("test", "these give the result\nthat you report", "once, at the end", "frozen"),
    )
    listed = "; ".join(f"{name}, {n}: {use}, {often}".replace("\n", " ") for n, (name, use, often, _) in zip(counts, parts))
    figure, axis = _sheet(
        2.65,
        "Labelled digits are divided into three parts before anything is learned, and no image is in two of them. "
        f"{listed}. Arrows go back and forth between train and validation while you try things; one arrow leads to the "
        "test images, which are locked away until then.",
    )
    write(axis, 0.1, 0.2, "Labelled digits, divided before anything is learned", 11, "left", weight="bold")
    lefts = (0.1, 2.55, 5.0)
    for left, n, (name, use, often, state) in zip(lefts, counts, parts):
        middle = left + 1.05
        box(axis, left, 0.5, 2.1, 1.0, state=state)
        write(axis, middle, 0.8, name, 13, over=state == "frozen", weight="bold")
        write(axis, middle, 1.18, f"{n} images", 10, over=state == "frozen")
        if name == "test":
            lock(axis, middle + 0.42, 0.79, 0.17)
        write(axis, middle, 1.8, use, 10)
        write(axis, middle, 2.42, often, 10, weight="bold")
    arrow(axis, (2.22, 0.85), (2.53, 0.85))
    arrow(axis, (2.53, 1.15), (2.22, 1.15))
    arrow(axis, (4.67, 1.0), (4.98, 1.0))
    write(axis, 0.1, 2.16, "looked at:", 9, "left", color=QUIET, style="italic")
    return figure


def multitask() -> Figure:
    """Multi-task learning: one shared backbone, a head for each task, one loss that is the sum of both."""
    figure, axis = _sheet(
        3.35,
        "A shared backbone, which learns, takes images of both tasks. From it lead arrows to two heads, one for digits and "
        "one for letters, which learn too. Each head has its loss; the loss of the whole network is the first plus w times "
        "the second. A dashed arrow leads from this sum back to the backbone: both tasks pull at the same weights.",
    )
    _few_digits(axis, 0.12, 0.4, 0.45)
    _few_letters(axis, 0.12, 1.75, 0.45)
    write(axis, 0.6, 0.2, "task 1: digits", 9, weight="bold")
    write(axis, 0.6, 1.57, "task 2: letters", 9, weight="bold")
    box(axis, 1.65, 0.75, 1.4, 1.55, state="learns")
    write(axis, 2.35, 1.3, "shared\nbackbone", 12, weight="bold")
    mark(axis, 2.0, 1.8, "learns", size=10)
    for y, turn, name, loss in ((0.45, 1.3, "head for\ndigits", "loss 1"), (1.75, 1.75, "head for\nletters", "loss 2")):
        arrow(axis, (1.15, y + 0.42), (1.6, turn))
        arrow(axis, (3.1, turn), (3.45, y + 0.42))
        box(axis, 3.5, y, 1.1, 0.85, state="learns")
        write(axis, 4.05, y + 0.28, name, 10, weight="bold")
        mark(axis, 3.72, y + 0.65, "learns")
        arrow(axis, (4.65, y + 0.42), (4.85, y + 0.42))
        box(axis, 4.9, y + 0.2, 0.68, 0.45, loss)
        arrow(axis, (5.62, y + 0.42), (5.93, turn))
    box(axis, 5.98, 1.1, 1.12, 0.85, "loss 1\n+ w × loss 2", weight="bold")
    axis.plot([6.54, 6.54, 2.35], [2.0, 2.85, 2.85], color=INK, linewidth=1.5, linestyle="--")
    arrow(axis, (2.35, 2.85), (2.35, 2.36))
    write(axis, 4.45, 3.08, "both tasks pull at the same weights; w says how hard the second pulls", 10)
    return figure


def two_towers() -> Figure:
    """Pictures and words: two towers make a vector each of a picture and of its name; a loss of pairs compares them."""
    letters, names = "ĝÉø", ("g with circumflex", "E with acute", "o with stroke")
    figure, axis = _sheet(
        3.3,
        "Three pictures of letters go into an image tower: a backbone and a new last layer. Their three names go into a "
        "text tower: a vector for each word, added up, and a small network. Each tower makes one vector of each. A table "
        "compares every picture with every name: on the diagonal, where a picture meets its own name, the fit should be "
        "high, and elsewhere low. A dashed arrow leads from the table back to the towers, which both learn.",
    )
    for i, (letter, name) in enumerate(zip(letters, names)):
        pixels(axis, np.zeros((1, 1)), 0.12 + 0.42 * i, 0.55, 0.38, vmin=0, vmax=1)
        axis.text(0.31 + 0.42 * i, 0.74, letter, color="white", fontsize=15, ha="center", va="center_baseline")
        write(axis, 0.12, 1.78 + 0.22 * i, f"“… {name}”", 9, "left")
    write(axis, 0.12, 0.35, "pictures", 10, "left", weight="bold")
    write(axis, 0.12, 1.52, "their names", 10, "left", weight="bold")
    for y, first, second in ((0.4, "image tower", "backbone, last layer"), (1.65, "text tower", "word vectors, added up")):
        arrow(axis, (1.5 if y < 1 else 1.75, y + 0.4), (1.97, y + 0.4))
        box(axis, 2.02, y, 1.75, 0.82, state="learns")
        write(axis, 2.9, y + 0.2, first, 11, weight="bold")
        write(axis, 2.9, y + 0.42, second, 9)
        mark(axis, 2.6, y + 0.64, "learns")
        arrow(axis, (3.82, y + 0.4), (4.62, 0.95 if y < 1 else 1.55))
    write(axis, 4.25, 0.5, "vectors", 9)
    write(axis, 4.25, 2.02, "vectors", 9)
    write(axis, 5.75, 0.2, "how well each name fits", 10, weight="bold")
    for i, letter in enumerate(letters):
        write(axis, 5.25 + 0.55 * i, 0.48, f"“{letter}”", 12)
        write(axis, 4.85, 0.87 + 0.5 * i, letter, 12)
        for j in range(3):
            own = i == j
            look = {"weight": "bold"} if own else {"color": QUIET}
            place = 5.0 + 0.55 * j, 0.64 + 0.5 * i, 0.52, 0.47
            box(axis, *place, "high" if own else "low", "learns" if own else "", size=10, **look)
    axis.plot([5.8, 5.8, 2.9], [2.2, 2.85, 2.85], color=INK, linewidth=1.5, linestyle="--")
    arrow(axis, (2.9, 2.85), (2.9, 2.52))
    write(axis, 4.35, 3.08, "the loss of pairs pulls at both towers", 10)
    return figure


def finetuning() -> Figure:
    """Three ways to a network for a new task: from scratch, frozen with a new head, fine-tuned."""
    columns = (
        ("from scratch", "random weights", "learns", "everything learns,\nfrom nothing"),
        ("feature extraction", "carried over", "frozen", "only the head learns:\nfast, needs few labels"),
        ("fine-tuning", "carried over", "learns", "everything goes on\nlearning, in small steps"),
    )
    figure, axis = _sheet(
        3.9,
        "Three columns, each a network of four blocks and a head, with the image entering below. From scratch: all "
        "blocks begin with random weights, and blocks and head learn. Feature extraction: the blocks' weights are "
        "carried over and frozen; only the new head learns. Fine-tuning: the blocks' weights are carried over, and "
        "blocks and new head learn on, in small steps.",
    )
    for i, (name, weights, state, words) in enumerate(columns):
        left = 0.1 + 2.42 * i
        middle = left + 1.08
        write(axis, middle, 0.2, name, 12, weight="bold")
        box(axis, left, 0.45, 2.16, 0.4, state="learns")
        write(axis, left + 0.1, 0.65, "new head" if i else "head", 10, "left", weight="bold")
        mark(axis, left + 1.43, 0.65, "learns")
        for block in range(4):
            top = 1.0 + 0.44 * (3 - block)
            box(axis, left, top, 2.16, 0.38, state=state)
            write(axis, left + 0.1, top + 0.19, weights, 10, "left", over=state == "frozen")
            mark(axis, left + 1.43, top + 0.19, state)
        arrow(axis, (middle, 3.0), (middle, 2.78))
        write(axis, middle, 3.1, "image", 9, color=QUIET)
        write(axis, middle, 3.6, words, 10)
    return figure


def adapters() -> Figure:
    """One frozen backbone for many tasks: each brings a head of its own and a thin pair of matrices beside every weight."""
    figure, axis = _sheet(
        3.1,
        "Left: what comes into a layer goes two ways. One leads through its large weight matrix W, which is frozen. The "
        "other leads through two thin matrices that learn, first A and then B. Both results are added up. Right: what is "
        "kept. The frozen backbone is kept once; for each task, digits, letters, chess pieces and so on, only a small file "
        "with its A, B and head is kept.",
    )
    write(axis, 0.1, 0.2, "one layer", 11, "left", weight="bold")
    write(axis, 0.3, 1.45, "in", 10)
    arrow(axis, (0.5, 1.35), (0.88, 1.0))
    arrow(axis, (0.5, 1.55), (0.88, 2.25))
    box(axis, 0.92, 0.45, 1.3, 1.1, state="frozen")
    write(axis, 1.57, 0.8, "W", 16, over=True, weight="bold")
    mark(axis, 1.22, 1.2, "frozen")
    box(axis, 0.92, 2.12, 0.95, 0.26, state="learns")
    write(axis, 1.395, 2.25, "A", 11, weight="bold")
    arrow(axis, (1.9, 2.25), (2.2, 2.25))
    box(axis, 2.24, 1.75, 0.26, 1.0, state="learns")
    write(axis, 2.37, 2.25, "B", 11, weight="bold")
    mark(axis, 1.05, 2.62, "learns", "both learn")
    arrow(axis, (2.26, 1.0), (2.9, 1.38))
    arrow(axis, (2.54, 2.2), (2.9, 1.58))
    axis.plot(3.05, 1.48, "o", color="white", markeredgecolor=INK, markeredgewidth=1.5, markersize=20)
    write(axis, 3.05, 1.48, "+", 15)
    arrow(axis, (3.2, 1.48), (3.45, 1.48))
    write(axis, 3.63, 1.48, "out", 10)
    axis.plot([3.98, 3.98], [0.1, 3.0], color=QUIET, linewidth=1, linestyle=":")
    write(axis, 4.15, 0.2, "what you keep", 11, "left", weight="bold")
    box(axis, 4.15, 0.55, 1.35, 2.2, state="frozen")
    write(axis, 4.825, 1.2, "backbone", 12, over=True, weight="bold")
    mark(axis, 4.5, 1.65, "frozen")
    write(axis, 4.825, 2.12, "once", 10, over=True, style="italic")
    for i, task in enumerate(("digits", "letters", "chess pieces", "your own")):
        top = 0.55 + 0.575 * i
        arrow(axis, (5.95, top + 0.23), (5.55, top + 0.23))
        box(axis, 6.0, top, 1.1, 0.475, task, state="learns", size=9, weight="bold")
    write(axis, 7.1, 2.95, "A, B and head for each task", 9, "right", color=QUIET, style="italic")
    return figure


def freezing() -> Figure:
    """What freezing stops: the picture still passes through every block, the correction ends at the border."""
    figure, axis = _sheet(
        2.55,
        "An image passes from left to right through three frozen blocks, one block that learns and a head that learns, to "
        "the loss. Below, the correction comes back from the loss, through the head and the last block, and ends at "
        "the border to the frozen blocks, whose weights, and batch-norm statistics, stay as they are.",
    )
    names = [("block 1", "frozen"), ("block 2", "frozen"), ("block 3", "frozen"), ("block 4", "learns"), ("head", "learns")]
    pixels(axis, _scans()[0][3], 0.1, 0.8, 0.55, interpolation="bicubic")
    for i, (name, state) in enumerate(names):
        left = 0.95 + 1.1 * i
        arrow(axis, (left - 0.25 if i else left - 0.27, 1.08), (left - 0.03, 1.08))
        box(axis, left, 0.65, 0.84, 0.86, state=state)
        write(axis, left + 0.42, 0.92, name, 10, over=state == "frozen", weight="bold")
        mark(axis, left + 0.1, 1.25, state)
    arrow(axis, (6.2, 1.08), (6.42, 1.08))
    box(axis, 6.45, 0.83, 0.62, 0.5, "loss", weight="bold")
    write(axis, 2.9, 0.35, "forward: the image passes through everything", 10)
    arrow(axis, (6.75, 1.8), (4.13, 1.8), 3, color=COLOURS[1])
    axis.plot([4.07, 4.07], [0.55, 2.2], color=INK, linewidth=2, linestyle="--")
    write(axis, 5.6, 2.25, "backward: the correction\nends at the border", 10)
    write(axis, 2.5, 1.98, "no gradient: nothing changes here,\nand batch norms keep their statistics", 10)
    return figure


def overfitting() -> Figure:
    """Three curves through the same points: too simple, about right, and one that has learned the noise by heart."""
    generator = np.random.default_rng(3)
    truth = lambda x: np.sin(1.5 * np.pi * x)
    draws = [np.sort(generator.uniform(0, 1, n)) for n in (12, 200)]
    (x, y), (new_x, new_y) = ((at, truth(at) + generator.normal(0, 0.25, at.shape)) for at in draws)
    figure = Figure(WIDE, 2.9)
    grid, texts = np.linspace(x.min(), x.max(), 300), []
    for axis, degree, name in zip(figure.axes_of(1, 3, sharey=True), (1, 4, 11), ("too simple", "about right", "by heart")):
        curve = np.polynomial.Polynomial.fit(x, y, degree)
        inside = (new_x > x.min()) & (new_x < x.max())
        errors = [np.sqrt(np.mean((curve(a) - b) ** 2)) for a, b in ((x, y), (new_x[inside], new_y[inside]))]
        axis.plot(new_x[inside][::5], new_y[inside][::5], "x", color=COLOURS[1], markersize=5, label="new points")
        axis.plot(grid, curve(grid), color=COLOURS[0], linewidth=2)
        axis.plot(x, y, "o", color="black", markersize=5, label="seen in training")
        axis.set(ylim=(-2.0, 2.0), xticks=[], yticks=[], xlabel="input")
        axis.set_title(f"{name}: {degree + 1} parameters\nerror {errors[0]:.2f} seen, {errors[1]:.2f} new", fontsize=10)
        texts.append(
            f"{name}, {degree + 1} parameters, error {errors[0]:.2f} on the points seen and {errors[1]:.2f} on new ones"
        )
    figure.axes[0].set_ylabel("answer")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=10)
    figure.alt = (
        f"Three polynomials through the same {len(x)} noisy points of a wave: {'; '.join(texts)}. The last one passes "
        "through every point it has seen, and swings far off between them."
    )
    return figure


def centroid() -> Figure:
    """Nearest centroid in a plane: a new image is called what the nearest class mean is called."""
    scans, labels = _scans()
    kinds = (0, 1, 4)
    shown = np.concatenate([np.flatnonzero(labels == kind)[:25] for kind in kinds])
    rows = scans[shown].reshape(len(shown), -1).astype(float)
    middle = rows.mean(0)
    plane = np.linalg.svd(rows - middle, full_matrices=False)[2][:2]
    points = (rows - middle) @ plane.T
    means = np.array([points[labels[shown] == kind].mean(0) for kind in kinds])
    new = (scans[np.flatnonzero(labels == 4)[59]].ravel() - middle) @ plane.T
    distances = np.linalg.norm(means - new, axis=1)
    named = kinds[int(distances.argmin())]
    figure = Figure(5.6, 4.2)
    axis = figure.axes_of()
    for i, (kind, sign) in enumerate(zip(kinds, "os^")):
        own = points[labels[shown] == kind]
        axis.plot(*own.T, sign, color=COLOURS[i], markersize=5, alpha=0.55)
        size, va = (22, "top") if sign == "^" else (17, "center_baseline")  # a triangle has its room below its middle
        axis.plot(*means[i], sign, color=COLOURS[i], markersize=size, markeredgecolor="black", markeredgewidth=1.5, zorder=4)
        axis.text(*means[i], str(kind), color="white", weight="bold", ha="center", va=va, zorder=5)
        nearest = kind == named
        axis.plot(*zip(new, means[i]), color="black", linewidth=2.5 if nearest else 1, linestyle="-" if nearest else ":")
        patch = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        write(axis, *(new + means[i]) / 2, f"{distances[i]:.0f}", 10, weight="bold" if nearest else "normal", bbox=patch)
    axis.plot(*new, "*", color="white", markeredgecolor="black", markersize=19, markeredgewidth=1.5, zorder=4)
    words = f"star: a new image\nnearest mean: that of the {named}s\nso it is called a {named}"
    axis.text(0.98, 0.05, words, transform=axis.transAxes, ha="right", fontsize=10)
    axis.set(xlabel="first direction of greatest spread", ylabel="second direction", xticks=[], yticks=[])
    axis.set_title("small: 25 images of each digit; large: their mean", fontsize=10)
    listed = ", ".join(f"{distance:.0f} to the {kind}s" for kind, distance in zip(kinds, distances))
    figure.alt = (
        f"Images of the digits {', '.join(map(str, kinds))} as points of a plane, 25 of each, each class with its own "
        f"marker and a large one at its mean. A new image, a star, has these distances to the means: {listed}. It is "
        f"called a {named}."
    )
    return figure


def steps() -> Figure:
    """Ten steps downhill in the same valley: a learning rate too small, about right, and too large."""
    figure, texts = Figure(WIDE, 2.7), []
    grid = np.linspace(-1.25, 1.25, 100)
    for axis, rate, name in zip(
        figure.axes_of(1, 3, sharey=True), (0.01, 0.15, 1.01), ("too small", "about right", "too large")
    ):
        places = [-0.9]
        for _ in range(10):
            places.append(places[-1] - rate * 2 * places[-1])  # the slope of w * w is 2 * w
        places = np.array(places)
        axis.plot(grid, grid**2, color=QUIET, linewidth=1.5)
        axis.plot(places, places**2, "o-", color=COLOURS[0], markersize=4, linewidth=1)
        axis.plot(places[0], places[0] ** 2, "s", color="black", markersize=8, label="start")
        axis.plot(places[-1], places[-1] ** 2, "*", color=COLOURS[1], markersize=14, label="after ten steps")
        axis.set(xlabel="weight", xticks=[], yticks=[], ylim=(-0.1, 1.6))
        axis.set_title(f"{name}: rate {rate}", fontsize=10)
        texts.append(f"rate {rate}, {name}, from {places[0] ** 2:.2f} to {places[-1] ** 2:.2f}")
    figure.axes[0].set_ylabel("loss")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.alt = (
        f"The loss against one weight is a valley. Ten steps of gradient descent, from the same start: {'; '.join(texts)}."
    )
    return figure


@functools.lru_cache
def _views() -> np.ndarray:
    """Printed letters k and g, and two views of each: 2 x 3 x 32 x 32."""
    from torch import Generator, cat

    images, labels, names = glyphs.masters()
    printed = cat([images[labels == names.index(name)][:1] for name in "kg"]).float() / 255
    seen = [glyphs.augment(printed, Generator().manual_seed(seed)) for seed in (4, 5)]
    return np.stack([printed[:, 0].numpy(), *(view[:, 0].numpy() for view in seen)], 1)


def pairs() -> Figure:
    """Learning without labels: two views of one image should get similar vectors, views of others should not."""
    figure, axis = _sheet(
        3.3,
        "Two letters, k and g, each bent into two views. All four views go through one backbone, which learns, and then "
        "through a small projection, which learns too and is thrown away afterwards. Out come four vectors, drawn as "
        "arrows from one point: the two of k are pulled together, and so are the two of g; those of k and those of g are "
        "pushed apart. No label is used anywhere.",
    )
    for title, x in (("letters, their\nnames not used", 0.62), ("two views\nof each", 1.75)):
        write(axis, x, 0.26, title, 9, weight="bold")
    for row, top in enumerate((0.6, 1.95)):
        printed, *both = _views()[row]
        pixels(axis, printed, 0.12, top + 0.25, 0.6)
        for i, view in enumerate(both):
            y = top + 0.58 * i
            arrow(axis, (0.76, top + 0.55), (1.4, y + 0.25))
            pixels(axis, view, 1.45, y, 0.5)
            write(axis, 2.07, y + 0.25, "kg"[row] + "₁₂"[i], 11)
            arrow(axis, (2.22, y + 0.25), (2.6, 1.75 + (y + 0.25 - 1.75) * 0.6))
    box(axis, 2.65, 0.95, 1.3, 1.6, state="learns")
    write(axis, 3.3, 1.5, "one\nbackbone", 12, weight="bold")
    mark(axis, 2.97, 2.1, "learns", size=10)
    arrow(axis, (4.0, 1.75), (4.27, 1.75))
    box(axis, 4.32, 1.25, 0.98, 1.0, state="learns")
    write(axis, 4.81, 1.55, "projection", 10, weight="bold")
    mark(axis, 4.48, 1.95, "learns")
    write(axis, 4.81, 2.42, "thrown away\nafterwards", 9, color=QUIET, style="italic")
    arrow(axis, (5.35, 1.75), (5.6, 1.75))
    middle = (5.75, 1.75)
    tips = {"k₁": (6.45, 0.72), "k₂": (6.75, 1.05), "g₁": (6.75, 2.45), "g₂": (6.45, 2.78)}
    for name, (x, y) in tips.items():
        arrow(axis, middle, (x, y), 1.8, color=COLOURS["kg".index(name[0])], linestyle="-" if name[0] == "k" else "--")
        write(axis, x + 0.16, y - 0.04, name, 11)
    write(axis, 6.3, 0.36, "pulled together", 9)
    write(axis, 6.3, 3.08, "pulled together", 9)
    arrow(axis, (6.62, 1.75), (6.62, 1.3), 1.2, color=QUIET)
    arrow(axis, (6.62, 1.75), (6.62, 2.2), 1.2, color=QUIET)
    write(axis, 6.68, 1.75, "pushed\napart", 9, "left")
    return figure
