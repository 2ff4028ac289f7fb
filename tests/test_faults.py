"""What goes wrong on a day of teaching, done on purpose: it ends in a working lesson or in one clear sentence, and nothing
of the learner's is lost.

Elsewhere: kills and full disks in a training (test_engine.py), while saving (test_saving.py) and downloading
(test_downloads.py), and no network at all (conftest.py cuts every test off).
"""

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from huggingface_hub import constants
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from PIL import Image
from test_camera import Browser

import tl_helpers as tl
from conftest import ANSWERS, ROOT
from tl_helpers import __main__ as command
from tl_helpers.course.checks import base

RIGHT = "tl.check.share_right(lambda answers, labels: (answers == labels).float().mean().item())"
OFFLINE = str(ROOT / "tests" / "offline")


def cells(name: str) -> list:
    (path,) = (ROOT / "notebooks").glob(f"{name}_*.ipynb")
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


class Kernel:
    """A kernel in a folder, as JupyterLab starts one. `before` is a command that starts another, as taskset does."""

    def __init__(self, here: Path, folder: Path, before=(), **environment):
        spec = here / "kernels" / "odd"
        spec.mkdir(parents=True)
        argv = [*before, sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "odd", "language": "python"}))
        self.manager = KernelManager(
            kernel_name="odd", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(spec.parent)])
        )
        self.how = {"cwd": str(folder), "env": {k: v for k, v in (os.environ | environment).items() if v is not None}}
        self.start()

    def start(self, again: bool = False):
        self.manager.restart_kernel(now=True) if again else self.manager.start_kernel(**self.how)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def kill(self):
        os.kill(self.manager.provisioner.pid, signal.SIGKILL)
        self.client.stop_channels()
        self.start(again=True)

    def signal_after(self, seconds: float, what: int):
        timer = threading.Timer(seconds, os.kill, (self.manager.provisioner.pid, what))
        timer.start()
        return timer

    def run(self, source: str) -> str:
        """The last text that a cell shows; where it fails, the error's name and words."""
        shown = []

        def hear(message):
            content = message["content"]
            if "data" in content:
                shown.append(content["data"].get("text/plain", ""))
            elif message["msg_type"] == "stream" and content["name"] == "stdout":
                shown.append(content["text"].strip())

        reply = self.client.execute_interactive(source, timeout=300, output_hook=hear)["content"]
        return f"{reply['ename']}: {reply['evalue']}" if reply["status"] == "error" else (shown or [""])[-1]

    def run_all(self, lesson: list) -> None:
        for cell in lesson:
            text = self.run(cell.source)
            assert not re.match(r"\w*(Error|Interrupt|Exit)", text), f"{cell.source}\n{text}"
            for tag in set(cell.metadata.get("tags", [])) & set(ANSWERS):
                assert text.startswith(ANSWERS[tag]) and "✘" not in text, f"A cell tagged {tag} answered: {text}"


@pytest.fixture
def kernel(tmp_path):
    """Starts kernels in the folder of the lessons, or elsewhere, and ends them."""
    started = []

    def start(folder=ROOT / "notebooks", before=(), **environment) -> Kernel:
        started.append(Kernel(tmp_path, folder, before, **environment))
        return started[-1]

    yield start
    for one in started:
        one.client.stop_channels()
        one.manager.shutdown_kernel(now=True)


# Kernels


def test_a_lesson_survives_a_kill_a_sleep_any_order_and_a_second_time(kernel, tmp_path):
    lesson = cells("01")
    kernel = kernel(TL_PROGRESS=str(tmp_path / "progress.json"))
    fit = "tl.fit(tl.RawCNN(), tl.digits(10), epochs=60, device='cpu').history.loss.tolist()"

    kernel.run(lesson[0].source)
    assert kernel.run("tl.check.whom_to_help('bank', 'a')").startswith("✔")
    kernel.run("asked = tl.widgets.guess('How many?', low=0, high=1)\nasked.value = 0.3")
    undisturbed = kernel.run(fit)
    kernel.client.execute(fit)
    time.sleep(0.5)
    kernel.kill()
    assert "whom to help" in kernel.run(lesson[0].source) and "1 of" in kernel.run(lesson[0].source)
    assert kernel.run("tl.widgets.guess('How many?', low=0, high=1).value") == "0.3"

    start = time.perf_counter()
    timers = [kernel.signal_after(0.5, signal.SIGSTOP), kernel.signal_after(4, signal.SIGCONT)]
    assert kernel.run(fit) == undisturbed and "Error" not in undisturbed
    assert not any(timer.is_alive() for timer in timers) and time.perf_counter() - start > 4

    kernel.run("%reset -f")
    for cell in reversed(lesson):
        text = kernel.run(cell.source)
        assert not re.match(r"\w+(Error|Interrupt|Exit)", text) or text.startswith("NameError"), f"{cell.source}\n{text}"
    kernel.run_all(lesson)
    kernel.run_all(lesson)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["00", "02", "08", "11"])
