"""Programs that the checkpoint tests start, to kill them or to fill their disk."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from rl.checkpoint import checkpoints, discard_after, load_tree, newest_good, verify, write_checkpoint
from rl.errors import RunError
from rl.segments import SegmentStore

SLOTS = 60
"""Rows that the make-believe replay holds."""


def save_for_ever(path: str) -> None:
    """Resumes the run in `path` and saves it after every step, telling of each on standard output."""
    root, step, store = Path(path), 0, SegmentStore(Path(path))
    if checkpoints(root):
        folder, _ = newest_good(root)
        manifest = check(root, folder)
        step, store = manifest["step"], SegmentStore(root, manifest["segments"])
        discard_after(root, step)
    print("resumed", step, flush=True)
    while True:
        step += 1
        count = 7 * step
        start = max(store.stop, count - SLOTS)
        store.append(start, count, {"row": np.arange(start, count)})
        store.drop_before(count - SLOTS)
        trees = {"agent": {"w": np.full(20_000, step), "step": step}, "trainer": {"step": step}}
        write_checkpoint(root, step, trees, {"metrics.jsonl": step}, segments=store)
        print("saved", step, flush=True)


def check(root: Path, folder: Path) -> dict:
    """A checkpoint of `save_for_ever` is whole and of one moment."""
    manifest = verify(folder)
    step = manifest["step"]
    agent, trainer = load_tree(folder, "agent"), load_tree(folder, "trainer")
    assert agent["step"] == trainer["step"] == manifest["lengths"]["metrics.jsonl"] == step
    assert (agent["w"] == step).all()
    rows = np.concatenate([arrays["row"] for _, _, arrays in SegmentStore(root, manifest["segments"])])
    assert rows[-1] == 7 * step - 1
    assert rows[0] <= max(0, 7 * step - SLOTS)
    assert (np.diff(rows) == 1).all()
    return manifest


def fill(root: Path) -> None:
    """Saves on a disk of one megabyte until it is full, checks what is left, makes room and goes on."""
    write_checkpoint(root, 1, {"agent": {"w": np.full(25_000, 1)}})
    write_checkpoint(root, 2, {"agent": {"w": np.full(25_000, 2)}})
    for step, size in ((3, 200_000), (4, 90_000)):
        try:
            write_checkpoint(root, step, {"agent": {"w": np.zeros(size)}})
            raise AssertionError("the disk took it")
        except RunError as error:
            print(error)
        folder, skipped = newest_good(root)
        assert (folder.name, skipped) == ("step-000000002", [])
        assert not list(root.rglob(".*"))
    store = SegmentStore(root)
    try:
        store.append(0, 200, {"x": np.zeros((200, 1000))})
        raise AssertionError("the disk took it")
    except RunError as error:
        print(error)
    assert store.stop == 0
    write_checkpoint(root, 5, {"agent": {"w": np.full(25_000, 5)}})
    assert newest_good(root)[0].name == "step-000000005"


if __name__ == "__main__":
    fill(Path(sys.argv[1]))
