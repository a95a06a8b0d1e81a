"""The advisory lock of a folder: a refusal leaves another run's lock, a removed file never hides a second writer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rl.errors import InputError
from runs.folder.lock import FileLock
from runs.folder.run_folder import RunFolder


@pytest.mark.parametrize("locked_before", [True, False])
def test_a_refused_out_leaves_an_occupied_folder_as_it_was(tmp_path: Path, locked_before: bool) -> None:
    (tmp_path / "run.json").write_text("{}")
    if locked_before:
        (tmp_path / ".lock").write_text("")
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(InputError, match="is occupied"):
        RunFolder.create(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_lock_file_removed_between_opening_and_locking_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, acquire, calls = tmp_path / ".lock", FileLock._acquire, []

    def removed_first(lock: FileLock) -> None:
        if not calls:
            path.unlink()
        calls.append(lock)
        acquire(lock)

    monkeypatch.setattr(FileLock, "_acquire", removed_first)
    lock = FileLock(path)
    try:
        assert len(calls) == 2
        assert os.path.samestat(os.fstat(lock._descriptor), path.stat())
    finally:
        lock.release()
