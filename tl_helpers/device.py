"""Where it runs: the device, the precision, the machine, and reproducible random numbers. Lesson 00 opens this file."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
from importlib import metadata
from pathlib import Path

import torch

from .engine.validate import as_path, brief, check_number, check_seed, user_folder


def device(name: str | torch.device | None = None) -> torch.device:
    """The device to train on: the one named, else the variable TL_DEVICE, else a GPU (CUDA, then Apple's MPS), else the CPU.

    Raises:
        ValueError: the device that was asked for is not on this machine.
    """
    if name is None or isinstance(name, str) and not name:
        name = os.environ.get("TL_DEVICE") or None
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        if name == "cuda" and "LOCAL_RANK" in os.environ:  # one of several processes, each with a GPU of its own
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        place = torch.zeros(1, device=name)
        place.cpu()  # which "meta", a device without numbers, cannot
        return place.device  # "cuda" becomes "cuda:0", as tensors name it
    except (RuntimeError, AssertionError, TypeError, ValueError, ImportError) as error:
        raise ValueError(
            f"The device {brief(name)} cannot be used on this machine; leave it out, or set TL_DEVICE=cpu."
        ) from error


def precision(where: torch.device) -> torch.dtype | None:
    """The number format for matrix work where a shorter one pays: bfloat16 or float16 on CUDA; None (float32) elsewhere."""
    if _found(where).type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def autocast(where: torch.device) -> contextlib.AbstractContextManager:
    """Inside the `with` block matrix work is done in the device's precision."""
    short = precision(where)
    return torch.autocast(_found(where).type, short) if short else contextlib.nullcontext()


def layout(where: torch.device) -> torch.memory_format:
    """The order in memory in which convolutions run fastest: channels last on CUDA."""
    return torch.channels_last if _found(where).type == "cuda" else torch.contiguous_format


def place_for(size: int, where: torch.device) -> torch.device:
    """Where to keep so many bytes of data: on the device if that leaves room for the rest, else on the CPU."""
    where = _found(where)
    check_number("size", size, "a number of bytes", 0)
    if where.type == "cuda" and size > torch.cuda.mem_get_info(where)[0] / 6:
        return torch.device("cpu")
    return where


def _found(where: str | torch.device) -> torch.device:
    return where if isinstance(where, torch.device) else device(where)


@contextlib.contextmanager
def seeded(seed: int):
    """Inside the `with` block torch's random numbers follow from the seed; afterwards they go on as if nothing had been."""
    check_seed(seed)
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def machine() -> dict[str, str]:
    """What this machine is, in words, for people and for stored results."""
    found = device()
    packages = ("torch", "torchvision", "timm", "scikit-learn", "jupyterlab")
    facts = {
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{n} {found.version}" for n in packages for found in [*metadata.distributions(name=n)][:1]),
        "processor": f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} of them",
        "device": str(found),
    }
    if found.type == "cuda":
        card = torch.cuda.get_device_properties(found)
        short = str(precision(found)).removeprefix("torch.")
        facts["device"] = f"cuda: {card.name}, {card.total_memory / 2**30:.0f} GiB, {short}"
    elif found.type == "cpu" and shutil.which("nvidia-smi"):
        facts["device"] = "cpu, although an NVIDIA driver is installed: torch cannot use it (is the driver too old?)"
    return facts


def cache_folder() -> Path:
    """Where the sets live: TL_HOME, else the cache folder that this system keeps for a user's programs."""
    folder = os.environ.get("TL_HOME") or user_folder("cache")
    if not folder:
        raise ValueError("This system gives you no home folder: set the variable TL_HOME to a folder of yours.")
    return as_path(folder)


def hub_cache() -> Path | None:
    """Where Hugging Face's library keeps weights: below TL_HOME if that is set; None for wherever it does by itself."""
    own = {"HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"} & set(os.environ)
    return cache_folder() / "hf" / "hub" if os.environ.get("TL_HOME") and not own else None
