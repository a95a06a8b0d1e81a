import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rl import stats as st
from rl.errors import InputError

EXPECTED = json.loads((Path(__file__).parent / "data" / "rliable_expected.json").read_text())
SCORES = {name: np.array(value) for name, value in EXPECTED["scores"].items()}
STATISTICS = {"mean": st.mean, "iqm": st.iqm, "optimality_gap": st.optimality_gap, "median": st.median}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def rliable_resamples(*scores: np.ndarray) -> list[np.ndarray]:
    """The run indices that rliable drew: its resamples alternate between the sides of a comparison."""
    legacy = np.random.RandomState(EXPECTED["seed"])
    drawn: list[list[np.ndarray]] = [[] for _ in scores]
    for _ in range(EXPECTED["reps"]):
        for side, x in enumerate(scores):
            drawn[side].append(legacy.choice(len(x), x.shape, replace=True))
    return [np.array(side) for side in drawn]


# Against rliable


@pytest.mark.parametrize("case", ["x", "y", "one"])
@pytest.mark.parametrize("name", ["mean", "iqm", "optimality_gap", "median"])
def test_points_and_percentile_intervals_equal_rliable_on_the_same_resamples(case: str, name: str) -> None:
    if (case, name) == ("one", "median"):
        pytest.skip("on one task rliable's median of task means is the mean; ours is the median of the runs")
    x, statistic = SCORES[case], STATISTICS[name]
    assert float(statistic(x)) == pytest.approx(EXPECTED["points"][case][name], abs=1e-6)
    (indices,) = rliable_resamples(x)
    low, high = st.percentile_interval(statistic(st.resampled(x, indices)))
    assert [low, high] == pytest.approx(EXPECTED["intervals"][case][name], abs=1e-6)


def test_runs_that_all_beat_the_others_are_no_certainty() -> None:
    assert st.estimate_improvement([3, 4], [1, 2], rng()) == (1.0, None, None)
    assert st.estimate_improvement([1, 2, 1, 2, 1], [3, 4, 3, 4, 3], rng()) == (0.0, None, None)
    point, low, high = st.estimate_improvement([3, 4, 5, 1], [1, 2, 1, 2], rng())
    assert low is not None and high is not None and low < point <= high


def test_probability_of_improvement_equals_rliable_with_its_interval() -> None:
    x, y = SCORES["x"], SCORES["y"]
    expected = EXPECTED["improvement"]
    assert float(st.probability_of_improvement(x, y)) == pytest.approx(expected["x over y"], abs=1e-6)
    assert float(st.probability_of_improvement(y, x)) == pytest.approx(expected["y over x"], abs=1e-6)
    assert float(st.probability_of_improvement(y, y)) == pytest.approx(expected["y over y"], abs=1e-6) == 0.5
    left, right = rliable_resamples(x, y)
    values = st.probability_of_improvement(st.resampled(x, left), st.resampled(y, right))
    assert list(st.percentile_interval(values)) == pytest.approx(EXPECTED["improvement interval"], abs=1e-6)


def test_performance_profile_equals_rliable_with_its_band() -> None:
    x, taus = SCORES["x"], EXPECTED["taus"]
    assert st.performance_profile(x, taus) == pytest.approx(np.array(EXPECTED["profile"]), abs=1e-6)
    (indices,) = rliable_resamples(x)
    band = st.percentile_interval(st.performance_profile(st.resampled(x, indices), taus))
    assert np.array(band) == pytest.approx(np.array(EXPECTED["profile interval"]), abs=1e-6)


# Point statistics by hand


def test_iqm_drops_the_lowest_and_highest_quarter() -> None:
    assert float(st.iqm([1, 2, 3, 4, 5, 6, 7, 100])) == 4.5  # 3, 4, 5, 6
    assert float(st.iqm([0, 10, 20, 30, 1000])) == 20.0  # a quarter of five is one
    assert float(st.iqm([1, 2, 6])) == 3.0  # a quarter of three is none


def test_median_of_one_task_is_the_median_run_and_of_many_the_median_task() -> None:
    assert float(st.median([1, 2, 9])) == 2.0
    assert float(st.median([[0, 4, 9], [2, 6, 9]])) == 5.0


@pytest.mark.parametrize("bad", [[], [1.0, float("nan")], [[1.0, float("inf")]], 3.0])
def test_scores_that_are_no_scores_are_refused(bad: object) -> None:
    with pytest.raises(InputError):
        st.iqm(bad)


# Student's t


@pytest.mark.parametrize(
    ("p", "df", "t"),
    [
        (0.975, 1, 12.7062047),
        (0.975, 2, 4.3026527),
        (0.975, 9, 2.2621572),
        (0.9995, 18, 3.9216458),
        (0.95, 30, 1.6972609),
    ],
)
def test_student_quantiles_equal_the_table(p: float, df: int, t: float) -> None:
    assert st.student_quantile(p, df) == pytest.approx(t, rel=1e-7)
    assert st.student_quantile(1 - p, df) == pytest.approx(-t, rel=1e-7)
    assert st.student_cdf(t, df) == pytest.approx(p, abs=1e-8)


