"""How much memory kernels take that all start at once on this machine (Linux): `uv run python tests/hub/kernels.py 30`.

Each imports the course, loads the letters backbone and trains a probe, as a learner does in the first minutes.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil  # comes with ipykernel
from jupyter_client.manager import KernelManager

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = """import tl_helpers as tl
task, body = tl.digits(5), tl.backbone("resnet10t.letters")
probe = tl.fit(tl.head(body, task), tl.features(body, task, progress=False), progress=False)
print(tl.evaluate(probe.model, task.test).accuracy)"""
GIB = 2**30


def answer(client) -> str:
    """What the kernel prints."""
    said = ""
    while True:
        message = client.get_iopub_msg(timeout=1800)
        content = message["content"]
        if message["msg_type"] == "error":
            raise RuntimeError(f"{content['ename']}: {content['evalue']}")
        if message["msg_type"] == "stream" and content["name"] == "stdout":
            said += content["text"]
        if said and content.get("execution_state") == "idle":
            return said.strip()


def main(count: int) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TL_PROGRESS": os.devnull}
    kernels, start = [KernelManager() for _ in range(count)], time.perf_counter()
    try:
        for kernel in kernels:
            kernel.start_kernel(env=environment, stderr=subprocess.DEVNULL)
        clients = [kernel.client() for kernel in kernels]
        for client in clients:
            client.start_channels()
        for client in clients:
            client.wait_for_ready(timeout=600)
        for client in clients:
            client.execute(WORK)
        accuracies = [answer(client) for client in clients]
        seconds = time.perf_counter() - start
        used = [psutil.Process(kernel.provisioner.pid).memory_full_info() for kernel in kernels]
    finally:
        for kernel in kernels:
            kernel.shutdown_kernel(now=True)
    own, shared = (sum(one.uss for one in used) / GIB, max(one.rss - one.uss for one in used) / GIB)
    print(f"{count} kernels in {seconds:.0f} s: {own / count:.2f} GiB of its own for each, ", end="")
    print(f"{shared:.2f} GiB shared by all, {own + shared:.1f} GiB together.")
    print(f"Accuracies: {', '.join(sorted(set(accuracies)))}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
