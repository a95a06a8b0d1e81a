from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.errors import NonFiniteError
from rl.sumtree import SumTree


@settings(max_examples=200, deadline=None)
@given(
    size=st.integers(1, 70),
    operations=st.lists(
        st.lists(st.tuples(st.integers(0, 69), st.floats(0, 1e6)), min_size=1, max_size=9), max_size=12
    ),
)
def test_total_maximum_and_values_equal_a_naive_list(size: int, operations: list[list[tuple[int, float]]]) -> None:
    tree, naive = SumTree(size), np.zeros(size)
    for pairs in operations:
        items = np.array([i % size for i, _ in pairs])
        values = np.array([v for _, v in pairs])
        tree.set(items, values)
        for i, v in zip(items, values, strict=True):
            naive[i] = v
        assert np.array_equal(tree.values, naive)
        assert tree.total == pytest.approx(naive.sum(), rel=1e-12)
        assert tree.maximum == naive.max()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(st.just(0.0), st.floats(1e-9, 1e9)), min_size=1, max_size=60), st.floats(0, 1, exclude_max=True)
)
def test_find_is_the_item_a_linear_scan_gives(values: list[float], share: float) -> None:
    tree = SumTree(len(values))
    tree.set(np.arange(len(values)), np.array(values))
    if tree.total == 0:
        return
    mass = share * tree.total
    found = int(tree.find(np.array([mass]))[0])
    assert values[found] > 0
    before, after = sum(values[:found]), sum(values[: found + 1])
    slack = 1e-9 * tree.total
    assert before - slack <= mass <= after + slack


def test_a_mass_on_a_border_belongs_to_the_item_that_begins_there() -> None:
    tree = SumTree(9)
    tree.set(np.arange(9), 1.0)
    assert tree.find(np.arange(9.0)).tolist() == list(range(9))


def test_frequencies_are_proportional_to_priorities() -> None:
    priorities = np.array([1.0, 0.0, 2.0, 5.0, 0.0, 2.0])
    tree = SumTree(6)
    tree.set(np.arange(6), priorities)
    drawn = tree.find(np.random.default_rng(0).random(200_000) * tree.total)
    share = np.bincount(drawn, minlength=6) / 200_000
    assert share == pytest.approx(priorities / 10, abs=0.005)
    assert share[1] == share[4] == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_non_finite_priority_is_refused_and_changes_nothing(bad: float) -> None:
    tree = SumTree(4)
    tree.set(np.arange(4), np.ones(4))
    with pytest.raises(NonFiniteError, match="is not finite"):
        tree.set(np.array([0, 1]), np.array([7.0, bad]))
    assert tree.values.tolist() == [1, 1, 1, 1]


def test_a_negative_priority_is_refused() -> None:
    with pytest.raises(ValueError, match=r"-1\.0 is negative"):
        SumTree(4).set(np.array([0]), -1.0)


def test_the_maximum_is_the_largest_alive_not_the_largest_ever() -> None:
    tree = SumTree(10)
    tree.set(np.arange(10), np.arange(10.0))
    tree.set(np.array([9]), 1000.0)
    tree.set(np.array([9]), 0.0)
    assert tree.maximum == 8.0


def test_sums_do_not_drift_over_a_million_changes() -> None:
    rng, tree = np.random.default_rng(1), SumTree(100)
    for _ in range(10_000):
        tree.set(rng.integers(0, 100, 100), rng.random(100) * 10.0 ** rng.integers(-6, 6))
    tree.set(np.arange(100), 1e-3)
    assert tree.total == pytest.approx(0.1, rel=1e-12)


def test_find_in_a_tree_of_wide_rows_is_the_item_a_linear_scan_gives() -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.random(300_007) < 0.5, 0.0, rng.random(300_007) ** 3)
    tree = SumTree(len(values))
    tree.load(values)
    mass = rng.random(5_000) * tree.total
    assert tree.find(mass).tolist() == np.searchsorted(values.cumsum(), mass, side="right").tolist()
    assert values[tree.find(np.array([tree.total]))[0]] > 0, "rounding at the end"


def test_items_that_share_a_row_recompute_it_once() -> None:
    tree, items = SumTree(1_000_000), np.arange(500, 600)
    tree.set(items, 1.0)
    tracemalloc.start()
    tree.set(items, 2.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * tree._width, "bytes; a row has 8 times its width, and 100 copies of it 800 times"
    assert tree.total == 200
