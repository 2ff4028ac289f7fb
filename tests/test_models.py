import copy
import io
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

import tl_helpers as tl
from conftest import REAL, ROOT, need
from tl_helpers import models
from tl_helpers.engine.diagram import dissect
from tl_helpers.widgets.trying import thawed

KINDS = ["resnet18", "mobilenetv3_small_050", "efficientnet_b0", "vit_tiny_patch16_224", "convnext_atto"]


class Net(nn.Module):
    """The article's network as PyTorch's MNIST example writes it."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.conv2_drop = nn.Dropout2d()
        self.fc1 = nn.Linear(320, 50)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = x.view(-1, 320)
        x = F.relu(self.fc1(x))
        x = F.dropout(x, training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


def test_raw_cnn_is_the_articles_net_layer_for_layer():
    ours, theirs = tl.RawCNN(), Net()
    for name in ("conv1", "conv2", "fc1", "fc2"):
        getattr(theirs, name).load_state_dict(getattr(ours, name).state_dict())
    x = torch.rand(8, 1, 28, 28)
    assert models.count_parameters(ours) == (21_840, 21_840)
    assert torch.allclose(ours.eval()(x), theirs.eval()(x), atol=1e-6)
    ours.train(), theirs.train()
    torch.manual_seed(0)
    mine = ours(x)
    torch.manual_seed(0)
    assert torch.allclose(mine, theirs(x), atol=1e-6)  # the same dropout at the same places


def test_no_function_moves_the_random_numbers_of_whoever_calls_it(tmp_path):
    task = tl.digits(1)
    calls = {
        "RawCNN": lambda: tl.RawCNN(seed=3),
        "backbone": lambda: tl.backbone("resnet10t.letters"),
        "from scratch": lambda: tl.backbone("resnet10t", classes=3, pretrained=False),
        "head": lambda: tl.head(tl.RawCNN(), task),
        "features": lambda: tl.features(tl.RawCNN(), task, views=2, augment=tl.glyphs.augment),
        "fit": lambda: tl.fit(tl.RawCNN(), task, epochs=1, augment=tl.glyphs.augment, progress=False),
        "save": lambda: tl.save(tl.RawCNN(), tmp_path / "model", task),
        "load": lambda: tl.load(tmp_path / "model"),
        "letters_read": lambda: tl.widgets.letters_read(tl.head(tl.backbone("resnet10t.letters"), task)),
        "loss_around": lambda: tl.widgets.loss_around(tl.RawCNN(), task.train, steps=3),
        "letters": lambda: tl.letters(size=8),
    }
    for name, call in calls.items():
        before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()
        call()
        assert torch.equal(torch.get_rng_state(), before) and np.array_equal(np.random.get_state()[1], numpys), name


def test_raw_cnn_follows_its_seed():
    same = [tl.RawCNN(seed=1).state_dict() for _ in range(2)]
    assert all(torch.equal(same[0][key], same[1][key]) for key in same[0])
    assert not torch.equal(tl.RawCNN(seed=2).conv1.weight, tl.RawCNN(seed=1).conv1.weight)


@pytest.mark.parametrize("kernel", range(1, 10))
@pytest.mark.parametrize("norm", [None, "batch"])
def test_every_kernel_and_norm_gives_a_working_network(kernel, norm):
    for activation, pooling in (("relu", "max"), ("sigmoid", "average"), ("none", "max")):
        net = tl.RawCNN(classes=3, activation=activation, kernel=kernel, pooling=pooling, dropout=0.0, norm=norm)
        assert net(torch.rand(2, 1, 28, 28)).exp().sum(1).tolist() == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"activation": "relo"}, "'relu', 'sigmoid'"),
        ({"pooling": "mean"}, "'max', 'average'"),
        ({"norm": "layer"}, "None, 'batch'"),
        ({"kernel": 10}, "1 to 9"),
        ({"kernel": 2.5}, "1 to 9"),
        ({"kernel": 5.0}, "1 to 9"),
        ({"activation": ["relu"]}, "'relu', 'sigmoid'"),
        ({"classes": 0}, "classes must be a whole number from 1"),
        ({"classes": 2.5}, "classes must be a whole number from 1"),
        ({"dropout": "0.5"}, "below 1"),
        ({"dropout": 1.0}, "below 1"),
        ({"dropout": -0.1}, "at least 0"),
    ],
)
def test_wrong_components_get_a_clear_sentence(wrong, words):
    with pytest.raises(ValueError, match=words):
        tl.RawCNN(**wrong)


@pytest.mark.parametrize("name", models.LETTERS)
def test_shipped_backbones_are_timm_models(name):
    models.register()
    name = f"{name}.letters"
    assert name in timm.list_pretrained()
    ours = tl.backbone(name).eval()
    theirs = timm.create_model(name, pretrained=True).eval()
    assert {p.dtype for p in ours.parameters()} == {torch.float32}
    x = torch.rand(2, 1, 32, 32)
    assert theirs(x).shape == (2, 172) and ours(x).shape == (2, ours.head_hidden_size)
    assert torch.allclose(ours(x), theirs.forward_head(theirs.forward_features(x), pre_logits=True), atol=1e-5)
    assert ours.pretrained_cfg["input_size"] == (1, 32, 32) and ours.pretrained_cfg["tag"] == "letters"


def test_shipped_weights_are_small_half_precision_and_described():
    from safetensors import safe_open

    files = list(models.DATA.glob("*.safetensors"))
    assert {file.name for file in files} == {f"{name}.letters.safetensors" for name in models.LETTERS}
    assert sum(file.stat().st_size for file in files) <= 30e6
    for file in files:
        assert file.stat().st_size <= 12e6
        card = file.with_suffix(".md").read_text(encoding="utf-8")
        assert all(words in card for words in ("How made", "seed", "torch 2", "Accuracy", "Licences", "Limits"))
        with safe_open(file, "pt") as weights:
            kinds = {weights.get_tensor(key).dtype for key in weights.keys()}
        assert kinds <= {torch.float16, torch.int64}


def test_unknown_names_get_a_suggestion_and_missing_weights_a_way_out():
    with pytest.raises(ValueError, match="Did you mean .*resnet10t"):
        tl.backbone("resnet10t.letter")
    bare = next(name for name in timm.list_models() if not timm.models.is_model_pretrained(name))
    with pytest.raises(ValueError, match="pretrained=False"):
        tl.backbone(bare)


def test_imagenet_weights_come_from_the_hub_by_one_name():
    need((REAL / "hf-standin").exists(), "cache of ImageNet weights")
    code = """
