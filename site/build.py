"""Builds the course as a site to be read, from the stored notebooks: `uv run --group site python site/build.py`.

Any server of plain files shows it: `python -m http.server -d site/_build/html`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, unquote

import live
import nbformat

SITE = Path(__file__).resolve().parent
ROOT = SITE.parent
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)")  # to a file of the project, in Markdown
RUN = """:::{{admonition}} Read here, run there
:class: tip
You see what the stored notebook shows. To change and run the code, and for all that has buttons, sliders, a pad or a camera,
you need the notebook itself. In a clone of the course, on Linux or macOS:

```sh
python3 -m pip install -q --target .uv uv
.uv/bin/uv run jupyter lab --notebook-dir=. {name}
```

{services}

Or try it at once, in this browser: <a href="{up}try.html">draw a digit, or teach your camera</a>.
:::"""


def pages() -> list[Path]:
    """What becomes a page: the readme, the lessons and what lies beside them, and every Markdown file that these link to."""
    found = [
        ROOT / "README.md",
        *sorted((ROOT / "notebooks").glob("**/[!.]*.ipynb")),
        *sorted((ROOT / "notebooks").glob("*.md")),
    ]
    found = [path for path in found if ".ipynb_checkpoints" not in path.parts]
    for path in found:  # grows
        found += [other for other in links(path) if other.suffix == ".md" and other not in found]
    return found


def texts(path: Path) -> list[str]:
    """The Markdown in a file."""
    if path.suffix == ".md":
        return [path.read_text(encoding="utf-8")]
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]


def links(path: Path) -> list[Path]:
    """The files of the project that a page links to or shows, each once."""
    names = {unquote(name) for text in texts(path) for name in LINK.findall(text)}
    found = {(path.parent / name).resolve() for name in names}
    return sorted(other for other in found if other.is_file() and other.is_relative_to(ROOT))


def services(name: str) -> str:
    """Where a lesson runs without an installation: links, if it is known where on GitHub the course lies."""
    place = os.environ.get("GITHUB_REPOSITORY")
    if not place:
        codespaces = " Codespaces finds all it needs in `.devcontainer`," if (ROOT / ".devcontainer").exists() else ""
        return (
            "Nothing installed? From a copy of the course on GitHub,"
            f"{codespaces} Binder builds `environment.yml`, and Colab needs the first cell that notebooks/ROOMS.md has."
        )
    colab = f"https://colab.research.google.com/github/{place}/blob/main/{name}"
    found = [f"[Colab]({colab}) (with the first cell that notebooks/ROOMS.md has)"]
    if (ROOT / ".devcontainer").exists():
        found.append(f"[Codespaces](https://codespaces.new/{place})")
    found.append(f"[Binder](https://mybinder.org/v2/gh/{place}/main?labpath={quote(name, safe='')})")
    return f"Nothing installed? Open it on a service: {', '.join(found)}."


def stage(folder: Path) -> None:
    """Lay out what Sphinx reads: pages where they lie in the project, so that links hold, and what they link to."""
    wanted = pages()
    for path in sorted({*wanted, *(other for page in wanted for other in links(page))}):
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".ipynb":
            shutil.copy(path, copy)
            continue
        lesson, name = nbformat.read(path, as_version=4), path.relative_to(ROOT).as_posix()
        note = RUN.format(name=name, services=services(name), up="../" * name.count("/"))
        for cell in lesson.cells:
            if "solution" in cell.metadata.get("tags", ()):
                cell.metadata.tags.append("hide-input")  # folded, as in JupyterLab
        lesson.cells.insert(1, nbformat.v4.new_markdown_cell(note, id="run-it"))
        nbformat.write(lesson, copy)
    listed = (folder / "README.md", *(folder / "notebooks").glob("**/*"))
    others = [path.relative_to(folder) for path in sorted(folder.glob("**/*.md")) if path not in listed]
    index = (SITE / "index.md").read_text(encoding="utf-8")
    index = index.replace("{others}", "\n".join(path.with_suffix("").as_posix() for path in others))
    (folder / "index.md").write_text(index, encoding="utf-8")


def build(into: Path) -> Path:
    """Build the whole site into a folder, in place of what an earlier build left there; returns where its pages are."""
    shutil.rmtree(into, ignore_errors=True)
    stage(into / "source")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-c", SITE]
    subprocess.run([*command, "-d", into / "doctrees", into / "source", into / "html"], check=True)
    live.build(into / "html")
    return into / "html"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, default=SITE / "_build", help="a folder; what it holds is deleted")
    print(f"The site: {build(parser.parse_args().into)}")
