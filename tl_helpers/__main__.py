"""The commands of the course, `python -m tl_helpers COMMAND`. Lesson 09 asks for `prefetch`, lesson 10 for `predict`."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and sys.argv[1:2] == ["doctor"]:  # before all other imports, any of which may be what is broken
    sys.path[:] = [place for place in sys.path if place not in ("", os.getcwd())]  # a file there may hide a library
    from .course import doctor

    sys.exit(doctor.main(sys.argv[2:]))

import argparse
import contextlib
import csv
import hashlib
import inspect
import io
from collections.abc import Callable, Sequence
from pathlib import Path

ALONE = {  # grids that run in a way of their own
    "photographs": "The grid on photographs runs",
    "pictures_and_words": "The grid of pictures and words runs",
    "small_and_cheap": "This grid measures seconds of one thread, and runs",
}


def prefetch(options) -> int:
    """Fetch the photographs and weights that lessons need, once, so that they run without a network afterwards.

    What is there already is checked and kept. If you stop it (Ctrl-C) or the connection breaks, nothing is lost: run the
    same command again. For machines without a network: write all of it to a stick with --to FOLDER, copy the folder to each
    machine, and set the variable TL_HOME to it there.
    """
    from .datasets.photos import NEEDS, SOURCES, WEIGHTS, get, missing
    from .device import cache_folder, hub_cache
    from .engine.validate import shown
    from .engine.weights import DATA, check_name

    home = options.to or cache_folder()
    cache = options.to / "hf" / "hub" if options.to else hub_cache()
    lessons = {path.name[:2] for path in (DATA.parent / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    for only in options.only or ():
        if only.isdecimal() and only not in lessons:
            raise ValueError(f"There is no lesson {only}: --only takes two digits, {min(lessons)} to {max(lessons)}.")
    needed = [NEEDS.get(only, ()) if only in lessons else (only,) for only in options.only or NEEDS]
    sizes = {}
    for name in dict.fromkeys(name for names in needed for name in names):
        if name in SOURCES and missing(name, home / SOURCES[name].place):
            sizes[name] = SOURCES[name].megabytes
        elif name not in SOURCES:
            check_name(name)
            if not _whole_weights(name, cache):
                sizes[name] = WEIGHTS.get(name, 0)
    if sizes:
        listed = ", ".join(f"{name} ({size or 'unknown'} MB)" for name, size in sizes.items())
        print(f"To fetch: {listed}; in all {sum(sizes.values())} MB.", flush=True)
    for name in sizes:
        whole = True
        if name in SOURCES:
            get(name, home)
        else:
            from .models import backbone

            backbone(name, **({"cache_dir": cache} if cache else {}))
            whole = _whole_weights(name, cache)
            if whole is False:
                raise ConnectionError(f"The weights of {name!r} came damaged and are deleted; run the same command again.")
        print(f"{name}: there, and whole." if whole else f"{name}: there.", flush=True)
    if options.to and not options.to.exists():
        print("All that is asked for came with the course; nothing was written.")
        return 0
    home = shown(home)
    print(f"All that is asked for is there, in {home}." + f" Set TL_HOME={home} to use it." * bool(options.to))
    return 0


def _whole_weights(name: str, cache: Path | None) -> bool | None:
    """Whether the weights of a timm model are in the cache, and whole; damaged ones are deleted.

    None where nobody but timm knows.

    Raises:
        ValueError: those that came with the course are damaged.
    """
    from safetensors import SafetensorError, safe_open

    from .engine import lite0
    from .engine.model_folder import COMES_ALONG
    from .engine.weights import create_pretrained, weights_file

    if name in COMES_ALONG and (name not in lite0.NAMES or lite0.packaged_file()):
        create_pretrained(name, {})  # says what to do where they are damaged
        return True
    try:
        found = weights_file(name, cache)
    except ConnectionError:
        return False
    if found is None:
        return None
    file = Path(found).resolve()
    try:
        with safe_open(file, "pt"), open(file, "rb") as opened:  # the first looks whether it is as long as its head says
            # The library names a file after its SHA-256, where the file system has links.
            whole = len(file.name) != 64 or hashlib.file_digest(opened, "sha256").hexdigest() == file.name
    except SafetensorError:
        whole = False
    if not whole:
        file.unlink()
        Path(found).unlink(missing_ok=True)
    return whole


def pretrain(options) -> int:
    """Pretrain a letters backbone, write weights and model card, and compare it with the shipped one."""
    from .course import pretraining
    from .engine.validate import shown

    path = pretraining.pretrain(options.name, options.to, options.epochs, options.seed)
    print(f"Written: {shown(path)} and its card beside it.")
    if options.to.resolve() != pretraining.DATA and (pretraining.DATA / path.name).exists():
        print(pretraining.compare_with_shipped(path))
    return 0


def results(options) -> int:
    """Run or continue a grid of experiments, store its rows and its figure, and print its table."""
    from . import plots
    from .course import experiments

    if options.grid in ALONE:
        if options.processes:
            raise ValueError(f"{ALONE[options.grid]} in one process: leave out --processes.")
        print(*_alone(options.grid), sep="\n\n")
        return 0
    frame = experiments.run(options.grid, options.processes)
    rows = experiments.chosen(frame)
    grid = experiments.GRIDS[options.grid]
    lengths = {
        "shots": grid.shots,
        "lr": grid.rates or (),
        "variant": grid.variants,
        "task": grid.tasks,
        "backbone": grid.backbones,
    }
    axis = next(name for name, values in lengths.items() if len(values) > 1)
    if axis in ("shots", "lr"):
        x, y = {"shots": "labelled images per class", "lr": "learning rate"}[axis], "accuracy on the test images"
        rows = rows.sort_values("method", key=lambda names: names.map(list(experiments.METHODS).index), kind="stable")
        rows = rows.assign(**{x: rows[axis], y: experiments.values(rows)})
        figure = plots.lines(rows, x, y, by="method", log=True, n=experiments.test_images(rows.task.iloc[0]))
        figure.set_figheight(5)
        figure.axes[0].set_yscale("logit", one_half="0.5")  # spreads out what is close to 1
        figure.axes[0].set_ylim(0.07, 0.999)
        ticks = (0.1, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
        figure.axes[0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        figure.axes[0].set_yticks([], minor=True)
        figure.savefig(experiments.RESULTS / f"{options.grid}.png", dpi=150)
    others = [name for name in ("variant", "task", "backbone") if name != axis and len(lengths[name]) > 1]
    for of, part in frame.groupby(others, sort=False) if others else [((), frame)]:
        print(*of, experiments.markdown(experiments.table(part, axis)), sep="\n")
    return 0


def _alone(grid: str) -> list[str]:
    """Run or continue one of these grids; returns its tables."""
    from .course import lesson_13, lesson_14, photographs, pictures_and_words, small

    if grid == "photographs":
        photographs.run()
        photographs.figure().savefig(photographs.PATH.with_suffix(".png"), dpi=150)
        return [photographs.gains().round(3).to_string(index=False)]
    if grid == "pictures_and_words":
        pictures_and_words.run()
        tables = lesson_13.limits(), lesson_13.two_letters(), lesson_13.transfer()
    else:
        small.run()
        tables = lesson_14.adapters(), lesson_14.adapters(small.SOLAR), lesson_14.students(), lesson_14.precisions()
    return [table.to_string() for table in tables]


def predict(options) -> int:
    """Classify photographs in a folder with a saved model, as CSV: file, class, probability, below_threshold, problem."""
    from . import saving
    from .datasets import naming
    from .engine.validate import shown

    rows = naming.predictions(saving.load(options.model), options.folder, threshold=options.threshold)
    named = broken = 0
    to = part = options.to
    if to and (to.is_file() or not to.exists()):  # else a pipe, or /dev/null
        to = to.resolve()  # where a link leads
        part = to.with_name(f"{to.name}.part")  # half a table must not pass for a whole one
    out = open(part, "w", newline="", encoding="utf-8") if part else contextlib.nullcontext(sys.stdout)
    with out as file:
        writer = csv.DictWriter(file, naming.COLUMNS)
        writer.writeheader()
        for row in rows:
            if row["problem"]:
                print(f"{row['file']} {row['problem']}", file=sys.stderr)
            if row["probability"] is None:
                broken += 1
            else:
                named += 1
                row |= {
                    "probability": f"{row['probability']:.4f}",
                    "below_threshold": "yes" if row["below_threshold"] else "",
                }
            writer.writerow(row)
    if part:
        if part != to:
            os.replace(part, to)
        print(f"Written: {shown(options.to)}: {named:,} photographs named, {broken:,} could not be read.")
    return 0 if named else 1


def edition(options) -> int:
    """Make what a teacher hands out, the course without solutions and stored outputs, or pages to show."""
    from .course import edition

    print(edition.learner(options.learner) if options.learner else edition.slides(options.slides))
    return 0


def as_number(kind: type, low: float, high: float) -> Callable[[str], float]:
    """For argparse: what turns a word into a number between low and high, or says that it is not one."""

    def read(word: str) -> float:
        with contextlib.suppress(ValueError):
            if low <= kind(word) <= high:
                return kind(word)
        raise argparse.ArgumentTypeError(f"it takes a {'whole ' * (kind is int)}number from {low} to {high}, not {word!r}")

    return read


def as_path(word: str) -> Path:
    """For argparse: the path of something that should be there."""
    if not word:
        raise argparse.ArgumentTypeError("it takes a path, not ''")
    return Path(word)


def as_folder(word: str) -> Path:
    """For argparse: a folder to write to, which need not be there yet."""
    if not word or Path(word).exists() and not Path(word).is_dir():
        raise argparse.ArgumentTypeError(f"it takes a folder, not {word!r}")
    return Path(word)


def as_new_file(word: str) -> Path:
    """For argparse: a file to write, in a folder that is there. What would fail after an hour's work fails at once."""
    path = Path(word)
    if not path.name or path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"it takes a file in a folder that is there, not {word!r}")
    return path