def test_student_approaches_the_normal() -> None:
    assert st.student_quantile(0.975, 2000) == pytest.approx(1.9612, abs=2e-4)
    assert st.student_quantile(0.975, 10**6) == pytest.approx(1.959964, abs=1e-5)


def test_calibrated_level_widens_small_samples_most() -> None:
    assert [round(st.calibrated_level(0.95, n), 3) for n in (5, 10, 20, 1000)] == [0.998, 0.983, 0.968, 0.95]


# Intervals


def test_the_same_generator_gives_the_same_interval_and_one_run_none() -> None:
    scores = [480.0, 500, 500, 455, 499, 500, 500, 431, 500, 500]
    assert st.estimate(scores, rng(1)) == st.estimate(scores, rng(1))
    found = st.estimate(scores, rng(1))
    assert found.low is not None and found.high is not None
    assert 431 <= found.low < found.point < found.high <= 500, "a percentile interval stays among the scores"
    assert st.estimate([500.0], rng()) == st.Estimate(500.0, None, None)
    assert st.difference([1.0], [2.0], rng()).interval() is None


def test_resampling_is_stratified_by_task() -> None:
    scores = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    drawn = st.resampled(scores, st.resample_indices(rng(), 3, 2, 50))
    assert drawn.shape == (50, 3, 2)
    assert set(np.unique(drawn[..., 0])) == {1.0, 2.0, 3.0} and set(np.unique(drawn[..., 1])) == {10.0, 20.0, 30.0}
    assert (drawn[..., 0] * 10 != drawn[..., 1]).any(), "each task is drawn by itself"


def test_difference_equals_welch_for_means() -> None:
    x, y = rng(3).normal(5, 1, 12), rng(4).normal(4, 3, 8)
    d = st.difference(x, y, rng(), st.mean, resamples=200_000)
    vx, vy = x.var(ddof=1) / 12, y.var(ddof=1) / 8
    assert d.point == pytest.approx(x.mean() - y.mean())
    assert d.error == pytest.approx((vx + vy) ** 0.5, rel=0.01)
    assert d.df == int((vx + vy) ** 2 / (vx**2 / 11 + vy**2 / 7))


def test_pairing_removes_what_the_pairs_share_and_needs_equal_seeds() -> None:
    shared = rng(5).normal(0, 100, 10)
    x, y = shared + 5 + rng(6).normal(0, 1, 10), shared
    paired, apart = st.difference(x, y, rng(), paired=True), st.difference(x, y, rng())
    assert paired.error is not None and apart.error is not None
    assert paired.error < apart.error / 3
    with pytest.raises(InputError, match="same seeds"):
        st.difference(x, y[:5], rng(), paired=True)


def test_unpaired_sides_of_equal_length_are_resampled_independently() -> None:
    x = np.arange(10.0)
    y = x + 2.5
    apart = [st.estimate_improvement(x, order, rng(), resamples=4_000) for order in (y, y[::-1])]
    paired = st.estimate_improvement(x, y, rng(), paired=True, resamples=4_000)
    widths = [(found.high or 0) - (found.low or 0) for found in (*apart, paired)]
    assert [(found.low, found.high) for found in apart] == [pytest.approx((apart[0].low, apart[0].high), abs=0.03)] * 2
    assert min(widths[:2]) > 1.5 * widths[2], "the order of the seeds changes nothing; pairing does"


def test_the_error_of_a_paired_difference_is_that_of_the_mean_difference() -> None:
    x, y = rng(3).normal(5, 1, 8), rng(4).normal(4, 1, 8)
    d = st.difference(x, y, rng(), st.mean, paired=True, resamples=200_000)
    assert d.error == pytest.approx((x - y).std(ddof=1) / 8**0.5, rel=0.01) and d.df == 7


def test_the_noise_of_few_games_is_the_least_error_of_a_difference() -> None:
    pair = (np.array([10.0, 10.1, 9.9]), np.array([9.0, 9.1, 8.9]), False)
    bare, noisy, quiet = (st.compare_all([pair], rng(), 0.05, noise=noise)[0] for noise in (None, [5.0], [0.001]))
    assert bare.word == quiet.word == "better" and noisy.word == st.UNDECIDED
    assert (quiet.low, quiet.high) == (bare.low, bare.high)


def test_intervals_of_the_difference_and_p_value_agree() -> None:
    d = st.Difference(point=3.0, error=1.2, df=11, runs=7)
    low, _ = d.interval(1 - d.p_value) or (None, None)
    assert low == pytest.approx(0.0, abs=1e-9)


