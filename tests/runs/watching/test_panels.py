"""Panels show what the network said, and what really followed."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from agents.value_player import Q
from envs.drawing import Canvas
from runs.watching.frame import draw_grid, draw_view
from runs.watching.plots import bar_rows, bar_words, histogram, number
from runs.watching.thoughts import read_thoughts
from runs.watching.views import Episode, Thought, Trace, View

PICTURE = np.full((60, 80, 3), 90, np.uint8)


def view(**fields):
    thought = Thought(1, q_values=np.array([0.1, 0.9, -0.3]), value=0.9)
    trace = Trace([0.1, math.nan, 0.9], [0.0, 1.0, 1.0], np.array([0.9, 0.0, 0.0]), 1)
    return View(
        **{"picture": PICTURE, "names": ("noop", "left", "right"), "thought": thought, "trace": trace, **fields}
    )


def painted(shown, size=(800, 600)):
    canvas = Canvas(*size)
    draw_view(canvas, shown)
    return canvas.array()


@pytest.mark.parametrize("size", [(800, 600), (3840, 2160), (500, 900), (160, 120), (30, 20)])
def test_a_view_is_drawn_at_any_size(size):
    assert painted(view(), size).std() > 3


@pytest.mark.parametrize(
    "thought",
    [
        Thought(0, probabilities=np.array([0.2, 0.5, 0.3]), value=1.0),
        Thought(2, q_values=np.arange(18.0), value=17.0),
        Thought(0, q_values=np.zeros(64), value=0.0),
        Thought(1, np.zeros(3), value=0.0, atoms=np.full((3, 51), 1 / 51), support=np.linspace(-10, 10, 51)),
        Thought(1, np.zeros(3), value=0.0, quantiles=np.random.default_rng(0).normal(size=(3, 200))),
        Thought(np.array([0.5, -2.0]), mean=np.zeros(2), std=np.ones(2), low=-np.ones(2), high=np.ones(2), value=3.0),
        Thought(np.array([1, 0]), probabilities=np.array([0.2, 0.8, 0.5, 0.5])),
        Thought(0, q_values=np.array([np.nan, 1.0]), value=math.nan),
        Thought(0),
        None,
    ],
)
def test_every_kind_of_thought_is_drawn(thought):
    shown = painted(view(thought=thought))
    says_something = thought is not None and (thought.value is not None or thought.probabilities is not None)
    assert (shown != painted(view(thought=None))).any() == says_something or thought == Thought(0)


def test_each_part_of_the_view_can_be_seen():
    plain = painted(view())
    for field, value in (
        ("paused", True),
        ("recording", True),
        ("human", True),
        ("sampled", True),
        ("speed", math.inf),
        ("panels", False),
        ("help", True),
        ("note", "saved"),
        ("step", 77),
        ("heat", np.eye(10, dtype=np.float32)),
        ("curve", (np.arange(5.0), np.arange(5.0))),
        ("stretch", 2.0),
    ):
        assert (painted(view(**{field: value})) != plain).any(), field


def test_what_followed_stays_in_sight_of_a_long_game():
    """With gamma 0.99 a row counts as known after 299 more: the plot reaches back to some that are."""
    rows = 900
    long = Trace([1.0] * rows, [0.0] * rows, np.full(rows, 0.5), rows - 299)
    shown = painted(view(trace=long)).astype(int)
    without = painted(view(trace=Trace(long.values, long.returns, long.followed, 0))).astype(int)
    rows, columns = np.nonzero((shown != without).any(axis=2))
    assert columns.max() - columns.min() > 40


def test_the_chosen_action_is_marked():
    left, right = painted(view()), painted(view(thought=Thought(2, np.array([0.1, 0.9, -0.3]), value=0.9)))
    assert (left != right).any()


def test_critics_that_disagree_are_drawn_beside_the_estimate():
    thought = Thought(np.array([0.5]), mean=np.zeros(1), std=np.ones(1), low=-np.ones(1), high=np.ones(1), value=0.1)
    rows = [0.1, 0.2, 0.4]
    agreed, apart = (Trace(rows, [0.0] * 3, np.zeros(3), 1, critics=[(v, v + gap) for v in rows]) for gap in (0.0, 0.8))
    assert (painted(view(thought=thought, trace=apart)) != painted(view(thought=thought, trace=agreed))).any()


def test_a_gauge_shows_the_mean_the_spread_and_the_bounds():
    def shown(**fields):
        usual = {"mean": np.zeros(1), "std": np.ones(1) / 2, "low": -np.ones(1), "high": np.ones(1), "value": 0.0}
        return painted(view(thought=Thought(np.array([0.5]), **{**usual, **fields})))

    for fields in (
        {"mean": np.ones(1) / 4},
        {"std": np.ones(1) / 4},
        {"low": -np.ones(1) * 2},
        {"high": np.ones(1) * 3},
    ):
        assert (shown(**fields) != shown()).any(), fields


def test_heat_lies_where_the_observation_lies():
    area = (0.5, 0.0, 0.5, 1.0)
    hot = painted(view(heat=np.ones((4, 4), np.float32), heat_area=area, panels=False)).astype(int)
    cold = painted(view(panels=False)).astype(int)
    columns = np.flatnonzero((hot != cold).any(axis=(0, 2)))
    assert 395 <= columns.min() <= 405


def test_a_grid_shows_every_game():
    canvas = Canvas(800, 600)
    views = [view(picture=np.full((20, 20, 3), 40 * k + 40, np.uint8)) for k in range(5)]
    draw_grid(canvas, views)
    shown = canvas.array()
    for k in range(5):
        assert (shown == 40 * k + 40).all(axis=2).sum() > 2000


def test_what_followed_is_the_discounted_return():
    gamma, rewards = 0.9, [1.0, 0.0, 2.0, 5.0]
    episode = Episode(gamma)
    episode.add(0.0, 0.0, 0.0, first=True, last=False)
    for t, reward in enumerate(rewards):
        over = t == len(rewards) - 1
        episode.add(0.0, reward, 0.0 if over else 1.0, first=False, last=over)
    want = [sum(gamma ** (k - t) * rewards[k] for k in range(t, 4)) for t in range(4)]
    assert np.allclose(episode.trace.followed[:4], want)
    assert episode.trace.known == 5
    assert episode.trace.returns == [0, 1, 1, 3, 8]
    episode.add(0.0, 0.0, 0.0, first=True, last=False)
    assert episode.trace.returns == [0]


def test_the_learners_clip_and_a_lost_life_bound_what_followed():
    episode = Episode(0.5, reward_clip=1.0)
    episode.add(0.0, 0.0, 0.0, True, False)
    episode.add(0.0, 10.0, 1.0, False, False)
    episode.add(0.0, 4.0, 0.0, False, False)  # a life is lost: the return ends, the game goes on
    episode.add(0.0, 1.0, 1.0, False, False)
    assert np.allclose(episode.trace.followed, [1.5, 1.0, 1.0, 0.0])
    assert episode.trace.known == 2
    assert episode.trace.returns[-1] == 15.0


def test_rows_far_behind_count_as_known_and_long_episodes_stay_quick():
    episode = Episode(0.9)
    episode.add(0.0, 0.0, 0.0, True, False)
    for _ in range(3000):
        episode.add(0.0, 1.0, 1.0, False, False)
    assert episode.trace.known == 3000 - 29  # 0.9 ** 29 < 5%
    assert np.allclose(episode.trace.followed[:2500], 10.0, atol=1e-3)


def test_quantiles_become_a_histogram():
    support, weights = histogram(np.array([[0.0, 0.0, 4.0], [4.0, 4.0, 4.0]]), bins=4)
    assert support.tolist() == [0.5, 1.5, 2.5, 3.5]
    assert np.allclose(weights, [[2 / 3, 0, 0, 1 / 3], [0, 0, 0, 1]])


def test_numbers_have_the_digits_that_tell_them_apart():
    assert number(100.7356, 0.004) == "100.7356"
    assert number(3.0, 50.0) == "3.0"
    assert number(-0.001, 1.0) == "0.00"
    assert number(1.5, 3.0) == "1.50"
    assert number(2e7, 1.0) == "2e+07"


def test_bars_of_action_values_use_the_range_of_the_episode() -> None:
    """100.9649 and 100.9650 look alike: the difference is small beside what the episode showed before."""
    trace = Trace(q_range=(50.0, 150.0))
    view = View(np.zeros((4, 4, 3), np.uint8), names=("left", "right"), trace=trace)
    view.thought = Thought(1, chosen=(1,), q_values=np.array([100.9649, 100.9650]))
    left, right = bar_rows(view)
    assert left.part == pytest.approx(0.05 + 0.95 * 50.9649 / 100) and right.part - left.part < 1e-5
    assert left.advantage == pytest.approx(-0.0001) and right.advantage == 0
    assert bar_words(left, 0.0001).endswith("(-0.0001)") and "(" not in bar_words(right, 0.0001)


def test_an_episode_keeps_the_range_of_its_action_values() -> None:
    episode = Episode(0.99)
    for first, q_values in ((True, [1.0, 3.0]), (False, [-2.0, np.nan]), (False, [0.0, 0.0])):
        episode.add(0.0, 0.0, 1.0, first, False)
        episode.add_q_values(np.array(q_values))
    assert episode.trace.q_range == (-2.0, 3.0)
    episode.add(0.0, 0.0, 1.0, True, False)
    assert episode.trace.q_range == (np.inf, -np.inf), "the next episode starts anew"


def test_a_forbidden_move_shows_a_dash_and_counts_for_nothing() -> None:
    agent = SimpleNamespace(spec=SimpleNamespace(action=SimpleNamespace(kind="discrete")))
    output = Q(torch.tensor([[0.5, 9.0, 0.2]]))
    (thought,) = read_thoughts(agent, output, np.array([0]), np.array([[True, False, True]]))
    assert thought.value == 0.5
    rows = bar_rows(view(thought=thought))
    assert [bar_words(row, 0.3) for row in rows] == ["0.500", "-", "0.200 (-0.3)"]
    assert rows[1].part == 0 and rows[1].advantage is None
    assert painted(view(thought=thought)).std() > 3
    (terminal,) = read_thoughts(agent, output, np.array([0]), np.zeros((1, 3), bool))
    assert terminal.value is None
