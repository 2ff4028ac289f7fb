"""Run the lessons from top to bottom, as Run All does, and report what each one takes.

`uv run python tests/lessons.py [--store] [02 deeper/05 ...]`; with --store the outputs go into the notebooks, except those
of cells tagged `photograph`. Lessons on photographs take them from where TL_HOME says. A notebook whose outputs differ from
the stored ones only by how long something took, or where in memory it lay, stays as it was: what git then shows has changed.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import re
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.output_widget import OutputWidget

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


# What nbclient sends to the kernel's output widgets makes it miss replies now and then, and wait for them for ever.
OutputWidget.send = lambda *_, **__: None

CHANCE = re.compile(r" at 0x[0-9a-f]+|\d[\d.,]* ?(s|seconds|minutes|answers a second)\b")


def run(path: Path, store: bool) -> float:
    """Run one notebook in a kernel of its own; the seconds it took, the kernel's start included.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    before = copy.deepcopy(notebook)
    start = time.perf_counter()
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": path.parent}})
    client.execute(env=os.environ | {"TL_PROGRESS": os.devnull})  # what is stored is a newcomer's progress
    seconds = time.perf_counter() - start
    if store:
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # when each cell ran: it would change with every run
            if "photograph" in cell.metadata.get("tags", []):  # not ours to hand on
                cell.outputs = []
            for output in cell.get("outputs", []):
                leave_a_still(output.get("data", {}))
        notebook.metadata.pop("widgets", None)  # their state, under random names
        notebook.metadata.language_info = {"name": "python"}
        nbformat.write(before if settled(notebook) == settled(before) else notebook, path)  # one run, whole: times add up
    return seconds


def settled(notebook: nbformat.NotebookNode) -> str:
    """A notebook as text, without what is another in each run."""
    return CHANCE.sub("", json.dumps(notebook, sort_keys=True))


def leave_a_still(data: dict) -> None:
    """Take the live widget out: opened without its kernel, JupyterLab would say "model not found" in its place."""
    if data.pop("application/vnd.jupyter.widget-view+json", None):
        data.setdefault("text/html", "<p>Run this cell to use its controls.</p>")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", nargs="*", help="02 or deeper/02, for example; all when left out")
    parser.add_argument("--store", action="store_true", help="write the outputs into the notebooks")
    options = parser.parse_args()
    total = 0.0
    for notebook in [*sorted(NOTEBOOKS.glob("*.ipynb")), *sorted(NOTEBOOKS.glob("deeper/*.ipynb"))]:
        name = notebook.relative_to(NOTEBOOKS).as_posix()
        if not options.numbers or name.split("_")[0] in options.numbers:
            took = run(notebook, options.store)
            total += took
            print(f"{name:50} {took / 60:5.2f} minutes", flush=True)
    print(f"{'all together':50} {total / 60:5.2f} minutes")
