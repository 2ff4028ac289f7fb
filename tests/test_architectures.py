"""Any timm model, or a sentence: one architecture of each of timm's families, with random weights, on tiny images.

Each is right in five ways or is refused by `tl.head`. What was found stands in architectures.md, written by

    TL_WRITE=1 pytest -m slow -n0 tests/test_architectures.py
"""

import copy
import os
import re
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F

import tl_helpers as tl
from tl_helpers import models
from tl_helpers.engine.parts import at_rest as is_at_rest
from tl_helpers.engine.parts import before_head

TABLE = Path(__file__).with_name("architectures.md")

# The smallest of each family (a module of timm.models): its name, the side of its images, and what makes it smaller still.
# An "=" asks timm for that side, since the architecture is built for one; to the others it is all one.
FAMILIES = """
beit beit_base_patch16_224 =32 depth:2 embed_dim:192 num_heads:3
byoanet lambda_resnet26t 32
byobnet test_byobnet 32
cait cait_xxs24_224 =32 depth:4
coat coat_tiny =32
convit convit_tiny =32
convmixer convmixer_768_32 32
convnext test_convnext 32
cpubone cpubone_nano 32
crossvit crossvit_tiny_240 240
csatv2 csatv2 =64
cspnet cs3darknet_focus_s 32
davit davit_tiny 32
deit deit_tiny_patch16_224 =32
densenet densenet121 32
dla dla46x_c 32
dpn dpn48b 32
edgenext edgenext_xx_small 32
efficientformer efficientformer_l1 224
efficientformer_v2 efficientformerv2_s0 224
efficientnet test_efficientnet 32
efficientvim efficientvim_m1 64
efficientvit_mit efficientvit_b0 32
efficientvit_msra efficientvit_m0 224
eva vit_tiny_patch16_dinov3_qkvb =32
fasternet fasternet_t0 32
fastvit fastvit_t8 32
focalnet focalnet_tiny_srf 32
gcvit gcvit_xxtiny =32
ghostnet ghostnet_050 32
hardcorenas hardcorenas_b 32
hgnet hgnetv2_b0 32
hiera hiera_tiny_224 =32
hieradet_sam2 sam2_hiera_tiny 32
hrnet hrnet_w18_small 32
iformer iformer_t 32
inception_next inception_next_atto 32
inception_resnet_v2 inception_resnet_v2 80
inception_v3 inception_v3 80
inception_v4 inception_v4 80
lcnetv2 lcnetv2_small 32
levit levit_128s 224
lowformer lowformer_b0 32
mambaout test_mambaout 32
maxxvit maxvit_pico_rw_256 =32
metaformer poolformerv2_s12 32
mlp_mixer gmlp_ti16_224 =32
mobilenetv3 mobilenetv3_small_050 32
mobilevit mobilevit_xxs 32
mvitv2 mvitv2_tiny =32
naflexvit naflexvit_so150m2_patch16_reg1_gap =32 depth:2
nest nest_tiny =32
nextvit nextvit_small 32
nfnet test_nfnet 32
pit pit_ti_224 =32
pvt_v2 pvt_v2_b0 32
qwen3_vit qwen3_vit_88m =32 depth:2
rdnet rdnet_tiny 32
regnet regnetx_002 32
repghost repghostnet_050 32
repvit repvit_m1 32
res2net res2next50 32
resnest resnest14d 32
resnet test_resnet 32
resnetv2 resnetv2_18 32
rexnet rexnet_100 32
selecsls selecsls42 32
senet legacy_seresnet18 32
sequencer sequencer2d_s 32
shvit shvit_s1 32
sknet skresnet18 32
starnet starnet_s050 32
swiftformer swiftformer_xs 224
swin_transformer swin_tiny_patch4_window7_224 =32
swin_transformer_v2 swinv2_tiny_window8_256 =64
swin_transformer_v2_cr swinv2_cr_tiny_224 =32
tiny_vit tiny_vit_5m_224 32
tnt tnt_s_legacy_patch16_224 =32 depth:4
tresnet tresnet_m 32
twins twins_svt_small =32
vgg vgg11 32
visformer visformer_tiny =32
vision_transformer test_vit =32
vision_transformer_hybrid vit_tiny_r_s16_p8_224 =32
vision_transformer_relpos vit_srelpos_small_patch16_224 =32
vision_transformer_sam samvit_base_patch16 =64 depth:2
vitamin vitamin_small_224 =32
volo volo_d1_224 224
vovnet ese_vovnet19b_slim_dw 32
xception legacy_xception 32
xception_aligned xception41p 32
xcit xcit_nano_12_p8_224 =32
"""
CASES = [line.split() for line in FAMILIES.split("\n") if line]
QUICK = "test_byobnet test_convnext ghostnet_050 efficientvit_m0 levit_128s pit_ti_224 sequencer2d_s test_vit".split()
found = {}


def body_of(name: str, side: str, *smaller: str) -> torch.nn.Module:
    """A bare backbone for images of that side, whose norms know other statistics than a layer that is new."""
    pixels = int(side.removeprefix("="))
    arguments = {key: int(value) for key, value in (text.split(":") for text in smaller)}
    arguments |= {"img_size": pixels} if side[0] == "=" else {}
    body = tl.backbone(name, pretrained=False, **arguments)
    body.pretrained_cfg["input_size"] = (body.pretrained_cfg["input_size"][0], pixels, pixels)
    torch.manual_seed(0)
    for module in body.modules():
        if isinstance(getattr(module, "running_mean", None), torch.Tensor):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    return body


