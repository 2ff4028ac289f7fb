"""Right and typical wrong answers to the exercises of lesson 10."""


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


def _first_to_fail(confidence, right, wanted):
    """Goes down from the surest and stops as soon as too few are right."""
    best = 1.1
    for c in sorted(confidence.tolist(), reverse=True):
        if right[confidence >= c - 1e-6].float().mean() < wanted:
            break
        best = c
    return best


RIGHT = {"copies_across": _copies, "cooled": _cooled, "surest": _surest}
WRONG = {
    "copies_across": [
        (lambda train, test: None, "returns nothing"),
        (lambda train, test: [a for a, b in _copies(train, test)], "pair of names"),
        (lambda train, test: [(b, a) for a, b in _copies(train, test)], "turned round"),
        (lambda train, test: [(a, b) for a in train for b in test if a[5:] == b[4:]], "Files of one name"),
        (_one_each, "several copies"),
        (_everywhere, "within one split"),
        (lambda train, test: [(a, b) for a in train for b in test if len(train[a]) == len(test[b])], "not the same"),
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
    ],
}
