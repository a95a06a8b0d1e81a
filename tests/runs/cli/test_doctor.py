"""`rl doctor` on a broken MuJoCo."""

from __future__ import annotations

import importlib
from importlib import metadata
from types import SimpleNamespace

import pytest

from runs.cli import doctor


def test_a_mujoco_that_an_upgrade_broke_is_named_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_installed", lambda name: True)
    monkeypatch.setattr(metadata, "version", lambda name: "4.0.0")
    monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace())
    (line,) = doctor._mujoco()
    assert "mujoco 4.0.0 is installed but does not work" in line and "pip uninstall mujoco mujoco-core" in line
    monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace(MjModel=object))
    assert doctor._mujoco() == []
