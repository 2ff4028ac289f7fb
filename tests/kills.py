"""Trainings that are killed at random moments and go on: `python tests/kills.py FOLDER KILLS`; run by test_engine.py.

torch is imported once; each training is a fork.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

import tl_helpers as tl


def train(checkpoint: Path | None) -> dict:
    """A training with everything that has a state: dropout, batch norm, augmentation, schedule, best weights."""
    noise = lambda images, generator: images + 0.1 * torch.rand(images.shape, generator=generator)
    task = tl.digits(shots=2)
    task = tl.Task(task.name, task.classes, task.train, task.val[:10], task.val[:0])
    model = tl.RawCNN(norm="batch")
    path = str(checkpoint) if checkpoint else None
    return tl.fit(model, task, epochs=12, patience=12, augment=noise, device="cpu", checkpoint=path).model.state_dict()


def main(folder: Path, wanted: int) -> None:
    torch.set_num_threads(1)
    expected = train(None)  # and whatever is imported on the way
    start = time.perf_counter()
    train(folder / "whole")
    seconds, moments = time.perf_counter() - start, random.Random(2018)
    kills = trainings = whole = 0
    while kills < wanted or whole:
        checkpoint, result = folder / f"{trainings}.checkpoint", folder / f"{trainings}.result"
        child = os.fork()
        if not child:
            torch.save(train(checkpoint), result)
            os._exit(0)
        if kills < wanted:
            time.sleep(moments.uniform(0, seconds))
            os.kill(child, signal.SIGKILL)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        kills, whole = kills + killed, int(killed)
        if not killed:
            found = torch.load(result)
            assert all(torch.equal(found[name], expected[name]) for name in expected), (
                f"training {trainings} came out otherwise"
            )
            trainings += 1
    print(f"{kills} kills, {trainings} trainings")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
