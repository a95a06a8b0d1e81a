"""Checkpoints: exact, verified, and never lost, by whatever a machine can do in the middle of a save."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file as numpy_load
from safetensors.numpy import save_file as numpy_save
from safetensors.torch import load_file as torch_load

from rl import storage
from rl.checkpoint import (
    CheckpointError,
    checkpoints,
    discard_after,
    load_tree,
    newest_good,
    save_tree,
    sweep,
    verify,
    write_checkpoint,
)
from rl.errors import RunError
from rl.seeding import generator, generator_state, restore_generator
from rl.segments import SegmentStore
from rl.storage import write_atomic
from tests.rl import savers

TORCH_DTYPES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16", "bfloat16"),
    *("float32", "float64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2"),
)
NUMPY_DTYPES = (
    *("?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "c8", "c16"),
    *(">i4", ">f8", "U3", "S2", "M8[s]"),
)


def same(a: Any, b: Any) -> bool:
    """Equal in type, dtype, shape and every bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        bits = [t.contiguous().reshape(-1) for t in (a, b)]
        bits = [torch.view_as_real(t).reshape(-1) if t.is_complex() else t for t in bits]
        equal = a.numel() == 0 or torch.equal(bits[0].view(torch.uint8), bits[1].view(torch.uint8))
        return a.dtype == b.dtype and a.shape == b.shape and equal
    if isinstance(a, (np.ndarray, np.generic)):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return repr(a) == repr(b)
    return bool(a == b)


def back(folder: Path, tree: Any) -> Any:
    save_tree(folder, "x", tree)
    return storage.load_tree(folder, "x")


@pytest.mark.parametrize("name", TORCH_DTYPES)
def test_every_tensor_dtype_comes_back_bit_for_bit(tmp_path: Path, name: str) -> None:
    dtype = getattr(torch, name)
    bits = torch.from_numpy(generator(0, name).integers(0, 2 if name == "bool" else 256, (6, 4, 16), dtype=np.uint8))
    full = (
        torch.view_as_complex(bits.view(dtype.to_real()).reshape(6, 4, -1, 2)) if dtype.is_complex else bits.view(dtype)
    )
    views = {"full": full, "transposed": full.transpose(0, 2), "strided": full[::2, 1:3], "scalar": full[0, 0, 0]}
    empty = {"none": full[:0], "inner": full[:, :0]}
    tree = {**views, **empty, "nested": [{"one": full[:1]}, full[0]]}
    assert same(back(tmp_path, tree), tree)


@pytest.mark.parametrize("name", NUMPY_DTYPES)
def test_every_array_dtype_comes_back_bit_for_bit(tmp_path: Path, name: str) -> None:
    dtype = np.dtype(name)
    if dtype.kind == "U":
        full = np.array([[["abc", "", "é"], ["☃", "b", "cd"]]] * 4)
    else:
        high = 2 if dtype.kind == "b" else 256
        full = generator(0, name).integers(0, high, (4, 2, 3 * dtype.itemsize), dtype=np.uint8).view(dtype)
    tree = {"full": full, "T": full.T, "strided": full[::2], "zero": np.array(full[0, 0, 0]), "scalar": full[0, 0, 0]}
    tree |= {"none": full[:0], "inner": full[:, :0], "fortran": np.asfortranarray(full)}
    assert same(back(tmp_path, tree), tree)


def test_values_come_back_equal_and_of_the_same_type(tmp_path: Path) -> None:
    tree = {
        "floats": [0.1, -0.0, 5e-324, 1.7976931348623157e308, math.nan, math.inf, -math.inf, 1e22],
        "ints": [0, -1, 2**63, 2**128 + 1, -(10**4000), 7**20000],
        "text": ["", "é☃\x00\n", "\ud800", "$array"],
        "flags": [True, False, None],
        "pair": (1, (2.5, [])),
        "int keys": {0: {"step": 1}, (1, 2): "x", 1.5: {}, None: 0, True: 1},
        "$array": {"$float": "nan"},
        "a/b": np.zeros(1),
        "a": {"b": np.ones(1)},
        "__metadata__": np.full(2, 3),
        "": np.arange(2),
        "empty": [{}, [], ()],
    }
    assert same(back(tmp_path, tree), tree)
    for tree in (3, np.arange(3), [torch.ones(2)], math.nan):
        assert same(back(tmp_path, tree), tree)


