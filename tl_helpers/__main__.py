"""`python -m tl_helpers doctor | prefetch | pretrain NAME | results`: is this machine ready, fetch what lessons need from
the network, make a backbone, measure the methods.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
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
    from .photos import NEEDS, SOURCES, WEIGHTS, get, hub_cache, missing
    from .photos import home as find_home

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
    from . import pretraining

    path = pretraining.pretrain(options.name, options.to, options.epochs, options.seed)
    print(f"Written: {path} and its card beside it.")
    if options.to.resolve() != pretraining.DATA and (pretraining.DATA / path.name).exists():
        print(pretraining.compare_with_shipped(path))
    return 0


def results(options) -> int:
    """Run or continue a grid of experiments, store its rows and its figure, and print its table."""
    from . import experiments, plots

    frame = experiments.run(options.grid, options.processes)
    x, y = "labelled images a class", "accuracy on the test images"
    rows = experiments.chosen(frame).rename(columns={"shots": x, "test": y})
    plots.lines(rows, x, y, by="method", log=True).savefig(experiments.RESULTS / f"{options.grid}.png", dpi=150)
    print(experiments.markdown(experiments.table(frame)))
    return 0


def main() -> int:
    from .experiments import GRIDS
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
    options = parser.parse_args()
    try:
        return options.run(options)
    except (ValueError, ConnectionError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