def main(words: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; words are those after `python -m tl_helpers`, None for this process's own."""
    words = sys.argv[1:] if words is None else words
    if list(words[:1]) == ["doctor"]:
        from .course import doctor

        return doctor.main(words[1:])
    from .engine.validate import shown

    grids, backbones = (), ()  # to choose from; torch comes with them, and is slow to import
    if "results" in words:
        from .course.experiments import GRIDS

        grids = (*GRIDS, *ALONE)
    if "pretrain" in words:
        from .engine.weights import LETTERS

        backbones = [f"{name}.letters" for name in LETTERS]

    about = "The commands of the course. `python -m tl_helpers COMMAND --help` says more about one of them."
    parser = argparse.ArgumentParser(prog="python -m tl_helpers", description=about)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("doctor", help="Say whether this machine is ready, and what to do where it is not.")
    about = (prefetch.__doc__.split("\n")[0], inspect.getdoc(prefetch))
    style = argparse.RawDescriptionHelpFormatter
    add = commands.add_parser("prefetch", help=about[0], description=about[1], formatter_class=style)
    what = "a lesson's number, a set (pets, ants-and-bees) or a timm model; several times if you like (default: all lessons)"
    add.add_argument("--only", action="append", metavar="WHAT", help=what)
    add.add_argument("--to", type=as_folder, metavar="FOLDER", help="where to (default: TL_HOME, else your cache folder)")
    add.set_defaults(run=prefetch)
    add = commands.add_parser("predict", help=predict.__doc__, description=predict.__doc__)
    add.add_argument("model", type=as_path, help="folder that tl.save wrote")
    add.add_argument("folder", type=as_path, help="folder of photographs, with folders in it if you like; or a single one")
    add.add_argument("--to", type=as_new_file, metavar="FILE", help="CSV file to write (default: the screen)")
    what = "the probability below which an answer is to count as \"I don't know\" (default: the model's own)"
    add.add_argument("--threshold", type=as_number(float, 0, 1), metavar="PROBABILITY", help=what)
    add.set_defaults(run=predict)
    add = commands.add_parser("edition", help=edition.__doc__, description=f"{edition.__doc__} A file that is there stays.")
    which = add.add_mutually_exclusive_group(required=True)
    which.add_argument("--learner", type=as_folder, metavar="FOLDER", help="the course without solutions and stored outputs")
    which.add_argument("--slides", type=as_folder, metavar="FOLDER", help="a page for each lesson, which needs no network")
    add.set_defaults(run=edition)
    add = commands.add_parser("pretrain", help=pretrain.__doc__, description=pretrain.__doc__)
    add.add_argument("name", choices=backbones)
    add.add_argument("--to", type=as_folder, default=Path("pretrained"), help="folder to write to (default: %(default)s)")
    what = "passes over the 2,752 letters (default: the backbone's own recipe)"
    add.add_argument("--epochs", type=as_number(int, 1, 10**6), metavar="N", help=what)
    what = "fixes the random draws (default: %(default)s)"
    add.add_argument("--seed", type=as_number(int, 0, 2**31 - 1), default=0, metavar="N", help=what)
    add.set_defaults(run=pretrain)
    add = commands.add_parser("results", help=results.__doc__, description=results.__doc__)
    add.add_argument("grid", nargs="?", choices=grids, default="digits", help="which (default: %(default)s)")
    what = "how many at once (default: one per core; on a GPU, one)"
    add.add_argument("--processes", type=as_number(int, 1, 1000), metavar="N", help=what)
    add.set_defaults(run=results)
    options = parser.parse_args(words)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that the terminal lacks is shown by its number
            stream.reconfigure(errors="backslashreplace")
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("Stopped." + " The same command goes on from here." * (options.run is not predict), file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has had enough, as `| head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, ConnectionError) as error:
        text = str(error)
    except OSError as error:
        text = f"{error.filename or 'A file'} cannot be read or written: {error.strerror or error}."
    print(shown(text), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
