"""Intervals, by simulation: how often the true accuracy lies inside, and how much wider they are than they need be.

Each experiment draws 797 images, each with its own difficulty, and up to ten networks, each with its own luck; both add up
in the logit, and whether a network names an image rightly is then a toss of that coin. The true accuracy is that over all
images and draws.
"""

import copy
import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import binomtest

from tl_helpers import results
from tl_helpers.course.experiments import labels_to_match, prediction_interval
from tl_helpers.results import Evaluation, mean_interval

N, EXPERIMENTS = 797, 4000
SETTINGS = list(itertools.product((0.6, 0.8, 0.95, 0.99), (0.0, 1.0, 3.0), (0.0, 0.2, 0.5)))
"""Accuracy; spread of the images' difficulty and of the draws' luck (standard deviations in the logit). A spread of 3 leaves
images that nearly all or nearly no draws get right; luck of 0.5 spreads accuracies of .6 by 12 points, those of .95 by 3."""


def middle_of(accuracy, spread):
    """The logit of a middling image and draw, such that the mean over all of them is the accuracy."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(61)
    return brentq(lambda x: (weights / (1 + np.exp(-x - spread * nodes))).sum() / weights.sum() - accuracy, -30, 30)


def answers(accuracy, images, draws, rng, experiments=250, k=10):
    """experiments x k x N, right or not."""
    middle = np.float32(middle_of(accuracy, np.hypot(images, draws)))
    images = np.exp(-np.float32(images) * rng.standard_normal((experiments, 1, N), dtype=np.float32) - middle)
    draws = np.exp(-np.float32(draws) * rng.standard_normal((experiments, k, 1), dtype=np.float32))
    return rng.random((experiments, k, N), dtype=np.float32) * (1 + images * draws) < 1  # as often as 1 / (1 + exp(-logit))


def of_answers(draws, images):
    """The ends of an interval for each experiment, from the means of its draws (... x k) and of its images (... x N)."""
    mean = draws.mean(-1)
    return results._wilson(draws, results._between_images(draws, images, mean * (1 - mean)), N, 0.95)


@pytest.fixture(scope="module")
def simulated():
    """For each setting and number of draws: the means of the draws (experiments x k), and the ends from all answers."""
    rng, found = np.random.default_rng(2018), {}
    for setting in SETTINGS:
        parts = {k: [] for k in (3, 5, 10)}
        for _ in range(EXPERIMENTS // 250):
            right = answers(*setting, rng)
            draws, counts = right.mean(2), np.cumsum(right, axis=1, dtype=np.int8)
            for k, kept in parts.items():
                kept.append((draws[:, :k], *of_answers(draws[:, :k], counts[:, k - 1] / k)))
        for k, kept in parts.items():
            found[*setting, k] = [np.concatenate(part) for part in zip(*kept)]
    return found


def judged(low, high, accuracy):
    """The share of intervals that hold the accuracy, and how many times too wide they are for holding 95 of 100."""
    middle, half = (low + high) / 2, (high - low) / 2
    return ((low <= accuracy) & (accuracy <= high)).mean(), 1 / np.quantile(np.abs(middle - accuracy) / half, 0.95)


def test_intervals_of_answers_cover_the_truth_and_are_at_most_a_third_too_wide(simulated):
    """In each setting at least 94 of 100 hold the true accuracy; shrunk to three quarters, fewer than 95 of 100 would."""
    for (accuracy, *setting, k), (_, low, high) in simulated.items():
        covered, too_wide = judged(low, high, accuracy)
        assert covered >= 0.94 and too_wide <= 4 / 3, (accuracy, *setting, k, covered, too_wide)


def test_intervals_of_accuracies_cover_the_truth_and_are_too_wide_where_images_are_alike(simulated):
    """What accuracies do not say is counted as the images'; where these are alike, that makes k + 1 squares of one."""
    for (accuracy, *setting, k), (draws, *_) in simulated.items():
        mean = draws.mean(1)
        covered, too_wide = judged(*results._wilson(draws, mean * (1 - mean), N, 0.95), accuracy)
        assert covered >= 0.94 and too_wide <= 4 / 3 * np.sqrt(k + 1), (accuracy, *setting, k, covered, too_wide)


