"""Importing modules that a person names."""

from pathlib import Path

import pytest

import envs
from rl.imports import import_named


def test_a_package_of_ones_own_with_one_of_our_names_is_named_with_both_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "__init__.py").touch()
    (tmp_path / "envs" / "room.py").touch()
    monkeypatch.chdir(tmp_path)
    ours = Path(envs.__file__).parent
    with pytest.raises(ImportError, match="two packages are called 'envs'") as caught:
        import_named("envs.room")
    assert str(tmp_path / "envs") in str(caught.value) and str(ours) in str(caught.value)
    with pytest.raises(ModuleNotFoundError, match="No module named 'rl.nothing'"):
        import_named("rl.nothing")
