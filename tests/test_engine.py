"""What may go wrong in a training, or grow: kills, bad files, a full disk, short memory, several processes."""

import functools
import io
import os
import re
import signal
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import nbformat
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from test_training import fit, same
from torch import nn

import tl_helpers as tl
from tl_helpers.engine import arguments, checkpoint
from tl_helpers.engine.progress import Progress

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def task():
    return tl.digits(shots=5)


def script(*arguments, **environment) -> subprocess.CompletedProcess:
    command = [sys.executable, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": f"{HERE.parent}:{os.environ['PYTHONPATH']}"} | environment
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=3000)


def test_one_process_with_memory_enough_does_bit_for_bit_what_this_loop_does(task):
    """Nothing that the engine brings changes a single bit where it is not needed."""
    run = fit(task, tl.RawCNN(norm="batch"), augment=tl.glyphs.augment, label_smoothing=0.1)
    model = tl.RawCNN(norm="batch")
    matrices, rest = ([p for p in model.parameters() if (p.ndim > 1) is big] for big in (True, False))
    groups = {"params": matrices, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}
    optimizer = torch.optim.AdamW(groups, 1e-3, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: arguments.SCHEDULES["cosine"](step, 6))
    order, bending = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(3):
            for batch in torch.randperm(50, generator=order).tensor_split(2):
                images = (tl.glyphs.augment(task.train.x[batch].float() / 255, bending) - 0.3) / 0.37
                optimizer.zero_grad()
                F.cross_entropy(model(images), task.train.y[batch], label_smoothing=0.1).backward()
                optimizer.step()
                scheduler.step()
    assert same(run.model, model)


# Checkpoints


@pytest.mark.slow
def test_a_training_killed_fifty_times_ends_with_the_same_weights(tmp_path):
    done = script(HERE / "kills.py", tmp_path, 50, OMP_NUM_THREADS="1")
    assert done.returncode == 0 and done.stdout.startswith("50 kills"), done.stderr


def test_a_process_killed_while_it_drew_its_bar_does_not_stop_the_others():
    if not (child := os.fork()):
        Progress.get_lock().acquire()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    taken = Progress.get_lock().acquire(blocking=False)
    assert taken
    Progress.get_lock().release()


class Killed(BaseException):
    """What nothing catches, as kill -9."""


@pytest.mark.parametrize("call", ["open", "os.fsync", "os.replace"])
@pytest.mark.parametrize("time", range(1, 4))
def test_a_kill_within_the_writing_of_a_checkpoint_loses_nothing(task, tmp_path, monkeypatch, call, time):
    path, whole = str(tmp_path / "x"), fit(task)
    module, name = (os, call[3:]) if call.startswith("os.") else (checkpoint, call)
    real, calls = getattr(module, name, open), [0]

    def dying(file, *arguments, **more):
        calls[0] += 1
        if calls[0] == time:
            if name == "open":  # a file begun and not ended
                real(file, *arguments, **more).write(b"tl_helpers che")
            raise Killed
        return real(file, *arguments, **more)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, name, dying, raising=False)
        for _ in range(2):  # the second finds the first one's checkpoint and reads it
            fit(task, checkpoint=path)
    with warnings.catch_warnings(action="error"):
        assert same(fit(task, checkpoint=path).model, whole.model)


def damage(path: Path, how: str) -> None:
    if how == "weights":
        torch.save(tl.RawCNN().state_dict(), path)
    elif how == "text":
        path.write_text("my thesis")
    else:
        content = path.read_bytes()
        other = content[:-5000] + bytes([content[-5000] ^ 1]) + content[-4999:]
        path.write_bytes(
            {"empty": b"", "cut in its first line": content[:10], "cut": content[:9999], "one bit another": other}[how]
        )


DAMAGES = ["empty", "cut in its first line", "cut", "one bit another"]
FOREIGN = ["text", "weights"]


