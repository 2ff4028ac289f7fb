"""Adapters, distillation, eight bits and the stored grid: what lesson 14 stands on."""

import dataclasses
import re
import sys

import nbformat
import numpy as np
import pytest
import torch
from torch import nn

import tl_helpers as tl
from conftest import ROOT
from tl_helpers.__main__ import main
from tl_helpers.course import checks, lesson_14, photographs, small
from tl_helpers.course.methods import Cell


@pytest.fixture(scope="module")
def task():
    return tl.digits(shots=2, seed=0)


@pytest.fixture(scope="module")
def body():
    return tl.backbone("resnet10t.letters")


WAYS = {"norms": small.only_norms, "biases": small.only_biases, "rank 2": lambda model: small.low_rank(model, 2)}


@pytest.fixture(scope="module", params=WAYS)
def learned(request, body, task):
    """A network before and after two epochs in which only a part of it learned."""
    before = WAYS[request.param](tl.head(body, task))
    return request.param, before, tl.fit(before, task, epochs=2, lr=1e-2, progress=False).model


def changed(before: nn.Module, after: nn.Module) -> dict[str, int]:
    """The numbers of each part of a network that is another after training; running means and variances too."""
    one, two = before.state_dict(), after.state_dict()
    return {name: one[name].numel() for name in one if not torch.equal(one[name], two[name]) and one[name].ndim}


def test_only_what_should_learn_changes_and_that_is_what_is_kept(learned):
    way, before, after = learned
    names = changed(before, after)
    head = {f"fc.{part}" for part in ("weight", "bias")}
    norms = {f"{n}.{p}" for n, m in before.named_modules() if isinstance(m, nn.BatchNorm2d) for p in ("weight", "bias")}
    ends = {"norms": norms, "biases": {name for name in norms if name.endswith("bias")}}
    adapters = {name for name in before.state_dict() if name.endswith((".A", ".B"))}
    assert set(names) == head | ends.get(way, adapters) and len(adapters) == (28 if way == "rank 2" else 0)
    assert 4 * sum(names.values()) == small.to_keep(after) == 4 * tl.models.count_parameters(after)[0]


def test_of_a_fine_tuned_network_all_is_kept_its_statistics_too(body, task):
    before = tl.unfreeze(tl.head(body, task))
    after = tl.fit(before, task, epochs=2, lr=1e-3, progress=False).model
    assert small.to_keep(after) == 4 * sum(changed(before, after).values()) > 4 * tl.models.count_parameters(after)[0]


def test_adapters_change_nothing_before_training_and_little_can_be_merged_after(body, task):
    plain, adapted = tl.head(body, task), small.low_rank(tl.head(body, task), 2, seed=1)
    assert torch.equal(tl.predict(plain, task.val), tl.predict(adapted, task.val))
    after = tl.fit(adapted, task, epochs=2, lr=1e-2, progress=False).model
    said = tl.predict(after, task.val)
    merged = small.merged(after)
    assert torch.allclose(tl.predict(merged, task.val), said, atol=1e-5) and torch.equal(tl.predict(after, task.val), said)
    assert tl.fit(adapted, task, epochs=1, progress=False).history.loss.notna().all()  # its class is that of the copies
    assert not torch.allclose(tl.predict(plain, task.val), said, atol=1e-2)
    assert {name: w.shape for name, w in merged.state_dict().items()} == {n: w.shape for n, w in plain.state_dict().items()}
    for (name, one), two in zip(plain.named_modules(), merged.modules()):
        if isinstance(one, nn.Conv2d):
            assert torch.linalg.matrix_rank((two.weight - one.weight).flatten(1), rtol=1e-3) == 2, name


def test_depthwise_convolutions_get_no_adapter():
    model = small.low_rank(tl.backbone("tf_efficientnet_lite0", classes=2, pretrained=False), 1)
    deep = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert deep and not any(hasattr(m, "parametrizations") for m in deep)
    assert sum(hasattr(m, "parametrizations") for m in model.modules()) == 33


def test_a_student_comes_to_say_what_its_teacher_says(task):
    pool, steps = tl.digits("all").train, 120
    answers = torch.nn.functional.one_hot((pool.y + 1) % 10, 10) * 6.0  # a teacher that calls each digit the next
    stream = list(small.looks(pool, answers, steps))
    assert len(stream) == steps and all(x.shape == (32, 1, 28, 28) and a.shape == (32, 10) for x, a in stream)
    again = list(small.looks(pool, answers, 2))
    assert torch.equal(again[1][0], stream[1][0]) and not torch.equal(stream[0][0], stream[1][0])
    student = small.distil(tl.RawCNN(), iter(stream), steps, 2.0, 1e-2)
    named = tl.predict(student, task.test).argmax(1)
    assert not student.training and (named == (task.test.y + 1) % 10).double().mean() > 0.6


