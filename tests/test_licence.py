"""Licence, citation and version: each says what is so, and says it once."""

import datetime
import re
import tomllib

import nbformat
import pytest
import yaml

import tl_helpers as tl
from conftest import ROOT
from tl_helpers.datasets.free import free_photographs
from tl_helpers.datasets.photos import CREDITS, SETS, SOURCES, WEIGHTS
from tl_helpers.engine import lite0
from tl_helpers.engine.weights import LETTERS, register
from tl_helpers.glyphs import FONTS

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
THIRD = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
# What the Citation File Format 1.2.0 has, at the top of a file and for an author who is no single person.
KEYS = set(
    "abstract authors cff-version commit contact date-released doi identifiers keywords license license-url message "
    "preferred-citation references repository repository-artifact repository-code title type url version".split()
)
ENTITY = set(
    "address alias city country date-end date-start email fax location name orcid post-code region tel website".split()
)


def test_the_version_stands_in_one_place():
    assert "version" not in PYPROJECT["project"] and PYPROJECT["project"]["dynamic"] == ["version"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "tl_helpers/__init__.py"
    newest = re.search(r"^## (\S+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    released = datetime.datetime.strptime(newest[2], "%d %B %Y").date().isoformat()
    assert (CITATION["version"], CITATION["date-released"]) == (newest[1], released) == (tl.__version__, released)


def test_the_citation_is_one_that_tools_read():
    assert {"cff-version", "message", "title", "authors"} <= set(CITATION) <= KEYS
    assert CITATION["cff-version"] == "1.2.0" and CITATION["type"] == "software"
    for work in (CITATION, *CITATION["references"]):
        assert work["title"] and work["authors"]
        assert all(author["name"] and set(author) <= ENTITY for author in work["authors"])
    assert all(type(work["year"]) is int for work in CITATION["references"])
    assert all(isinstance(CITATION[key], str) for key in ("message", "title", "version", "date-released"))
    assert len(set(CITATION["keywords"])) == len(CITATION["keywords"])


def test_the_licences_are_those_that_are_named():
    mit, by = ((ROOT / name).read_text(encoding="utf-8") for name in ("LICENSE", "LICENSES/CC-BY-4.0.txt"))
    assert mit.startswith("MIT License\n\nCopyright (c) 20") and mit.count("\n\n") == 4 and len(mit.split()) > 165
    assert re.findall(r"^Section (\d)", by, re.M) == [*"12345678"] and len(by.split()) == 2573
    assert CITATION["license"] == ["MIT", "CC-BY-4.0"] and PYPROJECT["project"]["license"] == "MIT"
    register()
    import timm

    assert {timm.get_pretrained_cfg(f"{name}.letters").license for name in LETTERS} == {"mit"}


def test_everything_of_others_is_listed():
    libraries = dict(re.findall(r"^\| ([\w-]+) \| (.+) \|$", THIRD.split("## Libraries")[1], re.M))
    libraries.pop("what")
    ours = {re.match(r"[\w-]+", line)[0] for line in PYPROJECT["project"]["dependencies"]} - {lite0.PACKAGE}
    assert ours == set(libraries)
    assert all(font.startswith(("DejaVu", "STIX")) for font in FONTS)
    for word in ("DejaVu", "STIX", lite0.PACKAGE, *WEIGHTS, "Grace Hopper"):
        assert word in THIRD, word
    assert set(free_photographs()) == {"china", "flower", "Grace Hopper"} and "CC BY 2.0" in THIRD
    listed = {"pets": "Oxford-IIIT pets", "ants-and-bees": "ants and bees", "clothes": "Fashion-MNIST"}
    assert set(listed) == set(SOURCES) and {*listed, "cats-and-dogs", "solar-cells"} == set(SETS)
    for word in (*listed.values(), "solar cells, in elpv-dataset"):
        assert word in THIRD, word


def test_a_set_of_photographs_names_its_source_and_the_licence_that_is_listed():
    rows = [line for line in THIRD.splitlines() if line.startswith("|")]
    listed = {"ants-and-bees": "ants and bees", "clothes": "Fashion-MNIST", "solar-cells": "solar cells"}
    for name, words in CREDITS.items():
        (row,) = (row for row in rows if listed.get(name, "Oxford-IIIT pets") in row)
        for licence in ("CC BY-SA 4.0", "CC BY-NC-SA 4.0: not for commercial use", "(MIT)", "research and teaching"):
            assert (licence.strip("()") in row) == (licence in words), (name, licence)


def test_lesson_09_names_the_sources_of_its_photographs():
    """Those that nobody need fetch, and the clothes of its figure, with their licences."""
    cells = nbformat.read(ROOT / "notebooks" / "09_photographs.ipynb", as_version=4).cells
    text = " ".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for words in ("elpv-dataset, Buerhop-Lutz and others 2018, CC BY-NC-SA 4.0", "Fashion-MNIST: Xiao and others 2017, MIT"):
        assert words in text, words


@pytest.mark.parametrize("page", ["README.md", "THIRD_PARTY.md", "CHANGELOG.md"])
def test_links_lead_to_files(page):
    path = ROOT / page
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8"))
    assert links and [link for link in links if not (path.parent / link).exists()] == []
