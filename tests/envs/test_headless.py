"""MuJoCo by id, and its pictures without a screen."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import envs
from envs import headless
from rl.errors import InputError

TARGET = SimpleNamespace(entry_point="gymnasium.envs.mujoco.swimmer_v5:SwimmerEnv")


@pytest.fixture(autouse=True)
def no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr("sys.platform", "linux")


def test_only_mujocos_warning_about_gymnasiums_models_is_left_out(
    capfd: pytest.CaptureFixture[str],
) -> None:
    mujoco = pytest.importorskip("mujoco")
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(None)
    try:
        envs.spec("HalfCheetah-v5")
        assert capfd.readouterr().err == ""
        model = "<mujoco><worldbody><body><freejoint/><geom size='1'/></body></worldbody></mujoco>"
        data = mujoco.MjData(model := mujoco.MjModel.from_xml_string(model))
        data.qvel[0] = np.inf
        mujoco.mj_step(model, data)
        assert "WARNING: Nan, Inf or huge value in QVEL" in capfd.readouterr().err
        mujoco.set_mju_user_warning(own := lambda text: None)
        envs.spec("HalfCheetah-v5")
        assert mujoco.get_mju_user_warning() is own
    finally:
        mujoco.set_mju_user_warning(before)


@pytest.mark.parametrize(("installed", "chosen"), [({"EGL", "OSMesa"}, "egl"), ({"OSMesa"}, "osmesa")])
def test_egl_comes_before_osmesa(installed: set[str], chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.util.find_library", lambda name: name if name in installed else None)
    headless.choose_renderer(TARGET)
    assert os.environ["MUJOCO_GL"] == chosen


def test_without_both_one_line_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    with pytest.raises(InputError, match="neither EGL nor OSMesa is installed: install libegl1 or libosmesa6$"):
        headless.choose_renderer(TARGET)


@pytest.mark.parametrize("name", ["MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"])
def test_a_screen_or_the_users_choice_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    headless.choose_renderer(TARGET)
    assert os.environ["MUJOCO_GL"] == ("x" if name == "MUJOCO_GL" else "")


def test_other_environments_need_no_renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    headless.choose_renderer(SimpleNamespace(entry_point="gymnasium.envs.box2d:LunarLander"))
    assert os.environ["MUJOCO_GL"] == ""


@pytest.mark.parametrize("name", ["Ant", "HalfCheetah", "Hopper", "Humanoid", "Swimmer", "Walker2d"])
def test_mujocos_tasks_are_made_by_their_ids(name: str) -> None:
    pytest.importorskip("mujoco", reason="an extra")
    world = envs.make(f"{name}-v5", num_envs=1, seed=0)
    action = world.spec.action
    assert action.kind == "box" and np.isfinite(action.low).all() and np.isfinite(action.high).all()
    world.reset()
    ts = world.step(np.zeros((1, action.size), np.float32))
    assert ts.discount[0] == 1.0 and ts.obs["obs"].dtype == np.float32
    world.close()


def test_a_missing_mujoco_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("mujoco", "gymnasium.envs.mujoco"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(InputError, match="^Hopper-v5 cannot be made: .*MuJoCo is not installed.*gymnasium.mujoco.*$"):
        envs.spec("Hopper-v5")
