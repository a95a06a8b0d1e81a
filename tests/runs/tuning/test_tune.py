import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from agents.dqn import DQN, DQNConfig
from rl.axes import Axis, choice, complement, left, rate, share, size
from rl.errors import InputError, RunError
from rl.fields import positive
from rl.schedules import Ramp
from runs.comparing.senders import failed
from runs.recipe import Run, resolve
from runs.settings.apply import apply_settings
from runs.settings.space import neighbours, settings, space, start
from runs.tuning.search import Point, objective
from tests.runs.tuning.made_up import STEPS, Job, answer, searched


@dataclass(frozen=True)
class MineConfig(DQNConfig):
    SPACE: ClassVar[dict[str, Axis]] = {"mine": rate(0.1, 10.0), "lr": rate(1e-4, 1e-2)}
    mine: float = positive(1.0)


class Mine(DQN):
    name = "tests.runs.tuning.test_tune:Mine"
    Config = MineConfig


MineConfig.name = Mine.name  # type: ignore[attr-defined]


def test_a_search_promises_and_the_retest_on_fresh_seeds_tells_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Job] = []

    def send(job: Job) -> dict[str, Any]:
        jobs.append(job)
        return answer(job)

    found = searched(monkeypatch, tmp_path / "t", send, trials=14, seeds=5)
    trials = [job for job in jobs if "stop" in job]
    assert [job["seed"] for job in trials] == list(range(1_000, 1_014)), "no trial uses a seed of a result"
    assert found["trials"]["complete"] == 14 and len(found["candidates"]) == 3
    assert {job["seed"] for job in jobs if "stop" not in job} == set(range(5))
    best = found["candidates"][0]
    again = [answer(job)["score"] for job in jobs if "stop" not in job and job["contender"] == best["name"]]
    assert best["kept"] == pytest.approx(np.mean(sorted(again)[1:-1]), abs=6) and best["seeds"] == 5
    assert best["shrinkage"] == best["promised"] - best["kept"]
    assert best["verdict"] in (
        "better",
        "worse",
        "equivalent within the margin",
        "not distinguishable with this many seeds",
    )
    assert set(found["importance"]) == set(json.loads((tmp_path / "t" / "tune.json").read_text())["space"])
    assert trials[0]["run"] | {"eval_episodes": 20, "eval_every": STEPS // 5} == jobs[-1]["run"], (
        "the first trial and the contender `start` are the recipe as it stands, evaluated five times in the re-test"
    )


