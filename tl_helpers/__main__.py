"""`python -m tl_helpers doctor | prefetch | pretrain NAME | results | predict MODEL FOLDER`: is this machine ready, fetch
what lessons need from the network, make a backbone, measure the methods, name the photographs in a folder.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import inspect
import os
import sys
import time
from pathlib import Path


def doctor(_) -> int:
    """Say what this machine is and whether the course can run on it."""
    from . import device, models

    for name, fact in device.machine().items():
        print(f"{name:10} {fact}")
    missing = [name for name in models.LETTERS if not (models.DATA / f"{name}.letters.safetensors").exists()]
    if missing:
        print(f"missing    the weights of {', '.join(missing)} in {models.DATA}: get the course anew, with git clone")
        return 1
    start = time.perf_counter()
    from . import RawCNN, digits, evaluate, fit

    task = digits(shots=10)
    accuracy = evaluate(fit(RawCNN(), task, epochs=5, progress=False).model, task.test).accuracy
    print(f"trial      a raw CNN, 5 epochs on 100 digits: {accuracy:.2f} of 797 right, {time.perf_counter() - start:.0f} s")
    print("ready      open the first lesson in notebooks/")
    return 0


def prefetch(options) -> int:
    """Fetch the photographs and weights that lessons need, once, so that they run without a network afterwards.

    What is there already is checked and kept; a stop (Ctrl-C) or a cut loses nothing, the same command goes on. To carry all
    of it to other machines, on a stick say: --to FOLDER, copy the folder, and set the variable TL_HOME to it there.
    """
    from .datasets.photos import NEEDS, SOURCES, WEIGHTS, get, missing
    from .device import cache_folder as find_home
    from .device import hub_cache

    home = options.to or find_home()
    cache = options.to / "hf" / "hub" if options.to else hub_cache()
    needed = [NEEDS.get(only, ()) if only.isdigit() else (only,) for only in options.only or NEEDS]
    sizes = {}
    for name in dict.fromkeys(name for names in needed for name in names):
        if name in SOURCES and missing(name, home / SOURCES[name].place):
            sizes[name] = SOURCES[name].megabytes
        elif name not in SOURCES and not _whole_weights(name, cache):
            sizes[name] = WEIGHTS.get(name, 0)
    if sizes:
        listed = ", ".join(f"{name} ({size or 'unknown'} MB)" for name, size in sizes.items())
        print(f"To fetch: {listed}; in all {sum(sizes.values())} MB.", flush=True)
    for name in sizes:
        if name in SOURCES:
            get(name, home)
        else:
            from .models import backbone

            backbone(name, **({"cache_dir": cache} if cache else {}))
            if not _whole_weights(name, cache):
                raise ConnectionError(f"The weights of {name!r} came damaged and are deleted; run the same command again.")
        print(f"{name}: there, and whole.", flush=True)
    print(f"All that is asked for is there, in {home}." + f" Set TL_HOME={home} to use it." * bool(options.to))
    return 0


def _whole_weights(name: str, cache: Path | None) -> bool:
    """Whether the weights of a timm model are in the cache, and whole; damaged ones are deleted."""
    from safetensors import SafetensorError, safe_open

    from .models import weights_file

    try:
        found = weights_file(name, cache)
    except ConnectionError:
        return False
    if found is None:
        return False
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

    path = pretraining.pretrain(options.name, options.to, options.epochs, options.seed)
    print(f"Written: {path} and its card beside it.")
    if options.to.resolve() != pretraining.DATA and (pretraining.DATA / path.name).exists():
        print(pretraining.compare_with_shipped(path))
    return 0


def results(options) -> int:
    """Run or continue a grid of experiments, store its rows and its figure, and print its table."""
    from . import plots
    from .course import experiments

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
        x, y = {"shots": "labelled images a class", "lr": "learning rate"}[axis], "accuracy on the test images"
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
    print(experiments.markdown(experiments.table(frame, axis)))
    return 0


def predict(options) -> int:
    """Name the photographs in a folder with a saved model, as CSV: file, class, probability, below_threshold, problem."""
    from . import saving
    from .datasets import naming

    rows = naming.predictions(saving.load(options.model), options.folder, threshold=options.threshold)
    named = broken = 0
    part = options.to and options.to.with_name(f"{options.to.name}.part")  # half a table must not pass for a whole one
    out = open(part, "w", newline="", encoding="utf-8") if part else contextlib.nullcontext(sys.stdout)
    with out as file:
        writer = csv.DictWriter(file, naming.COLUMNS)
        writer.writeheader()
        for row in rows:
            if row["problem"]:
                broken += 1
                print(f"{row['file']} {row['problem']}", file=sys.stderr)
            else:
                named += 1
                row |= {
                    "probability": f"{row['probability']:.4f}",
                    "below_threshold": "yes" if row["below_threshold"] else "",
                }
            writer.writerow(row)
    if part:
        os.replace(part, options.to)
        print(f"Written: {options.to}: {named:,} photographs named, {broken:,} could not be read.")
    return 0 if named else 1


def main() -> int:
    from .course.experiments import GRIDS
    from .models import LETTERS

    parser = argparse.ArgumentParser(prog="python -m tl_helpers", description=__doc__)
    commands = parser.add_subparsers(required=True)
    add = commands.add_parser("doctor", help=doctor.__doc__)
    add.set_defaults(run=doctor)
    about = (prefetch.__doc__.split("\n")[0], inspect.getdoc(prefetch))
    style = argparse.RawDescriptionHelpFormatter
    add = commands.add_parser("prefetch", help=about[0], description=about[1], formatter_class=style)
    what = "a lesson's number, a set (pets, ants-and-bees) or a timm model; several times if you like (default: all lessons)"
    add.add_argument("--only", action="append", metavar="WHAT", help=what)
    add.add_argument("--to", type=Path, metavar="FOLDER", help="where to (default: TL_HOME, else your cache folder)")
    add.set_defaults(run=prefetch)
    add = commands.add_parser("pretrain", help=pretrain.__doc__)
    add.add_argument("name", choices=[f"{name}.letters" for name in LETTERS])
    add.add_argument("--to", type=Path, default=Path("pretrained"), help="folder to write to (default: %(default)s)")
    add.add_argument("--epochs", type=int, help="passes over the 2,752 letters (default: the backbone's own recipe)")
    add.add_argument("--seed", type=int, default=0)
    add.set_defaults(run=pretrain)
    add = commands.add_parser("results", help=results.__doc__)
    add.add_argument("grid", nargs="?", choices=GRIDS, default="digits", help="which (default: %(default)s)")
    add.add_argument("--processes", type=int, help="how many at once (default: one a core; on a GPU, one)")
    add.set_defaults(run=results)
    add = commands.add_parser("predict", help=predict.__doc__)
    add.add_argument("model", type=Path, help="folder that tl.save wrote")
    add.add_argument("folder", type=Path, help="folder of photographs, with folders in it if you like; or a single one")
    add.add_argument("--to", type=Path, help="CSV file to write (default: the screen)")
    what = "the probability below which an answer is to count as \"I don't know\" (default: the model's own)"
    add.add_argument("--threshold", type=float, metavar="PROBABILITY", help=what)
    add.set_defaults(run=predict)
    options = parser.parse_args()
    try:
        return options.run(options)
    except (ValueError, ConnectionError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped." + " The same command goes on from here." * (options.run is not predict), file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has had enough, as `| head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


if __name__ == "__main__":
    sys.exit(main())