def test_eight_bits_are_a_quarter_of_the_file_and_answer_alike(tmp_path, task):
    model = tl.fit(tl.RawCNN(), task, epochs=15, lr=3e-3, progress=False).model
    whole = tmp_path / "model.onnx"
    tl.export(model, whole, task)
    eight = small.in_int8(whole, small.pixels_for(model, task.train), tmp_path / "int8.onnx")
    one, two = (small.Session(path)(model, task.test) for path in (whole, eight))
    assert eight.stat().st_size < 0.5 * whole.stat().st_size
    assert torch.allclose(one, tl.predict(model, task.test), atol=1e-5)
    assert 1e-5 < (one - two).abs().max() and (one.argmax(1) == two.argmax(1)).double().mean() > 0.97
    assert 0 < small.Session(whole).milliseconds(small.pixels_for(model, task.test[:3]), looks=1) < 100


@pytest.mark.parametrize("name", ["onnx", "onnxruntime"])
def test_without_its_packages_int8_says_what_to_install(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=f"{name} is missing here.*pip install onnx onnxscript onnxruntime"):
        small.in_int8(tmp_path / "model.onnx", np.zeros((1, 1, 28, 28), np.float32), tmp_path / "int8.onnx")
    with pytest.raises(ValueError, match=f"{name} is missing here"):
        lesson_14.in_both(tl.RawCNN(), tl.digits(1))


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_rounded_weights_have_few_steps_in_each_channel(body, bits):
    coarse = lesson_14.rounded(body, bits)
    for (name, one), two in zip(body.named_modules(), coarse.modules()):
        if isinstance(one, nn.Conv2d):
            for row, kept in zip(two.weight.flatten(1)[:4], one.weight.flatten(1)):
                step = kept.abs().max() / (2 ** (bits - 1) - 1)
                assert len(row.unique()) <= 2**bits - 1, name
                assert (row - kept).abs().max() <= step / 2 * 1.001
                assert row.abs().max().item() == pytest.approx(kept.abs().max().item())
    norms = [name for name in body.state_dict() if "bn" in name]
    assert norms and all(torch.equal(body.state_dict()[name], coarse.state_dict()[name]) for name in norms)


def test_the_weights_of_an_adapted_network_are_rounded_with_what_its_adapters_add(body, task):
    adapted = small.low_rank(tl.head(body, task), 2)
    for name, weights in adapted.named_parameters():
        if name.endswith("B"):
            nn.init.normal_(weights, std=0.01)
    one, two = lesson_14.rounded(adapted, 3), lesson_14.rounded(small.merged(adapted), 3)
    assert torch.equal(tl.predict(one, task.val), tl.predict(two, task.val))
    assert max(len(row.unique()) for row in one.conv1[0].weight.flatten(1)) <= 7


@pytest.mark.parametrize("bits", [1, 17, 3.0, True, "8"])
def test_bits_that_are_none_are_refused_in_a_sentence(body, bits):
    with pytest.raises(ValueError, match="bits must be a whole number from 2 to 16"):
        lesson_14.rounded(body, bits)


def test_the_command_refuses_several_processes(capsys):
    assert main(["results", "small_and_cheap", "--processes", "2"]) == 1
    assert "leave out --processes" in capsys.readouterr().err


# The stored grid.


@pytest.fixture(scope="module")
def rows():
    return small.load()


def test_the_stored_grid_is_whole_and_no_rate_wins_at_an_edge(rows):
    assert {cell.key for cell in small.cells(rows)} == {Cell.of(row).key for row in rows.to_dict("records")}
    search = rows[rows.stage == "search"]
    assert search.test.isna().all() and not rows[rows.stage == "result"].test.isna().any()
    for _, part in search.groupby(["method", "task"]):
        means = part.groupby("lr").val.mean()
        best = means.index[means > means.max() - 1e-5]
        assert set(best) - ({means.index.min(), means.index.max()} - {photographs.LADDER[0], photographs.LADDER[-1]}), part


def test_a_search_that_is_not_there_is_asked_for_before_its_results(rows):
    part = rows[~((rows.method == small.NORMS) & (rows.task == "digits"))]
    done = {Cell.of(row).key for row in part.to_dict("records")}
    missing = [cell for cell in small.cells(part) if cell.key not in done]
    assert missing and all((cell.method, cell.stage, cell.shots) == (small.NORMS, "search", 5) for cell in missing)
    assert {cell.seed for cell in missing} == set(small.SEARCH) and not set(small.SEARCH) & set(small.SEEDS)


def test_what_is_stored_of_each_image_agrees_with_the_accuracy(rows):
    results = rows[rows.stage == "result"]
    for row, right in zip(results.to_dict("records"), photographs.right(results)):
        assert len(right) == row["images"] and np.mean(right) == pytest.approx(row["test"], abs=1e-5)