def test_the_second_half_of_a_search_trains_the_most_promising_points_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One point is lucky once: its second training tells, and the survivors are chosen by all trainings."""
    sent: list[Job] = []

    def send(job: Job) -> dict[str, Any]:
        sent.append(job)
        return answer(job, score=900.0 if job["seed"] == 1_003 else None)

    found = searched(monkeypatch, tmp_path / "t", send, trials=40)
    trained = [job for job in sent if "stop" in job]
    rates: dict[str, list[int]] = {}
    for job in trained:
        rates.setdefault(json.dumps(job["run"]["agent"]), []).append(job["seed"])
    often = [seeds for seeds in rates.values() if len(seeds) > 1]
    assert len(often) >= 3 and max(map(len, rates.values())) == 5, "no point takes more than five trainings"
    assert all(min(seeds) < 1_020 for seeds in often), "the first half tries new points"
    lucky = next(seeds for seeds in rates.values() if 1_003 in seeds)
    assert len(lucky) > 1 and lucky[1] == 1_020, "the best one is trained again first"
    (best, *_) = found["candidates"]
    assert best["trainings"] == 5 and all(c["trainings"] > 1 for c in found["candidates"])
    assert abs(best["shrinkage"]) < 60, "five trainings promise little more than they keep"
    page = (tmp_path / "t" / "report.md").read_text()
    assert "as trial 3" in page and "(5 trainings)" in page


def test_points_are_ranked_by_their_mean_drawn_towards_the_median() -> None:
    once, often = Point(None, [200.0]), Point(None, [160.0, 180.0, 170.0, 170.0])
    assert once.expected(100.0) == 150.0 and often.expected(100.0) == 156.0
    assert Point(None, [200.0], others=2).expected(100.0) == 125.0, (
        "a training that runs or failed counts as the median"
    )


def test_the_recipe_file_trains_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = searched(monkeypatch, tmp_path / "t")
    run = resolve(found["recipe"])
    start = resolve("cartpole_dqn", steps=STEPS, settings=["agent.learning_starts=100"])
    assert run == apply_settings(start, found["candidates"][0]["settings"]) and run != start


def test_a_stopped_search_goes_on_with_the_trials_that_it_had_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    seen: list[Job] = []

    def send(job: Job) -> dict[str, Any]:
        seen.append(job)
        if len(seen) == 4:
            raise Killed
        return answer(job)

    with pytest.raises(Killed):
        searched(monkeypatch, tmp_path / "t", send)
    with open(tmp_path / "t" / "journal.log", "a") as journal:
        journal.write('{"op_code": 7, "half')  # the line that the kill cut
    found = searched(monkeypatch, tmp_path / "t", send)
    assert seen[3] == seen[4], "the same training, in the same folder"
    assert [job["seed"] for job in seen if "stop" in job] == [1000, 1001, 1002, 1003, 1003, 1004, 1005]
    calls = len(seen)
    again = searched(monkeypatch, tmp_path / "t", send)
    assert len(seen) == calls and again["candidates"] == found["candidates"], "nothing is trained twice"
    more = searched(monkeypatch, tmp_path / "t", send, trials=8)
    assert more["trials"]["complete"] == 8


def test_a_training_that_lags_behind_the_median_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = iter(range(100))

    def send(job: Job) -> dict[str, Any]:
        if "stop" not in job:
            return answer(job)
        number, folder = next(count), Path(job["folder"])
        folder.mkdir(parents=True)
        score = 10.0 if number == 7 else 100.0 + number
        line = {"step": STEPS // 2, "mean": score}
        (folder / "evaluations.jsonl").write_text(json.dumps(line) + "\n")
        for _ in range(60 if number == 7 else 12):
            time.sleep(0.05)
            if Path(job["stop"]).exists():
                raise RunError("interrupted")
        return answer(job, score)

    found = searched(monkeypatch, tmp_path / "t", send, trials=8)
    assert found["trials"]["pruned"] == 1 and found["trials"]["complete"] == 7
    assert not (tmp_path / "t" / "trials" / "trial-7").exists(), "its files are removed"
    assert not list((tmp_path / "t" / "trials").glob("*.stop"))
    page = (tmp_path / "t" / "report.md").read_text()
    assert "pruned at 2,000 of 4,000" in page and "A trial is pruned, which means stopped early" in page
    assert "The pruned trials were stopped after 50% of their steps." in page
    assert "| pruned, median |" in page and "| finished, median |" in page
    assert "the importance of fields needs 10 finished trials with different scores, and 7 have finished" in page


def test_the_page_of_a_running_search_has_the_trials_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[str] = []

    def send(job: Job) -> dict[str, Any]:
        page = tmp_path / "t" / "report.html"
        pages.append(page.read_text() if page.exists() else "")
        return answer(job)

    searched(monkeypatch, tmp_path / "t", send, trials=3)
    assert pages[0] == "" and "The search is running; the best score so far is" in pages[2]
    assert "2 trials: 2 finished" in pages[2] and 'http-equiv="refresh"' in pages[2]
    assert 'http-equiv="refresh"' not in (tmp_path / "t" / "report.html").read_text()


def test_failed_trials_count_and_are_listed_with_their_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(job: Job) -> dict[str, Any]:
        return failed(job, "no\x1b[31m <b>memory</b>\nleft") if job["seed"] in (1_002, 1_004) else answer(job)

    found = searched(monkeypatch, tmp_path / "t", send)
    assert found["trials"]["fail"] == 2 and found["trials"]["complete"] == 4
    page = (tmp_path / "t" / "report.html").read_text()
    assert "trial 2: no\\x1b[31m &lt;b&gt;memory&lt;/b&gt; left" in page and "\x1b" not in page

    with pytest.raises(RunError, match="none of 3 trials finished, the first failed: out of luck"):
        searched(monkeypatch, tmp_path / "u", lambda job: failed(job, "out of luck"), trials=3)
    assert (tmp_path / "u" / "report.html").exists()


def test_a_retest_without_any_result_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(job: Job) -> dict[str, Any]:
        return answer(job) if "stop" in job else failed(job, "disk full")

    with pytest.raises(RunError, match="every training of the re-test failed, the first: disk full; .* keeps the sear"):
        searched(monkeypatch, tmp_path / "t", send, trials=2, seeds=1)


def test_minutes_end_the_search_and_count_all_trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(job: Job) -> dict[str, Any]:
        time.sleep(0.2 if "stop" in job else 0)
        return answer(job)

    found = searched(monkeypatch, tmp_path / "t", send, trials=None, minutes=0.3 / 60)
    assert 1 <= found["trials"]["complete"] <= 2 and found["minutes"] >= 0.3 / 60
    again = searched(monkeypatch, tmp_path / "t", send, trials=None, minutes=0.3 / 60)
    assert again["trials"] == found["trials"], "the minutes of an earlier process count"


def test_trainings_run_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(2, timeout=20)

    def send(job: Job) -> dict[str, Any]:
        if "stop" in job:
            together.wait()
        return answer(job)

    assert searched(monkeypatch, tmp_path / "t", send, jobs=2, trials=4)["trials"]["complete"] == 4


def test_ray_gets_every_training_of_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's part is a stand-in: `senders.sender` returns the function that waits for a result."""
    asked: list[Any] = []
    found = searched(monkeypatch, tmp_path / "t", lambda job: asked.append(job) or answer(job), on="ray", trials=3)
    assert found["trials"]["complete"] == 3 and len(asked) == 3 + 3 * 2 + 1


