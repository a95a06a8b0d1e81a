"""Importing modules that a person names."""

import re
import tomllib
from pathlib import Path

import pytest

import envs
from rl.imports import EXTRAS, import_named, not_installed


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


def test_every_extra_that_a_message_names_installs_the_module() -> None:
    project = tomllib.loads((Path(envs.__file__).parents[1] / "pyproject.toml").read_text())["project"]
    for module, extra in EXTRAS.items():
        package = {"cv2": "opencv-python-headless"}.get(module, module.replace("_", "-"))
        assert any(re.match(rf"{package}[<>=]", line) for line in project["optional-dependencies"][extra]), module
    assert not_installed("optuna.trial") == "the package 'optuna.trial' is not installed: pip install \"ludo-rl[tune]\""
    assert not_installed("theirs") == "the package 'theirs' is not installed: pip install it, then run `rl doctor`"
