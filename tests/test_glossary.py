"""The glossary: each term once, in bold in the lesson that it names, and linked from there."""

import re

import nbformat
import pytest

from conftest import LESSONS, ROOT

PAGE = ROOT / "notebooks" / "GLOSSARY.md"
ENTRY = re.compile(r"^- \*\*(?P<term>[^*]+)\*\*: (?P<text>.+) \(\[(?P<number>\d\d) · [^]]+\]\((?P<file>[^)]+)\)\)$", re.M)
ENTRIES = list(ENTRY.finditer(PAGE.read_text(encoding="utf-8")))
# In bold for another reason: the names of menus, of rows, a word that matters.
EMPHASIS = {
    "notebook",
    "one",
    "turned",
    "letters",
    "parity",
    "coin toss",
    "letters with random names",
    "docstrings",
    "alchemy",
    "resnet10t",
    "probe",
    "run all cells",
    "points",
}


def prose(path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def test_each_line_is_an_entry_and_they_are_sorted():
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("- ")]
    terms = [entry["term"].lower() for entry in ENTRIES]
    assert len(lines) == len(ENTRIES) > 60 and terms == sorted(set(terms))


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry["term"] for entry in ENTRIES])
def test_a_term_stands_in_bold_in_its_lesson_and_leads_to_the_glossary(entry):
    text = prose(ROOT / "notebooks" / entry["file"])
    assert re.search(rf"\[\*\*{re.escape(entry['term'])}s?\*\*\]\(GLOSSARY\.md\)", text, re.I)
    assert entry["file"].startswith(entry["number"]) and entry["text"].endswith((".", ")"))


@pytest.mark.parametrize("path", LESSONS, ids=[path.stem for path in LESSONS])
def test_what_a_lesson_explains_in_bold_is_in_the_glossary(path):
    """A term in the middle of a sentence; the beginnings of list entries and whole sentences are not terms."""
    known = {entry["term"].lower() for entry in ENTRIES} | EMPHASIS
    found = re.findall(r"(?<=[a-z,(] )\[?\*\*([a-zA-Z][^*.:?]{2,40})\*\*", prose(path))
    assert {term.lower().removesuffix("s") for term in found} <= known | {term.removesuffix("s") for term in known}