def test_a_lesson_killed_half_way_runs_from_the_top_and_twice_in_one_kernel(kernel, name):
    """Lesson 11 writes files, and checkpoints of a training that it stops itself."""
    lesson, kernel = cells(name), kernel()
    half = len(lesson) // 2
    kernel.run_all(lesson[:half])
    kernel.client.execute(lesson[half].source)
    time.sleep(0.3)
    kernel.kill()
    kernel.run_all(lesson)
    kernel.run_all(lesson)


# Machines


def course_in(folder: Path) -> Path:
    """A copy of the course there; its folder of lessons."""
    for part in ("tl_helpers", "notebooks"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "deeper", ".*", "10_work"))
    shutil.copytree(ROOT / "data", folder / "data")
    return folder / "notebooks"


def limited(*programs: str) -> list[str]:
    """Those of these commands, with their arguments, that this system has."""
    return [word for program in programs if shutil.which(program.split()[0]) for word in program.split()]


def test_a_lesson_runs_far_down_in_an_odd_home_on_a_small_machine(kernel, tmp_path):
    """250 characters of path, spaces and letters outside ASCII in a locale that has none; one core, 2 GB, no fork."""
    home = tmp_path / "Zoë Müller’s Ölçü 家"
    deep = home / "my courses"
    while len(str(deep / "00_start_here.ipynb")) < 250 - len("/notebooks"):
        deep /= "a folder in it "[: 250 - len("/notebooks") - len(str(deep / "00_start_here.ipynb"))].strip() or "a"
    lessons = course_in(deep)
    core = min(getattr(os, "sched_getaffinity", lambda _: [0])(0))
    small = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOME": str(home), "TL_PROGRESS": None}
    path = os.pathsep.join((OFFLINE, str(deep)))
    before = limited(f"taskset -c {core}", f"prlimit --data={2 * 2**30}")
    kernel = kernel(lessons, before, XDG_DATA_HOME=None, XDG_CACHE_HOME=None, PYTHONPATH=path, **small)
    said = kernel.run("import locale, os, tl_helpers\nprint(locale.getpreferredencoding(False), tl_helpers.__file__)")
    assert str(deep / "tl_helpers") in said and (sys.platform != "linux" or "UTF" not in said), said
    kernel.run("""import multiprocessing
def fork():
    raise OSError("no fork, as on Windows")
os.fork = fork
multiprocessing.set_start_method("spawn")""")
    kernel.run_all(cells("00"))
    assert kernel.run(RIGHT).startswith("✔")
    (progress,) = home.rglob("progress.json")
    assert base.kept(progress) == ["share_right"]


def test_a_lesson_runs_for_somebody_without_a_home_who_may_write_nothing(kernel, tmp_path, swallowing):
    """A read-only course, a user whom the system does not know, a Turkish locale, a network that swallows everything."""
    lessons = course_in(tmp_path / "course")
    held = sorted((tmp_path / "course").rglob("*"))
    for path in (*held, tmp_path / "course"):
        path.chmod(path.stat().st_mode & ~0o222)
    (tmp_path / "jupyter").mkdir()
    (tmp_path / "jupyter").chmod(0o777)
    jupyter = dict.fromkeys(("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"), str(tmp_path / "jupyter"))
    jupyter["JUPYTER_RUNTIME_DIR"] = str(tmp_path / "jupyter")  # without a home, JupyterLab itself needs these
    nobody = []
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # root may write everywhere, and has a home
        if not shutil.which("setpriv"):
            pytest.skip("no setpriv on this machine, and root may write everywhere")
        reads = "--inh-caps=+dac_read_search --ambient-caps=+dac_read_search"
        nobody = f"setpriv --reuid=54321 --regid=54321 --clear-groups {reads}".split()
    away = dict.fromkeys(("HOME", "TL_PROGRESS", "TL_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"))
    if not nobody:
        away["TL_PROGRESS"] = os.devnull  # else platformdirs would find whoever runs the tests
    elif subprocess.run([*nobody, "true"], capture_output=True).returncode:
        pytest.skip("root may not give up its rights here")
    path = os.pathsep.join((OFFLINE, str(lessons.parent)))
    kernel = kernel(lessons, nobody, PYTHONPATH=path, LC_ALL="tr_TR.UTF-8", **away, **jupyter)
    kernel.run_all(cells("01"))
    assert kernel.run("tl.check.whom_to_help('bank', 'a')").startswith("✔")
    if nobody:
        assert "0 of" in kernel.run("tl.check.progress('01')")
        assert "set the variable TL_HOME to a folder of yours" in kernel.run("tl.photos('pets')")
    assert "ValueError: model cannot be written: " in kernel.run("tl.save(tl.RawCNN(), 'model', task)")
    assert sorted((tmp_path / "course").rglob("*")) == held