# Holm and verdicts


def test_holm_levels_equal_the_step_down_by_hand() -> None:
    # m = 4: thresholds 0.0125, 0.01667, 0.025, 0.05. 0.005 and 0.01 pass, 0.03 fails at 0.025 and takes 0.04 with it.
    levels = st.holm_levels([0.04, 0.005, 0.03, 0.01], alpha=0.05)
    assert levels == pytest.approx([1 - 0.025, 1 - 0.0125, 1 - 0.025, 1 - 0.05 / 3])
    rejected = [p <= 1 - level for p, level in zip([0.04, 0.005, 0.03, 0.01], levels, strict=True)]
    assert rejected == [False, True, False, True]
    assert st.holm_levels([]) == []


@pytest.mark.parametrize(
    ("point", "error", "word"),
    [
        (20.0, 2.0, "better"),
        (-20.0, 2.0, "worse"),
        (1.0, 1.0, "equivalent within the margin"),
        (3.5, 0.5, "equivalent within the margin"),  # 0 is excluded, and it does not matter
        (6.0, 5.0, "not distinguishable with this many seeds"),
        (0.0, 0.0, "equivalent within the margin"),
    ],
)
def test_verdict_reads_the_interval_against_zero_and_the_margin(point: float, error: float, word: str) -> None:
    found = st.verdict(st.Difference(point, error, 18, 10), margin=5.0)
    assert found.word == word
    assert (found.more_seeds is None) == (word != st.UNDECIDED)


def test_more_seeds_would_settle_it() -> None:
    found = st.verdict(st.Difference(6.0, 5.0, 18, 10), margin=5.0)
    n = 10 + (found.more_seeds or 0)
    settled = st.verdict(st.Difference(6.0, 5.0 * (10 / n) ** 0.5, 2 * n - 2, n), margin=5.0)
    almost = st.verdict(st.Difference(6.0, 5.0 * (10 / (n - 2)) ** 0.5, 2 * (n - 2) - 2, n - 2), margin=5.0)
    assert settled.word == "better" and almost.word == st.UNDECIDED
    assert st.verdict(st.Difference(2.5, 500.0, 18, 10), margin=5.0).more_seeds == -1


def test_one_seed_allows_no_verdict() -> None:
    found = st.verdict(st.difference([500.0], [9.0], rng()), margin=25.0)
    assert (found.word, found.low, found.more_seeds) == ("no verdict from one seed", None, None)
    assert found.p_value == 1.0
    one_sided = st.verdict(st.difference([500.0], [9.0, 10.0, 11.0], rng()), margin=25.0)
    assert one_sided.word == "no verdict from one seed", "however many the other side has"


def test_an_agent_against_itself_is_rarely_told_apart() -> None:
    g = rng(11)
    draw = [
        lambda n: g.normal(300, 50, n),
        lambda n: g.exponential(50, n),
        lambda n: np.minimum(500, g.normal(490, 30, n)),
        lambda n: np.where(g.random(n) < 0.1, g.normal(150, 50, n), 500.0),
    ]
    wrong = 0
    for k in range(400):
        d = st.difference(draw[k % 4](10), draw[k % 4](10), g, resamples=500)
        wrong += st.verdict(d, margin=0.0).word in ("better", "worse")
    assert wrong <= 28, "5% of 400 is 20; the chance of 29 or more is under 4%, and a margin only lowers it"


def test_compare_all_corrects_over_the_pairs() -> None:
    g = rng(2)
    base = g.normal(0, 1, 10)
    pairs = [(g.normal(5, 1, 10), base, False)] + [(g.normal(0, 1, 10), base, False) for _ in range(4)]
    found = st.compare_all(pairs, rng(), margin=0.05)
    assert found[0].word == "better" and found[0].level == 0.99
    assert all(v.word == st.UNDECIDED and v.level == 1 - 0.05 / 4 for v in found[1:])


# Coverage


@pytest.mark.parametrize("shape", ["normal", "skewed", "saturated"])
def test_the_interval_of_ten_runs_covers_at_least_nine_times_in_ten(shape: str) -> None:
    from tests.rl.measure_coverage import SHAPES, measure

    found = measure(SHAPES[shape], st.iqm, runs=10, trials=400, resamples=400, rng=rng(21))
    assert found["interval"] >= 0.90 and found["difference"] >= 0.90


def test_the_recorded_coverage_reaches_what_is_claimed() -> None:
    table = json.loads((Path(st.__file__).parents[1] / "runs" / "reporting" / "page" / "coverage.json").read_text())
    claimed = [row for row in table["rows"] if row["shape"] in ("normal", "skewed", "saturated")]
    assert {row["runs"] for row in claimed} == {5, 10, 20}
    assert all(row["interval"] >= 0.90 and row["difference"] >= 0.90 for row in claimed if row["runs"] >= 10)


