"""The exported page in a real Chromium and Firefox: offline, playable, the same game as in Python, and safe to open."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import envs
import runs
from agents.ppo import PPOConfig
from envs import EnvConfig
from rl.errors import InputError
from runs.recipe import Run
from runs.sharing.web.export import ALONE, export_web
from runs.sharing.web.gallery import gallery
from runs.sharing.web.games import game_settings
from tests.runs.reporting import chromium, firefox

HOSTILE = "run</script><b id=injected>'\"&"

TAB, RIGHT = "\ue004", "\ue014"  # WebDriver's names of keys

needs_chromium = pytest.mark.skipif(not chromium.AVAILABLE, reason=chromium.REASON)
needs_firefox = pytest.mark.skipif(not firefox.AVAILABLE, reason=firefox.REASON)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """A run of a folder with a hostile name, its page, and what `export_web` returned."""
    folder = tmp_path_factory.mktemp("web")
    run = folder / HOSTILE.replace("/", "-")
    settings = ["net.hidden=16x16", "snapshots=3", "eval_episodes=2"]
    runs.train("CartPole-v1", agent="dqn", steps=1200, settings=settings, out=run, track="off", quiet=True)
    page = folder / "page.html"
    return run, page, export_web(run, page)


def test_the_page_is_small_and_holds_every_checkpoint(exported: tuple[Path, Path, dict[str, Any]]) -> None:
    run, page, facts = exported
    steps = sorted(int(p.name.removeprefix("step-")) for p in (run / "checkpoints").glob("step-*"))
    assert facts["generations"] == [0, *steps] and facts["step"] == steps[-1]
    assert facts["precision"] == "float32" and page.stat().st_size == facts["bytes"] < ALONE
    text = page.read_text()
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text


def test_the_page_of_a_checkpoint_holds_that_checkpoint_alone(
    exported: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    run, _, whole = exported
    for step in (whole["generations"][1], whole["generations"][-1]):
        facts = export_web(run / "checkpoints" / f"step-{step:09}", tmp_path / "page.html")
        assert facts["generations"] == [step] and facts["step"] == step
        assert facts["bytes"] < whole["bytes"]
    assert facts["score"] == whole["score"]


@needs_chromium
def test_watch_take_over_play_race_and_slide(exported: tuple[Path, Path, dict[str, Any]]) -> None:
    _, page, facts = exported
    with chromium.Chromium(1200, 900) as browser:
        browser.open(page)
        assert browser.js("document.querySelectorAll('#injected').length") == 0
        assert browser.js("document.querySelectorAll('#bars .row').length") == 2
        for _ in range(100):
            if browser.js("seats[0].s.elapsed") > 3:
                break
            time.sleep(0.1)
        assert browser.js("seats[0].s.elapsed") > 3  # the agent plays by itself
        browser.js("pause(); again(); 0")
        for kind in ("keyDown", "keyUp"):
            browser.send("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab")
        assert browser.js("[view.hand, seats[0].human]") == [True, True]
        browser.send("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight")
        assert browser.js("advanceAll(), seats[0].played") == 1
        browser.send("Input.dispatchKeyEvent", type="keyUp", key="ArrowRight", code="ArrowRight")
        browser.send("Input.dispatchKeyEvent", type="keyDown", key="a", code="KeyA")
        assert browser.js("advanceAll(), seats[0].played") == 0
        browser.click("#race")
        same = "JSON.stringify(seats.map(s => s.s.x))"
        first, second = json.loads(browser.js(same))
        assert first == second and browser.js("seats.map(s => s.human)") == [True, False]
        browser.js("view.speed = 0; start(); advanceAll(); 0")
        last = len(facts["generations"]) - 1
        browser.js("setAge(0); 0")
        assert "untrained" in browser.js("document.getElementById('aged').textContent")
        untrained = browser.js("[...seats[1].out.bars]")
        browser.js(f"setAge({last}); 0")
        assert browser.js("[...seats[1].out.bars]") != untrained
        browser.resize(400, 800, mobile=True)
        browser.click("#play")
        assert browser.js("document.documentElement.scrollWidth") <= 400
        browser.send("Emulation.setTouchEmulationEnabled", enabled=True)
        browser.settle()
        box = browser.js("(({x, y, width, height}) => [x + width / 2, y + height / 2])"
                         "(document.querySelectorAll('#pad button')[1].getBoundingClientRect())")  # fmt: skip
        touch = [{"x": box[0], "y": box[1]}]
        browser.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=touch)
        assert browser.until("[...held]", ["right"]) == ["right"]
        browser.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        assert browser.until("[...held]", []) == []
        assert browser.problems == []
        assert all(url.startswith(("file:", "data:")) for url in browser.requests)


@needs_firefox
def test_firefox_opens_the_page_from_the_disk_and_a_key_takes_over(exported: tuple[Path, Path, dict[str, Any]]) -> None:
    _, page, _ = exported
    with firefox.Firefox() as browser:
        browser.open(page)
        assert browser.js("document.querySelectorAll('#bars .row').length") == 2
        assert browser.until("seats[0].s.elapsed > 3", True) is True  # the agent plays by itself
        browser.js("(pause(), again(), 0)")
        browser.keys(("keyDown", TAB), ("keyUp", TAB))
        assert browser.js("[view.hand, seats[0].human]") == [True, True]
        browser.keys(("keyDown", RIGHT))
        assert browser.js("(advanceAll(), seats[0].played)") == 1
        browser.keys(("keyUp", RIGHT), ("keyDown", "a"))
        assert browser.js("(advanceAll(), seats[0].played)") == 0
        browser.settle()
        assert browser.problems == []
        assert all(url.startswith(("file:", "data:")) for url in browser.requests)
        browser.js("fetch('http://127.0.0.1:9/').catch(() => 0)")  # the page's policy blocks it, and the driver sees it
        browser.settle(until=lambda: bool(browser.problems), seconds=10)
        assert "Content-Security-Policy" in browser.problems[0]


@needs_chromium
def test_the_agents_game_ends_with_pythons_score(exported: tuple[Path, Path, dict[str, Any]]) -> None:
    run, page, _ = exported
    play = "arrange('watch'), pause(), seats[0].restart({}n), JSON.stringify(seats[0].s.x)"
    finish = "(() => { const s = seats[0]; while (!s.over) s.step(); return s.s.score })()"
    agent, env = runs.load(run, device="cpu"), gymnasium.make("CartPole-v1")
    with chromium.Chromium(600, 600) as browser:
        browser.open(page)
        for counter in range(1, 9):
            start = json.loads(browser.js(play.format(counter)))
            env.reset()
            env.unwrapped.state = np.array(start)
            obs, state, score, over = np.float32(start), None, 0.0, False
            while not over:
                action, state = agent.predict(obs, state, deterministic=True)
                obs, reward, ended, cut, _ = env.step(int(action))
                score, over = score + float(reward), ended or cut
            assert browser.js(finish) == score


@pytest.mark.parametrize(
    ("env", "config", "complaint"),
    [
        ("Taxi-v4", EnvConfig(), r"Taxi-v4 cannot be played in a web page: export a run of CartPole-v1, .*Arcade"),
        ("CartPole-v1", EnvConfig(flicker=0.5), r"env.flicker=0.5 cannot be exported"),
        ("Pendulum-v1", EnvConfig(options={"g": 9.0}), r"env.options.g=9.0 cannot be exported"),
    ],
)
def test_other_games_and_settings_are_refused_in_one_line(env: str, config: EnvConfig, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        game_settings(Run(env=env, env_config=config, agent=PPOConfig(), steps=1000), envs.spec(env, config))


def test_a_damaged_run_gives_one_line_and_leaves_no_page(
    exported: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(exported[0], run)
    for weights in run.glob("checkpoints/*/agent.safetensors"):
        weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(InputError) as error:
        export_web(run, tmp_path / "page.html")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "page.html").exists()


def test_a_damaged_older_checkpoint_is_left_out(exported: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(exported[0], run)
    oldest = min(run.glob("checkpoints/step-*"))
    (oldest / "agent.safetensors").write_bytes(b"no weights")
    facts = export_web(run, tmp_path / "page.html")
    assert facts["generations"] == [g for g in exported[2]["generations"] if g != int(oldest.name[5:])]


def test_the_gallery_links_every_page_and_names_what_it_leaves_out(
    exported: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    shutil.copytree(exported[0], tmp_path / "runs" / "<script>alert(1)<")
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "run.json").write_text("{}")
    made = gallery([tmp_path / "runs"], tmp_path / "gallery")
    assert made["pages"] == ["00--script-alert-1--.html"]
    (line,) = made["skipped"]
    assert "broken" in line and "\n" not in line
    index = Path(made["file"]).read_text()
    assert "alert(1)" not in index and 'href="00--script-alert-1--.html"' in index
    assert {path.suffix for path in (tmp_path / "gallery").iterdir()} == {".html", ".png"}


def test_large_weights_are_rounded_to_float16_only_if_the_agent_then_acts_the_same(
    exported: tuple[Path, Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = 50_000  # bytes: less than the scripts, so that every network is too large
    monkeypatch.setattr("runs.sharing.web.export.ALONE", bare)
    facts = export_web(exported[0], tmp_path / "page.html")
    assert facts["precision"] == "float16" and facts["bytes"] < exported[2]["bytes"]
    monkeypatch.setattr("runs.sharing.web.export._rounded_agreement", lambda agent, run: 0.98)
    assert export_web(exported[0], tmp_path / "page.html")["precision"] == "float32"


def test_hostile_evaluations_are_ignored(exported: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(exported[0], run)
    lines = ['{"step": "</script>", "returns": [1]}', '{"step": 1, "returns": ["<b>"]}', '{"step": 2, "returns": {}}']
    (run / "evaluations.jsonl").write_text("\n".join(lines) + "\n")
    assert export_web(run, tmp_path / "page.html")["score"] is None
    assert "<b>" not in (tmp_path / "page.html").read_text().split('id="data"')[1].split("</script>")[0]
