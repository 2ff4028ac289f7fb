"""Who trains: each function trains a copy of a model for some epochs and returns the seconds that this took.

All get the same: images that are normalised already (float32, N x C x H x W) and labels in memory, the batch size, AdamW
with the learning rate 1e-3 and the weight decay .01, no validation, and the threads of torch. What watches (bars, logs,
checkpoints) is off in the others; `fit` draws its bar, keeps its history, and normalises for itself.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import math
import os
import time
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import tl_helpers as tl

clock = time.perf_counter  # run.py --cpu sets another
ADAMW = {"lr": 1e-3, "weight_decay": 0.01}


def fused(model: nn.Module) -> torch.optim.Optimizer:
    """fit's optimizer: one group of weights with decay, one without."""
    return torch.optim.AdamW(tl.models.parameter_groups(model, **ADAMW), fused=True)


def floor(model: nn.Module, x: Tensor, y: Tensor, epochs: int, batch: int) -> float:
    """The same forward, backward and optimizer step on one batch that is already there, nothing else."""
    model = copy.deepcopy(model).train()
    optimizer, batches = fused(model), math.ceil(len(x) / batch)
    ready = [(len(part), x[: len(part)], y[: len(part)]) for part in x.tensor_split(batches)]  # two sizes at most
    start = clock()
    for _ in range(epochs):
        for _, images, labels in ready:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
    return clock() - start


def plain(model: nn.Module, x: Tensor, y: Tensor, epochs: int, batch: int) -> float:
    """The loop of the official tutorials, written by hand."""
    model = copy.deepcopy(model)
    start = clock()
    loader = DataLoader(TensorDataset(x, y), batch_size=batch, shuffle=True)
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.AdamW(model.parameters(), **ADAMW)
    for _ in range(epochs):
        model.train()
        total = correct = 0
        for images, labels in loader:
            optimizer.zero_grad()
            logits = model(images)
            loss = criterion(logits, labels)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
            correct += (logits.argmax(1) == labels).sum().item()
    return clock() - start


def fit(model: nn.Module, task: tl.Task, epochs: int, batch: int) -> float:
    """`tl.fit`, all of it: its copy of the model, the normalisation, the schedule, the history, and a bar in a terminal."""
    screen = io.StringIO()
    screen.isatty = lambda: True
    with contextlib.redirect_stderr(screen):
        start = clock()
        tl.fit(model, task, epochs=epochs, batch_size=batch)
        return clock() - start


def lightning(model: nn.Module, x: Tensor, y: Tensor, epochs: int, batch: int) -> float:
    import logging

    import lightning

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = copy.deepcopy(model)

        def training_step(self, pair, _):
            images, labels = pair
            return F.cross_entropy(self.model(images), labels)

        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters(), **ADAMW)

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    start = clock()
    trainer = lightning.Trainer(max_epochs=epochs, accelerator="cpu", **quiet)
    trainer.fit(Module(), DataLoader(TensorDataset(x, y), batch_size=batch, shuffle=True))
    return clock() - start


def fastai(model: nn.Module, x: Tensor, y: Tensor, epochs: int, batch: int) -> float:
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader as Loader
    from fastai.learner import Learner
    from fastai.optimizer import Adam

    model, data = copy.deepcopy(model), TensorDataset(x, y)
    start = clock()
    loaders = DataLoaders(Loader(data, bs=batch, shuffle=True, num_workers=0), Loader(data, bs=batch, num_workers=0))
    learner = Learner(loaders, model, loss_func=nn.CrossEntropyLoss(), opt_func=Adam)  # decoupled weight decay, as AdamW
    learner._do_epoch_validate = lambda *_, **__: None
    with learner.no_logging():
        learner.fit(epochs, ADAMW["lr"], wd=ADAMW["weight_decay"])
    return clock() - start


def skorch(model: nn.Module, x: Tensor, y: Tensor, epochs: int, batch: int) -> float:
    from skorch import NeuralNetClassifier

    start = clock()
    net = NeuralNetClassifier(
        copy.deepcopy(model),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=ADAMW["weight_decay"],
        lr=ADAMW["lr"],
        max_epochs=epochs,
        batch_size=batch,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    net.fit(x, y)
    return clock() - start


def keras(model: nn.Module, x: Tensor, y: Tensor, epochs: int, batch: int) -> float:
    import keras

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.wrapped = keras.layers.TorchModuleWrapper(copy.deepcopy(model))

        def call(self, images, training=None):
            return self.wrapped(images, training=training)

    start = clock()
    whole = Model()
    whole.compile(
        keras.optimizers.AdamW(ADAMW["lr"], ADAMW["weight_decay"]),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    whole.fit(x.numpy(), y.numpy(), batch_size=batch, epochs=epochs, verbose=0)
    return clock() - start


def import_peers(names: list[str]) -> None:
    """Import those that are among the contestants, so that processes copied from this one have them."""
    os.environ["KERAS_BACKEND"] = "torch"
    modules = {"Lightning": "lightning", "fastai": "fastai.learner", "skorch": "skorch", "Keras (torch)": "keras"}
    for name in modules.keys() & set(names):
        with warnings.catch_warnings(action="ignore"):
            importlib.import_module(modules[name])


PEERS = {"Lightning": lightning, "fastai": fastai, "skorch": skorch, "Keras (torch)": keras}


def run(name: str, model: nn.Module, task: tl.Task, x: Tensor, y: Tensor, epochs: int, batch: int) -> float:
    with warnings.catch_warnings(action="ignore"), open(os.devnull, "w") as nowhere:
        if name == "fit":
            return fit(model, task, epochs, batch)
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            if name == "floor":
                return floor(model, x, y, epochs, batch)
            return (PEERS | {"plain loop": plain})[name](model, x.contiguous(), y, epochs, batch)
