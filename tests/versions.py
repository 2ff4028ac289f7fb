"""`uv run python tests/versions.py`: do the version bounds of pyproject.toml hold?

On each Python from 3.11 on this machine it installs once the lowest versions that pyproject.toml allows and once the newest,
each time in a new environment that is deleted afterwards (10 GB of disk while it runs, most of it shared with uv's cache),
runs the tests of FAST there, and notes what came of it in the README's table. It ends with 1 if a test failed.
`--python 3.12` and `--resolution lowest-direct` run a part of that.
"""

import argparse
import datetime
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESOLUTIONS = ("lowest-direct", "highest")
SHOWN = ("torch", "torchvision", "timm", "numpy")
# Whatever leans on another library, and none of what takes long: grids, downloads, browser, all lessons but the first.
FAST = (
    "tests/test_data.py",
    "tests/test_models.py",
    "tests/test_training.py",
    "tests/test_extraction.py",
    "tests/test_saving.py",
    "tests/test_engine.py",
    "tests/test_photos.py",
    "tests/test_plots.py",
    "tests/test_results.py",
    "tests/test_widgets.py",
    "tests/test_commands.py",
    "notebooks/00_start_here.ipynb",
)
MARKS = ("<!-- versions: written by tests/versions.py -->", "<!-- end of versions -->")


def uv(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    return subprocess.run([command, *arguments], check=True, text=True, cwd=ROOT, **options)


def pythons() -> dict[str, str]:
    """The interpreters on this machine that pyproject.toml allows, one for each minor version: {"3.12": its path}."""
    least = tuple(
        map(int, re.findall(r"\d+", tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]))
    )
    folders = sorted(map(str, Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/*/bin")))
    path = os.pathsep.join([*folders, os.environ["PATH"]])  # pyenv shows uv no more than the version that is switched on
    options = {"capture_output": True, "env": os.environ | {"PATH": path}}
    found = {}
    for entry in json.loads(uv("python", "list", "--only-installed", "--output-format", "json", **options).stdout):
        minor = (entry["version_parts"]["major"], entry["version_parts"]["minor"])
        if entry["implementation"] == "cpython" and entry["variant"] == "default" and minor >= least:
            found.setdefault("{}.{}".format(*minor), entry["path"])  # uv lists the newest first
    return dict(sorted(found.items(), key=lambda item: int(item[0].split(".")[1])))


def installed(python: str, resolution: str, folder: Path) -> Path:
    """A new environment with everything that pyproject.toml asks for, in these versions; returns its interpreter."""
    uv("venv", "--quiet", "--python", python, str(folder))
    place = next(path for path in (folder / "bin" / "python", folder / "Scripts" / "python.exe") if path.exists())
    into = ("pip", "install", "--quiet", "--python", str(place))
    # No package is built here: where the lowest version has no wheel for a Python, that Python starts with the next.
    groups = ("--group", "dev", "--group", "photographs")
    uv(*into, "--no-build", "--resolution", resolution, "--requirements", "pyproject.toml", *groups)
    uv(*into, "--no-deps", "--editable", ".")
    uv("pip", "check", "--quiet", "--python", str(place))
    return place


def tested(python: Path, folder: Path) -> dict[str, int]:
    """Run the fast tests: how many passed, failed (errors too) and were skipped."""
    report = folder / "report.xml"
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *FAST]
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=os.environ | threads).returncode
    if ended not in (0, 1):
        raise SystemExit(f"The tests did not run: pytest ended with {ended}.")
    suite = ElementTree.parse(report).getroot().find("testsuite")
    count = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    failed = count["failures"] + count["errors"]
    return {"passed": count["tests"] - failed - count["skipped"], "failed": failed, "skipped": count["skipped"]}


HEAD = ("Python", "resolution", *SHOWN, "passed", "failed", "skipped", "minutes", "date")


def noted(row: list[str]) -> str:
    """Put a row into the README's table, in place of an older one of its Python and resolution; returns the table."""
    readme = ROOT / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(MARKS[0])
    table, after = rest.split(MARKS[1])
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n")[3:] if line]
    rows = [other for other in rows if other[:2] != row[:2]] + [row]
    rows.sort(key=lambda cells: (int(cells[0].split(".")[1]), RESOLUTIONS.index(cells[1])))
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (HEAD, ["---"] * len(HEAD), *rows))
    readme.write_text(f"{before}{MARKS[0]}\n{table}\n{MARKS[1]}{after}", encoding="utf-8")
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found = pythons()
    parser.add_argument("--python", choices=found, action="append")
    parser.add_argument("--resolution", choices=RESOLUTIONS, action="append")
    options = parser.parse_args()
    wrong = 0
    for name, resolution in itertools.product(options.python or found, options.resolution or RESOLUTIONS):
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            python = installed(found[name], resolution, Path(folder, "environment"))
            code = f"from importlib.metadata import version; print(*map(version, {SHOWN}))"
            versions = subprocess.check_output([python, "-c", code], text=True).split()
            counts = tested(python, Path(folder))
        wrong += counts["failed"]
        minutes, today = f"{(time.perf_counter() - start) / 60:.1f}", datetime.date.today().isoformat()
        print(noted([name, resolution, *versions, *map(str, counts.values()), minutes, today]), flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
