import copy
import io
import os
import signal
import sys
import threading
import types

import IPython
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import tl_helpers as tl
from tl_helpers import training
from tl_helpers.data import Split, Task
from tl_helpers.engine.parts import Facts
from tl_helpers.results import Evaluation
from tl_helpers.runs import Diverged


@pytest.fixture(scope="module")
def task():
    return tl.digits(shots=5)


def fit(task, model=None, **arguments):
    arguments = {"epochs": 3, "progress": False, "device": "cpu", **arguments}
    return tl.fit(model or tl.RawCNN(), task, **arguments)


def of_digits(*layers: nn.Module) -> nn.Sequential:
    """A network of these layers that takes digits as RawCNN does."""
    model = nn.Sequential(*layers)
    model.pretrained_cfg = tl.RawCNN.pretrained_cfg
    return model


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values()))


def test_labels_that_count_the_classes_in_another_order_are_refused(task):
    """As of one set from two doors: "sound" before "defective" here, and after it in a folder."""

    def called(*names) -> Split:
        return tl.Task("", names, *[split[split.y < len(names)] for split in (task.train, task.val, task.test)]).test

    model = fit(tl.Task("", "abc", *[split[split.y < 3] for split in (task.train, task.val, task.test)]), tl.RawCNN(3)).model
    right = tl.evaluate(model, called("a", "b", "c"))
    for names in (("b", "a", "c"), ("a", "c"), ("c", "y", "z"), ("a", "z", "b")):
        for ask in (tl.evaluate, tl.calibrate):
            with pytest.raises(ValueError, match="The model counts '.' as class ., and these labels count it as class ."):
                ask(model, called(*names))
        if {*names} <= {*"abc"}:
            with pytest.raises(ValueError, match="The model counts"):
                tl.predict(model, called(*names))
        else:  # nobody asks for labels, and a model of a thousand classes may know one of these by another number
            assert tl.predict(model, called(*names)).shape[1] == 3
    assert tl.evaluate(model, called("x", "y", "z")) == right  # the same things by other names, for all anybody knows
    with pytest.raises(ValueError, match="The task counts 'b' as class 1, and these labels count it as class 0"):
        tl.Task("", "abc", *[called("b", "a", "c")] * 3)
    assert tl.evaluate(model, Split(called("b", "a", "c").x, called("b", "a", "c").y)) == right
    assert called("b", "a")[:1].classes == ("b", "a")


def test_fit_trains_a_copy_and_tells_its_history(task):
    model = tl.RawCNN()
    before = copy.deepcopy(model)
    run = fit(task, model, epochs=20)
    assert same(model, before) and not same(run.model, before) and not run.model.training
    assert list(run.history.epoch) == list(range(1, 21))
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds"} <= set(run.history)
    assert run.history.loss.iloc[-1] < run.history.loss.iloc[0]
    assert tl.evaluate(run.model, task.test).accuracy > 0.4  # chance is .1
    assert tl.evaluate(run.model, task.val).accuracy == run.history.val_accuracy.iloc[-1]
    assert "20 epochs" in repr(run)


@pytest.mark.parametrize("make", [lambda: tl.RawCNN(norm="batch"), lambda: tl.backbone("resnet10t.letters", classes=10)])
def test_one_seed_gives_the_same_weights_bit_for_bit(task, make):
    augment = tl.glyphs.augment
    one, again, other = (fit(task, make(), epochs=2, seed=seed, augment=augment) for seed in (1, 1, 2))
    assert same(one.model, again.model) and not same(one.model, other.model)
    assert one.history.drop(columns="seconds").equals(again.history.drop(columns="seconds"))


def test_fit_leaves_the_callers_random_numbers_alone(task):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(task)
    assert torch.equal(torch.rand(3), expected)


