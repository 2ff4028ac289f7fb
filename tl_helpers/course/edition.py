"""Two editions of the course for a room: one to hand out, without solutions and stored outputs, and one to show.

No lesson opens it; `python -m tl_helpers edition` does.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..engine.validate import shown

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("notebooks", "tl_helpers", "data", "LICENSES")
TOP = ("*.md", "*.toml", "*.yml", "*.cff", "LICENSE")
NOT_THEIRS = {"INSTRUCTOR.md", "CONTRIBUTING.md", "ROOMS.md", "SECURITY.md", "CHANGELOG.md"}
LESSONS = ("notebooks/[0-9][0-9]_*.ipynb", "notebooks/deeper/[0-9][0-9]_*.ipynb", "notebooks/*.md")
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)]*)?\)")
# What the README says of tests and of the site: neither is handed out.
TESTS = re.compile(
    r"^And this[^\n]* runs the tests.*?```sh.*?```\n\n|^(To read the course without running it|## Tests\n).*?(?=^## |\Z)"
    r"|^(site|tests)/ [^\n]*\n",
    re.M | re.S,
)

# Right and left go from heading to heading, and from a guess to its answer. Nothing comes from another host: what the
# template would fetch (for formulas and live widgets) is left out.
SLIDES = """{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_css -%}
<style>
  :root { --jp-content-font-size1: 20px; --jp-code-font-size: 18px; --jp-cell-prompt-width: 0px; }
  body { overflow: auto; padding: 0 4vw; }
  section { min-height: 100vh; padding: 4vh 0; box-sizing: border-box; }
  .jp-InputPrompt, .jp-OutputPrompt { display: none; }
  details > summary { cursor: pointer; padding: 0.5em 1em; font: 18px var(--jp-content-font-family); }
  .jp-RenderedHTMLCommon table { font-size: 18px; }
  @media print {
    :root { --jp-content-font-size1: 14px; --jp-code-font-size: 12px; }
    section { min-height: 0; padding: 0; }
    .jp-RenderedHTMLCommon table { font-size: 13px; }
  }
</style>
{%- endblock -%}
{%- block body_loop -%}<section>{{ super() }}</section>{%- endblock -%}
{%- block any_cell -%}
{%- if cell.metadata.begins %}</section><section>{% endif -%}
{%- if "solution" in cell.metadata.tags %}<details><summary>Solution</summary>{{ super() }}</details>
{%- else %}{{ super() }}{% endif -%}
{%- endblock -%}
{%- block footer_js -%}
<script>
  addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key], all = [...document.querySelectorAll("section")];
    if (!step) return;
    const now = all.findLastIndex((section) => section.getBoundingClientRect().top < 50);
    all[Math.min(all.length - 1, Math.max(0, now + step))].scrollIntoView();
  });
</script>
{%- endblock -%}
"""


def learner(folder: Path) -> str:
    """Copy the course to a folder, without solutions, stored outputs, tests and the teacher's page; returns what it did."""
    files = {path.relative_to(ROOT): path for path in _files(TOP + LESSONS)}
    for part in PARTS:
        files |= {path.relative_to(ROOT): path for path in _files((f"{part}/**/*",)) if part != "notebooks"}
    files = {name: path for name, path in files.items() if name.name not in NOT_THEIRS}

    def content(name: Path, path: Path) -> bytes:
        if name.suffix not in (".md", ".ipynb"):
            return path.read_bytes()
        if name.suffix == ".md":
            text = TESTS.sub("", _linked(path.read_text(encoding="utf-8"), name, files))
            # how to update a clone, which this is not, and of files that it has not
            gone = re.compile("git pull|tests/|" + "|".join(NOT_THEIRS))
            return "\n\n".join(part for part in text.split("\n\n") if not gone.search(part)).encode()
        import nbformat

        notebook = nbformat.read(path, as_version=4)
        notebook.cells = [cell for cell in notebook.cells if "solution" not in cell.metadata.get("tags", ())]
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
            else:
                cell.source = re.sub(r"\n*A solution is folded below\..*", "", _linked(cell.source, name, files))
        return (nbformat.writes(notebook) + "\n").encode()

    return _written(folder, ((name, content(name, path)) for name, path in files.items()))


