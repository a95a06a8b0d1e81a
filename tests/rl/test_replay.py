"""The replay against a naive oracle that keeps every row ever seen in plain lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.errors import InputError
from rl.interface import TimeStep
from rl.replay import ColumnSpec, Replay
from tests.rl.streams import MASKED, SPEC, random_rows


class Oracle:
    """Reads everything off the full list of rows, O(n) a question."""

    def __init__(self, rows: list[TimeStep], slots: int, stack: int) -> None:
        self.rows, self.slots, self.stack = rows, slots, stack
        self.oldest = max(0, len(rows) - slots)

    def history(self, t: int, env: int) -> list[int]:
        """Rows of the stack, oldest first; a row before the episode is replaced by the episode's first."""
        times = [t]
        while len(times) < self.stack:
            times.append(times[-1] if self.rows[times[-1]].first[env] else times[-1] - 1)
        return times[::-1]

    def eligible(self, t: int, env: int) -> bool:
        if not self.oldest <= t < len(self.rows) - 1 or self.rows[t + 1].first[env]:
            return False
        need = t
        for _ in range(self.stack - 1):
            if need < 0 or self.rows[need].first[env]:
                break
            need -= 1
        return need >= self.oldest

    def window(self, t: int, env: int, n: int) -> tuple[list[float], list[float], int]:
        rewards, discounts = [], []
        for k in range(1, n + 1):
            if t + k >= len(self.rows) or self.rows[t + k].first[env]:
                break
            rewards.append(self.rows[t + k].reward[env])
            discounts.append(self.rows[t + k].discount[env])
        return rewards, discounts, t + len(rewards)


def filled(seed: int, count: int, num_envs: int, slots: int, stack: int, **kwargs: object) -> tuple[Replay, Oracle]:
    masked = bool(kwargs.pop("masked", False))
    rows = random_rows(np.random.default_rng(seed), count, num_envs, masked)
    spec = MASKED if masked else SPEC
    replay = Replay(spec, num_envs, slots, np.random.default_rng(seed + 1), stack=stack, **kwargs)  # type: ignore[arg-type]
    for row in rows:
        replay.append(row)
    return replay, Oracle(rows, slots, stack)