def test_a_stored_row_is_found_again(rows):
    """Bit for bit on the machine that made it; on another within a few of the 797 images."""
    one = rows[(rows.method == small.PROBE) & (rows.shots == 5) & (rows.stage == "result")].iloc[0]
    again = small.measure(Cell.of(one))
    assert again["test"] == pytest.approx(one.test, abs=0.01) and again["bytes"] == one.bytes
    assert set(again) | {"commit", "device", "versions"} == set(rows.columns)


def test_parameters_and_bytes_of_the_stored_ways_are_those_of_the_networks(rows, body, task):
    for way, make in ((small.NORMS, small.only_norms), (small.BIASES, small.only_biases), (small.LOW_RANK, small.low_rank)):
        model, part = make(tl.head(body, task)), lesson_14.of(way)
        assert set(part.trainable) == {tl.models.count_parameters(model)[0]} and set(part.bytes) == {small.to_keep(model)}
    assert set(lesson_14.of("fine-tuning").bytes) == {small.to_keep(tl.unfreeze(tl.head(body, task)))}


def test_tables_and_figures_show_the_stored_means(rows):
    table = lesson_14.adapters()
    assert list(table.index) == list(lesson_14.WAYS)
    for way in lesson_14.WAYS:
        assert table.accuracy[way] == pytest.approx(lesson_14.of(way).test.mean(), abs=0.0005)
        assert f"{way} {table.accuracy[way]:.3f}" in lesson_14.trade().alt
    assert lesson_14.adapters(shots=20)["minus fine-tuning"]["probe"] == "-0.6 (-1.1 to -0.1)"
    assert lesson_14.kinds()["minus temperature 4"]["temperature 1"] == "{:+.1f} ({:+.1f} to {:+.1f})".format(
        *lesson_14.gain(5, "T=1", over=small.SOFT)
    )
    assert set(lesson_14.adapters(shots=20).index) == set(lesson_14.ways("digits", 20)) < set(lesson_14.WAYS)
    assert list(lesson_14.students().index) == list(small.STUDENTS)
    assert list(lesson_14.precisions().index.levels[0]) == sorted(lesson_14.EXPORTED)
    with pytest.raises(ValueError, match="no results of 'norms only' on digits with 7 labels"):
        lesson_14.of(small.NORMS, shots=7)


def test_kernels_in_few_bits_are_drawn_with_what_is_then_right(body, task):
    model = tl.fit(tl.head(body, task), tl.features(body, task), progress=False).model
    coarse, fine = (lesson_14.in_bits(model, task.val, bits).alt for bits in (2, 8))
    assert "2 bits: 3 values" in coarse and "8 bits: 255 values" in fine
    right = tl.evaluate(lesson_14.rounded(model, 8), task.val).accuracy
    assert f"validation accuracy {right:.3f}" in fine


def test_rates_are_searched_at_five_labels_for_all_ranks_and_students():
    cell = Cell(small.DISTILLED, small.RESNET, 20, 1e-2, 5, variant="hard")
    assert small.question(cell) == dataclasses.replace(cell, stage="search", shots=5, variant=small.SOFT)
    solar = Cell(small.LOW_RANK, small.LITE0, 100, 1e-2, 5, small.SOLAR, f"rank={small.RANK}")
    assert small.question(solar) == dataclasses.replace(solar, stage="search")


# What lesson 14 says in bold, and what must be so of the stored results.


def near(value: float, wanted: float, off: float) -> bool:
    return abs(value - wanted) < off


def _adapters() -> bool:
    probe, ranked = (lesson_14.over_tuning(way, shots=20) for way in ("probe", small.LOW_RANK))
    bounds = near(probe[1], -1.1, 0.05) and near(probe[2], -0.1, 0.05) and probe[2] < 0
    nearest = lesson_14.nearest(shots=20) == small.LOW_RANK
    return near(probe[0], -0.6, 0.05) and bounds and ranked[1] < 0 < ranked[2] and nearest


def _int8() -> bool:
    whole, eight = (lesson_14.exported("fine-tuned letters backbone, digits", kind) for kind in (small.WHOLE, small.EIGHT))
    change = lesson_14.cost_of_int8("fine-tuned letters backbone, digits")
    sizes = near(whole.bytes.mean() / 1000, 19774, 1) and near(eight.bytes.mean() / 1000, 5053, 1)
    times = near(whole.milliseconds.median(), 0.62, 0.01) and near(eight.milliseconds.median(), 0.34, 0.01)
    return sizes and times and -0.35 < change[1] <= change[2] < 0.35


def _solar_int8() -> bool:
    change = lesson_14.cost_of_int8("EfficientNet-Lite0 and probe, solar cells")
    return near(change[0], -2.2, 0.1) and change[2] < 0