def slides(folder: Path) -> str:
    """Write each lesson as a page to show, which needs no network; returns what it did."""
    from nbconvert import HTMLExporter
    from nbformat import read, v4

    files = {path.relative_to(ROOT / "notebooks"): path for path in _files(LESSONS) if path.name != "INSTRUCTOR.md"}
    exporter = HTMLExporter(raw_template=SLIDES)

    def page(name: Path, path: Path) -> bytes:
        if name.suffix == ".md":
            notebook = v4.new_notebook(cells=[v4.new_markdown_cell(path.read_text(encoding="utf-8"))])
        else:
            notebook = read(path, as_version=4)
        notebook.metadata.title = name.stem.replace("_", " ")
        cells = []
        for cell in notebook.cells:
            parts = [cell]
            if cell.cell_type == "markdown":
                text = _linked(cell.source, name, files, ".html")
                parts = [v4.new_markdown_cell(part) for part in re.split(r"(?m)^(?=#{1,3} )", text) if part.strip()]
            for part in parts:
                heading = part.cell_type == "markdown" and part.source.startswith("#")
                part.metadata.begins = heading and bool(cells) or part.cell_type == "code" and ".reveal(" in part.source
            cells += parts
        notebook.cells = cells
        return exporter.from_notebook_node(notebook, {"metadata": {"name": name.stem}})[0].encode()

    keys = "The arrow keys leaf through a page, right and left. Solutions are folded."
    listed = "\n".join(f"- [{_title(path)}]({name.with_suffix('.html').as_posix()})" for name, path in files.items())
    index = v4.new_notebook(cells=[v4.new_markdown_cell(f"# Transfer learning\n\n{keys}\n\n{listed}")])
    first = exporter.from_notebook_node(index, {"metadata": {"name": "Transfer learning"}})[0].encode()
    made = ((name.with_suffix(".html"), page(name, path)) for name, path in files.items())
    return _written(folder, itertools.chain([(Path("index.html"), first)], made)) + f" Open {shown(folder / 'index.html')}."


def _title(path: Path) -> str:
    """The first heading of a page, with its folder where it is not the first course."""
    import nbformat

    text = path.read_text(encoding="utf-8")
    text = nbformat.reads(text, 4).cells[0].source if path.suffix == ".ipynb" else text
    title = re.search(r"^# (.+)$", text, re.M)[1]
    return f"{path.parent.name}: {title}" if path.parent.name != "notebooks" else title


def _files(patterns: tuple[str, ...]) -> Iterator[Path]:
    """The course's own files, as cloned."""
    if not (ROOT / "notebooks").is_dir():
        raise ValueError(
            "An edition is made from the whole course, and here is only its package: get the course with git clone."
        )
    for pattern in patterns:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _linked(text: str, page: Path, files: dict[Path, Path], ending: str = "") -> str:
    """Links to what the edition holds lead there, with another ending if that is given; others become plain words, and say
    where else to find the pages that are for teachers."""

    def link(found: re.Match) -> str:
        words, target, anchor = found.groups()
        place = Path(os.path.normpath(page.parent / target))
        if place not in files and not any(place in name.parents for name in files):
            return words + " (in the full course)" * (place.name in NOT_THEIRS)
        return f"[{words}]({str(Path(target).with_suffix(ending).as_posix()) if ending else target}{anchor or ''})"

    return LINK.sub(link, text)


def _written(folder: Path, contents: Iterable[tuple[Path, bytes]]) -> str:
    """Write each file that is not there yet. Others, a learner's answers among them, stay as they are."""
    place = folder.resolve()
    if place == ROOT or any(place.is_relative_to(ROOT / part) for part in PARTS):
        raise ValueError(f"{shown(folder)} belongs to the course itself: name a folder of its own for the edition.")
    new, kept = 0, []
    for name, content in contents:
        file = folder / name
        if file.exists():
            kept += [name.as_posix()] * (file.read_bytes() != content)
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.part")  # half a file would be kept the next time
        part.write_bytes(content)
        os.replace(part, file)
        new += 1
    other = f" {len(kept)} were there already, with other contents, and stay as they are: {', '.join(kept[:3])}"
    return f"Written: {shown(folder)}: {new} file{'s' * (new != 1)}." + (
        other + (", and more." if len(kept) > 3 else ".")
    ) * bool(kept)
