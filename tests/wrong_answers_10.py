"""Right and typical wrong answers to the exercises of lesson 10."""

import tempfile
from pathlib import Path

import torch

import tl_helpers as tl


def _copies(train, test):
    return [(a, b) for a in train for b in test if train[a] == test[b]]


def _one_each(train, test):
    names = {content: name for name, content in train.items()}
    return [(names[content], b) for b, content in test.items() if content in names]


def _everywhere(train, test):
    both = train | test
    return [(a, b) for a in both for b in both if a < b and both[a] == both[b]]


def _cooled(probabilities, temperature):
    return (probabilities.log() / temperature).softmax(1)


def _surest(confidence, right, wanted):
    fits = [c for c in confidence if right[confidence >= c].float().mean() >= wanted]
    return min(fits)


def _cumulative(confidence, right, wanted):
    """Takes answers of one confidence for several thresholds."""
    order = sorted(range(len(confidence)), key=lambda i: -confidence[i])
    shares = right[order].float().cumsum(0) / torch.arange(1, len(order) + 1)
    return min(confidence[order][shares >= wanted])


def _first_to_fail(confidence, right, wanted):
    """Goes down from the surest and stops as soon as too few are right."""
    best = 1.1
    for c in sorted(confidence.tolist(), reverse=True):
        if right[confidence >= c - 1e-6].float().mean() < wanted:
            break
        best = c
    return best


_PLACE = tempfile.TemporaryDirectory()


def _saved(name, **known):
    model = tl.RawCNN(classes=2)
    model.pretrained_cfg = {**model.pretrained_cfg, "license": "apache-2.0"}
    some = tl.data.Split(torch.zeros(8, 1, 28, 28, dtype=torch.uint8), torch.arange(8) % 2)
    return tl.save(model, Path(_PLACE.name, name), tl.data.Task("cups", ("mug", "glass"), some, some, some), **known)


_MODEL = _saved("model", evaluation=tl.results.Evaluation(0.9, 0.3, 50))  # interval .786 to .957
_OTHER = _saved("other", evaluation=tl.results.Evaluation(0.9119, 0.3, 180))  # interval .861 to .945
_PERFECT = _saved("perfect", evaluation=tl.results.Evaluation(1.0, 0.1, 50))  # interval .929 to 1.000
_BARE = _saved("bare")
_REPORT = {
    "data": "8 photographs of mugs and glasses in one kitchen.",
    "baseline": "Logistic regression on pixels has .61.",
    "choice": "The probe: on 40 validation images it was as good as fine-tuning.",
    "result": "90% of 50 test images, 95% interval .786 to .957.",
    "where it fails": "A glass with tea in it is taken for a mug.",
    "who might be harmed": "A guest who is served hot tea in a thin glass burns a hand.",
    "licence": "The weights are under Apache-2.0, the photographs are mine.",
}


def _but(model=_MODEL, **changed):
    return {**_REPORT, **{name.replace("_", " "): words for name, words in changed.items()}}, model