def test_students_interval_alone_misses_the_truth(simulated):
    """Which is why the test images belong into it: with images of their own difficulty it holds fewer than 9 of 10."""
    draws, *_ = simulated[0.95, 3.0, 0.2, 10]
    half = [mean_interval(row)[2] - row.mean() for row in draws]
    assert (np.abs(draws.mean(1) - 0.95) <= half).mean() < 0.9


@pytest.mark.parametrize("lead, draws, shared", [(0.0, 0.2, 0.0), (0.02, 0.0, 3.0), (0.02, 0.4, 1.0)])
def test_intervals_of_a_difference_cover_it(lead, draws, shared):
    """Two methods on the same images, which share some of their difficulty."""
    rng, found = np.random.default_rng(0), []
    middles = [middle_of(accuracy, np.sqrt(shared**2 + 1 + draws**2)) for accuracy in (0.95, 0.95 - lead)]
    for _ in range(500):
        common, luck = shared * rng.standard_normal(N), draws * rng.standard_normal((5, 1))
        one, other = (
            rng.random((5, N)) * (1 + np.exp(-middle - common - luck - rng.standard_normal(N))) < 1 for middle in middles
        )
        found.append(mean_interval(one, minus=other)[1:])
    covered, too_wide = judged(*np.transpose(found), lead)
    assert covered >= 0.94 and too_wide < 1.4


def test_one_interval_is_what_was_simulated(simulated):
    right = answers(0.95, 1.0, 0.2, np.random.default_rng(0), experiments=1)[0]
    low, high = of_answers(right.mean(1)[None], right.mean(0)[None])
    assert mean_interval(right) == pytest.approx((right.mean(), low[0], high[0]))
    assert mean_interval(right, N) == mean_interval(pd.Series(list(right))) == mean_interval(right.astype(int).tolist())


@pytest.mark.parametrize("right, n", [(0, 10), (5, 10), (10, 10), (790, 797), (1, 1)])
def test_of_one_draw_it_is_wilsons(right, n):
    wilson = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert mean_interval([right / n], n)[1:] == pytest.approx(wilson)
    assert mean_interval([[1] * right + [0] * (n - right)])[1:] == pytest.approx(wilson)
    assert Evaluation(right / n, 0.0, n).interval == pytest.approx(wilson)


def test_without_the_test_images_it_is_students():
    assert mean_interval([1, 2, 3, 4, 5]) == pytest.approx((3, 1.0368, 4.9632), abs=1e-4)
    assert mean_interval([2, 4, 6], minus=[1, 2, 3]) == mean_interval([1, 2, 3])
    mean, low, high = mean_interval([0.5])
    assert mean == 0.5 and np.isnan([low, high]).all()


def test_an_interval_says_what_it_covers():
    assert repr(mean_interval([0.9], 100)) == "0.900 (interval 0.826 to 0.945: 1 draw, 100 test images)"
    assert mean_interval([0.9, 0.8], 100, of="training images").covers == "2 draws of training images, 100 test images"
    assert mean_interval([3, 4]).covers == "2 draws; not other test images"
    alike = mean_interval([0.9] * 3, 100)
    assert alike.covers == "3 draws, 100 test images" and alike[2] > 0.9
    for twin in (copy.deepcopy(alike), pickle.loads(pickle.dumps(alike))):
        assert twin == alike and twin.covers == alike.covers
    mean, low, high = alike


def test_no_interval_of_test_images_is_without_width():
    for right in (np.ones((3, 50)), np.zeros((3, 50)), np.tile([0, 1], (4, 25))):
        mean, low, high = mean_interval(right)
        assert high - low > 0.01
        assert mean_interval(right, minus=right)[1] < 0 < mean_interval(right, minus=right)[2]


WRONG = {
    "There are no draws": ([], [[]], ()),
    "infinite or no numbers": ([0.5, np.nan], [np.inf], [[1, np.nan]]),
    "a list of numbers": (
        0.5,
        None,
        ["good"],
        [[1, 0], [1]],
        {0.9, 0.8},
        {0: 0.9, 1: 0.8},
        pd.DataFrame([[0.9, 0.8]]),
    ),
    "a row of n for each draw": ([[0.5, 0.7]], [[[1]]], [[2, 0]]),
}


