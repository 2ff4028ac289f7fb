"""Checks of the exercises of lesson 07, and of the notebook behind it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...results import mean_interval
from ..experiments import prediction_interval
from .base import NotYet, exercise, returned


@exercise("deeper/07")
def labels_for(function) -> str:
    """function(curve, goal): the smallest index of a Series of accuracies at which the goal is reached, or None."""
    curve = pd.Series([0.55, 0.75, 0.91, 0.95, 0.98], index=[1, 2, 5, 10, 20])
    answers = {goal: function(curve.copy(), goal) for goal in (0.9, 0.95, 0.5, 0.99, 0.76)}
    returned(answers[0.5], "put its body in place of the dots.")
    if answers[0.9] in (0.91, 2):
        raise NotYet(
            "For a goal of 0.9 that is the accuracy, or its position. Wanted is the number of labels: the index, 5."
        )
    if answers[0.9] in (10, 20):
        raise NotYet("For a goal of 0.9 more labels than needed came out. Of all that are enough take the first.")
    if answers[0.9] != 5 or answers[0.5] != 1:
        raise NotYet(
            f"For goals of 0.9 and 0.5 on the curve {curve.to_dict()} it returned {answers[0.9]!r} and {answers[0.5]!r}."
        )
    if answers[0.95] != 10:
        raise NotYet("At exactly the goal it is reached: at least means >=.")
    if answers[0.99] is not None:
        raise NotYet("No number here reaches 0.99, and the function should then return None.")
    if answers[0.76] != 5:
        raise NotYet("With 2 labels the accuracy is 0.75, which is near to a goal of 0.76 and does not reach it.")
    if function(pd.Series([0.6, 0.9, 0.85, 0.95], index=[1, 2, 5, 10]), 0.9) != 2:
        raise NotYet("Accuracies may go down again: of 0.6, 0.9, 0.85 and 0.95 the second is the first to reach 0.9.")
    return "So a goal has a price in labels, for every method another one. Ask for it before you collect any."


@exercise("07")
def judged(function) -> str:
    """function(low, high): "ahead", "behind" or "cannot tell" for a lead whose interval goes from low to high."""
    returned(function(0.8, 2.6), "put its body in place of the dots.")
    asked = ((0.8, 2.6), (-19.2, -7.8), (-3.1, 12.0), (-0.3, 0.1), (-0.2, 3.0), (0.0, 1.5), (-1.5, 0.0))
    answers = {ends: function(*ends) for ends in asked}
    strange = set(answers.values()) - {"ahead", "behind", "cannot tell"}
    if strange:
        raise NotYet(f"The answer should be one of 'ahead', 'behind' and 'cannot tell', spelled like this; not {strange}.")
    if answers[(0.8, 2.6)] != "ahead":
        raise NotYet("From +0.8 to +2.6 every value is above zero: the method is ahead.")
    if answers[(-19.2, -7.8)] != "behind":
        raise NotYet("From -19.2 to -7.8 every value is below zero. That is not an open question: the method is behind.")
    if answers[(-3.1, 12.0)] != "cannot tell":
        raise NotYet("From -3.1 to +12.0 zero lies inside, however large the middle is: these runs cannot tell.")
    if answers[(-0.3, 0.1)] != "cannot tell":
        raise NotYet("From -0.3 to +0.1 zero lies inside. A small interval around zero is still no proof of equality.")
    if answers[(-0.2, 3.0)] != "cannot tell":
        raise NotYet("From -0.2 to +3.0 nearly all of it is above zero, and zero lies inside all the same.")
    if {answers[(0.0, 1.5)], answers[(-1.5, 0.0)]} != {"cannot tell"}:
        raise NotYet("An interval that ends at zero itself lies neither wholly above it nor wholly below.")
    return "And 'cannot tell' is not 'no difference': a larger study may still find one."


@exercise("07")
def decided(choice, lead) -> str:
    """choice: what to do for digits that come turned, at ten labels per class; lead: the reason, in points."""
    from .. import lesson_07
    from ..methods import PROBE, SCRATCH, TUNED

    if not isinstance(choice, str) or choice not in ("probe", "fine-tune", "from scratch"):
        raise NotYet("Choose one of 'probe', 'fine-tune' and 'from scratch' as the first answer.")
    if choice == "from scratch":
        turned = lesson_07.under_shifts().rotation
        raise NotYet(
            f"From scratch reads {turned[SCRATCH]:.2f} of the turned digits; both ways of using the letters read at least "
            f"{turned[[PROBE, TUNED]].min():.2f}."
        )
    if choice == "fine-tune":
        straight = lesson_07.lead_at(10, TUNED, PROBE)[0]
        raise NotYet(
            f"On straight digits you would be right, by {straight:.1f} points at ten labels. These come turned: compare the "
            "two rows of `under_shifts()` in the column rotation. Where the interval cannot tell, the cheaper way decides."
        )
    if isinstance(lead, bool) or not isinstance(lead, (int, float)):
        raise NotYet("A decision needs a number: give the lead over fine-tuning on turned digits in points, as a number.")
    middle, low, high = lesson_07.shift_lead("rotation", PROBE, TUNED)
    if 0 < lead < 0.1:
        raise NotYet("That looks like a share. In points it is a hundred times as much.")
    if not middle - 0.3 <= lead <= middle + 0.3:
        raise NotYet(
            f"The choice is right, but its reason is not {lead:g} points. Ask lesson_07.shift_lead for rotation, with "
            "PROBE first and TUNED second."
        )
    sure = "lies above zero" if low > 0 else "contains zero, so a lead is not certain"
    return (
        f"About {middle:.1f} points, and the interval ({low:.1f} to {high:.1f}) {sure}. The probe is also the cheaper one, "
        "which decides it. Choose for the images you will meet, not for those of the test."
    )


@exercise("deeper/07")
def predicts(function) -> str:
    """function(old, new): whether a new run lies in the 99% prediction interval of the old ones."""
    old = [0.91, 0.95, 0.93, 0.96, 0.92, 0.94]
    (middle, _, high), (_, _, mean_high) = prediction_interval(old), mean_interval(old, level=0.99)
    returned(function(list(old), middle), "put its body in place of the dots.")
    n = len(old)
    for name, edge in (
        ("The 1 under the root is missing: that is the interval of the mean, not of a new run.", mean_high),
        ("That divides by n in the standard deviation; it wants ddof=1.", middle + (high - middle) * np.sqrt((n - 1) / n)),
    ):
        inside = (edge + high) / 2
        if not function(list(old), inside) and function(list(old), middle + (edge - middle) * 0.98):
            raise NotYet(name)
    for new in (middle + (high - middle) * 1.02, middle - (high - middle) * 1.02):
        if function(list(old), new):
            raise NotYet(f"For {old} a new run of {new:.3f} lies outside, and the function says it is inside.")
    for new in (middle + (high - middle) * 0.98, middle - (high - middle) * 0.98):
        if not function(list(old), new):
            raise NotYet(f"For {old} a new run of {new:.3f} lies inside, above or below; the function says it is not.")
    if not function([0.8, 0.9], 0.1):
        raise NotYet(
            "With two old runs t is 63.7, and nearly everything is possible: take n from the list, not a fixed one."
        )
    return "That is how to tell whether a repeated experiment agrees: not with the mean, but with the spread of single runs."


@exercise("deeper/07")
def shares_that_work(function) -> str:
    """function(frame, share): for each method the share of rows that reach share x the best mean of any method."""
    rows = [("a", 0.1, s, t) for s, t in enumerate((0.9, 1.0))] + [("a", 0.2, s, t) for s, t in enumerate((0.2, 0.88))]
    rows += [("b", 0.1, s, t) for s, t in enumerate((0.5, 0.7))] + [("b", 0.2, s, t) for s, t in enumerate((0.86, 0.5))]
    frame = pd.DataFrame(rows, columns=["method", "lr", "seed", "test"])
    found = function(frame.copy(), 0.9)
    returned(found, "put its body in place of the dots.")
    found = {str(method): float(value) for method, value in dict(found).items()}
    if set(found) != {"a", "b"}:
        raise NotYet(f"The dict should have one entry for each method, a and b here; it has {sorted(found)}.")
    if found == {"a": 3.0, "b": 1.0}:
        raise NotYet("These are numbers of rows. Divide by how many rows the method has.")
    if found["b"] >= 0.5:
        raise NotYet("A poor method comes out well: each was judged by its own best. Judge all by the best of any method.")
    if found == {"a": 0.5, "b": 0.0}:
        raise NotYet("The goal is a share of the best mean over seeds, not of the best single run.")
    if found != {"a": 0.75, "b": 0.25}:
        raise NotYet(f"For the goal 0.9 x 0.95 = 0.855 three of the four rows of a work and one of b; it returned {found}.")
    return "One goal for all: a method that is equally bad everywhere is sturdy, but of no use."