@pytest.mark.parametrize("how", DAMAGES + FOREIGN)
def test_a_damaged_or_foreign_file_is_refused_and_left_alone(task, tmp_path, how):
    path = tmp_path / "x"
    fit(task, checkpoint=path)
    damage(path, how)
    before = path.read_bytes()
    words = "is damaged" if how in DAMAGES else "is not a checkpoint of fit"
    with pytest.raises(ValueError, match=f"x {words}. Give another checkpoint path, or delete what is there to start anew"):
        fit(task, checkpoint=path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def strength(number):
    return lambda images, generator: tl.glyphs.augment(images, generator, number)


AUGMENTATIONS = [
    None,
    tl.glyphs.augment,
    functools.partial(tl.glyphs.augment, strength=0.5),
    functools.partial(tl.glyphs.augment, strength=0.6),
    strength(0.5),
    strength(0.6),
    lambda images, generator: images * 0.5,
    lambda images, generator: images * 0.6,
    lambda images, generator: images.mul(0.5),
]


def test_a_checkpoint_of_another_augmentation_or_of_other_validation_data_is_refused(task, tmp_path):
    path = tmp_path / "x"
    for augment in AUGMENTATIONS:
        fit(task, checkpoint=path, augment=augment, epochs=1)
        for other in AUGMENTATIONS:
            if other is not augment:
                with pytest.raises(ValueError, match=r"x holds another training \(another augment\)"):
                    fit(task, checkpoint=path, augment=other, epochs=1)
        path.unlink()
    fit(task, checkpoint=path, augment=strength(0.5), epochs=1)
    fit(task, checkpoint=path, augment=strength(0.5), epochs=1)  # another function that does the same
    fewer = tl.Task(task.name, task.classes, task.train, task.val[1:], task.test)
    with pytest.raises(ValueError, match=r"x holds another training \(another validation data\)"):
        fit(fewer, checkpoint=path, augment=strength(0.5), epochs=1)


WRITTEN = {  # augmentations of a learner, and what is changed in them
    "a number beside it": ("S = 0.1\ndef augment(x, g): return tl.glyphs.augment(x, g, strength=S)", "S = 0.1", "S = 2.0"),
    "a function beside it": ("def dim(x): return x * 0.5\ndef augment(x, g): return dim(x)", "0.5", "0.6"),
    "one within it": ("def augment(x, g): return torch.stack([(lambda i: i * 0.5)(i) for i in x])", "0.5", "0.6"),
    "one in a list": (
        "def chain(*steps):\n  steps = list(steps)\n  def run(x, g):\n    for step in steps: x = step(x)\n    return x\n"
        "  return run\naugment = chain(lambda x: x, lambda x: x * 0.5)",
        "* 0.5",
        "* 0.6",
    ),
    "a partial that is bound": (
        "def make(f): return lambda x, g: f(x, g)\naugment = make(functools.partial(tl.glyphs.augment, strength=0.5))",
        "0.5",
        "0.6",
    ),
    "a class beside it": (
        "class Dim:\n  def go(self, x): return x * 0.5\ndef augment(x, g): return Dim().go(x)",
        "0.5",
        "0.6",
    ),
    "a method": (
        "class Dim:\n  def __init__(self, k): self.k = k\n  def go(self, x, g): return x * self.k\naugment = Dim(0.5).go",
        "0.5",
        "0.6",
    ),
}


@pytest.mark.parametrize("what", WRITTEN)
def test_an_augmentation_that_was_changed_is_another(what):
    def described(code: str) -> str:
        exec(code, place := {"tl": tl, "torch": torch, "functools": functools, "__name__": "__main__"})
        return arguments.described(place["augment"])

    code, before, after = WRITTEN[what]
    assert described(code) == described(code) != described(code.replace(before, after))


def test_an_augmentation_that_counts_stays_the_same():
    code = "n, seen = 0, []\ndef augment(x, g):\n  global n\n  n += 1\n  seen.append(n)\n  return augment and x"
    exec(code, place := {})
    before = arguments.described(place["augment"])
    place["augment"](1, None)
    assert place["n"] == 1 and arguments.described(place["augment"]) == before


def test_a_checkpoint_of_norms_that_moved_is_not_one_of_norms_that_keep_still(task, tmp_path):
    moving = tl.RawCNN(norm="batch")
    for name, weights in moving.named_parameters():
        weights.requires_grad_(name.startswith("fc2"))
    fit(task, moving, checkpoint=tmp_path / "x", epochs=1)
    with pytest.raises(ValueError, match=r"x holds another training \(another model\)"):
        fit(task, tl.freeze(tl.RawCNN(norm="batch")), checkpoint=tmp_path / "x", epochs=1)


def test_a_checkpoint_of_what_the_layers_do_not_show_is_refused(task, tmp_path):
    net = lambda rate: tl.backbone("resnet10t.letters", classes=10, drop_rate=rate)
    fit(task, net(0.0), checkpoint=tmp_path / "x", epochs=1)
    with pytest.raises(ValueError, match=r"x holds another training \(another layers\)"):
        fit(task, net(0.5), checkpoint=tmp_path / "x", epochs=1)
    fit(task, net(0.0), checkpoint=tmp_path / "x", epochs=1)
    fit(task, checkpoint=tmp_path / "y", epochs=1, seed=2**60)
    with pytest.raises(ValueError, match=r"y holds another training \(another seed\)"):
        fit(task, checkpoint=tmp_path / "y", epochs=1, seed=2**60 + 1)


def test_a_checkpoint_goes_on_with_what_counts_and_with_what_was_compiled(task, tmp_path):
    class Counts(tl.RawCNN):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return super().forward(x)

    net = Counts()
    for name, use in (("a", lambda: net), ("b", lambda: torch.compile(tl.RawCNN(), backend="eager"))):
        tl.fit(use(), task, checkpoint=tmp_path / name, epochs=1, progress=False)
        tl.evaluate(net, task.val)
        tl.fit(use(), task, checkpoint=tmp_path / name, epochs=1, progress=False)


def test_half_precision_is_refused_in_the_same_words_with_a_checkpoint(task, tmp_path):
    for where in (None, tmp_path / "x"):
        with pytest.raises(ValueError, match="The model cannot take 'digits"):
            fit(task, tl.RawCNN().bfloat16(), checkpoint=where, epochs=1)


def test_a_checkpoint_of_images_fed_otherwise_is_refused(task, tmp_path):
    fit(task, tl.RawCNN(), checkpoint=tmp_path / "x", epochs=1)
    misfed = tl.RawCNN()
    misfed.pretrained_cfg = {**misfed.pretrained_cfg, "mean": (0.5,)}
    with pytest.raises(ValueError, match=r"x holds another training \(another input\)"):
        fit(task, misfed, checkpoint=tmp_path / "x", epochs=1)


def test_a_checkpoint_tells_photographs_by_what_they_show(tmp_path):
    def photographs(shade: int, folder: str) -> tl.Task:
        (tmp_path / folder).mkdir(exist_ok=True)
        paths = [tmp_path / folder / f"{number}.bmp" for number in range(4)]
        for number, path in enumerate(paths):
            Image.new("RGB", (28, 28), (shade * number, 0, 0)).save(path)
        split = tl.Split(tl.data.Files(paths), [0, 1, 0, 1])
        return tl.Task("shades", ("even", "odd"), split, split[:0], split)

    path, first = tmp_path / "x", photographs(10, "here")
    one = fit(first, tl.RawCNN(2), checkpoint=path)
    assert same(fit(photographs(10, "moved"), tl.RawCNN(2), checkpoint=path).model, one.model)
    with pytest.raises(ValueError, match=r"another training \(another data\)"):  # of the same names and sizes
        fit(photographs(20, "here"), tl.RawCNN(2), checkpoint=path)


def test_where_no_checkpoint_can_be_written_is_said_before_training(task, tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "x"):
        with pytest.raises(ValueError, match="No checkpoint can be written to"):
            fit(task, checkpoint=path)


def test_a_full_disk_stops_no_training_and_loses_no_checkpoint(task, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    path = tmp_path / "x"
    room = resource.getrlimit(resource.RLIMIT_FSIZE)

    calls = []

    def filling(self, *_):
        calls.append(1)
        if len(calls) == 5:  # the third epoch's checkpoint and the fourth's find no room
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, room[1]))

    try:
        with monkeypatch.context() as patch:
            patch.setattr(tl.training.Progress, "update", filling)
            with pytest.warns(UserWarning, match="epoch 3 is not in .*x \\(File too large\\); training goes on") as said:
                run = fit(task, epochs=4, checkpoint=path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, room)
    assert len(said) == 1 and len(run.history) == 4 and not (tmp_path / "x.new").exists()
    rest = fit(task, epochs=4, checkpoint=path)  # epochs 3 and 4 again
    assert rest.history.seconds[1] == run.history.seconds[1] and rest.history.seconds[3] != run.history.seconds[3]
    assert same(rest.model, run.model)


