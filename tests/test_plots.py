import base64
import html
import io
import itertools
import re

import matplotlib.pyplot
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.patches import Patch
from matplotlib.text import Text
from PIL import Image

import tl_helpers as tl
from conftest import DEEPER, LESSONS, ROOT
from tl_helpers import plots
from tl_helpers.course import diagrams
from tl_helpers.course.methods import METHODS
from tl_helpers.engine import diagram, drawing, style
from tl_helpers.engine.drawing import WIDE
from tl_helpers.engine.figure import Figure
from tl_helpers.results import Evaluation
from tl_helpers.runs import Run

HISTORY = {"epoch": [1, 2], "loss": [2.0, 1.0], "accuracy": [0.2, 0.6], "val_loss": [2.1, 1.2], "val_accuracy": [0.25, 0.55]}
RUN = Run(torch.nn.Identity(), pd.DataFrame(HISTORY | {"seconds": [0.1, 0.2]}), "a net")
ROWS = pd.DataFrame({"shots": [1, 1, 5, 5], "accuracy": [0.5, 0.6, 0.8, 1.0], "method": ["probe"] * 4})

FIGURES = {
    "images": (lambda: plots.images(tl.digits(1).train), "Labels in reading order: 0, 1, 2"),
    "images, none of them": (lambda: plots.images(tl.digits(1).train[:0]), "No pictures"),
    "maps without titles": (lambda: plots.maps(np.ones((2, 5, 5))), "2 maps of 5 x 5 .* 0, 1"),
    "maps": (
        lambda: plots.maps(np.random.default_rng(0).normal(size=(3, 5, 5)), titles="abc"),
        "3 maps of 5 x 5 .* a, b, c",
    ),
    "history": (lambda: RUN.plot(), "training accuracy 0.600"),
    "a history without an epoch": (lambda: Run(RUN.model, pd.DataFrame(), "a net").plot(), "no finished epoch"),
    "compare": (lambda: plots.compare(RUN, RUN, names=["one", "other"]), "one 0.55; other 0.55"),
    "accuracies": (
        lambda: plots.accuracies({"one": Evaluation(0.5, 0.0, 100), "many": [0.7, 0.8, 0.9]}),
        r"\(1 draw, 100 test images or 3 draws; not other .*\): one 0.500 \(0.404 to 0.596\); many 0.800 \(0.552 to 1.000\)",
    ),
    "accuracies without intervals": (lambda: plots.accuracies({"one": [0.9]}), "accuracy on the test images: one 0.900$"),
    "accuracies in a tensor": (lambda: plots.accuracies({"one": torch.tensor([0.9, 0.8])}), "one 0.850"),
    "compare, without validation": (
        lambda: plots.compare(Run(RUN.model, RUN.history.assign(val_accuracy=np.nan), "a net")),
        "At the end: a net without validation images$",
    ),
    "accuracies on test images": (
        lambda: plots.accuracies({"many": [0.7, 0.8, 0.9], "answers": [[0, 1], [1, 1]]}, n=None),
        r"\(3 draws; not other test images or 2 draws, 2 test images\)",
    ),
    "accuracies of one draw and of three": (
        lambda: plots.accuracies({"one": [0.5], "many": [0.7, 0.8, 0.9]}, n=100),
        r"\(1 draw or 3 draws, 100 test images\)",
    ),
    "accuracies on validation images": (
        lambda: plots.accuracies({"one": [0.5]}, n=100, images="validation images"),
        r"accuracy on the validation images, with 95% intervals \(1 draw, 100 validation images\)",
    ),
    "lines": (lambda: plots.lines(ROWS, "shots", by="method", log=True), "probe: 0.550 at 1, 0.900 at 5"),
    "lines on test images": (lambda: plots.lines(ROWS, "shots", n=100), r"\(2 draws, 100 test images\)"),
    "lines of single runs": (lambda: plots.lines(ROWS[::2], "shots"), "0.500 at 1, 0.800 at 5"),
    "lines of answers": (lambda: plots.lines(ROWS.assign(accuracy=[[0, 1]] * 4), "shots"), "0.500 at 1, 0.500 at 5"),
    "scatter": (lambda: plots.scatter(np.eye(2), [0, 1], ["cat", "dog"]), "cat, dog"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_says_in_words_what_it_shows_and_leaves_no_window_open(name, monkeypatch):
    make, words = FIGURES[name]
    figure = make()
    assert re.search(words, figure.alt), figure.alt
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    figure._ipython_display_()
    page = shown[0].data
    assert html.escape(figure.alt) in page and 'src="data:image/png;base64,' in page
    assert not matplotlib.pyplot.get_fignums()


def test_a_figure_fits_the_outputs_of_a_window_of_768_pixels():
    """JupyterLab leaves 588 of them beside its bars; what is wider is cut."""
    least = re.search(r"min-width:(\d+)px", plots.Figure(8.0, 3.8).html())[1]
    assert 500 <= int(least) <= 588


def test_the_colours_are_told_apart_by_markers_too():
    assert len(set(plots.MARKERS)) == len(plots.MARKERS) == len(set(plots.COLOURS)) == len(plots.COLOURS)
    axis = plots.compare(RUN, RUN).axes[0]
    assert len({line.get_marker() for line in axis.lines}) == 2


def test_each_method_has_one_colour_and_marker_everywhere():
    """In all figures the same, none like another's or like what is no method."""
    pairs, markers = zip(*((look[:2], look.marker) for look in style.METHODS.values()))
    assert len(set(markers)) == len(pairs) and not set(pairs) & set(zip(plots.COLOURS, plots.MARKERS))
    assert set(METHODS) <= set(style.METHODS) and set(style.SHORT.values()) <= set(style.METHODS)
    assert all(name == name.lower() for name in style.SHORT)
    names = [*METHODS, "probe, 2 shots", "Fine-tuned: again", "something new", "another"]
    assert len(set(style.looks(names))) == len(names)
    assert len(set(style.looks(map(str, range(30))))) == 30
    drawn = style.looks(["probe", "x", "from scratch", "y", "fine-tuned", "z"])
    assert len({look.color for look in drawn}) == len({look.marker for look in drawn}) == 6
    assert style.look("Probe, 2 shots") == style.METHODS["linear probe on letters features"] and style.look("x") is None
    for name in ("probe", "raw CNN from scratch", "from scratch"):
        wanted = style.look(name)
        frame = pd.concat([ROWS.assign(method=other) for other in ("x", name)])
        drawn = [
            plots.compare(RUN, RUN, names=["x", name]).axes[0].lines[1],
            [line for line in plots.lines(frame, "shots", by="method").axes[0].lines if line.get_label() == name][0],
            plots.accuracies({"x": [0.5, 0.6], name: [0.7, 0.8]}).axes[0].lines[-1],
        ]
        assert {(line.get_color(), line.get_marker()) for line in drawn} == {wanted[:2]}


def test_the_draws_are_shown_as_dots_where_there_are_several():
    dots = [len(plots.accuracies({"x": draws}, n=100).axes[0].lines[0].get_xdata()) for draws in ([0.5], [0.5, 0.6])]
    assert dots == [0, 2]


def test_of_single_runs_no_interval_is_told():
    single, several = plots.lines(ROWS[::2], "shots"), plots.lines(ROWS, "shots")
    assert single.axes[0].get_xlabel() == "shots" and "interval" not in single.alt
    assert "intervals, 2 draws" in several.axes[0].get_xlabel() and "95% intervals (2 draws" in several.alt


def test_settings_of_one_method_differ_in_more_than_their_markers():
    first, second = style.looks(["raw CNN, by labels", "raw CNN, by a teacher"])
    assert first.color == second.color and first.marker != second.marker and first.linestyle != second.linestyle


def test_eight_numbers_of_labels_all_stand_under_the_axis():
    shots = [1, 2, 5, 10, 20, 50, 100, 200]
    axis = plots.lines(pd.DataFrame({"shots": shots, "accuracy": 0.5}), "shots", log=True).axes[0]
    assert [text.get_text() for text in axis.get_xticklabels()] == list(map(str, shots))


def test_the_band_of_a_share_stays_a_share():
    axis = plots.lines(ROWS, "shots", by="method").axes[0]
    heights = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert 0 <= heights.min() and heights.max() <= 1


def test_labels_of_several_lines_get_their_room():
    pictures = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    heights = [tl.plots.images(pictures, labels).get_figheight() for labels in (["", ""], ["a", "b"], ["a\nb\nc", "b"])]
    assert heights[0] + 0.2 < heights[1] and heights[2] - heights[1] == pytest.approx(0.3)


def assert_readable(figure):
    """All words are inside the figure, none lies on another, and they are large enough on a page of 768 pixels."""
    assert figure.get_figwidth() <= WIDE and len(figure.alt) > 60
    figure.pixels()  # places the words
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    boxes = [text.get_window_extent() for text in texts]
    for text, box in zip(texts, boxes):
        assert text.get_fontsize() >= 9, text
        assert 0 <= box.x0 and box.x1 <= figure.bbox.x1 and 0 <= box.y0 and box.y1 <= figure.bbox.y1, text
    for (a, one), (b, other) in itertools.combinations(zip(texts, boxes), 2):
        across = min(one.x1, other.x1) - max(one.x0, other.x0)
        along = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert across < 1 or along < 3, (a, b)


DIAGRAMS = {
    "transfer": "carried over.* stays behind.* frozen",
    "pretraining": "kept in a file, and the head is thrown away",
    "convolution": r"at A, 15 \+ 12 \+ 8  −  \(0 \+ 0 \+ 0\)  =  35",
    "pooling": "15 15; 15 11",
    "splits": "test, 797: .* once, at the end",
    "multitask": "the first plus w times the second",
    "finetuning": "From scratch: .* Feature extraction: .* Fine-tuning: ",
    "freezing": "ends at the border",
    "overfitting": "by heart, 12 parameters, error 0.00 ",
    "centroid": "It is called a 4",
    "steps": "too large, from 0.81 to 1.20",
}


@pytest.mark.parametrize("name", DIAGRAMS)
def test_a_diagram_is_readable_and_says_all_of_it_in_words(name):
    figure = getattr(diagrams, name)()
    assert re.search(DIAGRAMS[name], figure.alt), figure.alt
    assert_readable(figure)


def test_the_sums_in_the_picture_of_a_convolution_are_those_of_torch():
    image = torch.tensor(diagrams._scans()[0][0], dtype=torch.float32)
    kernel = torch.tensor([[-1.0, 0, 1]] * 3)
    sums = torch.nn.functional.conv2d(image[None, None], kernel[None, None])[0, 0]
    words = {text.get_text() for text in diagrams.convolution().findobj(Text)}
    assert {f"{value:.0f}".replace("-", "−") for value in sums.flatten()} <= words


def bent_wrong(model):
    """Frozen by hand, as in the common mistake: its batch norms go on adapting."""
    model = tl.unfreeze(model)
    for name, weights in model.named_parameters():
        weights.requires_grad_(name.startswith("fc"))
    return model


def fresh(name, last=None):
    return tl.unfreeze(tl.backbone(name, classes=10, pretrained=False), last)


def probe(name="resnet10t.letters"):
    return tl.head(tl.backbone(name), tl.digits(1))


MODELS = {  # how each is made, what is said of it, and where some of its shapes come out, by the names of its modules
    "raw CNN": (tl.RawCNN, "21,840 of 21,840 parameters learn; it takes", {"block 2: fc1": "fc1", "head: fc2": "fc2"}),
    "probe": (
        probe,
        r"5,130 of 4,927,186 .*0 of 14 batch norms.*block 1: layer1 gives 64 x 8 x 8, 73,984 parameters, frozen, 2 batch "
        "norms: 2 still; .*vector of 512 numbers; head: fc gives 10, 5,130 parameters, learns",
        {"block 0: conv1, bn1": "maxpool", "block 3: layer3": "layer3", "head: fc": "fc"},
    ),
    "frozen by hand": (lambda: bent_wrong(probe()), "careful: batch norms in frozen .*frozen, 2 batch norms: 2 adapt", {}),
    "the last block learns": (
        lambda: tl.unfreeze(probe(), last=1),
        "block 3: .*frozen.*block 4: .*learns, 3 batch norms: 3 a",
        {},
    ),
    "convnext": (lambda: probe("convnext_atto_p2.letters"), "keep no statistics", {"block 3: stages.2": "stages.2"}),
    "mobilenet": (
        lambda: probe("mobilenetv3_small_050_s1.letters"),
        "block 1: blocks.0 gives .* 2 batch norms: 2 still",
        {"block 2: blocks.1": "blocks.1", "block 7: conv_head": "conv_head"},
    ),
    "efficientnet": (
        lambda: fresh("tf_efficientnet_lite0", 0),
        "0 of 49 batch norms",
        {"block 6: blocks.5": "blocks.5", "block 7: blocks.6, conv_head ...": "bn2"},
    ),
    "vit": (
        lambda: fresh("vit_tiny_patch16_224", 2),
        "blocks 1 to 10, 10 alike gives 197 x 192, 4,448,640 parameters, frozen; block 11: blocks.10 .*learns",
        {"block 1: blocks.0": "blocks.0", "block 12: blocks.11, norm": "norm"},
    ),
    "two heads": (
        lambda: tl.models.Heads(tl.backbone("resnet10t.letters"), [10, 172]),
        "block 4: layer4 gives 512 x 1 x 1, .*head: heads.0 gives 10.*head: heads.1 gives 172",
        {"block 4: layer4": "body.layer4"},
    ),
    "bare": (lambda: tl.freeze(tl.backbone("resnet10t.letters")), "0 of 4,922,056 .*a bare backbone", {}),
    "unknown": (
        lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)),
        "does not say which images it takes; part 0: Linear, 7,850 parameters, learns",
        {},
    ),
    "nothing": (torch.nn.Identity, "0 of 0 parameters", {}),
}


