"""Right and typical wrong answers to the exercises of lesson 00."""

from wrong_answers_tools import Later

import tl_helpers as tl


def _accuracy(shots):
    task, body = tl.digits(shots, seed=0), tl.backbone("resnet10t.letters")
    probe = tl.fit(tl.head(body, task), tl.features(body, task), lr=1e-2, progress=False).model
    return tl.evaluate(probe, task.test).accuracy


RIGHT = {
    "single_example": Later(lambda: _accuracy(1)),
    "share_right": lambda answers, labels: (answers == labels).float().mean(),
}
WRONG = {
    "single_example": [
        (_accuracy, "function itself"),
        (90.5, "between 0 and 1"),
        (tl.results.Evaluation(0.8, 0.5, 797), "`.accuracy`"),
        (Later(lambda: _accuracy(10)), "ten examples"),
        (0.5, "with one example"),
    ],
    "share_right": [
        (lambda answers, labels: None, "returns nothing"),
        (lambda answers, labels: ..., "returns nothing"),
        (lambda answers, labels: answers == labels, "one answer for each place"),
        (lambda answers, labels: (answers == labels).sum(), "divide by how many"),
        (lambda answers, labels: 100 * (answers == labels).float().mean(), "percentage"),
        (lambda answers, labels: (answers != labels).float().mean(), "wrong answers"),
        (lambda answers, labels: 0.1, "how many of the 8"),
        (lambda answers, labels: 0.75, "of which two agree"),
        (lambda answers, labels: 0.75 if len(answers) == 8 else float("nan"), "of which two agree"),
    ],
}