# Memory


class Hungry(nn.Module):
    """A model on a device that holds so many images at once."""

    def __init__(self, model: nn.Module, room: int):
        super().__init__()
        self.model, self.room, self.pretrained_cfg, self.seen = model, room, model.pretrained_cfg, []

    def forward(self, x):
        self.seen.append(len(x))
        if len(x) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return self.model(x)


def test_short_memory_means_smaller_parts_and_the_same_weights(task):
    plain = fit(task, tl.RawCNN(dropout=0.0), batch_size=30)
    hungry = Hungry(tl.RawCNN(dropout=0.0), room=7)
    with pytest.warns(
        UserWarning, match="batch of 25: from here on .* 4 parts of at most 7. The result is the same"
    ) as said:
        run = fit(task, hungry, batch_size=30)
    assert len(said) == 1
    for mine, theirs in zip(run.model.model.parameters(), plain.model.parameters()):
        assert torch.allclose(mine, theirs, atol=1e-5)
    assert run.history.loss.to_list() == pytest.approx(plain.history.loss.to_list(), abs=1e-5)
    assert run.history.val_accuracy.equals(plain.history.val_accuracy)
    assert [n for n in run.model.seen if n > 7][:3] == [
        25,
        13,
        100,
    ]  # two failed steps; then only validation finds too little


