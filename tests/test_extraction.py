import functools

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

import tl_helpers as tl
from tl_helpers.course import small


@pytest.fixture(scope="module")
def body():
    return tl.backbone("resnet10t.letters")


def test_features_are_a_task_of_what_the_backbone_makes_of_each_image(body):
    task = tl.digits(shots=2)
    vectors = tl.features(body, task)
    assert (
        vectors.train.x.shape == (20, 512) and vectors.test.x.shape == (797, 512) and vectors.train.x.dtype == torch.float32
    )
    assert torch.equal(vectors.test.y, task.test.y) and vectors.classes == task.classes
    pixels = torch.nn.functional.interpolate(
        task.train.x[:1] / 255, (32, 32), mode="bicubic", align_corners=False, antialias=True
    )
    with torch.no_grad():
        by_hand = body.eval()((pixels.clamp(0, 1) - 0.5) / 0.5)
    assert torch.allclose(vectors.train.x[:1], by_hand, atol=1e-5)


def test_an_augmentation_that_works_in_place_changes_nothing_but_its_own_view(body):
    task = tl.digits(shots=2)
    pixels = torch.nn.functional.pad(task.train.x / 255, (2, 2, 2, 2))
    floats = tl.Task("floats", task.classes, *[tl.Split(pixels, task.train.y, prepared=True)] * 3)
    within = lambda x, generator: x.add_(0.1).clamp_(0, 1)
    apart = lambda x, generator: (x + 0.1).clamp(0, 1)
    before = pixels.clone()
    found, wanted = (tl.features(body, floats, views=3, augment=how).train.x for how in (within, apart))
    assert torch.equal(pixels, before) and torch.equal(found, wanted)


def test_a_backbone_of_another_precision_is_said(body):
    with pytest.raises(ValueError, match="^The backbone cannot take these images: "):
        tl.features(tl.RawCNN().double(), tl.digits(shots=1))


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "vit_tiny_patch16_224", "convnext_atto"])
def test_a_head_on_features_answers_as_the_whole_model_does(name):
    task = tl.digits(shots=1)
    small = tl.data.Task(task.name, task.classes, task.train, task.val[:4], task.test[:4])
    body = tl.backbone(name, pretrained=False)
    model = tl.head(body, small)
    on_vectors, on_images = tl.predict(model, tl.features(body, small).test), tl.predict(model, small.test)
    assert torch.allclose(on_vectors, on_images, atol=1e-4)


def test_views_are_the_images_themselves_and_bent_ones(body):
    task = tl.digits(shots=2)
    augment = functools.partial(tl.glyphs.augment, strength=0.5)
    plain, many = tl.features(body, task), tl.features(body, task, views=3, augment=augment)
    assert many.train.x.shape == (60, 512) and torch.equal(many.train.y, task.train.y.repeat(3))
    assert torch.allclose(many.train.x[:20], plain.train.x, atol=1e-6)
    assert not torch.allclose(many.train.x[20:40], many.train.x[40:], atol=1e-2)
    assert torch.equal(many.test.x, plain.test.x)
    again = tl.features(body, task, views=3, augment=augment)
    assert torch.equal(again.train.x, many.train.x)


def test_scikit_learn_takes_features_unchanged(body):
    vectors = tl.features(body, tl.digits(shots=10))
    x, y = vectors.train.numpy()
    assert x.dtype == np.float32 and x.shape == (100, 512)
    for estimator in (LogisticRegression(max_iter=1000), NearestCentroid()):
        assert estimator.fit(x, y).score(*vectors.test.numpy()) > 0.9


def test_wrong_uses_get_a_clear_sentence(body):
    task = tl.digits(shots=1)
    with pytest.raises(ValueError, match="vectors already"):
        tl.features(body, tl.features(body, task))
    assert len(tl.features(body, tl.Task("x", task.classes, task.train, task.val[:0], task.test[:0])).test) == 0
    for wrong in ({"views": 0}, {"views": 2}):
        with pytest.raises(ValueError, match="views must be"):
            tl.features(body, task, **wrong)
    maps = tl.backbone("resnet10t.letters", global_pool="")
    with pytest.raises(ValueError, match="one vector"):
        tl.features(maps, task)


def test_an_empty_split_goes_through_an_architecture_of_one_size():
    body = tl.backbone("swin_tiny_patch4_window7_224", pretrained=False, img_size=32, depths=(1, 1), num_heads=(1, 2))
    task = tl.digits(shots=1)
    vectors = tl.features(body, tl.Task("x", task.classes, task.train, task.val[:3], task.test[:0]))
    assert vectors.test.x.shape == (0, vectors.train.x.shape[1]) and vectors.test.x.dtype == torch.float32


def test_any_module_that_makes_vectors_is_a_backbone(body):
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.pretrained_cfg = body, body.pretrained_cfg

        def forward(self, x):
            return torch.cat([self.body(x), self.body(x)], 1)

    task = tl.digits(shots=1)
    found, once = tl.features(Twice(), task).train.x, tl.features(body, task).train.x
    assert torch.equal(found, torch.cat([once, once], 1))


def test_vectors_of_another_backbone_or_of_an_earlier_one_are_refused():
    task, body = tl.digits(1), tl.RawCNN(seed=1)
    vectors = tl.features(body, task)
    probe = tl.fit(tl.head(body, task), vectors, epochs=1, progress=False).model
    assert tl.evaluate(probe, vectors.test).accuracy == tl.evaluate(probe, task.test).accuracy
    assert tl.evaluate(tl.calibrate(probe, vectors.val), vectors.test[:5]).n == 5
    tuned = tl.fit(tl.unfreeze(probe), task, epochs=1, progress=False).model
    for model in (tuned, tl.head(tl.RawCNN(seed=2), task)):
        for ask in (tl.evaluate, tl.predict):
            with pytest.raises(ValueError, match="vectors were made by another backbone"):
                ask(model, vectors.test[:5])
    with pytest.raises(ValueError, match="made by another backbone"):
        tl.fit(tl.head(tl.RawCNN(seed=2), task), vectors, progress=False)
    assert tl.evaluate(tuned, tl.features(tuned, task).test).accuracy == tl.evaluate(tuned, task.test).accuracy


def test_vectors_are_refused_by_whatever_has_other_weights_or_other_names_and_taken_by_a_head_alone():
    task, body = tl.digits(1), tl.backbone("resnet10t.letters")
    vectors = tl.features(body, task)
    probe = tl.fit(tl.head(body, task), vectors, epochs=1, progress=False).model
    adapted = small.low_rank(probe, 4, 0)
    other = tl.head(tl.backbone("ese_vovnet19b_dw", pretrained=False, seed=0), task)
    for model in (adapted, other):
        with pytest.raises(ValueError, match="made by another backbone"):
            tl.evaluate(model, vectors.test[:5])

    class Head(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bn1, self.out = torch.nn.BatchNorm1d(512), torch.nn.Linear(512, 10)

        def forward(self, x):
            return self.out(self.bn1(x))

    run = tl.fit(Head(), vectors, epochs=1, progress=False)
    assert tl.evaluate(run.model, vectors.val).accuracy == run.history.val_accuracy.iloc[-1]


def test_where_the_memory_is_short_features_come_in_halves():
    class Small(tl.RawCNN):
        def forward_features(self, x):
            if len(x) > 6:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried")
            return super().forward_features(x)

    task = tl.digits(1)
    assert torch.allclose(tl.features(Small(), task).train.x, tl.features(tl.RawCNN(), task).train.x, atol=1e-6)