@pytest.mark.parametrize("name", MODELS)
def test_an_anatomy_is_that_of_the_model(name):
    make, words, shapes = MODELS[name]
    model = make()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = diagram.dissect(model)
    figure = plots.anatomy(model)
    assert re.search(words, figure.alt), figure.alt
    assert_readable(figure)
    assert (found.total("learning"), found.total("parameters")) == tl.models.count_parameters(model)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert found.total("norms") == len(norms) and model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    drawn = [text.get_text() for text in figure.findobj(Text)]
    rows = [part for part, _ in diagram._rows(found)]
    assert drawn.count("frozen") == sum(part.state == "frozen" for part in rows)
    assert drawn.count("learns") == sum(part.state == "learns" for part in rows)
    hatched = [patch for patch in figure.findobj(Patch) if patch.get_hatch()]
    assert len(hatched) == sum(part.state in ("frozen", "partly") for part in rows)
    seen = {}
    for place in shapes.values():
        note = lambda _, given, out, place=place: seen.update({place: tuple(out.shape[1:])})
        model.get_submodule(place).register_forward_hook(note)
    if shapes:
        model.eval()(torch.zeros(1, *model.pretrained_cfg["input_size"]))
    by_name = {part.name: part.shape for part in found.parts}
    assert {part: by_name[part] for part in shapes} == {part: seen[place] for part, place in shapes.items()}