def test_batches_of_unequal_size_in_parts_of_one_image_leave_no_part_empty(task):
    data = tl.Task(task.name, task.classes, task.train[:49], task.val, task.test)  # batches of 25 and 24
    with pytest.warns(UserWarning, match="25 parts of at most 1"):
        run = fit(data, Hungry(tl.RawCNN(dropout=0.0), room=1), batch_size=30)
    plain = fit(data, tl.RawCNN(dropout=0.0), batch_size=30)
    assert run.history.loss.to_list() == pytest.approx(plain.history.loss.to_list(), abs=1e-5)


def test_an_attempt_that_fails_moves_no_batch_norm(task):
    class Late(Hungry):
        """Notices only after the forward pass that the memory is full."""

        def forward(self, x):
            answer = self.model(x)
            return super().forward(x) if len(x) > self.room else answer

    parts = fit(task, Late(tl.RawCNN(norm="batch", dropout=0.0), room=13), batch_size=30).model.model
    assert parts.norm1.num_batches_tracked == 2 * 6  # two parts in each step
    seen = [len(part) for batch in torch.randperm(50).tensor_split(2) for part in batch.tensor_split(2)]
    assert max(seen) == 13

    class Whole(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model, self.pretrained_cfg = model, model.pretrained_cfg

        def forward(self, x):
            halves = x.tensor_split(2) if self.training else [x]
            return torch.cat([self.model(half) for half in halves])

    whole = fit(task, Whole(tl.RawCNN(norm="batch", dropout=0.0)), batch_size=30).model.model
    assert torch.allclose(parts.norm1.running_mean, whole.norm1.running_mean, atol=1e-5)


def test_a_batch_norm_with_a_single_example_is_said(task):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.BatchNorm1d(16), nn.Linear(16, 10))
    model.pretrained_cfg = tl.RawCNN.pretrained_cfg
    with pytest.raises(ValueError, match="A batch norm cannot learn from one example at a time"):
        fit(task, model, batch_size=1)


