import importlib.util
import json
import math
import re
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from envs.arcade import GAMES
from envs.arcade import bench as arcade
from rl.errors import InputError
from runs.bench import bench, duels, games, updates, viewers
from runs.cli import command_line as cli
from runs.recipe import resolve


def test_an_interrupted_benchmark_still_prints_what_was_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "measure_replay", lambda: iter([{"name": "replay_Pong_memory", "ours": 0.1}]))
    monkeypatch.setattr(bench, "measure_updates", stop)
    assert cli.main(["bench", "replay", "updates", "--json", "--quiet"]) == 130
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert [r["name"] for r in found["results"]] == ["replay_Pong_memory"] and found["interrupted"] is True
    assert said.err.endswith("rl: interrupted\n")
    assert cli.main(["bench", "updates", "--json", "--quiet"]) == 130
    assert capsys.readouterr().out == "", "nothing was measured"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pong_dqn_fastest", "`rl bench pong_dqn` measures it"),
        ("update_dqn", "`rl bench updates` measures it"),
        ("replay_Pong_memory", "`rl bench replay` measures it"),
        ("cartpol_dqn", "did you mean 'cartpole_dqn'"),
        ("cartpole_dqnn", "did you mean 'cartpole_dqn'"),
        ("pong_dqn_2_thread", "did you mean 'pong_dqn_2_threads'"),
    ],
)
def test_a_row_of_the_table_says_which_benchmark_makes_it(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        bench.bench([name])


def test_a_speed_on_atari_says_that_our_consoles_have_threads_of_their_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def theirs(*names: str, **options: Any) -> dict[str, float]:
        return {"steps_per_second": 100.0}

    monkeypatch.setattr("runs.comparing.peers.speed.sb3_speed", theirs)
    monkeypatch.setattr(duels, "our_speed", lambda duel, settings, seed: 300.0 if settings else 250.0)
    pong, fastest, cartpole = bench.bench(["pong_ppo_2_threads", "cartpole_ppo_zoo"], repeats=1, quiet=False)["results"]
    assert "C++ thread" in pong["note"] and "DummyVecEnv" in pong["note"] and "has 2 threads" in pong["note"]
    assert (pong["ratio"], pong["settings"]["ours"]) == (2.5, [])
    assert (fastest["name"], fastest["ratio"], fastest["peer"]) == ("pong_ppo_2_threads_fastest", 3.0, 100.0)
    assert fastest["settings"]["ours"] == ["precision=auto"]
    assert cartpole["note"] == "" and cartpole["ratio"] == 2.5
    first, _, last = capsys.readouterr().err.splitlines()
    assert pong["note"] in first and last == "cartpole_ppo_zoo: 250 steps/s, SB3 100: 2.50x"


def test_pqns_minutes_are_its_budget_at_the_measured_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []

    def train(run: Any, **options: Any) -> dict[str, float]:
        trained.append((run.env, run.steps, options["seed"]))
        return {"steps_per_second": 10_000.0 * (options["seed"] + 1)}

    monkeypatch.setattr(importlib.import_module("runs.training.train"), "train", train)
    rows = bench.bench(["pqn"])["results"]
    assert [r["name"] for r in rows] == [f"arcade_{g}_pqn" for g in sorted(map(snake, GAMES))]
    assert {r["ours"] for r in rows} == {round(10_000_000 / 30_000 / 60, 2)}, "the median of seeds 1 to 3"
    assert trained[:4] == [("Arcade/Asterix-v1", 300_000, seed) for seed in range(4)]


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def test_solved_is_the_second_pass_in_a_row() -> None:
    assert duels.solved([(1.0, 480.0), (2.0, 400.0), (3.0, 475.0), (4.26, 500.0)], 475.0) == 4.3
    assert duels.solved([(1.0, 480.0), (2.0, 400.0), (3.0, 475.0)], 475.0) == math.inf


def test_a_race_counts_an_unsolved_seed_as_never(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    ours = {0: [(1.0, 500.0), (2.0, 500.0)], 1: [(1.0, 0.0)], 2: [(3.0, 500.0), (4.0, 500.0)]}
    monkeypatch.setattr(duels, "our_curve", lambda race, seed: ours[seed])
    monkeypatch.setattr(duels, "peer_curve", lambda race, seed: [(6.0, 500.0), (12.0, 500.0)])
    (result,) = bench.bench(["solved_cartpole"], repeats=3, quiet=False)["results"]
    assert (result["ours"], result["peer"], result["ratio"]) == (4.0, 12.0, 3.0)
    assert result["repeats"][1] == {"ours": None, "peer": 12.0}
    (result,) = bench.bench(["solved_cartpole"], repeats=2, quiet=False)["results"]  # half of them never
    assert result["ours"] is None and result["ratio"] is None
    assert "never" in capsys.readouterr().err


@pytest.mark.parametrize("curve", [duels.our_curve, duels.peer_curve])
def test_a_race_runs_both_sides_for_real(curve: Any) -> None:
    points = curve(duels.Race("cartpole_dqn", "dqn", 475.0, every=1_100, steps=2_500), 0)
    assert len(points) == 3  # after 1,100, 2,200 and 2,500 steps
    seconds = [s for s, _ in points]
    assert 0 < seconds[0] < seconds[1] < seconds[2]
    assert all(score >= 8 for _, score in points)


@pytest.mark.parametrize("curve", [duels.our_curve, duels.peer_curve])
def test_a_race_ends_where_it_is_solved(curve: Any) -> None:
    assert len(curve(duels.Race("cartpole_dqn", "dqn", 5.0, every=1_100, steps=10_000), 0)) == 2  # the second in a row


@pytest.mark.parametrize("race", duels.RACES.values(), ids=duels.RACES)
def test_a_race_is_to_the_score_that_gymnasium_calls_solved(race: duels.Race) -> None:
    run = resolve(race.recipe)
    assert (gymnasium.spec(run.env).reward_threshold or 18.0) == race.passed, "Pong has none: 18 of 21"
    assert getattr(run.agent, "learning_starts", 0) < race.every < run.steps


def test_a_bench_without_names_leaves_the_races_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("training", "ranks", "updates", "replay", "sampling", "arcade", "pqn", "viewer", "watcher"):
        monkeypatch.setattr(bench, f"measure_{name}", lambda *_: iter(()))
    monkeypatch.setattr(bench, "measure_race", lambda *_: 1 / 0)
    assert bench.bench()["results"] == []


def test_a_watchers_cost_is_measured_in_turns_with_the_training_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = []

    def watched(how: str, seed: int) -> dict[str, float]:
        turns.append((how, seed))
        return {"speed": {"alone": 200.0, "paused": 198.0, "playing": 180.0}[how], "cpu": 10.0, "watcher": 0.01}

    monkeypatch.setattr(viewers, "_watched", watched)
    paused, playing = bench.bench(["watcher"], repeats=2, quiet=False)["results"]
    assert turns == [(how, seed) for seed in (0, 1) for how in ("alone", "paused", "playing")]
    assert (paused["ratio"], playing["ratio"], paused["cpu_ratio"], paused["watcher_core"]) == (0.99, 0.9, 1.0, 0.01)
    assert capsys.readouterr().err.startswith("watcher_paused: 198 steps/s, alone 200: 0.99x (")


def test_arcade_games_race_minatar_in_turns_and_say_how_long_their_first_use_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    turns: list[str] = []
    monkeypatch.setattr(arcade, "benchmark", lambda game, seconds: turns.append("ours") or 6e6)
    monkeypatch.setattr(games, "minatar_speed", lambda game: turns.append("peer") or 60_000)
    monkeypatch.setattr(arcade, "first_uses", lambda game: (7.0, 0.2))
    results = {r["name"]: r for r in bench.bench(["arcade"], repeats=2, quiet=False)["results"]}
    assert turns == ["ours", "peer"] * 2 * len(GAMES)
    assert results["arcade_Seaquest"]["ratio"] == 100.0
    assert results["arcade_Seaquest_first_use"]["ours"] == 7.0
    assert results["arcade_Seaquest_later_use"]["ours"] == 0.2
    assert len(results) == 3 * len(GAMES)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("arcade_Breakout: 6e+06 steps/s of one core, minatar 6e+04: 100.00x (random play")
    monkeypatch.setattr(games, "minatar_speed", lambda game: None)
    alone = bench.bench(["arcade"], repeats=2)["results"][0]
    assert (alone["ours"], alone["peer"], alone["ratio"]) == (6e6, None, None)


def test_minatar_is_measured_as_a_black_box() -> None:
    assert 1_000 < (games.minatar_speed("Freeway", seconds=0.05) or 0) < 1_000_000


def test_a_later_use_of_a_game_takes_the_compiled_code_of_the_first() -> None:
    first, later = arcade.first_uses("Breakout")
    assert later < first / 3


def test_an_update_is_measured_beside_dqns(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = {"dqn": 2.0, "c51": 2.5, "qrdqn": 2.5, "iqn": 4.0, "rainbow": 8.0}
    monkeypatch.setattr(updates, "_learner", lambda name: name)
    monkeypatch.setattr(updates, "_update_ms", cost.__getitem__)
    results = {r["name"]: r for r in bench.bench(["updates"], repeats=3)["results"]}
    assert results["update_dqn"]["ours"] == 2.0 and results["update_dqn"]["ratio"] is None
    assert (results["update_iqn"]["ours"], results["update_iqn"]["peer"], results["update_iqn"]["ratio"]) == (4, 2, 0.5)
    assert len(results["update_rainbow"]["repeats"]) == 3


def test_an_update_that_is_measured_samples_and_learns() -> None:
    agent = updates._learner("c51")
    assert updates._update_ms(agent, updates=2) > 0 and agent.updates == 2


def test_the_viewers_frames_are_counted(tmp_path: Path) -> None:
    from envs.drawing import Canvas, no_display

    run = viewers._untrained("arcade_space_invaders_rainbow", tmp_path / "run")
    with no_display():
        canvas = Canvas(800, 600)
        speed, first = viewers._play_and_draw(run, canvas, saliency=True, frames=3)
    assert speed > 0 and first > 0 and canvas.array().std() > 5  # something was drawn


def test_every_duel_has_a_run_of_ours_that_its_settings_fit() -> None:
    for name, duel in duels.TRAINING.items():
        if name in bench.MUJOCO and importlib.util.find_spec("mujoco") is None:
            continue
        run = resolve(duels.matched_run(duel), settings=duel.fastest)
        assert getattr(run.agent, "learning_starts", 0) < run.steps == duel.steps
        assert getattr(run.agent, "precision", "fp32") == ("auto" if duel.fastest else "fp32")


def test_the_share_of_sampling_is_a_part_of_the_update(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = updates._learner
    monkeypatch.setattr(updates, "_learner", lambda *names, **fields: learner(*names, **fields, steps=400))
    (result,) = bench.bench(["sampling"], repeats=1)["results"]
    assert 0 < result["ours"] < 1 and result["repeats"][0]["milliseconds"] > 0


@pytest.mark.parametrize("name", ["gpu", "pong_dqn_gpu"])
def test_a_benchmark_of_a_gpu_needs_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match=rf"'{name}' needs a GPU, and PyTorch sees none here: leave it out"):
        bench.bench([name])


def test_updates_on_a_gpu_are_measured_each_way_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    took = {"graph": 1.0, "launched": 6.0, "bf16": 2.0}
    ways = {("fp32", "auto"): "graph", ("fp32", "off"): "launched", ("bf16", "auto"): "bf16"}
    asked: list[str] = []

    def learner(name: str, steps: int, device: str, precision: str, cuda_graph: str = "auto", **fields: Any) -> str:
        assert device == "cuda"
        return ways[precision, cuda_graph]

    def update_ms(way: str) -> float:
        asked.append(way)
        return took[way]

    monkeypatch.setattr(bench, "_require_gpu", lambda name: None)
    monkeypatch.setattr(updates, "_learner", learner)
    monkeypatch.setattr(updates, "_update_ms", update_ms)
    monkeypatch.setattr(
        updates, "_policy", lambda device, batch, precision: lambda: {"bf16": 4.0, "fp32": 3.0}[precision]
    )
    rows = {r["name"]: r for r in bench.bench(["gpu"], repeats=2)["results"]}
    assert asked[:9] == ["graph", "launched", "bf16"] * 3  # the warm-up first
    assert (rows["gpu_update_dqn"]["ratio"], rows["gpu_update_dqn"]["against"]) == (6.0, "launched")
    assert (rows["gpu_update_dqn_bf16"]["ratio"], rows["gpu_update_dqn_bf16"]["against"]) == (0.5, "graph")
    assert rows["gpu_update_ppo_pong_256_bf16"]["ratio"] == 0.75
    assert len(rows) == 12


def test_rows_of_two_cores_train_with_their_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[Any, ...]] = []

    def train(run: Any, *, settings: Any, ranks: int, seed: int, **options: Any) -> dict[str, float]:
        changed = resolve(run, settings=settings)
        trained.append((changed.agent.name, changed.threads, changed.overlap, changed.agent.precision, ranks))
        return {"steps_per_second": 100.0 * ranks}

    monkeypatch.setattr(importlib.import_module("runs.training.train"), "train", train)
    theirs = [lambda *names, **options: {"steps_per_second": 50.0 * options["threads"]}]
    monkeypatch.setattr("runs.comparing.peers.speed.sb3_speed", theirs[0])
    monkeypatch.setattr("runs.bench.duels._speed_of_two", lambda duel, seed: 130.0 * (duel.ranks == 1))
    names = ["pong_ppo_2_cores", "pong_dqn_overlap", "pong_ppo_ranks"]
    found = {r["name"]: r for r in bench.bench(names, repeats=1)["results"]}
    assert set(trained) == {
        ("ppo", 1, False, "fp32", 2),
        ("ppo", 1, False, "auto", 2),
        ("dqn", 1, True, "fp32", 1),
        ("dqn", 1, True, "auto", 1),
        ("ppo", 1, False, "fp32", 1),
    }
    assert [found[name]["ratio"] for name in names] == [2.0, 1.0, 2.0]
    assert found["pong_ppo_ranks_limit"]["ratio"] == 1.3
    assert "--ranks 2" in found["pong_ppo_2_cores"]["note"] and found["pong_ppo_ranks"]["against"] == "one process"
    assert found["pong_dqn_overlap"]["note"].endswith("; ours differs by threads=1, overlap=true")


def test_the_speed_of_two_trainings_at_once_is_their_sum() -> None:
    duel = duels.Duel("ppo", "CartPole-v1", 512, "zoo")
    assert duels._speed_of_two(duel, 0) > 0