# Normalised scores


def test_human_normalised_scores() -> None:
    assert float(st.human_normalised("ALE/Pong-v5", -20.7)) == 0.0
    assert float(st.human_normalised("PongNoFrameskip-v4", 14.6)) == 1.0
    assert st.human_normalised("ALE/UpNDown-v5", [533.4, 6113.3]) == pytest.approx([0.0, 0.5])
    assert len(st.atari_scores()) == 57
    assert st.atari_game("Arcade/Breakout-v1") is None
    with pytest.raises(InputError, match="did you mean 'pong'"):
        st.human_normalised("ALE/Pongg-v5", 0)


def test_normalising_needs_room() -> None:
    assert st.normalise([0, 5, 10], 0, 10).tolist() == [0, 0.5, 1]
    with pytest.raises(InputError, match="above the random one"):
        st.normalise([1], 3, 3)


# Curves


def test_curves_meet_on_one_grid() -> None:
    grid = np.array([0.0, 1, 2, 3, 4, 9])
    assert np.array_equal(st.on_grid([1, 3], [10, 30], grid), [np.nan, 10, 20, 30, 30, 30], equal_nan=True)
    assert np.array_equal(st.on_grid([1, 3], [10, 30], grid, "hold"), [np.nan, 10, 10, 30, 30, 30], equal_nan=True)
    with pytest.raises(InputError, match="ascending"):
        st.on_grid([2, 1], [0, 0], grid)


def test_a_band_of_several_runs_holds_its_middle_and_one_run_has_none() -> None:
    curves = [(np.arange(1, 6) * 100, np.arange(1, 6) * s) for s in (1.0, 2.0, 3.0, 10.0)]
    found = st.band(curves, rng(), points=5)
    assert found.grid.tolist() == [100, 200, 300, 400, 500]
    assert found.middle == pytest.approx(2.5 * np.arange(1, 6))  # of 1, 2, 3, 10 the middle two
    assert (found.low <= found.middle).all() and (found.middle <= found.high).all() and (found.high > found.low).all()
    late = st.band([*curves, (np.array([200, 500]), np.array([2.0, 5.0]))], rng(), points=4)
    assert late.grid.tolist() == [200, 300, 400, 500], "from the point at which every run has a value"
    alone = st.band(curves[:1], rng(), points=5)
    assert np.isnan(alone.low).all() and alone.middle == pytest.approx(np.arange(1, 6))


def test_first_reach_is_the_first_evaluation_at_the_threshold() -> None:
    assert st.first_reach([10, 20, 30], [1, 5, 4], 4) == 20.0
    assert st.first_reach([10, 20, 30], [1, 4, 5], 4) == 20.0
    assert st.first_reach([10, 20, 30], [1, 5, 4], 6) is None


def test_importing_statistics_loads_no_scipy_and_no_torch() -> None:
    code = "import sys, rl.stats; sys.exit(bool({'scipy', 'torch', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_side_of_one_seed_does_not_weaken_the_other_verdicts() -> None:
    a, b, alone = np.array([10, 11, 12, 11.5, 10.5]), np.array([12, 13, 13.6, 12.6, 11.6]), np.array([9.0])
    (two,) = st.compare_all([(a, b, False)], np.random.default_rng(0), 0.05)
    three = st.compare_all([(a, b, False), (a, alone, False), (b, alone, False)], np.random.default_rng(0), 0.05)
    assert (three[0].word, three[0].level) == (two.word, two.level) == ("worse", 0.95)
    assert [v.word for v in three[1:]] == ["no verdict from one seed"] * 2


def test_atari5_estimates_the_median_of_57_by_the_papers_weights() -> None:
    human = np.ones((3, 5))
    total = 0.38198 + 0.06791 + 0.31080 + 0.12413 + 0.08049  # 0.96531
    assert st.atari5(human) == pytest.approx((101**total - 1) / 100)  # 0.8505: below 1, as the weights sum below 1
    assert st.atari5(np.full((2, 5), -3.0)) == 0.0, "worse than random counts as random"
    one = np.zeros((1, 5))
    one[0, 2] = 9.99  # NameThisGame at 999%: 1000^0.3108 - 1 in percent
    assert st.atari5(one) == pytest.approx((1000**0.3108 - 1) / 100)
    runs = np.array([[0.0] * 5, [2.0] * 5])
    assert st.atari5(runs) == st.atari5(human), "the mean of the runs counts"
    # MuZero's log scores in the paper's dataset.csv; its true median is 2,041%
    muzero = (10 ** np.array([[3.38576, 3.29607, 3.43000, 4.16809, 2.73525]]) - 1) / 100
    assert st.atari5(muzero) == pytest.approx(20.92, abs=0.01)
