"""What all tests share: no network, in kernels too; and what the tagged cells of a lesson must answer."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest

# Two processes run side by side, each with kernels and torch of its own: more threads than cores would make them crawl.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))  # the first course
DEEPER = sorted((ROOT / "notebooks" / "deeper").glob("*.ipynb"))  # the study behind it
REAL = ROOT.parent / "shared" / "real"  # ImageNet weights and photographs: see the README, "Tests"

# By its tag, how the text that a cell displays must begin.
ANSWERS = {"exercise": "Not yet.", "solution": "✔ Passed.", "claims": "✔ holds:"}

PREFETCHED = tempfile.TemporaryDirectory()  # what `python -m tl_helpers prefetch --to` would leave, if REAL is here

CONNECTIONS = str(Path(PREFETCHED.name, "connections"))  # where tests/offline writes what is asked of the network


def pytest_configure(config):
    offline = str(ROOT / "tests" / "offline")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [offline, os.environ.get("PYTHONPATH")]))
    os.environ["TL_CONNECTIONS"] = CONNECTIONS
    os.environ["TL_PROGRESS"] = os.devnull  # the lessons show a newcomer's progress, whatever was passed on this machine
    for name in [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy")]:
        del os.environ[name]  # the doctor would ask whether it answers
    if os.environ.get("CI") and not REAL.exists():
        raise pytest.UsageError("CI must have real photographs and weights")
    for name in ("torchvision", "hymenoptera_data") if REAL.exists() else ():
        Path(PREFETCHED.name, name).symlink_to(REAL / name)


@pytest.hookimpl(tryfirst=True)  # before slow tests are taken out
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path in DEEPER:
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """The kernel of a notebook starts with the setup of its first cell. It finds REAL, if that is here."""
    with pytest.MonkeyPatch.context() as patch:
        if hasattr(item, "cell") and REAL.exists():
            patch.setenv("TL_HOME", PREFETCHED.name)
            patch.setenv("HF_HOME", str(REAL / "hf-standin"))
            patch.setenv("HF_HUB_OFFLINE", "1")
        return (yield)


@pytest.fixture
def interruptible():
    """Ctrl-C works in the test and in what it starts, also where the test run itself was started with it switched off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def need(found: bool, what: str) -> None:
    """Skip a test for want of something, with the reason; in CI fail it."""
    if not found and os.environ.get("CI"):
        pytest.fail(f"CI must have {what}")
    if not found:
        pytest.skip(f"no {what} on this machine")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """After a cell of a notebook: unsolved exercises, solutions and the claims of a lesson must answer as they should."""
    asked = os.path.getsize(CONNECTIONS) if os.path.exists(CONNECTIONS) else 0
    result = yield
    cell = getattr(item, "cell", None)
    if cell is not None:
        # Only a set of photographs that is not on this machine is fetched, and says so.
        if os.path.exists(CONNECTIONS) and (REAL.exists() or "tl.photos" not in cell.source):
            assert os.path.getsize(CONNECTIONS) == asked, f"A cell asked the network for {Path(CONNECTIONS).read_text()}"
        texts = [out["data"].get("text/plain", "") for out in item.test_outputs or [] if "data" in out]
        for tag in set(cell.metadata.get("tags", [])) & set(ANSWERS):
            answer = texts[-1] if texts else "nothing"
            assert answer.startswith(ANSWERS[tag]) and "✘" not in answer, f"A cell tagged {tag} answered: {answer}"
    return result