def test_generators_and_optimizers_go_on_as_if_never_saved(tmp_path: Path) -> None:
    rng = generator(0, "x")
    rng.random(7)
    torch_rng = torch.Generator().manual_seed(3)
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(net.parameters(), amsgrad=True)
    net(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    tree = back(
        tmp_path,
        {
            "rng": generator_state(rng),
            "mt": np.random.RandomState(1).get_state(),
            "torch": torch_rng.get_state(),
            "net": net.state_dict(),
            "optimizer": optimizer.state_dict(),
        },
    )
    other = generator(1, "y")
    restore_generator(other, tree["rng"])
    assert other.random(5).tolist() == rng.random(5).tolist()
    legacy = np.random.RandomState(0)
    legacy.set_state(tree["mt"])
    assert legacy.rand() == np.random.RandomState(1).rand()
    assert same(tree["torch"], torch_rng.get_state())
    twin = torch.nn.Linear(3, 2)
    twin.load_state_dict(tree["net"])
    twin_optimizer = torch.optim.Adam(twin.parameters(), amsgrad=True)
    twin_optimizer.load_state_dict(tree["optimizer"])
    for model, step in ((net, optimizer), (twin, twin_optimizer)):
        step.zero_grad()
        model(torch.ones(4, 3) * 2).sum().backward()
        step.step()
    assert torch.equal(net.weight, twin.weight)


def test_the_file_is_safetensors_for_everybody(tmp_path: Path) -> None:
    tree = {
        "net": {"w": torch.randn(3, 5), "half": torch.randn(7).bfloat16()},
        "mask": torch.tensor([True, False, True]),
    }
    save_tree(tmp_path, "agent", tree)
    theirs = torch_load(tmp_path / "agent.safetensors")
    assert sorted(theirs) == ["mask", "net/half", "net/w"]
    assert same(theirs["net/w"], tree["net"]["w"])
    assert same(theirs["net/half"], tree["net"]["half"])

    arrays = {"a": np.arange(6, dtype=np.int16).reshape(2, 3), "b": np.array(2.5), "c": np.zeros((0, 4), np.uint8)}
    storage.write_arrays(tmp_path / "ours", arrays)
    assert all(same(v, arrays[k]) for k, v in numpy_load(tmp_path / "ours").items())
    numpy_save(arrays, tmp_path / "theirs", metadata={"format": "np"})
    read = storage.read_arrays(tmp_path / "theirs")
    assert all(same(v, arrays[k]) for k, v in read.items())
    read["a"][0, 0] = 9  # writable


def test_what_is_no_data_is_refused_with_its_place(tmp_path: Path) -> None:
    for bad, words in [
        ({"a": [1, {2, 3}]}, "set at 'a/1'"),
        ({"a": {"b": b"bytes"}}, "bytes at 'a/b'"),
        ({"o": np.array([None])}, "dtype object at 'o'"),
        ({"s": torch.eye(2).to_sparse()}, "sparse"),
    ]:
        with pytest.raises(TypeError, match=words):
            save_tree(tmp_path, "x", bad)
    assert list(tmp_path.iterdir()) == []


def test_saving_does_not_need_a_second_copy_of_the_rows(tmp_path: Path) -> None:
    rows = np.ones(64 << 20, np.uint8)
    script = f"""
import resource, numpy as np
from rl import storage
from pathlib import Path
rows = {{"frames": np.ones(64 << 20, np.uint8)}}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
storage.write_arrays(Path({str(tmp_path / "big")!r}), rows)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    if sys.platform != "linux":
        pytest.skip("reads the peak memory in the unit of Linux")
    grown = int(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
    assert grown < 16 << 10  # KiB: chunks of 4 MiB, not 64
    assert same(storage.read_arrays(tmp_path / "big")["frames"], rows)


# What can go wrong on a disk


def tree_of(step: int) -> dict[str, Any]:
    return {
        "agent": {"w": np.full(1000, step), "step": step},
        "trainer": {"step": step, "rng": generator_state(generator(step))},
    }


def loads(folder: Path, step: int) -> None:
    assert verify(folder)["step"] == step
    for name in ("agent", "trainer"):
        assert same(load_tree(folder, name), tree_of(step)[name])


def test_the_newest_checkpoint_is_found_and_older_ones_go(tmp_path: Path) -> None:
    for step in (0, 10, 20, 30):
        write_checkpoint(tmp_path, step, tree_of(step), {"metrics.jsonl": step}, {"note": math.inf}, kept=[10])
    folder, skipped = newest_good(tmp_path)
    assert (folder.name, skipped) == ("step-000000030", [])
    assert list(checkpoints(tmp_path)) == [10, 20, 30]  # 10 is kept, of the others the newest two
    manifest = verify(folder)
    assert (manifest["lengths"], manifest["extra"]) == ({"metrics.jsonl": 30}, {"note": None})
    loads(folder, 30)
    write_checkpoint(tmp_path, 40, tree_of(40), keep=1)
    assert list(checkpoints(tmp_path)) == [40]


def test_the_agent_is_loadable_alone(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, 5, tree_of(5))
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    for file in ("manifest.json", "agent.json", "agent.safetensors"):
        shutil.copy(folder / file, alone)
    assert same(load_tree(alone, "agent"), tree_of(5)["agent"])
    with pytest.raises(CheckpointError, match="has no 'pilot': it holds agent, trainer"):
        load_tree(folder, "pilot")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def foreign(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))


@pytest.mark.parametrize(
    "file,damage,reason",
    [
        ("agent.safetensors", flip, "SHA-256 differs"),
        ("agent.safetensors", cut, "bytes, .* were written"),
        ("agent.safetensors", Path.unlink, "is missing"),
        ("agent.json", flip, "SHA-256 differs"),
        ("manifest.json", flip, "is damaged"),
        ("manifest.json", cut, "is damaged"),
        ("manifest.json", Path.unlink, "no manifest.json"),
        ("manifest.json", foreign, "schema 99, this version reads 1"),
        ("../../replay/segment-000000010-000000019.safetensors", flip, "SHA-256 differs"),
        ("../../replay/segment-000000010-000000019.safetensors", Path.unlink, "is missing"),
    ],
)
def test_a_damaged_checkpoint_falls_back_to_the_previous_and_says_so(
    tmp_path: Path, file: str, damage: Any, reason: str
) -> None:
    store = SegmentStore(tmp_path)
    for step in (10, 20):
        store.append(step - 10, step, {"x": np.arange(step - 10, step)})
        folder = write_checkpoint(tmp_path, step, tree_of(step), segments=store)
    damage(folder / file)
    good, skipped = newest_good(tmp_path)
    loads(good, 10)
    (line,) = skipped
    assert line.startswith("skipped checkpoint step-000000020: ")
    assert "\n" not in line
    with pytest.raises(CheckpointError, match=reason):
        verify(folder)
    if "replay" in file:  # rl evaluate does not read the rows
        assert newest_good(tmp_path, replay="skip")[0] == folder


def test_a_cut_manifest_that_is_still_json_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, 10, tree_of(10))
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["agent.json"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="its own SHA-256"):
        verify(folder)


def test_a_checkpoint_in_another_ones_place_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, 10, tree_of(10))
    folder.rename(folder.with_name("step-000000020"))
    with pytest.raises(CheckpointError, match="is foreign: it holds step 10"):
        verify(folder.with_name("step-000000020"))


def test_no_good_checkpoint_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nothing was saved there yet"):
        newest_good(tmp_path)
    for folder in [write_checkpoint(tmp_path, step, tree_of(step)) for step in (1, 2)]:
        flip(folder / "agent.json")
    with pytest.raises(CheckpointError, match=r"no good checkpoint in .*step-000000002.*step-000000001") as caught:
        newest_good(tmp_path)
    assert "\n" not in str(caught.value)


def test_pruning_does_not_count_a_damaged_checkpoint(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 10, tree_of(10))
    cut(write_checkpoint(tmp_path, 20, tree_of(20)) / "agent.json")
    write_checkpoint(tmp_path, 30, tree_of(30))
    assert list(checkpoints(tmp_path)) == [10, 30]


def test_resuming_an_older_checkpoint_gives_up_the_newer_ones(tmp_path: Path) -> None:
    store = SegmentStore(tmp_path)
    for step in (10, 20, 30):
        store.append(step - 10, step, {"x": np.arange(step - 10, step)})
        write_checkpoint(tmp_path, step, tree_of(step), segments=store, keep=3)
    discard_after(tmp_path, 10)
    assert list(checkpoints(tmp_path)) == [10]
    assert [p.name for p in (tmp_path / "replay").iterdir()] == ["segment-000000000-000000009.safetensors"]


def test_a_step_saved_twice_is_the_later_one(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 10, {"agent": {"w": 1}})
    folder = write_checkpoint(tmp_path, 10, {"agent": {"w": 2}})
    assert load_tree(folder, "agent") == {"w": 2}
    assert [p.name for p in folder.parent.iterdir()] == ["step-000000010"]


# The replay's rows


def test_segments_are_written_once_and_live_as_long_as_a_checkpoint_needs_them(tmp_path: Path) -> None:
    store, size = SegmentStore(tmp_path), 25
    written: dict[str, int] = {}
    for step in range(10, 101, 10):
        start = max(store.stop, step - size)
        store.append(
            start, step, {"x": np.arange(start, step), "obs/frame": np.full((step - start, 4), step, np.uint8)}
        )
        store.drop_before(step - size)
        write_checkpoint(tmp_path, step, {"agent": {}}, segments=store)
        for path in (tmp_path / "replay").iterdir():
            changed = path.stat().st_mtime_ns
            assert written.setdefault(path.name, changed) == changed
        for folder in checkpoints(tmp_path).values():  # the previous one is resumable too
            manifest = verify(folder)
            rows = np.concatenate([a["x"] for _, _, a in SegmentStore(tmp_path, manifest["segments"])])
            assert rows[-1] == manifest["step"] - 1
            assert rows[0] <= max(0, manifest["step"] - size)
            assert (np.diff(rows) == 1).all()
    assert len(written) == 10
    assert sorted(p.name for p in (tmp_path / "replay").iterdir())[0] == "segment-000000060-000000069.safetensors"


def test_rows_lost_between_two_saves_start_the_store_anew(tmp_path: Path) -> None:
    store = SegmentStore(tmp_path)
    store.append(0, 10, {"x": np.arange(10)})
    store.append(10, 10, {})
    store.append(50, 60, {"x": np.arange(50, 60)})
    assert [(start, stop) for start, stop, _ in store] == [(50, 60)]
    with pytest.raises(ValueError, match="rows 55 to 65 do not continue"):
        store.append(55, 65, {"x": np.arange(10)})


def test_many_rows_are_saved_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SegmentStore, "PIECE", 800)
    asked: list[tuple[int, int]] = []

    def export(start: int, stop: int) -> dict[str, np.ndarray]:
        asked.append((start, stop))
        return {"x": np.arange(start, stop), "y": np.zeros((stop - start, 9))}  # 80 bytes a row

    store = SegmentStore(tmp_path)
    store.extend(export, 0, 25)
    assert [(start, stop) for start, stop, _ in store] == [(0, 10), (10, 20), (20, 25)]
    store.extend(export, 12, 25)
    store.extend(export, 12, 26)
    assert [x for _, _, a in store for x in a["x"].tolist()] == list(range(10, 26))
    assert max(stop - start for start, stop in asked) == 10


# Failures at every write


def calls_that(do: Any, names: list[str]) -> list[Any]:
    """Wraps functions of `os` so that `do(k)` runs before the k-th call of any; returns the originals."""
    count = [0]

    def wrap(function: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if function is originals["open"] and not args[1] & os.O_CREAT:
                return function(*args, **kwargs)
            count[0] += 1
            do(count[0])
            return function(*args, **kwargs)

        return wrapped

    originals = {name: getattr(os, name) for name in names}
    for name, function in originals.items():
        setattr(os, name, wrap(function))
    return [count, originals]


def save_three(root: Path, steps: tuple[int, ...]) -> None:
    """One more save after whatever is in `root`: rows of a ring of 15, and a tree."""
    found = checkpoints(root)
    store = SegmentStore(root, verify(newest_good(root)[0])["segments"] if found else ())
    for step in steps:
        store.append(store.stop, step, {"x": np.arange(store.stop, step)})
        store.drop_before(step - 15)
        write_checkpoint(root, step, tree_of(step), segments=store)


def rows_of(root: Path, folder: Path) -> list[int]:
    return [x for _, _, a in SegmentStore(root, verify(folder)["segments"]) for x in a["x"].tolist()]


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("step", [30, 20], ids=["next step", "same step again"])
def test_a_full_disk_at_any_write_leaves_the_old_checkpoint_and_no_leftovers(
    tmp_path: Path, lasting: bool, step: int
) -> None:
    names, failures, k = ["open", "write", "fsync", "replace", "mkdir"], 0, 0
    save_three(tmp_path / "before", (10, 20))
    while True:
        k += 1
        root = shutil.copytree(tmp_path / "before", tmp_path / str(k))

        def fail(n: int, k: int = k) -> None:
            if n == k or (lasting and n > k):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        count, originals = calls_that(fail, names)
        try:
            save_three(root, (step,))
            failed = False
        except RunError as error:
            failed = True
            assert "the disk is full" in str(error)  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
        finally:
            for name, function in originals.items():
                setattr(os, name, function)
        folder, skipped = newest_good(root)
        assert skipped == []
        newest = verify(folder)["step"]
        assert newest in ((20,) if failed and step == 20 else (20, 30))
        loads(folder, newest)
        assert rows_of(root, folder)[-1] == newest - 1
        leftovers = [p for p in root.rglob(".*") if p.suffix != ".old"]  # an .old is the checkpoint being replaced
        assert leftovers == [] or not failed
        sweep(root)
        assert list(root.rglob(".*")) == []
        save_three(root, (40,))
        loads(newest_good(root)[0], 40)
        failures += failed
        shutil.rmtree(root)
        if count[0] < k:
            break
    assert failures > 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("step", [30, 20], ids=["next step", "same step again"])
def test_a_kill_at_every_system_call_leaves_a_checkpoint_that_loads(tmp_path: Path, step: int) -> None:
    names, k = ["open", "write", "fsync", "replace", "mkdir", "unlink", "rmdir"], 0
    save_three(tmp_path / "before", (10, 20))
    while True:
        k += 1
        root = shutil.copytree(tmp_path / "before", tmp_path / str(k))
        child = os.fork()
        if child == 0:
            calls_that(lambda n, k=k: os._exit(9) if n == k else None, names)
            save_three(root, (step,))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        folder, skipped = newest_good(root)
        assert skipped == []
        newest = verify(folder)["step"]
        assert newest in (20, 30)
        loads(folder, newest)
        assert rows_of(root, folder)[-1] == newest - 1
        sweep(root)
        assert list(root.rglob(".*")) == []
        loads(newest_good(root)[0], newest)
        save_three(root, (40,))
        assert rows_of(root, newest_good(root)[0])[-1] == 39
        shutil.rmtree(root)
        if status == 0:
            break
    assert k > 30


def kill_and_check(tmp_path: Path, kills: int) -> None:
    root, rng = tmp_path / "run", random.Random(0)
    saved, reached = 0, 0
    for _ in range(kills):
        child = subprocess.Popen(
            [sys.executable, "-c", f"from tests.rl.savers import save_for_ever; save_for_ever({str(root)!r})"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        line = child.stdout.readline()  # it has resumed
        assert line.startswith("resumed")
        assert int(line.split()[1]) >= saved  # nothing reported as saved was lost
        lines = [line, *(child.stdout.readline() for _ in range(rng.randrange(3)))]
        time.sleep(rng.random() * 0.05)  # a save takes about as long
        child.kill()
        lines += child.stdout.read().splitlines()
        child.wait()
        child.stdout.close()
        saved = max([saved, *(int(x.split()[1]) for x in lines if x.startswith("saved"))])
        if not checkpoints(root):
            continue
        folder, skipped = newest_good(root)
        assert skipped == []
        reached = verify(folder)["step"]
        assert reached >= saved
        savers.check(root, folder)
    assert reached >= kills / 2  # it got on between the kills


def test_kill_9_at_random_moments_10_times(tmp_path: Path) -> None:
    kill_and_check(tmp_path, 10)


@pytest.mark.full
def test_kill_9_at_random_moments_100_times(tmp_path: Path) -> None:
    kill_and_check(tmp_path, 100)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_limit_of_the_system_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    import resource

    write_checkpoint(tmp_path, 10, tree_of(10))
    write_atomic(tmp_path / "note.txt", b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(RunError, match="the disk is full"):
            write_checkpoint(tmp_path, 20, {"agent": {"w": np.zeros(1_000_000)}})
        with pytest.raises(RunError, match="the disk is full"):
            write_atomic(tmp_path / "note.txt", bytes(1_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "note.txt").read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoints", "note.txt"]
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-000000010"]
    loads(newest_good(tmp_path)[0], 10)


@pytest.mark.skipif(shutil.which("unshare") is None, reason="mounts a small file system")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=1m tmpfs {tmp_path}"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("may not mount")
    program = f"{mount} && exec {sys.executable} -m tests.rl.savers {tmp_path}"
    done = subprocess.run(["unshare", "-rm", "sh", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "the disk is full" in done.stdout


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file in the way")
    with pytest.raises(RunError, match=r"could not write .*step-000000001"):
        write_checkpoint(tmp_path, 1, tree_of(1))