def test_a_machine_without_jupyterlab_is_told_all_the_same(monkeypatch):
    """As on Colab, which has a Jupyter of its own."""
    found = metadata.Distribution.discover
    away = lambda context=None, **named: "jupyterlab" in (named.get("name"), getattr(context, "name", None))
    monkeypatch.setattr(metadata.Distribution, "discover", lambda **how: iter(()) if away(**how) else found(**how))
    versions = tl.device.machine()["versions"]
    assert versions.startswith("torch ") and "jupyterlab" not in versions


@pytest.fixture
def swallowing(monkeypatch):
    """A network whose proxy takes every request and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(100)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{listening.getsockname()[1]}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield


def test_a_network_that_hangs_is_said_within_seconds(swallowing, monkeypatch, tmp_path):
    monkeypatch.setenv("TL_HOME", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    start = time.monotonic()
    with pytest.raises(ConnectionError, match="there is no answer .*proxy.* prefetch"):
        tl.photos("pets")
    with pytest.raises(ConnectionError, match="could not be fetched. Run .*prefetch"):
        tl.backbone("resnet18.a1_in1k")
    assert time.monotonic() - start < 40


def stop():
    raise KeyboardInterrupt


def test_a_clock_that_is_set_back_stops_nothing(monkeypatch, tmp_path):
    task, checkpoint = tl.digits(2), str(tmp_path / "checkpoint")
    fit = lambda epochs, **more: tl.fit(tl.RawCNN(), task, epochs=epochs, schedule="constant", checkpoint=checkpoint, **more)
    whole = tl.fit(tl.RawCNN(), task, epochs=4, schedule="constant", progress=False)
    with monkeypatch.context() as patch:
        hours = iter(range(10**6, 0, -1))
        for clock in ("time.time", "tqdm.std.time"):
            patch.setattr(clock, lambda: next(hours) * 3600.0)
        patch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        count, update = iter(range(9)), tl.training.Progress.update
        patch.setattr(tl.training.Progress, "update", lambda bar: update(bar) if next(count) < 2 else stop())
        assert len(fit(4).history) == 2
    os.utime(checkpoint, (2e9, 2e9))  # it was written in a year to come
    run = fit(4)
    assert len(run.history) == 4 and (run.history.seconds.diff().dropna() > 0).all()
    assert run.history.loss.tolist() == whole.history.loss.tolist()


# What is the learner's


def test_two_notebooks_that_pass_exercises_at_once_lose_none(tmp_path):
    code = "import sys\nfrom pathlib import Path\nfrom tl_helpers.course.checks import base\n"
    code += "sys.stdin.read()\nfor i in range(300): base.keep(Path(sys.argv[1]), sys.argv[2] + str(i))"
    command = [sys.executable, "-c", code, str(tmp_path / "progress.json")]
    both = [subprocess.Popen([*command, name], stdin=subprocess.PIPE, cwd=ROOT) for name in "ab"]
    time.sleep(1)
    for one in both:
        one.stdin.close()
    assert [one.wait() for one in both] == [0, 0]
    assert set(base.kept(tmp_path / "progress.json")) == {f"{name}{i}" for name in "ab" for i in range(300)}


@pytest.fixture
def full():
    """Inside `with full(n)` no file grows beyond n bytes, as on a disk that has no more room."""
    resource = pytest.importorskip("resource")

    @contextlib.contextmanager
    def limit(room: int):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


def test_a_disk_that_fills_up_keeps_what_was_passed_before(tmp_path, full):
    base.keep(tmp_path / "progress.json", "first")
    for room in (4, (tmp_path / "progress.json").stat().st_size + 4):  # none at all, and for half a line
        with full(room):
            base.keep(tmp_path / "progress.json", "lost")
    base.keep(tmp_path / "progress.json", "second")
    assert base.kept(tmp_path / "progress.json") == ["first", "second"]


def test_two_trainings_never_share_a_checkpoint(tmp_path, monkeypatch):
    task, said = tl.digits(1), []
    fit = lambda lr: tl.fit(tl.RawCNN(), task, epochs=2, lr=lr, checkpoint=str(tmp_path / "x"), progress=False)
    update = tl.training.Progress.update

    def meanwhile(self):
        monkeypatch.setattr(tl.training.Progress, "update", update)
        with pytest.raises(ValueError, match="Another training is writing to .*x just now: wait"):
            fit(1e-2)
        said.append(True)

    monkeypatch.setattr(tl.training.Progress, "update", meanwhile)
    assert len(fit(1e-3).history) == 2 and said
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert len(fit(1e-3).history) == 2


def test_a_picture_for_which_there_is_no_room_is_said_and_the_others_stay(tmp_path, full):
    browser = Browser(folder=str(tmp_path))
    browser.take(0, range(2))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.jpg")}
    with full(100):
        answer = browser.take(0, [2])
    assert re.search(r"camera-0003.jpg cannot be written: .*\.$", answer["words"])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.jpg")} == before and len(before) == 2
    browser.take(0, [2])
    assert len(list(tmp_path.rglob("*.jpg"))) == 3
    browser.camera.close()


def test_names_that_a_terminal_cannot_show_stop_no_list(tmp_path, monkeypatch):
    """As on Windows, where what goes into a file by `>` is written in an old code of 256 letters."""
    task = tl.digits(1)
    tl.save(tl.RawCNN(), tmp_path / "model", task)
    (tmp_path / "pictures").mkdir()
    Image.new("L", (28, 28)).save(tmp_path / "pictures" / "家 ü.png")
    shown = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", shown)
    assert command.main(["predict", str(tmp_path / "model"), str(tmp_path / "pictures")]) == 0
    shown.flush()
    assert "\\u5bb6 ü.png," in shown.buffer.getvalue().decode("cp1252")


def test_an_update_writes_over_no_notebook_that_the_learner_changed(tmp_path):
    """The three lines of the README, with git as it comes: it does not even know the learner's name."""
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(tmp_path), "LC_ALL": "C"}
    quiet = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | quiet

    def git(words: str, where: Path, fails: bool = False) -> str:
        done = subprocess.run(["git", *shlex.split(words)], cwd=where, env=quiet, capture_output=True, text=True)
        assert bool(done.returncode) == fails, done.stderr
        return done.stderr

    def store(text: str) -> None:
        (ours / "notebooks" / name).write_text(text, encoding="utf-8")
        git("add .", ours)
        git(f"-c user.name=us -c user.email=us commit -m {len(text)}", ours)

    ours, theirs, name = tmp_path / "ours", tmp_path / "the course", "00_start_here.ipynb"
    (ours / "notebooks").mkdir(parents=True)
    git("init", ours)
    old = (ROOT / "notebooks" / name).read_text(encoding="utf-8")
    store(old)
    git("clone ours 'the course'", tmp_path)
    answered = old.replace("one_example = ...", "one_example = accuracy_with(1)").replace("seed=0", "seed=1")
    (theirs / "notebooks" / name).write_text(answered, encoding="utf-8")
    (theirs / "notebooks" / "mine.ipynb").write_text("my own", encoding="utf-8")
    new = old.replace("seed=0", "seed=2")
    store(new)

    assert "would be overwritten" in git("pull", theirs, fails=True)
    assert (theirs / "notebooks" / name).read_text(encoding="utf-8") == answered
    lines = re.search(r"```sh\n(git stash\n.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)[1].splitlines()
    assert len(lines) == 3
    for line in lines:
        git(line.removeprefix("git "), theirs)
    assert (theirs / "notebooks" / name).read_text(encoding="utf-8") == new
    assert (tmp_path / "my-answers" / "notebooks" / name).read_text(encoding="utf-8") == answered
    assert (theirs / "notebooks" / "mine.ipynb").read_text(encoding="utf-8") == "my own"
