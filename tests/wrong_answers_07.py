"""Right and typical wrong answers to the exercises of lesson 07 and of the notebook behind it."""

import numpy as np
from scipy import stats


def _predicts(ddof=1, extra=1, sides=2):
    def predicts(old, new):
        n = len(old)
        reach = stats.t.ppf(1 - 0.01 / sides, n - 1) * np.std(old, ddof=ddof) * (extra + 1 / n) ** 0.5
        return bool(abs(new - np.mean(old)) <= reach)

    return predicts


def _fixed(old, new):
    return bool(abs(new - np.mean(old)) <= stats.t.ppf(0.995, 5) * np.std(old, ddof=1) * (1 + 1 / 6) ** 0.5)


def _shares(frame, share):
    goal = share * frame.groupby(["method", "lr"]).test.mean().max()
    return {method: (part.test >= goal).mean() for method, part in frame.groupby("method")}


def _own_best(frame, share):
    parts = frame.groupby("method")
    return {m: (part.test >= share * part.groupby("lr").test.mean().max()).mean() for m, part in parts}


def _single_best(frame, share):
    return {m: (part.test >= share * frame.test.max()).mean() for m, part in frame.groupby("method")}


def _counts(frame, share):
    return {m: value * len(frame[frame.method == m]) for m, value in _shares(frame, share).items()}


def _first(curve, goal):
    enough = curve[curve >= goal].index
    return enough[0] if len(enough) else None


def _judge(low, high):
    return "ahead" if low > 0 else "behind" if high < 0 else "cannot tell"


RIGHT = {"labels_for": _first, "judged": _judge, "decided": ("probe", 2.9)}
RIGHT |= {"predicts": _predicts(), "shares_that_work": _shares}
WRONG = {
    "labels_for": [
        (lambda curve, goal: None, "nothing so far"),
        (lambda curve, goal: curve[curve >= goal].iloc[0] if (curve >= goal).any() else None, "the index"),
        (lambda curve, goal: int((curve < goal).sum()), "its position"),
        (lambda curve, goal: curve[curve >= goal].index[-1] if (curve >= goal).any() else None, "take the first"),
        (lambda curve, goal: next(iter(curve[curve > goal].index), None), "at least means"),
        (lambda curve, goal: next(iter(curve[curve >= goal].index), 20), "should then return None"),
        (lambda curve, goal: (curve - goal).abs().idxmin() if curve.max() >= goal else None, "does not reach it"),
        (lambda curve, goal: next(iter(curve.index[int((curve < goal).sum()) :]), None), "may go down again"),
    ],
    "judged": [
        (lambda low, high: None, "nothing so far"),
        (lambda low, high: low > 0, "spelled like this"),
        (lambda low, high: "ahead" if low > 0 else "cannot tell", "the method is behind"),
        (lambda low, high: "ahead" if low + high > 0 else "behind", "zero lies inside"),
        (lambda low, high: "cannot tell", "every value is above zero"),
        (lambda low, high: "ahead" if low > 0 else "behind" if high < 0.2 else "cannot tell", "no proof of equality"),
        (lambda low, high: "ahead" if low > -0.25 and high > 1 else "behind" if high < 0 else "cannot tell", "nearly all"),
        (lambda low, high: "ahead" if low >= 0 else "behind" if high <= 0 else "cannot tell", "at zero itself"),
    ],
    "decided": [
        (("both", 2.9), "Choose one of"),
        (("from scratch", 2.9), "reads 0.58 of the turned digits; both ways of using the letters read at least 0.78"),
        (("fine-tune", 0.9), "by 0.9 points at ten labels. These come turned"),
        (("probe", "because it is cheap"), "needs a number"),
        (("probe", 0.029), "a hundred times"),
        (("probe", 22.0), "its reason is not"),
    ],
    "predicts": [
        (lambda old, new: None, "nothing so far"),
        (_predicts(extra=0), "not of a new run"),
        (_predicts(ddof=0), "ddof=1"),
        (_predicts(sides=1), "lies inside"),
        (lambda old, new: True, "lies outside"),
        (lambda old, new: False, "lies inside"),
        (_fixed, "not a fixed one"),
    ],
    "shares_that_work": [
        (lambda frame, share: None, "nothing so far"),
        (lambda frame, share: {"a": 1.0}, "one entry for each method"),
        (_own_best, "judged by its own best"),
        (_single_best, "best single run"),
        (_counts, "numbers of rows"),
        (lambda frame, share: {"a": 0.6, "b": 0.2}, "three of the four"),
    ],
}
