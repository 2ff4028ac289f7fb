"""One training in several processes, for test_engine.py: `torchrun --nproc_per_node N tests/together.py FOLDER CASE`.

`python tests/together.py FOLDER CASE:N ...` does the same for each CASE, quicker: torch is imported once, and each process
is a fork with the variables that torchrun would set.
"""

import os
import signal
import socket
import sys
from pathlib import Path

import torch

import tl_helpers as tl


def training(case: str, folder: Path) -> tuple:
    """The model, the task (50 images in two batches of 25: shares of 13 and 12, or of 7, 6, 6 and 6) and fit's arguments."""
    task, arguments = tl.digits(shots=5), {"epochs": 3, "device": "cpu"}
    letters = lambda: tl.backbone("resnet10t.letters", classes=10)
    if case == "cnn":
        return tl.RawCNN(dropout=0.0), task, arguments
    if case == "letters":
        return letters(), task, arguments
    if case == "head":
        return tl.head(letters(), task), tl.features(letters(), task), arguments
    if case == "small":
        return tl.RawCNN(), task, arguments | {"batch_size": 3}
    if case == "foreign":
        (folder / "thesis").write_text("my thesis")
        return tl.RawCNN(), task, arguments | {"checkpoint": folder / "thesis"}
    return tl.RawCNN(), task, arguments | {"augment": dying(folder, case), "checkpoint": folder / f"{case}.checkpoint"}


def dying(folder: Path, case: str):
    """Augmentation, and in the case "dying" the death of the last process in the third epoch, once."""

    def augment(images, generator, calls=[0]):  # noqa: B006
        calls[0] += 1
        last = os.environ.get("RANK") == str(int(os.environ.get("WORLD_SIZE", 0)) - 1)
        if case == "dying" and calls[0] == 5 and last and not (folder / "died").exists():
            (folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return tl.glyphs.augment(images, generator)

    return augment


def member(case: str, folder: Path) -> None:
    """What each process does."""
    model, task, arguments = training(case, folder)
    name = f"{case}-{os.environ.get('WORLD_SIZE', 1)}-{os.environ.get('RANK', 0)}"
    try:
        run = tl.fit(model, task, **arguments)
        result = [run.model.state_dict(), run.history.drop(columns="seconds").to_numpy().tolist()]
    except (ValueError, ConnectionError) as error:
        result = f"{type(error).__name__}: {error}"
        print(result, flush=True)
    torch.save(result, folder / name)


def fork(case: str, folder: Path, size: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    children = []
    for rank in range(size):
        children.append(os.fork())
        if not children[-1]:
            ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port}
            os.environ.update({name: str(value) for name, value in ranks.items()})
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "forks"}
            try:
                member(case, folder)
            finally:
                sys.stdout.flush()
                os._exit(0)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    folder, *cases = Path(sys.argv[1]), *sys.argv[2:]
    if "RANK" in os.environ:
        member(*cases, folder)
    else:
        torch.set_num_threads(1)
        tl.backbone("resnet10t.letters")  # imports timm, once
        for case, size in (text.split(":") for text in cases):
            fork(case, folder, int(size))