RIGHT = {
    "one_page": (_REPORT, _MODEL),
    "copies_across": lambda *given: ([*pair] for pair in _copies(*given)),
    "cooled": _cooled,
    "surest": _surest,
}
ALSO_RIGHT = {
    "one_page": [
        _but(_OTHER, result="91 % of 180 test images (95% interval 86 to 94 %)."),
        _but(_OTHER, result="91.2 percent (86.1-94.5 percent) of 180 test images."),
        _but(_OTHER, result="91.2% – interval 86.2–94.5 % – of 180 test images."),
        _but(_OTHER, result="With n = 180 and an accuracy of .912, the truth lies between 86 and 94.5 per cent."),
        _but(_OTHER, result="1 epoch; .912 of 180 test images; 95 % confidence interval 86.2% to 94.5%."),
        _but(_OTHER, result="91.2% right (95% interval 86.1 to 94.5) of 180 test images."),
        _but(_PERFECT, result="100% of 50 test images, 95% CI 92.9 to 100 %."),
        _but(baseline="Nearest centroid has .85 (95% interval .73 to .92)."),
        _but(
            baseline="Nearest centroid has .55 (a 95% Interval from .41 to .68), and logistic regression 51-63% over seeds."
        ),
        _but(baseline="Logistic regression with C = 1 (.55 to .61 over three seeds)."),
        _but(baseline="Nearest centroid has 85 % (73 to 92 %), guessing 10 %, the model 90 %."),
        _but(_OTHER, baseline="Logistic regression has 61 %, and this model 91.5 %.", result=".912 of 180, .862 to .945."),
    ]
}
WRONG = {
    "one_page": [
        (("a text", _MODEL), "should be a dict"),
        (({"data": "8 photographs of cups"}, _MODEL), "'baseline' is missing"),
        (_but(result=...), "'result' is still empty"),
        (_but(licence="free"), "at least a sentence"),
        ((_REPORT, Path(_PLACE.name, "nowhere")), "cannot be read"),
        ((_REPORT, _BARE), "save it with evaluation="),
        (_but(data="80 photographs of mugs and glasses."), "says 8"),
        (_but(baseline="Logistic regression was much worse."), "give the accuracy of something simple"),
        (_but(choice="I chose the probe."), "and why"),
        (_but(result="97% of 50 test images, interval .786 to .957."), "the page says another"),
        (_but(result="90% of the 50 test images."), "interval is missing"),
        (_but(result="90% (95% interval 60.1 to 95.7) of 50 test images."), "interval is missing"),
        (_but(result=".9 (95% interval 78.6 to 95.7) of 50 test images."), "interval is missing"),
        (_but(result="90%, interval .786 to .957."), "on how many test images"),
        (_but(where_it_fails="Nowhere that I have seen."), "name at least one class"),
        (_but(who_might_be_harmed="Nobody at all, surely."), "think of one person"),
        (_but(licence="The photographs are all mine."), "apache-2.0"),
        (_but(result=".786 of 50 test images, with an interval of .9 to .957."), "begin with the accuracy"),
        (_but(result="Of 50 test images, 95% interval .786 to .957, it has .9."), "begin with the accuracy"),
        (_but(result="It has the 95% interval .786 to .957 of 50 test images."), "the page says another"),
        (_but(baseline="Logistic regression, with its 95% interval."), "give the accuracy of something simple"),
        (_but(baseline="Nearest centroid has .95 of them."), "better than the model"),
        (_but(baseline="Logistic regression reaches 0.99, and guessing 0.10."), "better than the model"),
        (_but(baseline="Guessing has .1, logistic regression 97 to 99 %."), "better than the model"),
    ],
    "copies_across": [
        (lambda train, test: None, "returns nothing"),
        (lambda train, test: [a for a, b in _copies(train, test)], "pair of names"),
        (lambda train, test: [(b, a) for a, b in _copies(train, test)], "turned round"),
        (lambda train, test: 2 * _copies(train, test), "there twice"),
        (lambda train, test: [(a, b) for a in train for b in test if a[5:] == b[4:]], "Files of one name"),
        (_one_each, "several copies"),
        (_everywhere, "within one split"),
        (lambda train, test: [(a, b) for a in train for b in test if len(train[a]) == len(test[b])], "not the same"),
        (lambda train, test: [(a, b) for a in train for b in test if train[a][:1] == test[b][:1]], "not the same"),
        (lambda train, test: [(a, b) for a in train for b in test if train[a][-4:] == test[b][-4:]], "not the same"),
    ],
    "cooled": [
        (lambda probabilities, temperature: None, "returns nothing"),
        (lambda probabilities, temperature: probabilities / temperature, "adds up to"),
        (lambda probabilities, temperature: (probabilities / temperature).softmax(1), "Divide their logarithms"),
        (lambda probabilities, temperature: (probabilities.log() * temperature).softmax(1), "wrong way"),
        (lambda probabilities, temperature: (probabilities.log() / temperature).softmax(0), "columns"),
        (lambda probabilities, temperature: probabilities, "should become"),
    ],
    "surest": [
        (lambda confidence, right, wanted: None, "returns nothing"),
        (lambda confidence, right, wanted: confidence.max(), "answers more"),
        (lambda confidence, right, wanted: confidence.min(), "too few"),
        (lambda confidence, right, wanted: wanted, "answers more"),
        (_first_to_fail, "answers more"),
        (_cumulative, "too few"),
        (lambda confidence, right, wanted: _cumulative(confidence.flip(0), right.flip(0), wanted), "too few"),
    ],
}