def test_float16_scales_its_gradients_and_learns_what_float32_learns(task, monkeypatch):
    """What a GPU without bfloat16 does, on the CPU."""
    plain = fit(task, tl.RawCNN(dropout=0.0), epochs=10)
    scales = []
    update = torch.amp.GradScaler.update
    monkeypatch.setattr(torch.amp.GradScaler, "update", lambda self: (update(self), scales.append(self.get_scale()))[0])
    for module in (tl.device, tl.training):
        monkeypatch.setattr(module, "precision", lambda device: torch.float16)
    short = fit(task, tl.RawCNN(dropout=0.0), epochs=10)
    assert len(scales) == 20 and scales[0] >= 2**15  # enabled: one that is not has the scale 1
    assert not same(short.model, plain.model)
    assert short.history.loss.to_list() == pytest.approx(plain.history.loss.to_list(), abs=0.02)
    assert all(value.dtype == torch.float32 for value in short.model.state_dict().values())


def test_where_not_even_one_image_fits_it_is_said(task):
    class Never(Hungry):
        def forward(self, x):
            return (
                super().forward(x) if not self.training else super().forward(x.expand(9, *x.shape[1:]) if len(x) == 1 else x)
            )

    with pytest.raises(ValueError, match="memory does not hold a step with a batch of 1: take a smaller model"):
        fit(task, Never(tl.RawCNN(), room=2))


def test_other_errors_of_a_model_are_not_taken_for_short_memory(task):
    class Broken(Hungry):
        def forward(self, x):
            if self.training:
                raise RuntimeError("an illegal memory access")
            return super().forward(x)

    with pytest.raises(RuntimeError, match="illegal memory access"):
        fit(task, Broken(tl.RawCNN(), room=1000))


# Several processes