def task_of(body: torch.nn.Module) -> tl.Task:
    channels, side, _ = body.pretrained_cfg["input_size"]
    images = torch.randint(0, 256, (12, channels, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    parts = [tl.Split(part, torch.arange(len(part)) % 3) for part in images.split([6, 3, 3])]
    return tl.Task("noise", ("a", "b", "c"), *parts)


def learning(model: torch.nn.Module) -> set[str]:
    return {name for name, weights in model.named_parameters() if weights.requires_grad}


def state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def resting(model: torch.nn.Module) -> set[str]:
    """The names of all weights and statistics in the frozen parts of a model."""
    at_rest = {name for name, module in model.named_modules() if is_at_rest(module)}
    return {name for name in model.state_dict() if name.rpartition(".")[0] in at_rest and name not in learning(model)}


def check(body: torch.nn.Module, folder: Path) -> None:
    task, before = task_of(body), state(body)
    model = tl.head(body, task)
    every, heads = {name for name, _ in model.named_parameters()}, learning(model)
    last = {id(weights) for weights in models.classifier(model).parameters()}
    assert heads and heads == {name for name, weights in model.named_parameters() if id(weights) in last}

    # 1. features then head equals the whole model
    vectors = tl.features(body, task)
    assert torch.allclose(tl.predict(model, vectors.test), tl.predict(model, task.test), atol=1e-4)
    assert torch.allclose(tl.features(model, task).test.x, vectors.test.x, rtol=1e-4, atol=1e-4)

    # 2. frozen stays bit-equal through train()
    images = torch.randn(6, *body.pretrained_cfg["input_size"])
    awake = copy.deepcopy(model)
    optimizer = torch.optim.SGD([p for p in awake.parameters() if p.requires_grad], 0.1)
    for _ in range(2):
        F.cross_entropy(awake.train()(images), task.train.y).backward()
        optimizer.step()
    changed = {name for name, value in state(awake).items() if not torch.equal(value, model.state_dict()[name])}
    assert changed == heads
    with torch.no_grad():
        assert torch.equal(before_head(awake.train(), images), before_head(awake.eval(), images))

    # 3. unfreeze(last=k) for k = 0, 1, all, and 5. a fit of one epoch
    parts = models.blocks(model)
    assert sum(map(len, parts)) == len(every - heads) and set().union(*parts) == every - heads
    assert learning(tl.unfreeze(model, last=0)) == heads
    last_block = tl.unfreeze(copy.deepcopy(model), last=1)
    assert learning(last_block) == heads | set(parts[-1])
    assert learning(tl.unfreeze(copy.deepcopy(model), last=len(parts))) == every
    whole = tl.unfreeze(copy.deepcopy(model))
    assert learning(whole) == every and not resting(whole)
    for start, data in ((model, vectors), (last_block, task), (whole, task)):
        run = tl.fit(start, data, epochs=1, batch_size=3, lr=1e-4, progress=False)
        old, new = start.state_dict(), run.model.state_dict()
        changed = {name for name in new if not torch.equal(old[name], new[name])}
        assert run.history.loss.notna().all() and heads <= changed
        assert not changed & resting(start) and changed & every <= learning(start)
        assert start is model or changed & set(parts[-1])

    # 4. save and load
    loaded = tl.load(tl.save(run.model, folder, task))
    assert torch.equal(tl.predict(loaded, task.test), tl.predict(run.model, task.test))
    assert all(torch.equal(value, before[name]) for name, value in body.state_dict().items())  # which never changes


@pytest.mark.parametrize(
    "family, name, how",
    [pytest.param(f, n, h, id=n, marks=[] if n in QUICK else pytest.mark.slow) for f, n, *h in CASES],
)
def test_an_architecture_is_right_in_five_ways_or_refused_in_a_sentence(family, name, how, tmp_path):
    if not timm.is_model(name):
        pytest.skip(f"timm {timm.__version__} has no {name}")
    body = body_of(name, *how)
    try:
        tl.head(body, task_of(body))
    except ValueError as error:
        sentence = rf"{name} cannot be taken for a backbone and a linear head: (.+)\. Take [^.]*'\w+'[^.]*\."
        words = re.fullmatch(sentence, str(error))
        assert words, error
        found[name] = f"refused: {words[1]}"
    else:
        check(body, tmp_path / "model")
        found[name] = "right"


@pytest.mark.slow
def test_the_table_says_which_architectures_stand():
    if set(found) != {name for _, name, *_ in CASES}:
        pytest.skip("not all architectures were tried: pytest -m 'slow or not slow' tests/test_architectures.py")
    right = sum(result == "right" for result in found.values())
    assert len(found) >= 80 and right >= 72
    rows = [f"| {family} | {name} | {how[0].lstrip('=')} | {found[name]} |" for family, name, *how in CASES]
    text = f"""# Which of timm's architectures stand
One of each of {len(rows)} of timm's families ({timm.__version__}), the smallest, with random weights and on small images:
{right} are right, {len(rows) - right} are refused by `tl.head`. Right means: features then head equals the whole model;
frozen, not a bit of it moves in training; `tl.unfreeze(last=k)` thaws what it says, for k = 0, 1 and all; saved and
loaded it answers the same; `tl.fit` trains it. This page is written by tests/test_architectures.py.

| family | architecture | side of the images | |
|---|---|---|---|
"""
    text += "\n".join(rows) + "\n"
    if os.environ.get("TL_WRITE"):
        TABLE.write_text(text, encoding="utf-8")
    if f"({timm.__version__})" in TABLE.read_text(encoding="utf-8"):
        assert TABLE.read_text(encoding="utf-8") == text, "write it anew, with TL_WRITE=1"