def _student() -> bool:
    row = lesson_14.students().loc[5]
    sizes = small.rows(small.DISTILLED, shots=5, variant=small.SOFT).trainable, lesson_14.of("fine-tuning").trainable
    told = (row["by the teacher"], row["by its labels"]) == ("0.939", "0.868") and sizes[0].mean() < 0.005 * sizes[1].mean()
    return told and near(float(row["share of the lead"]), 0.8, 0.03) and lesson_14.gain(5)[1] > 0


def _not_softness() -> bool:
    one, hard = (lesson_14.gain(5, over=variant) for variant in ("T=1", small.HARD))
    labelled = small.rows(small.DISTILLED, shots=5, variant=small.LABELLED).test.mean()
    return near(one[0], -1.05, 0.1) and one[2] < 0 and hard[0] < 0 and near(labelled, 0.870, 0.0006)


SENTENCES = {
    "The probe is about .6 points behind fine-tuning, and the interval just excludes zero (-1.1 to -0.1); the low-rank "
    "adapters are not clearly behind.": _adapters,
    "The large network's file shrinks from 19,774 to 5,053 kB, and an image takes .34 in place of .62 milliseconds; the "
    "accuracy stays the same to within .3 points.": _int8,
    "And EfficientNet-Lite0 on the solar cells of lesson 09 pays for its speed: about 2.2 points of accuracy.": _solar_int8,
    "With five labels per class the student reads .939 in place of .868: four fifths of its teacher's lead, in a network of "
    "less than half a per cent of the size.": _student,
    "Softness added nothing that we could show: temperature 1 was about one point ahead of temperature 4, although the rate "
    "was chosen for 4, and the likeliest class alone did no worse.": _not_softness,
}


@pytest.fixture(scope="module")
def prose():
    cells = nbformat.read(ROOT / "notebooks" / "14_small_and_cheap.ipynb", as_version=4).cells
    return " ".join(" ".join(cell.source for cell in cells if cell.cell_type == "markdown").split())


@pytest.mark.parametrize("sentence", SENTENCES)
def test_what_the_lesson_says_is_true_of_the_stored_results_and_would_not_be_of_others(sentence, rows, monkeypatch):
    assert SENTENCES[sentence](), sentence
    random, other = np.random.default_rng(0), rows.copy()
    other["right"] = [_missed(bits, random) for bits in rows.right]
    other["test"] = [np.mean(right) if right else np.nan for right in photographs.right(other)]
    for column in ("bytes", "milliseconds"):
        other[column] = random.permutation(other[column])
    monkeypatch.setattr(small, "load", lambda: other)
    assert not SENTENCES[sentence]()


def _missed(bits: str, random: np.random.Generator) -> str:
    """Fewer right answers: up to half of them are lost."""
    right = np.unpackbits(np.frombuffer(bytes.fromhex(bits), np.uint8))
    return np.packbits(right & (random.random(len(right)) > random.random() / 2)).tobytes().hex()


def test_each_bold_sentence_of_the_lesson_is_bound(prose):
    bold = re.findall(r"\*\*([A-Z][^*]+\.)\*\*", prose)
    assert sorted(set(bold) - {"The question.", "Predict first."}) == sorted(SENTENCES)


def test_three_draws_of_solar_cells_tell_no_two_ways_apart(prose):
    ways = lesson_14.ways(small.SOLAR)
    means = {way: lesson_14.of(way, small.SOLAR).test.mean() for way in ways}
    assert f"From {min(means.values()):.3f} to {max(means.values()):.3f}".replace(" 0.", " .") in prose
    assert max(means, key=means.get) == "probe"
    leads = [lesson_14.over_tuning(way, small.SOLAR) for way in ways if way != "fine-tuning"]
    assert all(low < 0 < high for _, low, high in leads) and len(lesson_14.of("probe", small.SOLAR)) == 3


def test_the_size_of_an_adapter_may_be_any_whole_number():
    assert checks.adapter_numbers(lambda outputs, inputs, side, rank: rank * (outputs + np.prod([inputs, side, side])))
    assert not checks.adapter_numbers(lambda outputs, inputs, side, rank: True)


def test_what_was_frozen_stays_frozen_when_adapters_are_merged(body, task):
    model = small.low_rank(tl.head(body, task), 4)
    whole = small.merged(model)
    kept = lambda net: {name for name, weights in net.named_parameters() if weights.requires_grad}
    assert kept(whole) == kept(tl.head(body, task)) and small.to_keep(whole) < small.to_keep(model)
    tied = nn.Sequential(layer := nn.Conv2d(1, 1, 3), layer)
    tied[0].requires_grad_(False)
    nn.utils.parametrize.register_parametrization(layer, "weight", nn.Identity())
    one, other = small.merged(tied)
    assert one is other and type(one) is nn.Conv2d