def test_fit_does_what_a_loop_written_by_hand_does(task):
    run = fit(task, tl.RawCNN(dropout=0.0), epochs=2, schedule="constant", lr=1e-3, weight_decay=0.0, batch_size=50)
    model = tl.RawCNN(dropout=0.0)
    x = (task.train.x / 255 - 0.3) / 0.37
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.0)
    for _ in range(2):
        loss = nn.functional.nll_loss(model(x), task.train.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert run.history.loss.iloc[-1] == pytest.approx(loss.item(), abs=1e-4)
    for mine, theirs in zip(run.model.parameters(), model.parameters()):
        assert torch.allclose(mine, theirs, atol=1e-4)


def test_early_stopping_restores_the_best_epoch(task):
    run = fit(task, epochs=60, patience=3, lr=3e-3)
    best = run.history.val_accuracy.max()
    assert len(run.history) < 60 and "stopped early" in run.stopped
    assert tl.evaluate(run.model, task.val).accuracy == best > 0.3
    assert (run.history.val_accuracy.iloc[-3:] <= best).all()
    kept = int(run.result.epoch)
    assert kept == run.kept == len(run.history) - 3 and run.result.val_accuracy == best != run.history.val_accuracy.iloc[-1]
    assert f"epoch {kept}, kept" in repr(run) and f"validation accuracy {best:.3f}" in repr(run)
    figure = tl.plots.compare(run, fit(task), names=["early", "late"])
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[0] == f"early: {best:.2f} in epoch {kept}, which is kept" and labels[1].endswith("at the end")
    assert f"early {best:.2f} in epoch {kept}" in figure.alt and f"epoch {kept}, kept" in run.plot().alt


def test_the_schedule_warms_up_and_falls(task):
    rates = fit(task, epochs=20, lr=0.01).history.lr
    assert rates.iloc[0] < rates.max() <= 0.01 and rates.idxmax() < 4 and rates.iloc[-1] < 1e-4
    assert set(fit(task, schedule="constant", lr=0.01).history.lr) == {0.01}


def test_the_history_has_the_rate_that_an_epoch_ended_with(task, monkeypatch):
    used, step = [], torch.optim.AdamW.step
    note = lambda self, *args: (used.append(self.param_groups[-1]["lr"]), step(self, *args))[1]
    monkeypatch.setattr(torch.optim.AdamW, "step", note)
    for more in ({"epochs": 10, "lr": 0.01}, {"epochs": 2, "layer_decay": 0.5}):
        used.clear()
        assert fit(task, **more).history.lr.to_list() == pytest.approx(used[1::2])  # two batches an epoch


def test_a_training_of_one_step_takes_a_whole_one(task):
    one, whole = (fit(task, epochs=1, batch_size=50, schedule=schedule) for schedule in ("cosine", "constant"))
    assert same(one.model, whole.model) and one.history.lr.item() == 1e-3


def test_frozen_weights_stay_and_the_head_learns_alike_on_features_and_images(task):
    body = tl.backbone("resnet10t.letters")
    on_features = fit(tl.features(body, task), tl.head(body, task), epochs=5, lr=1e-2)
    on_images = fit(task, tl.head(body, task), epochs=5, lr=1e-2)
    for mine, theirs in zip(on_features.model.get_classifier().parameters(), on_images.model.get_classifier().parameters()):
        assert torch.allclose(mine, theirs, atol=1e-4)
    assert torch.equal(on_images.model.conv1[0].weight, body.conv1[0].weight)
    assert torch.equal(on_images.model.bn1.running_mean, body.bn1.running_mean)
    both = tl.evaluate(on_features.model, task.test), tl.evaluate(on_features.model, tl.features(body, task).test)
    assert both[0].accuracy == both[1].accuracy > 0.85


@pytest.mark.parametrize("after", [1, 40])
def test_a_stop_by_hand_keeps_the_finished_epochs(task, after, interruptible):
    def augment(images, generator, calls=[0]):  # noqa: B006
        calls[0] += 1
        if calls[0] == after:
            signal.raise_signal(signal.SIGINT)
        return images

    run = fit(task, epochs=100, augment=augment)
    assert "stopped by hand" in run.stopped and len(run.history) == (after - 1) // 2  # two batches an epoch
    assert same(run.model, fit(task, epochs=100, augment=lambda x, g: x).model) is False
    if not after > 1:
        assert same(run.model, tl.RawCNN())


def test_a_stop_works_from_another_thread_too(task, interruptible):
    stop = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    stop.start()
    run = fit(task, epochs=100_000)
    assert 0 < len(run.history) < 100_000 and "stopped by hand" in run.stopped


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"lr": 0}, "above 0"),
        ({"lr": -1e-3}, "above 0"),
        ({"lr": float("nan")}, "above 0"),
        ({"lr": float("inf")}, "above 0"),
        ({"lr": "fast"}, "above 0"),
        ({"weight_decay": -1}, "weight_decay must be"),
        ({"label_smoothing": 2}, "label_smoothing must be"),
        ({"layer_decay": -1}, "layer_decay must be"),
        ({"seed": 1.5}, "seed must be"),
        ({"epochs": 0}, "epochs must be a whole number"),
        ({"epochs": 2.5}, "epochs must be a whole number"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"patience": 0}, "patience must be"),
        ({"schedule": "linear"}, "'cosine', 'constant'"),
        ({"augment": "flip"}, "augment must be None, or a function .* not 'flip'"),
        ({"augment": lambda x, g: x[:, :, :14]}, r"32, 25 x 1 x 28 x 28\); it returned torch.float32, 25 x 1 x 14 x 28"),
        ({"augment": lambda x, g: x.double()}, "it returned torch.float64, 25 x 1 x 28 x 28"),
        ({"augment": lambda x, g: x / 0}, "it returned NaN or infinite numbers"),
        ({"augment": lambda x, g: x.numpy()}, "it returned ndarray"),
        ({"augment": lambda x, g: x * 255}, "from 0 to 1 and must return such; it returned 0 to 2.6e.02"),
        ({"augment": lambda x, g: (x - 0.5) / 0.5}, "it returned -1 to 1. The model's own mean and std come after it"),
        ({"device": "tpu9"}, "cannot be used on this machine"),
        ({"model": tl.RawCNN(classes=7)}, "answers with 7 numbers .* 10 classes"),
        ({"model": tl.backbone("resnet10t.letters")}, "give it a head"),
        ({"model": of_digits(nn.Linear(5, 10))}, "cannot take 'digits"),
        ({"model": nn.Linear(784, 10)}, "give it a dictionary pretrained_cfg"),
        (
            {"model": of_digits(nn.Flatten(), nn.Linear(784, 10)).requires_grad_(False)},
            "Nothing that runs here can learn",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence_before_any_training(task, wrong, words):
    with pytest.raises(ValueError, match=words):
        fit(task, **wrong)


def test_no_training_or_validation_data(task):
    none = task.train[:0]
    with pytest.raises(ValueError, match="no training data"):
        fit(Task("empty", task.classes, none, task.val, task.test))
    unchecked = Task("unchecked", task.classes, task.train, none, task.test)
    assert fit(unchecked).history.val_accuracy.isna().all()
    with pytest.raises(ValueError, match="patience needs validation data"):
        fit(unchecked, patience=2)


def test_a_diverging_loss_says_so_and_gives_the_finished_epochs(task):
    with pytest.raises(Diverged, match="Try a learning rate below") as caught:
        fit(task, epochs=5, lr=1e30)
    assert caught.value.run.stopped == "diverged"
    assert all(p.isfinite().all() for p in caught.value.run.model.parameters())


@pytest.mark.parametrize("checked", [True, False], ids=["with validation data", "without"])
def test_a_last_step_that_explodes_is_seen(task, checked):
    data = Task("digits", task.classes, task.train, task.val if checked else task.val[:0], task.test)
    with pytest.raises(Diverged, match="The loss is (nan|inf) after epoch 1") as caught:
        fit(data, epochs=1, batch_size=50, lr=1e30)
    assert caught.value.run.history.empty and same(caught.value.run.model, tl.RawCNN())


def test_augment_on_vectors_is_said(task):
    vectors = tl.features(tl.RawCNN(), task)
    with pytest.raises(ValueError, match="augment changes images, and .* has vectors: give it to tl.features"):
        fit(vectors, augment=tl.glyphs.augment)


def test_what_names_no_class_is_refused(task):
    """Of 512 features the largest is no answer, and neither is the first of ten that are no numbers."""
    body, damaged = tl.backbone("resnet10t.letters"), tl.RawCNN()
    with torch.no_grad():
        damaged.conv1.weight.fill_(torch.nan)
    for ask in (tl.evaluate, tl.predict, tl.calibrate):
        for split in (task.test[:9], tl.Split(torch.zeros(9, 512), task.test.y[:9])):
            with pytest.raises(ValueError, match="a bare backbone, which names no classes: give it a head"):
                ask(body, split)
        with pytest.raises(ValueError, match="answers with NaN"):
            ask(damaged, task.test[:9])


def test_evaluate_and_predict_agree(task):
    run = fit(task)
    chances = tl.predict(run.model, task.test)
    assert chances.shape == (797, 10) and torch.allclose(chances.sum(1), torch.ones(797), atol=1e-5)
    result = tl.evaluate(run.model, task.test)
    assert result.accuracy == pytest.approx((chances.argmax(1) == task.test.y).double().mean().item())
    assert result.loss == pytest.approx(-chances.gather(1, task.test.y[:, None]).log().mean().item(), abs=1e-4)


def test_predict_takes_the_path_of_a_photograph_or_a_list_of_them(task, tmp_path):
    model = fit(task).model
    paths = [tmp_path / f"{number} ü.png" for number in range(3)]
    for image, path in zip(task.test.x, paths):
        Image.fromarray(image[0].numpy()).save(path)
    expected = tl.predict(model, task.test[:3])
    assert torch.allclose(tl.predict(model, paths), expected, atol=1e-3)
    for path in (paths[1], str(paths[1])):
        assert torch.allclose(tl.predict(model, path), expected[1:2], atol=1e-3)
    assert tl.predict(model, []).shape == tl.predict(model, task.test[:0]).shape == (0, 10)
    for wrong in (set(paths), dict.fromkeys(paths), pd.DataFrame({"file": paths})):  # the rows of a set have no order
        with pytest.raises(TypeError, match="takes paths of pictures in order, as a list"):
            tl.predict(model, wrong)
    for wrong, words in ((tmp_path / "none.png", "none.png cannot be read"), (tmp_path, "cannot be read .*directory")):
        with pytest.raises(ValueError, match=words):
            tl.predict(model, [paths[0], wrong])


class Both(tl.RawCNN):
    """Answers, and what they were made of."""

    def forward(self, x):
        maps = self.forward_features(x)
        return self.forward_head(maps), maps


def test_what_a_model_cannot_take_or_tell_apart_is_said(task):
    linear, convolution = nn.Linear(5, 10), nn.Conv2d(1, 10, 5)
    linear.pretrained_cfg = convolution.pretrained_cfg = tl.RawCNN.pretrained_cfg
    for call in (tl.evaluate, tl.predict):
        with pytest.raises(ValueError, match="cannot take these examples, of 1 x 28 x 28 each"):
            call(linear, task.test)
        with pytest.raises(ValueError, match="answers with 10 x 24 x 24 numbers for each image"):
            call(convolution, task.test)
        with pytest.raises(ValueError, match="it returns a tuple, and is to return one tensor"):
            call(Both(), task.test)
    with pytest.raises(ValueError, match="tells 7 classes apart, and these labels 10"):
        tl.evaluate(tl.RawCNN(classes=7), task.test)


def test_a_model_that_answers_with_probabilities_is_told_to_leave_softmax_out(task):
    """Softmax came twice: of 797 digits the surest answer was .23, where it is .98 without, and the loss 1.70 for .48."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Softmax(1))
    model.pretrained_cfg = tl.RawCNN.pretrained_cfg
    for ask in (lambda: tl.fit(model, task, progress=False), lambda: tl.evaluate(model, task.test)):
        with pytest.raises(ValueError, match="leave out the softmax"):
            ask()
    with pytest.raises(ValueError, match="leave out the softmax"):
        tl.predict(model, task.test[:1])
    model[2] = nn.LogSoftmax(1)
    assert tl.fit(model, task, epochs=1, progress=False).result.epoch == 1

    class Always(nn.Module):
        """A baseline whose answers are hard: its log-probabilities are 0, and minus infinity."""

        pretrained_cfg = tl.RawCNN.pretrained_cfg

        def forward(self, images):
            return self.answer(nn.functional.one_hot(torch.full((len(images),), 9), 10).float())

    hard = Always()
    hard.answer = lambda chosen: chosen
    with pytest.raises(ValueError, match="1 for one class and 0 for the others.* return the logarithm"):
        tl.predict(hard, task.test[:3])  # its certain answers had .23
    hard.answer = torch.log
    assert tl.predict(hard, task.test[:3]).tolist() == [[0.0] * 9 + [1.0]] * 3


def test_a_model_of_other_classes_is_not_held_against_these_labels(task):
    """As one of 172 letters against ten digits, where every answer would be wrong."""
    many = tl.RawCNN(classes=12)
    for ask in (tl.evaluate, tl.calibrate):
        with pytest.raises(ValueError, match="tells 12 classes apart, and these labels 10"):
            ask(many, task.test)
    assert tl.evaluate(many, Split(task.test.x, task.test.y)).n == len(task.test)  # nobody has said how many there are
    many.facts = Facts((*task.classes, "letter", "blot"))
    assert tl.evaluate(many, task.test).n == len(task.test)  # it knows these ten, and two more


def test_the_interval_is_wilsons():
    assert Evaluation(0.5, 0.0, 100).interval == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert Evaluation(1.0, 0.0, 10).interval == pytest.approx((0.7225, 1.0), abs=1e-4)


def stop_after(steps: int, monkeypatch) -> None:
    """A learner presses the stop button after so many steps."""
    calls = []

    def update(self, *_):
        calls.append(1)
        if len(calls) == steps:
            raise KeyboardInterrupt

    monkeypatch.setattr(training.Progress, "update", update)


def test_checkpoint_goes_on_to_the_same_weights(task, tmp_path, monkeypatch):
    path = tmp_path / "raw.checkpoint"
    arguments = {"epochs": 6, "augment": tl.glyphs.augment}
    whole = fit(task, **arguments)

    with monkeypatch.context() as patch:
        stop_after(7, patch)
        part = fit(task, checkpoint=str(path), **arguments)
    assert len(part.history) == 3 and part.stopped
    rest = fit(task, checkpoint=str(path), **arguments)
    assert same(rest.model, whole.model) and len(rest.history) == 6
    with pytest.raises(ValueError, match="another training .*another lr"):
        fit(task, checkpoint=str(path), lr=5e-4, **arguments)
    for other in (fit(task, epochs=1).model, tl.RawCNN(activation="tanh")):
        with pytest.raises(ValueError, match="another (model|layers)"):
            fit(task, other, checkpoint=str(path), **arguments)
    with pytest.raises(ValueError, match="another data"):
        fit(tl.digits(5, seed=1), checkpoint=str(path), **arguments)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="damaged. Give another checkpoint path, or delete"):
        fit(task, checkpoint=str(path), **arguments)


def test_a_file_that_is_no_checkpoint_is_left_alone(task, tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(tl.RawCNN().state_dict(), path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="is not a checkpoint of fit"):
        fit(task, checkpoint=str(path))
    assert path.read_bytes() == before


def test_a_training_that_stopped_early_stays_so_when_called_again(task, tmp_path):
    arguments = {"epochs": 60, "patience": 3, "lr": np.float64(3e-3), "checkpoint": str(tmp_path / "x")}
    one, again = fit(task, **arguments), fit(task, **arguments)
    assert len(one.history) == len(again.history) < 60 and one.stopped == again.stopped and same(one.model, again.model)


def test_a_look_at_a_model_leaves_each_part_in_its_mode(task):
    model = tl.RawCNN(norm="batch").train()
    model.norm1.eval()
    tl.evaluate(model, task.val), tl.features(model, task), tl.predict(model, task.val)
    assert model.training and model.norm2.training and not model.norm1.training


def test_what_is_no_model_task_or_split_is_said(task):
    run = fit(task, epochs=1)
    for call, words in (
        (lambda: tl.fit(run, task), "take run.model; this is a Run"),
        (lambda: tl.fit(tl.RawCNN(), [1]), "a task second"),
        (lambda: tl.evaluate(run, task.test), "take run.model"),
        (lambda: tl.evaluate(run.model, task), "this is a Task"),
    ):
        with pytest.raises(TypeError, match=words):
            call()


def test_progress_is_silent_where_nobody_watches(task, capfd):
    fit(task, progress=True)
    assert capfd.readouterr() == ("", "")


def test_progress_in_a_terminal_is_one_bar_and_one_line_at_the_end(task, monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    run = fit(task, epochs=3, progress=True)
    *_, last, end = screen.getvalue().replace("\r", "\n").split("\n")
    assert last == repr(run) and end == "" and screen.getvalue().count("\n") == 1


def test_progress_in_a_notebook_is_one_output_that_ends_as_a_line_of_text(task, monkeypatch, capfd):
    shown, pages = [], []

    class Output:
        def update(self, data, raw):
            shown.append(data["text/plain"])
            pages.append(data.get("text/html"))

    monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace(kernel=True))
    monkeypatch.setattr(IPython.display, "display", lambda data, raw, display_id: shown.append(data) or Output())
    run = fit(task, epochs=3, progress=True)
    first, *bars, last = shown
    assert first == {"text/plain": ""} and last == repr(run) and any("%|" in bar for bar in bars)
    assert pages[-1] == f"<div>{run!r}</div>"
    assert capfd.readouterr() == ("", "")


def test_a_split_is_checked():
    with pytest.raises(ValueError, match="3 examples and 2 labels"):
        Split(torch.zeros(3, 4), torch.zeros(2))


def test_of_no_pictures_an_architecture_of_one_size_has_no_answers():
    model = tl.backbone(
        "swin_tiny_patch4_window7_224", classes=2, pretrained=False, img_size=32, depths=(1, 1), num_heads=(1, 2)
    )
    none = tl.Split(torch.zeros(0, 3, 32, 32, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64))
    assert tl.predict(model, none).shape == (0, 2)
    with pytest.raises(ValueError, match="(?i)0 examples|no examples"):
        tl.calibrate(model, none)
