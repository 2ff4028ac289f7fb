"""The teacher's page keeps to the lessons: minutes that add up, every exercise, and what the checks really say."""

import re

import nbformat
import pytest
from test_exercises import WRONG, verdict

import tl_helpers as tl
from conftest import DEEPER, LESSONS, ROOT

GUIDE = (ROOT / "notebooks" / "INSTRUCTOR.md").read_text(encoding="utf-8")
FIRST = {path.name[:2]: nbformat.read(path, as_version=4) for path in LESSONS}


def minutes_of(notebook) -> int:
    """What its head says, the project of lesson 10 included."""
    line = re.search(r"\*\*Time\*\*: (.+?);", notebook.cells[0].source)[1]
    return sum(map(int, re.findall(r"\d+", line.replace("with two exercises, and", "and"))))


MINUTES = {number: minutes_of(lesson) for number, lesson in FIRST.items()}
EXERCISES = {
    number: [
        re.search(r"### (Exercise \d: .+)\n+\*(\d+) minutes", words.source).groups()
        + (re.search(r"tl\.check\.(\w+)\(", stub.source)[1],)
        for words, stub in zip(lesson.cells, lesson.cells[1:])
        if "exercise" in stub.metadata.get("tags", [])
    ]
    for number, lesson in FIRST.items()
}
ENTRY = re.compile(r"^\*\*(Exercise \d: .+)\*\* · `tl\.check\.(\w+)` · (\d+) minutes\.\n(.+\n)((?:- .+\n)+)", re.M)


def section(heading: str) -> str:
    return re.search(rf"^#+ {heading}.*?\n(.*?)(?=^## |\Z)", GUIDE, re.M | re.S)[1]


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {i for i, line in enumerate(lines) if line.startswith("|---")}
    kept = [line for i, line in enumerate(lines) if not {i, i + 1} & heads]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in kept]


def as_minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return 60 * int(hours) + int(minutes)


def test_each_lesson_has_its_goals_and_the_minutes_of_its_head():
    found = {row[0]: row for row in rows(section("The lessons at a glance"))}
    assert {number: int(row[1]) for number, row in found.items()} == MINUTES
    assert all(all(row) for row in found.values())
    assert len(rows(section("Who sits there"))) == 4


def headed(number: str, words: str) -> bool:
    """Whether a lesson has a heading of just these words."""
    return any(re.search(rf"(?m)^#+ {re.escape(words)}$", cell.source) for cell in FIRST[number].cells)


def test_what_may_be_left_out_is_in_the_lesson():
    for number, *_, out in rows(section("The lessons at a glance")):
        assert all(headed(number, quoted) for quoted in re.findall(r"\"([^\"]+)\"", out)), (number, out)
        assert all(
            int(n) <= len(EXERCISES[number])
            for n in re.findall(r"\d", " ".join(re.findall(r"exercises? ([\d, and]+)", out)))
        ), (number, out)


def test_the_exercises_on_paper_need_no_code():
    said = re.search(r"(\w+) exercises need only paper: ([\d., ]+)\.\d", section("When things go differently"))
    paper = re.findall(r"(\d\d)\.(\d)", said[0])
    assert said[1] == "Ten" and len(set(paper)) == 10 and GUIDE.count("the ten paper exercises") == 1
    for number, n in paper:
        stubs = [cell.source for cell in FIRST[number].cells if "exercise" in cell.metadata.get("tags", [])]
        assert "def " not in stubs[int(n) - 1], f"{number}.{n}"


PLANS = re.findall(r"^### (.*?(\d+) minutes.*)\n+((?:\|.*\n)+)", GUIDE, re.M)


@pytest.mark.parametrize("heading, total, table", PLANS, ids=[plan[0] for plan in PLANS])
def test_a_plan_adds_up(heading, total, table):
    passed = 0
    for minutes, start, what, _ in rows(table):
        assert as_minutes(start) == passed, f"{what} begins {passed} minutes after the start"
        passed += int(minutes)
        if lesson := re.search(r"[Ll]esson (\d\d)", what):
            whole = MINUTES[lesson[1]]
            assert int(minutes) >= whole if "whole" in what else int(minutes) < whole, what
    assert passed == int(total)


def test_there_are_plans_for_90_minutes_half_a_day_and_two_days():
    assert [int(total) for _, total, _ in PLANS] == [90, 240, 420, 420, 135]
    two_days = "".join(table for heading, _, table in PLANS if "Two days" in heading)
    assert re.findall(r"Lesson (\d\d), whole", two_days) == list(FIRST)