def test_a_rate_falls_to_the_share_that_is_left_of_it() -> None:
    axes = {"lr": rate(1e-5, 1e-2), "lr.end": left(0.01)}
    constant = resolve("LunarLander-v3", agent="dqn", steps=100_000)
    assert start(constant, axes) == {"lr": 0.0005, "lr.end": 1.0}
    assert settings(constant, axes, {"lr": 0.0004, "lr.end": 1.0}) == ["agent.lr=0.0004"]
    assert settings(constant, axes, {"lr": 0.0004, "lr.end": 0.05}) == ["agent.lr=0.0004:2e-05:100000"]
    falling = resolve(constant, settings=["agent.lr=0.001:0.0001:50000"])
    assert start(falling, axes) == {"lr": 0.001, "lr.end": 0.1}
    assert settings(falling, axes, {"lr": 0.002, "lr.end": 0.25}) == ["agent.lr=0.002:0.0005:50000"]
    to_zero = resolve(constant, settings=["agent.lr=0.001:0:50000"])
    assert start(to_zero, axes) == {"lr": 0.001, "lr.end": 0.01}, "a logarithmic axis has no zero"
    assert list(space(constant, images=False, fixed=["lr"])).count("lr.end") == 0
    assert "double" not in space(resolve(constant, settings=["agent.munchausen=true"]), images=False)


def test_a_users_agent_declares_its_own_space() -> None:
    run = Run(env="CartPole-v1", agent=MineConfig(learning_starts=100), steps=1_000)
    axes = space(run, images=False)
    assert list(axes) == ["mine", "lr"]
    assert settings(run, axes, {"mine": 3.0, "lr": 1e-3}) == ["agent.mine=3.0", "agent.lr=0.001"]


def test_a_search_begins_with_the_values_of_recipes_for_other_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Job] = []
    searched(monkeypatch, tmp_path / "t", lambda job: sent.append(job) or answer(job), trials=5)
    own, acrobot, lander, car, drawn = [job["run"]["agent"] for job in sent if "stop" in job]
    assert own["target_every"] == 64 and acrobot["double"] and not own["double"] and acrobot["target_every"] == 250
    assert lander["lr"] == {"start": 1.78e-3, "end": 3.22e-5, "steps": 4_000} and lander["epsilon"]["steps"] == 488
    assert car["gamma"] == 0.98 and drawn not in (own, acrobot, lander, car)
    page = (tmp_path / "t" / "report.md").read_text()
    assert page.count("(from ") == 3 and "(from lunarlander_dqn) |" in page