def test_an_anatomy_tells_what_learns_in_part():
    model = probe()
    model.layer4[0].conv1.weight.requires_grad_(True)
    assert "1,179,648 of them learn" in plots.anatomy(model).alt
    with pytest.raises(TypeError, match="of a run take run.model"):
        plots.anatomy(RUN)


@pytest.mark.parametrize("path", LESSONS + DEEPER, ids=lambda path: path.relative_to(ROOT / "notebooks").as_posix())
def test_stored_lessons_show_methods_in_their_colours(path):
    """What a figure names in its text is there in its colour."""
    outputs = [o for cell in nbformat.read(path, as_version=4).cells for o in cell.get("outputs", ())]
    pages = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    for alt, picture in re.findall(r'<img alt="([^"]*)"[^>]*;base64,([^"]*)"', pages):
        alt = html.unescape(alt)
        if not re.search("95% intervals|^Validation accuracy by epoch", alt):
            continue
        names = [
            re.sub(r"(: | )-?[\d.]+ (\(|at ).*| \d\.\d\d$", "", part) for part in re.split(r"\): |bands\. |end: |; ", alt)
        ]
        wanted = {look.color for look in map(style.look, names) if look} - {"#000000", "#7F7F7F"}  # which are in all figures
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")).reshape(-1, 3)
        there = {"#{:02X}{:02X}{:02X}".format(*pixel) for pixel in np.unique(pixels, axis=0)}
        assert wanted <= there, alt