@pytest.mark.parametrize("words, values", [(words, value) for words, wrong in WRONG.items() for value in wrong])
def test_what_is_no_result_is_refused_in_a_sentence(words, values):
    with pytest.raises(ValueError, match=words):
        mean_interval(values)


def test_answers_in_one_row_are_those_of_one_draw():
    right = torch.rand(797, generator=torch.Generator().manual_seed(0)) < 0.9
    of_one = mean_interval([right], 797)
    assert of_one.covers == "1 draw, 797 test images"
    for row in (right, right.numpy(), right.tolist(), pd.Series(right), right.float(), right.int()):
        assert (mean_interval(row, 797), mean_interval(row, 797).covers) == (of_one, of_one.covers)
    assert mean_interval(right) == of_one  # True and False say by themselves what they are
    assert mean_interval([0, 1, 1]).covers.startswith("3 draws")
    assert mean_interval([1.0, 1.0], 2).covers == "2 draws, 2 test images"  # accuracies, as far as one can see


def test_draws_in_another_order_are_not_paired_by_their_places():
    one, other = pd.Series([0.8, 0.9, 0.7], [0, 1, 2]), pd.Series([0.89, 0.69, 0.79], [1, 2, 0])
    for mixed in (other, other.set_axis([2, 3, 4])):
        with pytest.raises(ValueError, match="give both the same index"):
            mean_interval(one, minus=mixed)
    assert mean_interval(one, minus=other.set_axis([7, 8, 9])) == mean_interval(one.to_list(), minus=other.to_list())
    assert np.allclose(mean_interval(one, minus=other[[0, 1, 2]]), 0.01)


def test_results_may_have_gradients():
    assert np.allclose(mean_interval(torch.tensor([0.5, 0.7], requires_grad=True)), mean_interval([0.5, 0.7]))
    with pytest.raises(ValueError, match="a list of numbers"):
        mean_interval("123")


def test_what_does_not_fit_together_is_refused_in_a_sentence():
    for n in (0, -3, 2.5, "many"):
        with pytest.raises(ValueError, match="the number of test images"):
            mean_interval([0.5, 0.6], n)
    for values in ([0.5, 1.1], [-0.1], [50, 60]):
        with pytest.raises(ValueError, match="Accuracies are between 0 and 1"):
            mean_interval(values, 100)
    with pytest.raises(ValueError, match="a row of n"):
        mean_interval([[1, 0, 1]], 4)
    for level in (0, 1, 95):
        with pytest.raises(ValueError, match="level"):
            mean_interval([0.5], 100, level)
    for one, other, n in (([0.5, 0.6], [0.5], None), ([[1, 0]], [[1, 0, 1]], None), ([0.5], [0.6], 100)):
        with pytest.raises(ValueError, match="For a difference"):
            mean_interval(one, n, minus=other)
    for values, runs in (([0.5], 1), ([0.5, 0.6], 0), ([[1, 0], [0, 1]], 1)):
        with pytest.raises(ValueError, match="two old ones"):
            prediction_interval(values, runs=runs)
    curve = pd.DataFrame([[0.5, 0.7], [0.6, np.nan]], columns=[1, 2])
    for goals, shown, words in (
        ([0.6], curve, "a goal for each"),
        ([0.6, 0.6], curve, "no numbers"),
        ([0.6] * 2, curve[[2, 1]], "ascend"),
    ):
        with pytest.raises(ValueError, match=words):
            labels_to_match(shown, goals)


def test_new_runs_fall_into_the_prediction_interval_as_often_as_it_says():
    runs = np.random.default_rng(0).normal(size=(4000, 12))
    hits = [low < new < high for *old, new in runs for _, low, high in [prediction_interval(old, 0.9)]]
    assert 0.88 < np.mean(hits) < 0.92
    pairs = [low < np.mean(row[10:]) < high for row in runs for _, low, high in [prediction_interval(row[:10], 0.9, runs=2)]]
    assert 0.88 < np.mean(pairs) < 0.92