def together(folder: Path, *cases: str) -> None:
    done = script(HERE / "together.py", folder, *cases, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr


def check_alike(folder: Path, case: str, sizes=(2, 4)) -> None:
    """Every process has the same weights and history, and they are those of one process within rounding.

    Weights are compared as whole tensors: AdamW's first steps are as long for a gradient of 1e-9 as for one of 1, so that in
    a few weights the last bit of a sum becomes 7e-4. Batch norms left to themselves move whole tensors by 5%.
    """
    (weights, history) = torch.load(folder / f"{case}-1-0")
    for size in sizes:
        results = [torch.load(folder / f"{case}-{size}-{rank}") for rank in range(size)]
        for found, told in results:
            assert told == results[0][1] and all(torch.equal(found[k], results[0][0][k]) for k in weights)
            for name, value in weights.items():
                assert torch.dist(found[name].float(), value.float()) <= 1e-3 * value.float().norm(), name
            assert told == [pytest.approx(row, abs=1e-3) for row in history]


def test_two_processes_come_to_the_weights_of_one(tmp_path):
    together(tmp_path, "cnn:1", "cnn:2")
    check_alike(tmp_path, "cnn", sizes=(2,))


@pytest.mark.slow
def test_two_and_four_processes_share_batch_norms_heads_and_bad_news(tmp_path):
    cases = [f"{case}:{size}" for case in ("cnn", "letters", "head") for size in (1, 2, 4)]
    together(tmp_path, *cases, "foreign:2", "small:4")
    for case in ("cnn", "letters", "head"):
        check_alike(tmp_path, case)
    for rank in range(2):
        assert "thesis is not a checkpoint of fit" in torch.load(tmp_path / f"foreign-2-{rank}")
    for rank in range(4):
        assert "4 processes share each batch, and a batch has 2 of" in torch.load(tmp_path / f"small-4-{rank}")


@pytest.mark.slow
def test_a_process_that_dies_ends_all_with_a_checkpoint_to_go_on_from(tmp_path):
    together(tmp_path, "whole:2", "dying:2")
    words = "ConnectionError: Process 0 of 2 stops, since another one has ended, .*/dying.checkpoint holds the last finished"
    assert re.match(words, torch.load(tmp_path / "dying-2-0")) and not (tmp_path / "dying-2-1").exists()
    whole = [torch.load(tmp_path / f"whole-2-{rank}") for rank in range(2)]

    def goes_on():
        for rank in range(2):
            weights, history = torch.load(tmp_path / f"dying-2-{rank}")
            assert history == whole[rank][1] and all(torch.equal(weights[k], whole[rank][0][k]) for k in weights)

    together(tmp_path, "dying:2")
    goes_on()
    for file in tmp_path.glob("d*"):
        file.unlink()
    torchrun = [*"-m torch.distributed.run --standalone --nproc_per_node 2".split(), HERE / "together.py", tmp_path, "dying"]
    first, again = (script(*torchrun, OMP_NUM_THREADS="1") for _ in range(2))
    assert first.returncode and "(exitcode: -9) local_rank: 1" in first.stderr, first.stderr
    assert not again.returncode, again.stderr
    goes_on()


@pytest.mark.slow
def test_the_slurm_script_of_deeper_11_trains_on_two_machines_that_are_this_one(tmp_path, monkeypatch):
    """srun and scontrol are stand-ins: each of two launchers takes the other for another machine."""
    monkeypatch.chdir(tmp_path)
    lesson = nbformat.read(HERE.parent / "notebooks" / "deeper" / "11_where_next.ipynb", as_version=4)
    scope = {"FOLDER": tmp_path}
    for wanted in ("SCRIPT = ", "def torchrun", "SBATCH = "):
        (source,) = (cell.source for cell in lesson.cells if cell.cell_type == "code" and wanted in cell.source)
        exec(source, scope)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    sbatch = scope["SBATCH"].replace("--nproc_per_node 4", "--nproc_per_node 1").replace("29500", str(port))
    stand_ins = {
        "scontrol": "echo localhost; echo other",
        "srun": 'test "$1" = --cpus-per-task=16 && shift && { "$@" & first=$!; "$@" && wait $first; }',
        "python": f'exec {sys.executable} "$@"',
    }
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name, text in {**stand_ins, "activate": 'PATH="$PWD/.venv/bin:$PATH"'}.items():
        (tmp_path / ".venv" / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / ".venv" / "bin" / name).chmod(0o755)
    slurm = {"SLURM_JOB_NODELIST": "two", "SLURM_NNODES": "2", "SLURM_JOB_ID": "7"}
    slurm |= {"SLURM_CPUS_PER_TASK": "16", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["bash", "-c", sbatch], capture_output=True, text=True, env=os.environ | slurm, timeout=300)
    assert done.returncode == 0, done.stderr
    assert not script("train.py", "alone", OMP_NUM_THREADS="1").returncode
    alone, two = (torch.load(f"{name}.pt")["weights"] for name in ("alone", "run1"))
    saved = (tmp_path / "run1.checkpoint").read_bytes()[len(checkpoint.Checkpoint.MARK) + 32 :]
    assert len(torch.load(io.BytesIO(saved))["random"]) == 2  # so many processes took part
    flat = lambda weights: torch.cat([values.flatten() for values in weights.values()])
    way = flat(alone) - flat(tl.RawCNN().state_dict())
    assert (flat(two) - flat(alone)).norm() < 0.02 * way.norm()
