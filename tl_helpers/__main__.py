"""`python -m tl_helpers doctor | pretrain NAME | results`: is this machine ready, make a backbone, measure the methods."""

from __future__ import annotations

import argparse
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
    rows = experiments.chosen(frame)
    axis = next(name for name in ("shots", "lr", "variant", "backbone", "task") if rows[name].nunique() > 1)
    if axis in ("shots", "lr"):
        x, y = {"shots": "labelled images a class", "lr": "learning rate"}[axis], "accuracy on the test images"
        figure = plots.lines(rows.rename(columns={axis: x, "test": y}), x, y, by="method", log=True)
        figure.savefig(experiments.RESULTS / f"{options.grid}.png", dpi=150)
    print(experiments.markdown(experiments.table(frame, axis)))
    return 0


def main() -> int:
    from .experiments import GRIDS
    from .models import LETTERS

    parser = argparse.ArgumentParser(prog="python -m tl_helpers", description=__doc__)
    commands = parser.add_subparsers(required=True)
    add = commands.add_parser("doctor", help=doctor.__doc__)
    add.set_defaults(run=doctor)
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
