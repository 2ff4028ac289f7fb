"""`python -m tl_helpers doctor | pretrain NAME | results | predict MODEL FOLDER`: see `--help`."""

from __future__ import annotations

import argparse
import contextlib
import csv
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


def predict(options) -> int:
    """Name the photographs in a folder with a saved model, as CSV: file, class, probability, unsure, problem."""
    from . import io

    rows = io.predictions(io.load(options.model), options.folder, unsure=options.unsure)
    named = broken = 0
    part = options.to and options.to.with_name(f"{options.to.name}.part")  # half a table must not pass for a whole one
    out = open(part, "w", newline="", encoding="utf-8") if part else contextlib.nullcontext(sys.stdout)
    with out as file:
        writer = csv.DictWriter(file, io.COLUMNS)
        writer.writeheader()
        for row in rows:
            if row["problem"]:
                broken += 1
                print(f"{row['file']} {row['problem']}", file=sys.stderr)
            else:
                named += 1
                row |= {"probability": f"{row['probability']:.4f}", "unsure": "yes" if row["unsure"] else ""}
            writer.writerow(row)
    if part:
        os.replace(part, options.to)
        print(f"Written: {options.to}: {named:,} photographs named, {broken:,} could not be read.")
    return 0 if named else 1


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
    add = commands.add_parser("predict", help=predict.__doc__)
    add.add_argument("model", type=Path, help="folder that tl.save wrote")
    add.add_argument("folder", type=Path, help="folder of photographs, with folders in it if you like; or a single one")
    add.add_argument("--to", type=Path, help="CSV file to write (default: the screen)")
    add.add_argument("--unsure", type=float, help="below this probability (default: the model's own) an answer is unsure")
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