def test_neighbours_have_the_same_agent_and_memory_and_another_environment() -> None:
    run = resolve("LunarLander-v3", agent="dqn", steps=100_000)
    axes = space(run, images=False)
    found = neighbours(run, axes, 3)
    assert list(found) == ["acrobot_dqn", "mountaincar_dqn", "cartpole_dqn"], "no recipe for LunarLander itself"
    assert found["mountaincar_dqn"]["lr"] == 0.003, "4e-3 lies above the axis"
    assert found["cartpole_dqn"]["epsilon.steps"] == 0.16, "a share of its own budget, 8,000 of 50,000"
    assert neighbours(run, axes, 0) == {}
    equal = resolve(run, settings=settings(run, axes, found["acrobot_dqn"]))
    assert "acrobot_dqn" not in neighbours(equal, space(equal, images=False), 3), "the start values are no neighbour"
    ppo = resolve("LunarLander-v3", agent="ppo", steps=500_000)
    assert not any("lstm" in n or "gru" in n or "stack" in n for n in neighbours(ppo, space(ppo, images=False), 99))


def test_axes_move_values_as_they_say() -> None:
    assert complement(1e-3, 0.1).coordinate(0.99, 1) == 0.01 and complement(1e-3, 0.1).value(0.0123, 0.9, 1) == 0.9877
    assert share(0.1, 0.5).value(0.25, None, 1_000) == 250 and size(1, 9).value(3.0, 2, 1) == 3
    ramp = Ramp(1e-3, 1e-5, 500)
    assert rate(1e-4, 1e-2).coordinate(ramp, 1) == 1e-3
    assert rate(1e-4, 1e-2).value(2e-3, ramp, 1) == Ramp(2e-3, 2e-5, 500), "a schedule keeps its shape"
    assert rate(1e-6, 0.1).coordinate(0.0, 1) == 1e-6, "off is the lowest rate"
    assert choice("a", "b").coordinate("a", 1) is None


def test_the_space_holds_the_recipes_own_values_and_leaves_out_idle_and_fixed_fields() -> None:
    run = resolve("cartpole_dqn", steps=STEPS)
    axes = space(run, images=False, fixed=["agent.gamma", "batch_size"])
    assert "gamma" not in axes and "batch_size" not in axes and "lr" in axes
    own = start(run, axes)
    assert apply_settings(run, settings(run, axes, own)) == run, "the start values survive the way there and back"
    assert "epsilon.steps" not in space(resolve("cartpole_rainbow"), images=False), "a constant epsilon has no length"
    assert "net.hidden" not in space(run, images=True)
    for agent in ("ppo", "a2c", "reinforce", "pqn", "sac"):
        run = resolve(f"cartpole_{agent}")
        axes = space(run, images=False)
        assert len(axes) >= 6 and apply_settings(run, settings(run, axes, start(run, axes) | _missing(run, axes)))
    with pytest.raises(InputError, match="declares nothing to search"):
        space(
            resolve("cartpole_dqn"), images=False, fixed=list(axes) + list(space(resolve("cartpole_dqn"), images=False))
        )


def _missing(run: Run, axes: dict[str, Axis]) -> dict[str, Any]:
    return {name: axis.choices[0] for name, axis in axes.items() if name not in start(run, axes)}


def test_the_objective_is_the_iqm_of_the_last_quarter() -> None:
    curve = [[step, None, float(step)] for step in range(5, 105, 5)]
    assert objective(curve, 100) == 87.5  # of 75, 80, ..., 100 the middle four


def test_bad_arguments_are_one_line_and_leave_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for options, words in (
        ({"trials": None}, "give --minutes or --trials"),
        ({"trials": 0}, "must be positive"),
        ({"minutes": -1.0}, "must be positive"),
        ({"minutes": float("nan")}, "must be positive"),
        ({"seeds": 0}, "must be positive"),
        ({"seeds": 1_001}, "--seeds 1001: trials train with the seeds from 1000 on; give at most 1000"),
        ({"settings": ["agent.lrr=1"]}, "did you mean"),
    ):
        with pytest.raises(InputError, match=words):
            searched(monkeypatch, tmp_path / "t", **options)
    assert not (tmp_path / "t").exists()
