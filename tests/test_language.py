"""Phrases that a close reading found and that should not come back, in all that a learner reads."""

import re

import nbformat
import pytest

from conftest import DEEPER, LESSONS, ROOT

# Read as translated, or as a sage speaks: what to write in their place stands behind the dash.
PHRASES = {
    r"\bhold\w* the (lesson's )?sentences\b": "check the claims",
    r"How far you are with the exercises": "Your exercise progress",
    r"\bWhoever\b": "If you",
    r"\bforetold\b|\bforetells\b": "predicted",
    r"\bcommonest\b": "most common",
    r"\bdearer\b": "more expensive",
    r"\baskew\b": "tilted",
    r"of one mind": "agree",
    r"\bbeyond doubt\b": "clearly",
    r"is not to be despised": "has its merits",
    r"have spoken": "say",
    r"only its diet": "only its input",
    r"\bcome into question\b": "are suitable",
    r"\bthe matter of lesson\b": "explained in lesson",
    r"nothing to hold on to": "no response",
    r"\bput(s)? two tensors behind each other": "joins two tensors end to end",
    r"images? a class\b|labels? a class\b|photographs? a class\b|pictures? a class\b": "per class",
    r"\bGone on with\b|gone on with\)": "resuming",
    r"We have not got": "We do not have",
    r"values in the data that are no numbers": "NaN",
    r"Does nothing but say": "only says",
    r"\bten minutes suffice\b": "it is worth ten minutes",
    r"a confession\b": "the result is damning",
    r"where nothing begins": "the baseline",
    r"\bas one says\b": "the number that",
    r"drops in training, rests in": "is active in training only",
}
READ = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "notebooks").glob("*.md")), *sorted((ROOT / "data").glob("*.md"))]
READ += sorted((ROOT / "tl_helpers").rglob("*.py")) + sorted((ROOT / "tl_helpers").rglob("*.js")) + LESSONS + DEEPER


@pytest.mark.parametrize("path", READ, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_phrase_of_the_list_is_left(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join(cell.source for cell in nbformat.reads(text, as_version=4).cells)
    found = {match[0]: better for phrase, better in PHRASES.items() for match in re.finditer(phrase, text)}
    assert not found