import torch, tl_helpers as tl
body = tl.backbone("mobilenetv2_100.ra_in1k")
task = tl.digits(shots=1)
few = tl.Task(task.name, task.classes, task.train, task.val[:2], task.test[:2])
print(tuple(tl.features(body, few).train.x.shape), tl.models.input_of(body).size)
"""
    environment = os.environ | {"HF_HOME": str(REAL / "hf-standin"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.stdout.strip() == "(10, 1280) (3, 224, 224)", done.stderr


def test_weights_that_cannot_be_fetched_are_named_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        ConnectionError, match="Run `python -m tl_helpers prefetch --only resnet18.tv_in1k` once with a network"
    ):
        tl.backbone("resnet18.tv_in1k", cache_dir=str(tmp_path))


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"stem_type": ""}, "weights of 'resnet10t.letters' do not fit"),
        ({"block_args": {"attn_layer": "se"}}, "weights of 'resnet10t.letters' do not fit"),
        ({"layers": [1, 1, 1, 2]}, "weights of 'resnet10t.letters' do not fit"),
        ({"no_such": 1}, "no_such"),
        ({"in_chans": 3}, "Leave in_chans out"),
        ({"num_classes": 3}, "Leave num_classes out"),
        ({"classes": -1}, "classes must be"),
        ({"classes": 2.5}, "classes must be"),
    ],
)
def test_what_does_not_fit_the_weights_is_refused_and_never_left_random(arguments, words):
    with pytest.raises(ValueError, match=words):
        tl.backbone("resnet10t.letters", **arguments)


def test_a_head_is_the_same_with_loaded_weights_and_with_random_ones():
    one, other = (tl.backbone("resnet10t.letters", classes=4, pretrained=loaded, seed=3) for loaded in (True, False))
    assert torch.equal(one.fc.weight, other.fc.weight) and not torch.equal(one.conv1[0].weight, other.conv1[0].weight)


def images(model, n=6):
    return torch.rand(n, *model.pretrained_cfg["input_size"])


@pytest.mark.parametrize("name", KINDS)
def test_freeze_keeps_everything_but_the_head_still(name):
    model = tl.freeze(tl.backbone(name, classes=3, pretrained=False))
    trainable, whole = models.count_parameters(model)
    assert trainable == sum(p.numel() for p in model.get_classifier().parameters()) < whole
    body = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    model.train()  # what every training loop calls, and what sets other people's frozen norms moving again
    for _ in range(2):
        F.cross_entropy(model(images(model)), torch.tensor([0, 1, 2, 0, 1, 2])).backward()
        optimizer.step()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, body[key])}
    heads = {key for key, value in model.named_parameters() if value.requires_grad}
    assert changed == heads
    x = images(model)
    with torch.no_grad():
        assert torch.equal(model.train().forward_features(x), model.eval().forward_features(x))


def test_a_frozen_raw_cnn_drops_nothing_before_its_head():
    task, body = tl.digits(shots=5), tl.RawCNN()
    learned = []
    for data in (task, tl.features(body, task)):
        run = tl.fit(tl.head(body, task), data, epochs=3, lr=1e-2, progress=False)
        learned.append(run.model.fc2.weight)
    assert torch.allclose(*learned, atol=1e-5)
    awake = tl.unfreeze(tl.freeze(tl.RawCNN()), last=1).train()
    awake(images(awake))
    assert awake.drop.training and not awake.drop2.training


@pytest.mark.parametrize("name", ["convnext_atto", "swin_tiny_patch4_window7_224", "densenet121", "vit_tiny_patch16_224"])
def test_a_norm_before_the_head_is_no_block_by_itself(name):
    """timm counts it as one in some architectures: with last=1 it alone learned, beside the head."""
    model = tl.backbone(name, classes=3, pretrained=False)
    shapes = dict(model.named_parameters())
    assert any(shapes[weights].ndim > 1 for weights in models.blocks(model)[-1])
    learns = models.count_parameters(tl.unfreeze(model, last=1))[0] - models.count_parameters(tl.unfreeze(model, last=0))[0]
    assert learns > 10_000


@pytest.mark.parametrize("name", KINDS)
def test_unfreeze_thaws_from_the_head_backwards_and_wakes_the_norms_again(name):
    model = tl.backbone(name, classes=3, pretrained=False)
    whole = models.count_parameters(model)[0]
    parts = models.blocks(model)
    counts = [models.count_parameters(tl.unfreeze(model, last=k))[0] for k in range(len(parts) + 1)]
    assert counts == sorted(set(counts)) and counts[-1] == whole
    for wrong in (len(parts) + 1, -1, 1.5, "all"):
        with pytest.raises(ValueError, match=f"between 0 and {len(parts)}"):
            tl.unfreeze(model, last=wrong)
    tl.freeze(model)
    tl.unfreeze(model).train()
    model(images(model))
    assert models.count_parameters(model)[0] == whole and all(module.training for module in model.modules())


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0"])
def test_norms_can_stay_as_they_are_while_all_else_learns(name):
    model = tl.unfreeze(timm.create_model(name, num_classes=2), norms=False).train()
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    before = [value.clone() for part in norms for value in part.state_dict().values()]
    others = {id(p) for p in model.parameters()} - {id(p) for part in norms for p in part.parameters()}
    learns = {id(p) for p in model.parameters() if p.requires_grad}
    assert norms and learns == others
    model(torch.randn(4, 3, 64, 64)).sum().backward()
    torch.optim.SGD((p for p in model.parameters() if p.requires_grad), 0.1, weight_decay=0.1).step()
    assert all(map(torch.equal, before, (value for part in norms for value in part.state_dict().values())))
    tl.unfreeze(model).train()(torch.randn(4, 3, 64, 64))
    assert all(p.requires_grad for p in model.parameters())
    assert norms[0].num_batches_tracked == before[4] + 1  # awake again


def test_a_frozen_model_keeps_its_parameter_names_and_can_be_copied():
    model = tl.backbone("resnet10t.letters", classes=3)
    names = set(model.state_dict())
    file = io.BytesIO()
    torch.save(tl.freeze(model), file)
    saved = torch.load(io.BytesIO(file.getvalue()), weights_only=False)
    compiled = torch.compile(copy.deepcopy(model).train(), backend="eager", fullgraph=True)
    with torch.no_grad():
        assert torch.equal(compiled(images(model) * 0 + 1), model.eval()(images(model) * 0 + 1))
    for frozen in (copy.deepcopy(model).train(), pickle.loads(pickle.dumps(model)).train(), saved.train()):
        assert set(frozen.state_dict()) == names
        frozen(images(frozen))
        assert not any(m.training for m in frozen.modules() if isinstance(m, nn.BatchNorm2d))
        assert torch.equal(frozen.conv1[0].weight, model.conv1[0].weight)


def test_a_compiled_model_has_the_same_blocks_and_can_be_saved(tmp_path):
    """Its weights have other names: to learn in the last block alone let all of it learn, at one rate."""
    task, body = tl.digits(shots=1), tl.backbone("resnet10t.letters")
    whole = tl.backbone("resnet10t.letters", classes=10)
    compiled = torch.compile(copy.deepcopy(whole), backend="eager")
    assert models.blocks(compiled) == models.blocks(whole)
    for last in (1, 0):
        assert models.count_parameters(tl.unfreeze(compiled, last)) == models.count_parameters(tl.unfreeze(whole, last))
    sizes = [
        [(g["lr"], len(g["params"])) for g in models.parameter_groups(tl.unfreeze(m), 1.0, 0.1, 0.5)]
        for m in (whole, compiled)
    ]
    assert sizes[0] == sizes[1] and len(sizes[0]) > 2
    assert dissect(compiled) == dissect(whole)
    assert models.count_parameters(thawed(compiled, [4])) == models.count_parameters(thawed(whole, [4]))
    vectors = tl.features(torch.compile(body, backend="eager"), task)
    run = tl.fit(torch.compile(tl.head(body, task), backend="eager"), vectors, epochs=1, progress=False)
    assert tl.load(tl.save(run.model, tmp_path / "saved")).facts.classes == task.classes


def test_head_leaves_the_backbone_as_it_was():
    body = tl.backbone("resnet10t.letters")
    before = {key: value.clone() for key, value in body.state_dict().items()}
    task = tl.digits(shots=2)
    model = tl.head(body, task)
    assert models.count_parameters(model)[0] == 5130 and all(p.requires_grad for p in body.parameters())
    tl.fit(model, task, epochs=1, progress=False)
    assert all(torch.equal(value, before[key]) for key, value in body.state_dict().items())


def test_whoever_asks_a_network_leaves_each_part_of_it_in_its_mode():
    model, task = tl.RawCNN().train(), tl.digits(shots=1)
    model.conv1.eval()  # by hand
    before = [module.training for module in model.modules()]
    one = task.val[:1]
    for ask in (lambda: tl.head(model, task), lambda: tl.predict(model, one), lambda: tl.widgets.grad_cam(model, one, [3])):
        ask()
        assert [module.training for module in model.modules()] == before


@pytest.mark.parametrize("pooling", ["max", "catavgmax"])
def test_a_head_pools_as_its_backbone_was_told_to(pooling):
    task, body = tl.digits(shots=1), tl.backbone("resnet10t", pretrained=False, global_pool=pooling)
    body.pretrained_cfg["input_size"] = (3, 32, 32)
    model = tl.head(body, task)
    assert body.global_pool.pool_type == model.global_pool.pool_type == pooling
    assert torch.allclose(tl.predict(model, tl.features(body, task).train), tl.predict(model, task.train), atol=1e-5)


@pytest.mark.parametrize(
    "name, arguments, words",
    [
        ("deit_tiny_distilled_patch16_224", {}, "ModuleList. Take 'deit_tiny_patch16_224'"),
        ("resnetv2_18", {}, "in a Conv2d. Take another architecture, 'resnet18' or"),
        ("resnet18", {"global_pool": ""}, "makes one vector"),
    ],
)
def test_what_cannot_be_divided_is_refused_in_a_sentence_that_names_another(name, arguments, words):
    body, task = tl.backbone(name, pretrained=False, **arguments), tl.digits(shots=1)
    with pytest.raises(ValueError, match=f"{name} cannot be taken for a backbone and a linear head: .*{words}"):
        tl.head(body, task)


def test_a_head_is_refused_where_its_parts_disagree_or_do_not_rest():
    class Shifted(tl.RawCNN):
        def forward(self, x):
            return super().forward(x) + torch.arange(10)  # something after the last layer

    class Restless(tl.RawCNN):
        def forward_features(self, x):
            return F.dropout(super().forward_features(x))  # in evaluation too

    class Counting(tl.RawCNN):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x):
            self.seen += 1
            return super().forward(x)

    class Flagged(tl.RawCNN):
        def train(self, mode=True):
            self.noisy = mode
            return super().train(mode)

        def forward_features(self, x):
            return super().forward_features(x) + self.noisy

    for kind, words in (
        (Shifted, "answers otherwise"),
        (Restless, "otherwise"),
        (Counting, "frozen, it computes otherwise"),
        (Flagged, "frozen, it computes otherwise"),
    ):
        body = kind().train()
        with pytest.raises(ValueError, match=words):
            tl.head(body, tl.digits(shots=1))
        assert body.training and body.fc2.training


def test_attention_drops_nothing_where_it_is_frozen():
    body = tl.backbone("vit_tiny_patch16_224", pretrained=False, img_size=32, attn_drop_rate=0.5, depth=2)
    model = tl.head(body, tl.digits(shots=1)).train()
    with torch.no_grad():
        assert torch.equal(model(images(model) * 0 + 1), model.eval()(images(model) * 0 + 1))
    awake = tl.unfreeze(model).train()
    assert not torch.equal(awake(images(model) * 0 + 1), awake(images(model) * 0 + 1))


@pytest.mark.parametrize("layer_decay", [None, 0.8])
def test_what_a_model_names_gets_no_weight_decay(layer_decay):
    model = tl.backbone("vit_tiny_patch16_224", classes=3, pretrained=False, img_size=32, depth=2)
    groups = models.parameter_groups(model, 1e-3, 0.05, layer_decay)
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    named = dict(model.named_parameters())
    assert set(decays) == {id(p) for p in named.values()} and {"pos_embed", "cls_token"} <= model.no_weight_decay()
    for name, p in named.items():
        spared = name in model.no_weight_decay() or p.ndim < 2
        assert decays[id(p)] == (0 if spared else 0.05), name


def test_a_model_without_a_head_of_its_own_cannot_be_frozen_in_part():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    for change in (tl.freeze, lambda m: tl.unfreeze(m, last=1)):
        with pytest.raises(ValueError, match="Sequential has no head by itself"):
            change(model)
    assert all(p.requires_grad for p in tl.unfreeze(model).parameters())


def test_heads_sit_on_what_a_bare_backbone_gives_and_on_nothing_else():
    body = tl.backbone("mobilenetv3_small_050_s1.letters")  # whose vectors are longer than its num_features says
    assert models.Heads(body, [2, 3]).eval()(torch.rand(2, 1, 32, 32)).exp().sum(1).tolist() == pytest.approx([1, 1])
    with pytest.raises(ValueError, match="bare backbone"):
        models.Heads(tl.RawCNN(), [2])
    two = models.Heads(tl.backbone("vit_tiny_patch16_224", pretrained=False, img_size=32, depth=1), [2, 3])
    decays = [p for group in models.parameter_groups(two, 1, 0.1) if group["weight_decay"] for p in group["params"]]
    assert not any(p is two.body.pos_embed for p in decays)


@pytest.mark.parametrize(
    "use",
    [lambda: tl.backbone(5), lambda: tl.head(tl.RawCNN(), 10), lambda: tl.freeze("resnet18"), lambda: tl.unfreeze(None)],
)
def test_things_of_another_kind_are_named(use):
    with pytest.raises(TypeError, match="takes .*; this is "):
        use()


def test_layer_decay_slows_the_blocks_towards_the_input():
    for model in (tl.RawCNN(), tl.backbone("resnet10t.letters", classes=10)):
        rates = [group["lr"] for group in models.parameter_groups(model, 0.1, 0.01, layer_decay=0.5)]
        assert max(rates) == pytest.approx(0.1) and min(rates) < 0.05
        plain = models.parameter_groups(model, 0.1, 0.01)
        assert [group["lr"] for group in plain] == [0.1, 0.1] and plain[1]["weight_decay"] == 0


def test_layer_decay_is_refused_where_nobody_knows_the_blocks():
    class Own(nn.Sequential):
        pretrained_cfg = tl.RawCNN.pretrained_cfg

    for model in (Own(nn.Flatten(), nn.Linear(784, 10)), models.Heads(tl.backbone("resnet10t.letters"), [10, 2])):
        assert models.parameter_groups(model, 0.1, 0.01)
        with pytest.raises(ValueError, match="nobody knows the blocks of a (Own|Heads)"):
            models.parameter_groups(model, 0.1, 0.01, layer_decay=0.5)


@pytest.mark.parametrize("arguments", [{"global_pool": "foo"}, {"features_only": True}, {"act_layer": "nope"}])
def test_arguments_that_make_no_classifier_are_said(arguments):
    with pytest.raises(ValueError, match="^(timm cannot make 'resnet18' with|With) .*" + next(iter(arguments))):
        tl.backbone("resnet18", pretrained=False, **arguments)


def test_what_cannot_be_fetched_is_said_without_its_weights_too(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match="What 'hf-hub:nobody/nothing' is, is not on this machine"):
        tl.backbone("hf-hub:nobody/nothing", pretrained=False, cache_dir=tmp_path)


def test_a_model_knows_its_own_input():
    wanted = models.input_of(tl.backbone("resnet18", pretrained=False))
    assert wanted.size == (3, 224, 224) and wanted.mean == pytest.approx((0.485, 0.456, 0.406))
    assert models.input_of(tl.RawCNN()).size == (1, 28, 28)
    smaller = tl.backbone("vit_tiny_patch16_224", pretrained=False, img_size=96)
    assert models.input_of(smaller).size == (3, 96, 96)
    mixed = tl.backbone("maxvit_pico_rw_256", pretrained=False, img_size=64)  # timm itself does not note its size
    assert models.input_of(mixed).size == (3, 64, 64)


@pytest.mark.parametrize("config", [None, {}, {"input_size": (1, 28, 28)}])
def test_a_model_that_does_not_say_what_it_is_fed_is_not_fed_just_anything(config):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    model.pretrained_cfg = config
    task = tl.digits(shots=2)
    for use in (
        lambda: tl.fit(model, task, epochs=1),
        lambda: tl.evaluate(model, task.test),
        lambda: tl.features(model, task),
    ):
        with pytest.raises(ValueError, match="Sequential does not say which images it takes: give it .* pretrained_cfg"):
            use()
    model.pretrained_cfg = tl.RawCNN.pretrained_cfg
    assert tl.evaluate(model, task.test).n == 797