def check_windows(replay: Replay, oracle: Oracle, n: int) -> int:
    """Compares every window the replay may give with the oracle's; returns how many there were."""
    num_envs = replay.num_envs
    index = np.arange(replay.oldest * num_envs, replay.count * num_envs)
    good = replay.eligible(index)
    assert good.tolist() == [oracle.eligible(i // num_envs, i % num_envs) for i in index]
    index = index[good]
    if not len(index):
        return 0
    w = replay.windows(index, n)
    for b, i in enumerate(index):
        t, env = int(i // num_envs), int(i % num_envs)
        rewards, discounts, end = oracle.window(t, env, n)
        assert w.length[b] == len(rewards)
        assert w.reward[: len(rewards), b].tolist() == rewards and not w.reward[len(rewards) :, b].any()
        assert w.discount[: len(rewards), b].tolist() == discounts and (w.discount[len(rewards) :, b] == 1).all()
        assert w.action[b] == oracle.rows[t + 1].action[env]
        for got, at in ((w.obs["obs"][b], t), (w.next_obs["obs"][b], end)):
            expected = np.stack([oracle.rows[k].obs["obs"][env] for k in oracle.history(at, env)])
            assert np.array_equal(got, expected if replay.stack > 1 else expected[0])
            assert len(set(expected[:, 0])) == 1  # one episode's tag in a stack (T8)
        if w.mask is not None and w.next_mask is not None:
            assert np.array_equal(w.mask[b], oracle.rows[t].mask[env])  # type: ignore[index]
            assert np.array_equal(w.next_mask[b], oracle.rows[end].mask[env])  # type: ignore[index]
    return len(index)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 60),
    num_envs=st.integers(1, 4),
    slots=st.integers(6, 25),
    stack=st.integers(1, 4),
    n=st.integers(1, 5),
    masked=st.booleans(),
)
def test_every_window_equals_the_oracles(
    seed: int, count: int, num_envs: int, slots: int, stack: int, n: int, masked: bool
) -> None:
    check_windows(*filled(seed, count, num_envs, slots, stack, masked=masked), n)


@pytest.mark.full
def test_ten_thousand_random_rings_equal_the_oracle() -> None:
    rng, seen = np.random.default_rng(0), 0
    for seed in range(10_000):
        count, slots, stack = int(rng.integers(1, 40)), int(rng.integers(6, 20)), int(rng.integers(1, 5))
        ring = filled(seed, count, int(rng.integers(1, 4)), slots, stack, masked=bool(seed % 2))
        seen += check_windows(*ring, int(rng.integers(1, 6)))
    assert seen > 100_000


@pytest.mark.parametrize("n", range(1, 9))
def test_a_full_ring_never_reads_across_its_head(n: int) -> None:  # T6
    replay, oracle = filled(3, 200, 2, 8, 2)
    index = np.arange(replay.oldest * 2, replay.count * 2)
    w = replay.windows(index[replay.eligible(index)], n)
    assert (w.next_obs["obs"][:, -1, 2] < replay.count).all()
    assert (w.next_obs["obs"][:, -1, 2] - w.obs["obs"][:, -1, 2] == w.length).all()
    check_windows(replay, oracle, n)


@pytest.mark.parametrize("stack", [1, 3])
def test_uniform_samples_are_uniform_over_the_eligible_rows(stack: int) -> None:
    replay, oracle = filled(7, 70, 3, 20, stack)
    assert oracle.eligible(50, 0) == (stack == 1) and oracle.eligible(68, 2)  # the oldest row, and the newest
    sample = replay.sample(100_000)
    assert sample is not None
    rows, counts = np.unique(sample.rows, return_counts=True)
    every = [i for i in range(70 * 3) if oracle.eligible(i // 3, i % 3)]
    assert rows.tolist() == every
    assert counts.max() / counts.min() < 1.25 and np.all(sample.weight == 1)


def test_no_row_is_sampled_while_none_starts_a_transition() -> None:
    replay = Replay(SPEC, 2, 10, np.random.default_rng(0))
    assert replay.sample(4) is None
    row = random_rows(np.random.default_rng(0), 1, 2)[0]
    for _ in range(5):  # only first rows: nothing leads anywhere
        replay.append(row)
        assert replay.sample(4) is None


def test_a_single_eligible_row_among_many_is_found() -> None:
    replay = Replay(SPEC, 1, 5_000, np.random.default_rng(0))
    first = random_rows(np.random.default_rng(0), 1, 1)[0]
    for t in range(5_000):
        replay.append(first._replace(first=np.array([t != 2_500])))
    sample = replay.sample(8)
    assert sample is not None and (sample.rows == 2_499).all()


def test_prioritized_rows_weigh_zero_until_eligible_then_enter_at_the_live_maximum() -> None:
    rows = random_rows(np.random.default_rng(7), 60, 2)
    replay, seen = Replay(SPEC, 2, 16, np.random.default_rng(0), stack=3, prioritized=True), []
    for t, row in enumerate(rows):
        replay.append(row)
        oracle = Oracle(rows[: t + 1], 16, 3)
        index = np.arange(replay.oldest * 2, replay.count * 2)
        leaves = replay._tree.get(replay._leaf(index))  # type: ignore[union-attr]
        assert (leaves > 0).tolist() == [oracle.eligible(i // 2, i % 2) for i in index]
        live = index[leaves > 0]
        if len(live):
            replay.set_priorities(live, np.full(len(live), float(t + 1)))
            seen.append(t + 1)
    newest = (replay.count - 2) * 2 + np.arange(2)
    entered = replay._tree.get(replay._leaf(newest))  # type: ignore[union-attr]
    assert set(entered) <= {0.0, float(seen[-1])}


def test_a_huge_priority_is_forgotten_when_its_row_is_overwritten() -> None:  # T10
    rows = random_rows(np.random.default_rng(7), 80, 1)
    replay = Replay(SPEC, 1, 10, np.random.default_rng(0), prioritized=True)
    for row in rows[:20]:
        replay.append(row)
    index = np.arange(replay.oldest, replay.count)
    index = index[replay.eligible(index)]
    replay.set_priorities(index, np.array([1e9] + [2.0] * (len(index) - 1)))
    for row in rows[20:40]:
        replay.append(row)
    assert replay._tree.maximum == 2.0  # type: ignore[union-attr]


def test_a_huge_priority_is_forgotten_when_its_history_is_overwritten() -> None:  # T10, with a stack
    rows = random_rows(np.random.default_rng(7), 80, 1)
    begun = next(t for t in range(20, 80) if not any(rows[k].first[0] for k in range(t - 8, t + 2)))
    replay = Replay(SPEC, 1, 6, np.random.default_rng(0), stack=2, prioritized=True)
    for row in rows[:begun]:
        replay.append(row)
    index = np.arange(replay.oldest, replay.count)
    index = index[replay.eligible(index)]
    replay.set_priorities(index, np.array([1e9] + [2.0] * (len(index) - 1)))
    replay.append(rows[begun])  # the oldest row's stack is no longer whole
    assert not replay.eligible(index[:1])[0]
    assert replay._tree.maximum == 2.0  # type: ignore[union-attr]


def test_priorities_for_overwritten_rows_are_ignored_and_counted() -> None:  # T9
    rows = random_rows(np.random.default_rng(7), 60, 1)
    replay = Replay(SPEC, 1, 10, np.random.default_rng(0), prioritized=True)
    for row in rows[:20]:
        replay.append(row)
    sample = replay.sample(8)
    assert sample is not None
    for row in rows[20:]:
        replay.append(row)
    before = replay._tree.values.copy()  # type: ignore[union-attr]
    replay.set_priorities(sample.rows, np.full(8, 777.0))
    assert replay.stale_updates == 8 and np.array_equal(replay._tree.values, before)  # type: ignore[union-attr]


def test_each_row_gets_its_own_priority_if_one_of_the_sample_is_stale() -> None:  # T9
    replay, _ = filled(5, 70, 1, 20, 1, prioritized=True)
    index = np.arange(replay.oldest, replay.count)
    live = index[replay.eligible(index)][:3]
    stale = np.array([replay.oldest - 1])
    replay.set_priorities(np.concatenate([live[:1], stale, live[1:]]), np.array([5.0, 777.0, 6.0, 7.0]))
    assert replay._tree.get(replay._leaf(live)).tolist() == [5.0, 6.0, 7.0]  # type: ignore[union-attr]


def test_all_zero_priorities_sample_uniformly() -> None:  # T11
    replay, _ = filled(5, 70, 1, 20, 1, prioritized=True)
    index = np.arange(replay.oldest, replay.count)
    index = index[replay.eligible(index)]
    replay.set_priorities(index, np.zeros(len(index)))
    sample = replay.sample(50_000)
    assert sample is not None
    rows, counts = np.unique(sample.rows, return_counts=True)
    assert rows.tolist() == index.tolist() and counts.max() / counts.min() < 1.2


def test_importance_weights_are_the_papers() -> None:
    replay, _ = filled(5, 70, 1, 20, 1, prioritized=True)
    index = np.arange(replay.oldest, replay.count)
    index = index[replay.eligible(index)]
    p = np.arange(1.0, len(index) + 1)
    replay.set_priorities(index, p)
    sample = replay.sample(4096, beta=0.5)
    assert sample is not None
    expected = (len(index) * p / p.sum()) ** -0.5
    by_row = dict(zip(index, expected / expected[np.isin(index, sample.rows)].max(), strict=True))
    assert sample.weight == pytest.approx([by_row[i] for i in sample.rows], rel=1e-5)
    share = np.bincount(np.searchsorted(index, sample.rows), minlength=len(index)) / 4096
    assert share == pytest.approx(p / p.sum(), abs=0.002)  # stratified


def test_newest_rows_come_in_order_with_their_stacks() -> None:
    replay, oracle = filled(11, 50, 3, 12, 3)
    ts, _ = replay.newest(9)
    for k in range(9):
        row = oracle.rows[41 + k]
        assert np.array_equal(ts.reward[k], row.reward) and np.array_equal(ts.first[k], row.first)
        for env in range(3):
            expected = [oracle.rows[j].obs["obs"][env] for j in oracle.history(41 + k, env)]
            assert np.array_equal(ts.obs["obs"][k, env], np.stack(expected))


def test_declared_columns_come_back_with_their_rows_and_sparse_ones_with_the_start() -> None:
    columns = [ColumnSpec("log_prob"), ColumnSpec("state", (2,), every=4)]
    replay = Replay(SPEC, 2, 12, np.random.default_rng(0), columns=columns)
    for t, row in enumerate(random_rows(np.random.default_rng(0), 30, 2)):
        replay.append(row, {"log_prob": np.array([t, t + 0.5]), "state": np.full((2, 2), t)})
    ts, extra = replay.rows(np.array([20, 24]), np.array([1, 0]), 5)
    assert ts.obs["obs"][:, 0, 2].tolist() == [20, 21, 22, 23, 24]
    assert extra["log_prob"][:, 0].tolist() == [20.5, 21.5, 22.5, 23.5, 24.5]
    assert extra["state"].tolist() == [[20, 20], [24, 24]]


@pytest.mark.parametrize(("count", "cut"), [(9, 4), (40, 15), (57, 40)])
def test_exported_rows_restore_an_equal_replay(count: int, cut: int) -> None:
    def make() -> Replay:
        columns = [ColumnSpec("state", (2,), every=4)]
        return Replay(SPEC, 2, 16, np.random.default_rng(3), columns=columns, stack=2, prioritized=True)

    rows, a, segments, saved = random_rows(np.random.default_rng(1), count + 20, 2), make(), [], 0
    for t, row in enumerate(rows[:count]):
        a.append(row, {"state": np.full((2, 2), t)})
        if t in (cut, count - 1):
            start = max(saved, a.oldest)
            segments.append((start, a.count, a.export(start, a.count)))
            saved = a.count
    b = make()
    for start, stop, arrays in segments:
        if stop > a.oldest:
            b.restore(start, stop, arrays)
    b.load_state_dict(a.state_dict())
    for t, row in enumerate(rows[count:], start=count):
        for replay in (a, b):
            replay.append(row, {"state": np.full((2, 2), t)})
        x, y = a.sample(8, 3, 0.4), b.sample(8, 3, 0.4)
        assert x is not None and y is not None
        assert all(np.array_equal(p, q) for p, q in zip(x[2:6], y[2:6], strict=True) if p is not None)
        assert np.array_equal(x.obs["obs"], y.obs["obs"]) and np.array_equal(x.rows, y.rows)
        a.set_priorities(x.rows, np.arange(8.0))
        b.set_priorities(y.rows, np.arange(8.0))
    assert np.array_equal(a._tree.values, b._tree.values)  # type: ignore[union-attr]


def test_a_replay_too_small_for_its_stack_is_refused() -> None:
    with pytest.raises(InputError, match="stack 4 needs at least 5 rows"):
        Replay(SPEC, 1, 4, np.random.default_rng(0), stack=4)


def test_stored_rows_stay_when_the_environment_reuses_its_array() -> None:  # T24
    replay, row = Replay(SPEC, 1, 10, np.random.default_rng(0)), random_rows(np.random.default_rng(0), 1, 1)[0]
    shared = np.zeros((1, 4), np.float32)
    for t in range(6):
        shared[:] = t
        replay.append(row._replace(obs={"obs": shared}, first=np.array([t == 0])))
    assert replay.newest(6)[0].obs["obs"][:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
