"""The command line, in this process: what it is asked for wrongly gets one sentence and an exit code, never a traceback."""

import os
import shutil
import subprocess
import sys

import pytest
from PIL import Image

import tl_helpers as tl
from tl_helpers.__main__ import main

LETTERS = "resnet10t.letters"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working folder: a saved model, photographs, and what is neither."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    tl.save(tl.RawCNN(3), "model", ["a", "b", "c"])
    shutil.copytree("model", "damaged")
    (tmp_path / "damaged" / "config.json").write_text("[]")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no picture")
    (tmp_path / "pictures").mkdir()
    Image.new("L", (40, 30), 200).save("pictures/a.png")
    return tmp_path


@pytest.fixture
def ask(capsys):
    def ask(*words: str) -> tuple[int, str, str]:
        """Exit code, what went to stdout, what went to stderr."""
        try:
            code = main(words)
        except SystemExit as error:  # argparse's
            code = error.code
        return code, *capsys.readouterr()

    return ask


@pytest.mark.parametrize(
    "words, says",
    [
        ("", "are required"),
        ("nonsense", "invalid choice: 'nonsense'"),
        ("doctor x", "unrecognized arguments: x"),
        ("prefetch --only 99", "There is no lesson 99"),
        ("prefetch --only 9", "There is no lesson 9: --only takes two digits"),
        ("prefetch --only nonsense", "timm has no model 'nonsense'"),
        ("prefetch --only hf-hub:x/y", "could not be fetched"),
        ("prefetch --only pets --to file", "argument --to: it takes a folder, not 'file'"),
        ("prefetch --to", "argument --to: expected one argument"),
        ("pretrain", "arguments are required: name"),
        ("pretrain resnet99", "invalid choice: 'resnet99'"),
        (f"pretrain {LETTERS} --to file", "argument --to: it takes a folder"),
        (f"pretrain {LETTERS} --epochs 0", "argument --epochs: it takes a whole number from 1"),
        (f"pretrain {LETTERS} --epochs 1.5", "argument --epochs: it takes a whole number"),
        (f"pretrain {LETTERS} --epochs many", "argument --epochs: it takes a whole number"),
        (f"pretrain {LETTERS} --seed -1", "argument --seed: it takes a whole number from 0"),
        (f"pretrain {LETTERS} --seed {10**30}", "argument --seed: it takes a whole number"),
        ("results nonsense", "invalid choice: 'nonsense'"),
        ("results --processes 0", "argument --processes: it takes a whole number from 1"),
        ("results --processes two", "argument --processes: it takes a whole number"),
        ("results photographs --processes 2", "runs in one process: leave out --processes"),
        ("edition", "one of the arguments --learner --slides is required"),
        ("edition --learner file", "argument --learner: it takes a folder, not 'file'"),
        ("edition --slides file/in/it", "file/in/it"),
        ("edition --learner one --slides two", "not allowed with argument"),
        ("predict model", "arguments are required: folder"),
        ("predict nowhere pictures", "There is no saved model at nowhere"),
        ("predict file pictures", "There is no saved model at file"),
        ("predict empty pictures", "empty holds no saved model"),
        ("predict damaged pictures", "damaged holds no saved model: its config.json is missing, damaged"),
        ("predict model nowhere", "There is no file or folder nowhere"),
        ("predict model empty", "empty holds no photographs"),
        ("predict model file", "file cannot be read as a picture"),
        ("predict model pictures --threshold 2", "argument --threshold: it takes a number from 0 to 1, not '2'"),
        ("predict model pictures --threshold nan", "argument --threshold: it takes a number from 0 to 1"),
        ("predict model pictures --threshold half", "argument --threshold: it takes a number from 0 to 1"),
        ("predict model pictures --to nowhere/out.csv", "argument --to: it takes a file in a folder that is there"),
        ("predict model pictures --to file/out.csv", "argument --to: it takes a file in a folder that is there"),
        ("predict model pictures --to empty", "argument --to: it takes a file in a folder that is there"),
    ],
)
def test_wrong_words_get_one_sentence_and_a_code(here, ask, words, says):
    before = sorted(here.rglob("*"))
    code, _, wrong = ask(*words.split())
    assert code == (2 if "usage:" in wrong else 1) and says in wrong.splitlines()[-1]
    assert len(wrong.splitlines()) == 1 or wrong.startswith("usage:")
    assert sorted(here.rglob("*")) == before  # nothing half done is left


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "", "pictures"),
        ("predict", "model", ""),
        ("predict", "model", "pictures", "--to", ""),
        ("prefetch", "--to", ""),
        ("prefetch", "--only", ""),
    ],
)
def test_an_empty_word_is_a_wrong_one(here, ask, words):
    code, _, wrong = ask(*words)
    assert code and wrong


def test_names_with_odd_characters_are_names(here, ask):
    """A file name here may hold any byte but two; in what is printed a question mark stands for the unprintable."""
    folder = 'pict\udcffures, \n"é"'
    shutil.copytree("pictures", folder)
    os.rename(f"{folder}/a.png", f"{folder}/\udcfe=ü.png")
    os.rename("model", "mod\udcffel")
    code, told, wrong = ask("predict", "mod\udcffel", folder)
    assert code == 0 and "\n?=ü.png," in told.replace("\r", "") and not wrong
    code, told, _ = ask("predict", "mod\udcffel", folder, "--to", "o\udcffut.csv")
    assert code == 0 and told.startswith("Written: o?ut.csv: 1 photographs named") and (here / "o\udcffut.csv").exists()


def test_a_file_that_may_not_be_written_is_a_sentence(here, ask, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "o\udcffut.csv")

    monkeypatch.setattr(os, "replace", full)
    code, _, wrong = ask("predict", "model", "pictures", "--to", "out.csv")
    assert code == 1 and wrong == "o?ut.csv cannot be read or written: No space left on device.\n"


def test_whoever_reads_may_stop_reading(here):
    """As `| head -1` does: no traceback, and the exit code that a shell expects."""
    for name in range(300):
        shutil.copy("pictures/a.png", f"pictures/{name:0200}.png")
    command = [sys.executable, "-m", "tl_helpers", "predict", "model", "pictures"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 141


def test_doctor_says_that_this_machine_is_ready(ask):
    code, told, _ = ask("doctor", "--quick")
    assert code == 0 and "torch 2" in told and "Ready: open" in told


def test_help_names_every_command_and_waits_for_no_torch(tmp_path):
    """`--help`, and an edition, are there at once: torch takes seconds to import."""
    ask = "import sys; from tl_helpers.__main__ import main\ntry: main(sys.argv[1:])\nfinally: print('torch' in sys.modules)"
    learners = ["edition", "--learner", str(tmp_path / "learners")]
    for words, says in (
        (["--help"], "doctor prefetch predict edition pretrain results"),
        (["edition"], "--slides"),
        (learners, "Written: files."),
    ):
        done = subprocess.run([sys.executable, "-c", ask, *words], capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == "False"
        assert all(word in done.stdout + done.stderr for word in says.split())