def test_the_headings_that_a_plan_names_stand_in_the_lesson():
    for _, _, table in PLANS:
        for _, _, what, how in rows(table):
            number = re.search(r"[Ll]esson (\d\d)", what)
            for quoted in re.findall(r"\"([A-Z][^\"]+[^.\"])\"", how) if number else ():
                assert headed(number[1], quoted), f"lesson {number[1]} has no heading {quoted}"


def test_the_hours_alone_at_home_add_up():
    text, all_rows = section("Alone, at home"), rows(section("Alone, at home"))
    assert [number for row in all_rows for number in row[1].split(", ")] == list(FIRST)
    for _, lessons, hours, _ in all_rows:
        assert as_minutes(hours) == sum(MINUTES[number] for number in lessons.split(", "))
    whole = as_minutes(re.search(r"That is (\d+:\d\d) for the first course", text)[1])
    assert whole == sum(as_minutes(row[2]) for row in all_rows)
    names, hurry = re.search(r"home in PyTorch\? (.+) are (\d+:\d\d)\.", text).groups()
    assert as_minutes(hurry) == sum(MINUTES[number] for number in re.findall(r"\d\d", names))
    deeper = sum(minutes_of(nbformat.read(path, as_version=4)) for path in DEEPER)
    assert as_minutes(re.search(r"take (\d+:\d\d) together", text)[1]) == deeper


def test_the_survey_is_a_sheet_without_answers_and_each_answer_is_on_it():
    sheet = (ROOT / "notebooks" / "SURVEY.md").read_text(encoding="utf-8")
    questions = re.findall(r"^(\d)\. (.+?)(?=^\d\. |^$)", sheet, re.M | re.S)
    choices = {number: re.findall(r"\*\*([a-c])\*\* \w", text) for number, text in questions}
    answers = dict(re.findall(r"(\d) ([a-c])\b", section("A survey, before and after")))
    assert list(answers) == list("12345") and all(choices[number] == list("abc") for number in answers)
    assert not re.search(r"\b1 b\b|answers are", sheet)


@pytest.mark.parametrize("number", FIRST)
def test_every_exercise_has_its_entry(number):
    part = re.search(rf"^### Lesson {number} · ([^\n]+)\n(.*?)(?=^##|\Z)", GUIDE, re.M | re.S)
    assert part, f"notebooks/INSTRUCTOR.md says nothing about the exercises of lesson {number}"
    assert f"# {number} · {part[1]}\n" in FIRST[number].cells[0].source
    entries = [(title, minutes, check) for title, check, minutes, _, _ in ENTRY.findall(part[2])]
    assert entries == EXERCISES[number]
    for _, _, _, words, wrong in ENTRY.findall(part[2]):
        assert "Say: " in words and re.search(r"Ask\b.*\?", words) and len(wrong.splitlines()) >= 2


@pytest.mark.parametrize("title, check, answers", [(e[0], e[1], e[4]) for e in ENTRY.findall(GUIDE)])
def test_what_a_check_is_said_to_reply_it_replies_to_a_wrong_answer(title, check, answers):
    replies = [repr(verdict(name, answer)) for name, answer, _ in WRONG if name == check]
    for line in answers.splitlines():
        said = re.fullmatch(r"- .+ → \"(.+)\"", line)
        assert said and any(said[1] in reply for reply in replies), line


def test_every_check_that_is_named_exists():
    assert all(getattr(tl.check, name) for name in re.findall(r"tl\.check\.(\w+)", GUIDE))


def test_links_and_anchors_lead_somewhere():
    anchors = {
        re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)", GUIDE, re.M)
    }
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", GUIDE):
        place, _, anchor = target.partition("#")
        assert (ROOT / "notebooks" / place).exists() and (not anchor or anchor in anchors), target


def test_it_is_short_and_the_front_page_leads_to_it():
    before, exercises, after = re.split(r"^(?=## Exercise by exercise|## A survey)", GUIDE, flags=re.M)
    assert 250 <= len(GUIDE.splitlines()) <= 460 and len((before + after).splitlines()) <= 216
    assert all(len(lesson.splitlines()) <= 22 for lesson in exercises.split("\n### ")[1:])
    assert "(notebooks/INSTRUCTOR.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
