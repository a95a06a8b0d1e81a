"""The replay's columns against a dictionary, and what they hold in memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl import memory
from rl.columns import BLOCK, CompressedColumn, RawColumn, _Arena, make_column, predict_bytes
from rl.errors import InputError
from rl.memory import available_memory
from runs.bench.updates import benchmark

KINDS = [RawColumn, CompressedColumn]


def pictures(rng: np.random.Generator, steps: int, num_envs: int, size: int = 84) -> np.ndarray:
    """A still background per environment with a small thing moving over it: uint8 [steps, N, size, size]."""
    background = np.repeat(np.repeat(rng.integers(0, 256, (num_envs, size // 4, size // 4)), 4, 1), 4, 2)
    out = np.repeat(background[None].astype(np.uint8), steps, axis=0)
    for t in range(steps):
        out[t, :, t % (size - 4) : t % (size - 4) + 4, 40:44] = 255
    return out


def rows_of(kind: str, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Random rows: noise, which does not compress, or one value everywhere."""
    noise = rng.integers(0, 256, shape).astype(np.uint8) if kind == "noise" else np.full(shape, rng.integers(256))
    return (noise > 127) if dtype == "bool" else noise.astype(dtype)


@pytest.mark.parametrize("column", KINDS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_reads_what_a_dictionary_holds_after_any_writes(column, data):
    """Any geometry, order of writes and of reads: sequential laps as a replay writes them, then writes at random."""
    slots, num_envs = data.draw(st.integers(1, 40), "slots"), data.draw(st.integers(1, 4), "envs")
    shape = data.draw(st.sampled_from([(), (1,), (3, 2), (2, 9, 7)]), "shape")
    dtype = data.draw(st.sampled_from(["uint8", "bool", "float32", "int64"]), "dtype")
    start, laps = data.draw(st.integers(0, slots - 1)), data.draw(st.integers(0, 100), "rows in order")
    loose = data.draw(st.lists(st.integers(0, slots - 1), max_size=20), "rows in any order")
    kind = data.draw(st.sampled_from(["noise", "flat"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))

    store, truth = column(slots, num_envs, shape, dtype), {}
    for slot in [*((start + i) % slots for i in range(laps)), *loose]:
        rows = rows_of(kind, rng, (num_envs, *shape), dtype)
        store.write(slot, rows)
        truth.update({(slot, env): rows[env].copy() for env in range(num_envs)})
        rows[...] = 0  # an environment that reuses its array

    for _ in range(3):
        if truth:
            keys = list(truth)
            asked = [keys[i] for i in rng.integers(len(keys), size=24)]  # any order, with duplicates
            s, e = (np.array(x).reshape(2, 3, 4) for x in zip(*asked, strict=True))
            got = store.read(s, e)
            assert got.dtype == dtype and got.shape == (2, 3, 4, *shape)
            np.testing.assert_array_equal(got.reshape(24, *shape), np.stack([truth[k] for k in asked]))
    unwritten = [s for s in range(slots) if (s, 0) not in truth]
    if unwritten:
        with pytest.raises(IndexError, match=f"slot {unwritten[0]} was never written"):
            store.read(np.array([unwritten[0]]), np.array([0]))


@pytest.mark.parametrize("column", KINDS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_exported_spans_restore_the_same_rows_and_no_others(column, data):
    """Segments of any lengths, taken as the ring turns and put back in order: exact resume needs no more."""
    slots, num_envs = data.draw(st.integers(1, 40), "slots"), data.draw(st.integers(1, 3), "envs")
    lengths = data.draw(st.lists(st.integers(0, slots), min_size=1, max_size=6), "segments")
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    store, copy = column(slots, num_envs, (5, 4), np.uint8), column(slots, num_envs, (5, 4), np.uint8)
    t, segments = 0, []
    for length in lengths:
        for i in range(t, t + length):
            store.write(i % slots, rows_of("noise", rng, (num_envs, 5, 4), "uint8"))
        segments.append(store.export(t % slots, length))
        t += length
    for saved in segments:
        copy.restore(saved)
    np.testing.assert_array_equal(copy.written, store.written)
    s, e = np.meshgrid(np.flatnonzero(store.written), np.arange(num_envs))
    np.testing.assert_array_equal(copy.read(s, e), store.read(s, e))
    for extra in range(3 * BLOCK):  # and the copy goes on as the original does
        rows = rows_of("noise", rng, (num_envs, 5, 4), "uint8")
        store.write((t + extra) % slots, rows)
        copy.write((t + extra) % slots, rows)
    s, e = np.meshgrid(np.flatnonzero(store.written), np.arange(num_envs))
    np.testing.assert_array_equal(copy.read(s, e), store.read(s, e))


def test_export_hands_over_sealed_blocks_without_coding_them_again():
    column = CompressedColumn(64, 2, (84, 84), np.uint8)
    for t, rows in enumerate(pictures(np.random.default_rng(0), 40, 2)):
        column.write(t, rows)
    column._encoder = None  # any use would raise
    saved = column.export(8, 24)
    assert saved["size"].shape == (3, 2) and saved["blob"].nbytes == saved["size"].sum() < 24 * 2 * 7056 // 8
    copy = CompressedColumn(64, 2, (84, 84), np.uint8)
    copy._encoder = copy._decoder = None  # whole groups are taken over as they are
    copy.restore(saved)
    assert copy.export(8, 24)["blob"].tobytes() == saved["blob"].tobytes()


def test_every_uint8_value_survives_two_laps():
    column = CompressedColumn(20, 1, (16, 16), np.uint8)
    for t in range(40):
        column.write(t % 20, np.roll(np.arange(256, dtype=np.uint8), t).reshape(1, 16, 16))
    got = column.read(np.arange(20), np.zeros(20, int))
    assert all((np.sort(frame.ravel()) == np.arange(256)).all() for frame in got)
    assert got[7].flat[0] == (256 - 27) and got[7].min() == 0 and got[7].max() == 255


def test_a_ring_that_turns_for_ever_holds_no_more_memory_than_one_lap():
    rng = np.random.default_rng(0)
    column = CompressedColumn(1024, 2, (12, 12), np.uint8)
    held = []
    for t in range(1024 * 6):
        column.write(t % 1024, rng.integers(0, 256, (2, 12, 12), np.uint8))
        if t % 1024 == 1023:
            held.append(column.nbytes)
    assert held[-1] <= held[0] + 2 * column._blobs.chunk
    assert held[-1] < 1.25 * 1024 * 2 * 144  # noise: raw size and the blocks' headers


def test_blobs_that_are_replaced_in_any_order_stay_whole_and_reuse_memory():
    rng, held = np.random.default_rng(0), {}
    arena = _Arena(entries=20, chunk=100)
    for _ in range(5_000):
        entry, blob = int(rng.integers(20)), rng.bytes(rng.integers(1, 60))
        arena.put(entry, blob)
        held[entry] = blob
        assert all(bytes(arena.get(k)) == known for k, known in held.items())
    assert arena.nbytes < 30 * 100 + 20 * 12, "20 blobs of 30 bytes on average, in chunks of 100"


def test_noise_takes_memory_and_nothing_else():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 2, 84, 84), np.uint8)
    column = CompressedColumn(64, 2, (84, 84), np.uint8)
    for t, rows in enumerate(noise):
        column.write(t, rows)
    assert noise.nbytes < column.nbytes < 1.3 * noise.nbytes
    s, e = np.meshgrid(np.arange(64), np.arange(2), indexing="ij")
    np.testing.assert_array_equal(column.read(s, e), noise)


def test_moving_pictures_take_a_twentieth_of_their_size():
    shown = pictures(np.random.default_rng(0), 1600, 2)
    raw, small = RawColumn(1600, 2, (84, 84), np.uint8), CompressedColumn(1600, 2, (84, 84), np.uint8)
    assert raw.nbytes == 0
    for t, rows in enumerate(shown):
        raw.write(t, rows)
        small.write(t, rows)
    assert raw.nbytes == shown.nbytes
    assert small._blobs.nbytes < shown.nbytes / 20
    rng = np.random.default_rng(1)
    s, e = rng.integers(0, 1600, (32, 8)), rng.integers(0, 2, (32, 1))
    np.testing.assert_array_equal(small.read(s, np.broadcast_to(e, s.shape)), raw.read(s, e))


def test_a_read_is_a_fresh_array():
    for kind in KINDS:
        column = kind(4, 1, (3,), np.uint8)
        column.write(0, np.full((1, 3), 7, np.uint8))
        column.read(np.array([0]), np.array([0]))[...] = 9
        assert column.read(np.array([0]), np.array([0])).tolist() == [[7, 7, 7]]


@pytest.mark.parametrize("column", KINDS)
def test_wrong_rows_and_slots_are_refused(column):
    store = column(4, 2, (3,), np.uint8)
    with pytest.raises(ValueError, match=r"rows must be uint8 \(2, 3\), got uint8 \(1, 3\)"):
        store.write(0, np.zeros((1, 3), np.uint8))
    with pytest.raises(ValueError, match="got float32"):
        store.write(0, np.zeros((2, 3), np.float32))
    with pytest.raises(IndexError, match=r"slot 4 is outside 0\.\.3"):
        store.write(4, np.zeros((2, 3), np.uint8))
    with pytest.raises(IndexError, match="slot 2 was never written"):
        store.export(2, 1)
    with pytest.raises(IndexError, match="5 rows asked of a ring of 4"):
        store.export(0, 5)
    with pytest.raises(InputError, match="at least one slot"):
        column(0, 2, (3,), np.uint8)


def test_the_store_is_chosen_by_size_and_kind():
    assert isinstance(make_column((84, 84), np.uint8, 100_000, 1), CompressedColumn)
    assert isinstance(make_column((84, 84), np.uint8, 10_000, 1), RawColumn)
    assert isinstance(make_column((8,), np.float32, 10_000_000, 1), RawColumn)
    assert isinstance(make_column((84, 84), np.uint8, 100_000, 1, "raw"), RawColumn)
    assert isinstance(make_column((4,), np.float32, 10, 1, "compressed"), CompressedColumn)
    with pytest.raises(InputError, match="store must be auto, raw or compressed, got 'zip'"):
        make_column((4,), np.uint8, 10, 1, "zip")  # type: ignore[arg-type]


def test_prediction_is_exact_for_raw_and_under_a_gigabyte_for_a_million_frames():
    column = make_column((84, 84), np.uint8, 300, 2, "raw")
    for t in range(300):
        column.write(t, np.zeros((2, 84, 84), np.uint8))
    assert predict_bytes((84, 84), np.uint8, 300, 2) == column.nbytes == 300 * 2 * 7056
    assert 0.4e9 < predict_bytes((84, 84), np.uint8, 125_000, 8) < 1e9


def test_free_memory_is_the_least_that_any_cgroup_leaves(tmp_path):
    assert available_memory() > 0
    root, proc = tmp_path / "cgroup", tmp_path / "self"
    inner = root / "outer" / "inner"
    inner.mkdir(parents=True)
    for folder, limit, used, cache in ((inner, "max", 50, 0), (root / "outer", "1000", 700, 100)):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cache}\n")
    proc.write_text("0::/outer/inner\n")
    assert memory._cgroup_room(proc, root) == [400]

    v1 = root / "memory" / "job"
    v1.mkdir(parents=True)
    for name, text in (("limit_in_bytes", "5000"), ("usage_in_bytes", "6000"), ("stat", "total_inactive_file 500")):
        (v1 / f"memory.{name}").write_text(text)
    proc.write_text("4:memory:/job\n3:cpuset:/\n")
    assert memory._cgroup_room(proc, root) == [0]
    proc.write_text("4:memory:/not/mounted/here\n")
    assert memory._cgroup_room(proc, root) == []
    assert memory._cgroup_room(tmp_path / "absent", root) == []


def test_benchmark_reports_one_row_of_a_table():
    row = benchmark("square", iter(pictures(np.random.default_rng(0), 300, 2)), rows=400)
    assert row["game"] == "square" and row["rows"] == 400
    assert row["bytes_per_row"] < 7056 and row["gb_per_million"] == pytest.approx(row["bytes_per_row"] / 1e3)
    assert 0 < row["encode_us"] < 1000 and 0 < row["sample_ms"] < 1000 and row["rss_mb"] > 10
    assert benchmark("short", iter(pictures(np.random.default_rng(0), 50, 2)), rows=400)["rows"] == 100
    with pytest.raises(InputError, match="at least 8 rows an environment, got 5"):
        benchmark("shorter", iter(pictures(np.random.default_rng(0), 5, 2)), rows=400)
