"""`uv run --group dev python tests/colab.py`: does the first cell that notebooks/ROOMS.md has for Colab do what it should?

It makes an environment with packages as Colab had them in 2025, in as far as a registry has them, runs the cell's line of
pip there, sees that no package which was there before was changed, and runs two lessons in it. Colab itself is not asked.
"""

import json
import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from versions import ROOT, pythons, uv

sys.path.insert(0, str(ROOT))
from conftest import ANSWERS

COLAB = "ipykernel==6.17.1 ipywidgets==7.7.1 matplotlib==3.10.0 numpy==2.0.2 pandas==2.2.2 scikit-learn==1.6.1 " + (
    "filelock huggingface_hub pillow platformdirs requests safetensors torch torchvision tqdm"
)
LINE = re.search(r"^%pip install (-q .+)$", (ROOT / "notebooks" / "ROOMS.md").read_text(encoding="utf-8"), re.M)[1]


def frozen(python: str) -> set[str]:
    return set(uv("pip", "freeze", "--quiet", "--python", python, capture_output=True).stdout.split())


def run(path: Path, folder: Path) -> None:
    """Run a lesson there; what its tagged cells answer must be as it should."""
    lesson = nbformat.read(path, as_version=4)
    specs = KernelSpecManager(kernel_dirs=[str(folder / "kernels")])
    manager = AsyncKernelManager(kernel_name="colab", kernel_spec_manager=specs)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TL_PROGRESS": os.devnull}
    NotebookClient(lesson, km=manager, timeout=600).execute(env=environment, cwd=str(folder))
    for cell in lesson.cells:
        for tag in set(cell.metadata.get("tags", [])) & set(ANSWERS):
            text = cell.outputs[-1]["data"]["text/plain"]
            assert text.startswith(ANSWERS[tag]) and "✘" not in text, f"{path.name}: {text}"
    print(f"{path.name}: ran to its end")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uv("venv", "--quiet", "--python", pythons()["3.12"], str(folder / "environment"))
        python = str(folder / "environment" / "bin" / "python")
        uv("pip", "install", "--quiet", "--python", python, *COLAB.split())
        before = frozen(python)
        uv("pip", "install", "--python", python, *LINE.split())
        after = frozen(python)
        assert before <= after, f"changed: {before - after}"
        print(f"{len(before)} packages stayed as they were; new: {', '.join(sorted(after - before))}")
        spec = folder / "kernels" / "colab" / "kernel.json"
        spec.parent.mkdir(parents=True)
        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec.write_text(json.dumps({"argv": argv, "display_name": "colab", "language": "python"}))
        for lesson in ("00_start_here", "01_black_boxes"):
            run(ROOT / "notebooks" / f"{lesson}.ipynb", folder)


if __name__ == "__main__":
    main()