def test_pictures_are_laid_on_a_figure_dot_for_dot_and_in_place_at_any_other_size(tmp_path):
    """Each as many dots as it gets, the first row on top; where somebody saves at another resolution, as large as before."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    figure = Figure(2.0, 1.5)
    drawing.paste(figure.sheet(), pixels, left=0.5, top=0.25)
    assert (figure.pixels()[30:90, 60:150] == pixels).all() and (figure.pixels()[:30] == 255).all()
    figure.savefig(tmp_path / "large.png", dpi=240)
    large = np.asarray(Image.open(tmp_path / "large.png"))[..., :3]
    assert large.shape == (360, 480, 3) and (large[61:179:2, 121:299:2] == pixels[:59, :89]).mean() > 0.99
    figure.savefig(tmp_path / "drawn.svg")
    assert "<image" in (tmp_path / "drawn.svg").read_text()


def test_lines_leave_no_run_out():
    rows = pd.DataFrame({"shots": [1, 5, 1, 5], "accuracy": [0.1, 0.3, 0.2, 0.4], "backbone": [None, None, "a", "a"]})
    assert "nan: 0.100 at 1, 0.300 at 5; a: 0.200 at 1, 0.400 at 5" in plots.lines(rows, "shots", by="backbone").alt
    with pytest.raises(ValueError, match="must hold numbers"):
        plots.lines(rows.assign(shots=[1, None, 1, 5]), "shots")


def test_a_figure_made_quickly_is_the_same_picture_and_leaves_no_setting_behind():
    figure, hinting = plots.Figure(2.0, 1.0), matplotlib.rcParams["text.hinting"]
    figure.sheet().plot([0, 2], [0, 1])

    def shown(quick: bool) -> np.ndarray:
        kind, data = re.search(r'src="data:image/(\w+);base64,([^"]+)', figure.html(quick)).groups()
        assert kind == ("webp" if quick else "png")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))

    assert (shown(True) == figure.pixels()).all() and (shown(False) == figure.pixels()).all() and figure.pixels().min() < 200
    assert matplotlib.rcParams["text.hinting"] == hinting


def test_pictures_that_were_normalised_or_go_to_255_are_refused():
    image = tl.digits(1).train.x[:2] / 255
    for wrong in (image * 255, (image - 0.3) / 0.1, image * torch.nan):
        with pytest.raises(ValueError, match="Pictures in floats go from 0 to 1; these go from"):
            plots.images(wrong)
    plots.images(image + 0.2 * torch.randn(image.shape))


def test_answers_that_are_no_probabilities_are_refused_and_those_with_a_gradient_are_drawn():
    picture, classes = tl.digits(1).test.x[0], ["a", "b"]
    for wrong in ([-3.0, 5.0], [float("nan"), 1.0], [20.0, 80.0]):  # the first was drawn as "b with 5.00", the second as a
        with pytest.raises(ValueError, match="must be 2 probabilities"):
            plots.probabilities(picture, {"x": torch.tensor(wrong)}, classes)
    learning = torch.tensor([0.2, 0.8], dtype=torch.bfloat16, requires_grad=True)
    assert "b with 0.80" in plots.probabilities(picture, {"x": learning}, classes).alt


def test_labels_may_be_a_tensor():
    split = tl.digits(1).test[:3]
    wanted = ", ".join(map(str, split.y.tolist()))
    assert f"Labels in reading order: {wanted}." in plots.images(split.x, split.y).alt  # not tensor(3), tensor(0), ...


def test_a_dollar_in_a_name_is_a_dollar():
    """Between two of them matplotlib sets mathematics: in italics, without the dollars, or not at all."""
    for name in ("$5 or $10", "b$^$"):
        figure = plots.accuracies({name: [0.9, 0.8], "plain": [0.7, 0.6]}, n=100)
        figure.pixels()
        labels = [text for text in figure.findobj(Text) if text.get_text() == name and text.get_visible()]
        assert labels and not any(label.get_parse_math() for label in labels)
        plots.images(tl.digits(1).train[:1], [name]).pixels()
    figure = Figure()
    axis = figure.axes_of()
    axis.plot([1, 1000], [1, 2])
    axis.set_xscale("log")
    figure.pixels()
    assert axis.get_xticklabels()[1].get_parse_math()  # powers of ten are still set as such


def test_percentages_are_not_taken_for_accuracies():
    for mixed in ({"a": [90, 91], "b": [0.5, 0.6]}, {"a": [70.0]}):
        with pytest.raises(ValueError, match="divide percentages by 100"):
            plots.accuracies(mixed)
    assert "a 70.000" in plots.accuracies({"a": [70.0]}, xlabel="points").alt
    assert "a -0.050" in plots.accuracies({"a": [-0.05]}, xlabel="lead").alt
    with pytest.raises(TypeError, match="a label for each picture in order"):
        plots.images(tl.digits(1).train[:2], {"a", "b"})


def test_of_a_run_without_validation_images_no_such_line_is_named():
    run = Run(RUN.model, RUN.history.assign(val_accuracy=np.nan, val_loss=np.nan), "a net")
    assert [[text.get_text() for text in axis.get_legend().get_texts()] for axis in run.plot().axes] == [["training"]] * 2
    assert "a net: no validation images" in [text.get_text() for text in plots.compare(run).axes[0].get_legend().get_texts()]


def test_an_interval_is_not_taken_for_draws():
    found = tl.results.mean_interval([0.8, 0.9, 0.85])
    for use in (
        lambda: tl.results.mean_interval(found),
        lambda: tl.results.mean_interval([0.8, 0.9, 0.85], minus=found),
        lambda: plots.accuracies({"one": found}, n=100),
    ):
        with pytest.raises(ValueError, match="This is an interval already"):
            use()
