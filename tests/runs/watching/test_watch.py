"""`rl watch` on real trained agents: in a window on the dummy driver, as a video, and beside a running training."""

import json
import math
import os
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch

import agents
import envs
from envs.drawing import Canvas, Window, no_display
from rl.distributions import Bernoulli, Categorical, DiagGaussian, MultiCategorical, Squashed
from rl.errors import InputError
from rl.interface import ActionSpec
from runs import train
from runs.cli import command_line as cli
from runs.folder.processes import open_viewer
from runs.recipe import resolve
from runs.training.evaluation import evaluate, load_run
from runs.watching.film import film, write_film
from runs.watching.follow import Follower
from runs.watching.frame import draw_view
from runs.watching.player import Player
from runs.watching.plots import bar_rows
from runs.watching.thoughts import read_thoughts
from runs.watching.watch import open_player, watch
from runs.watching.window import Desk

SMALL = ["learning_starts=60", "batch_size=8", "hidden=16", "eval_episodes=1", "eval_max_steps=30", "save_every=100"]


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory):
    """A run folder with checkpoints at 100, 200 and 300 steps."""
    path = tmp_path_factory.mktemp("runs") / "cartpole"
    train("CartPole-v1", agent="dqn", steps=300, settings=SMALL, out=path)
    return path


@pytest.fixture(scope="module")
def breakout(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "breakout"
    train("Arcade/Breakout-v1", agent="dqn", steps=120, settings=SMALL, out=path)
    return path


def frames(path):
    with av.open(str(path)) as file:
        return [f.to_ndarray(format="rgb24") for f in file.decode(video=0)]


def test_a_video_holds_the_games_of_an_evaluation(cartpole, tmp_path):
    path = tmp_path / "game.webm"
    result = watch(cartpole, video=path, episodes=2, seed=7, size=(320, 240))
    score = evaluate(cartpole, episodes=2, seed=7)
    assert result["returns"] == score["returns"]
    assert result["lengths"] == score["lengths"]
    shown = frames(path)
    assert len(shown) == sum(result["lengths"]) + 2 - 1 + 50  # both first rows; the last one stays for a second
    assert shown[0].shape == (240, 320, 3)
    assert cli.main(["watch", str(cartpole), "--video", str(tmp_path / "b.mp4"), "--episodes", "1"]) == 0
    assert (tmp_path / "b.mp4").stat().st_size > 1000


def test_a_game_that_is_over_keeps_its_number_and_its_end(cartpole):
    with no_display(), open_player(cartpole, count=2, games=2) as player:
        while len(player.finished) < 2:
            player.step()
        ended = {env: (player.view(env).episode, player.view(env).over) for env in range(2)}
    assert ended == {0: (0, True), 1: (1, True)}


def test_a_grid_plays_as_many_games_at_once(cartpole, tmp_path):
    result = watch(cartpole, video=tmp_path / "grid.webm", grid=4, size=(320, 240))
    assert result["returns"] == evaluate(cartpole, episodes=4)["returns"]
    assert len(frames(tmp_path / "grid.webm")) == max(result["lengths"]) + 50
    with pytest.raises(InputError, match="--grid 4 films 4 games at once, --episodes 1 are fewer"):
        watch(cartpole, video=tmp_path / "one.webm", episodes=1, grid=4)


def test_watching_a_live_agent_leaves_its_weights_and_generators_alone(cartpole, tmp_path):
    agent, run = load_run(cartpole, device="cpu")
    before = {k: v.clone() for k, v in agent.network.state_dict().items()}
    state = torch.get_rng_state()
    film(agent, run, tmp_path / "videos" / "during.webm", size=(160, 120), longest=5)
    assert len(frames(tmp_path / "videos" / "during.webm")) == 6 + 50 - 1
    assert all(torch.equal(before[k], v) for k, v in agent.network.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_a_training_films_itself_at_its_rhythm(tmp_path):
    words = [
        "train",
        "CartPole-v1",
        "--agent",
        "dqn",
        "--steps",
        "250",
        "--out",
        str(tmp_path / "run"),
        "--track",
        "off",
    ]
    settings = [word for setting in (*SMALL, "video_every=100") for word in ("--set", setting)]
    env = {name: value for name, value in os.environ.items() if name not in ("SDL_VIDEODRIVER", "XDG_RUNTIME_DIR")}
    command = [sys.executable, "-m", "runs", *words, *settings, "--quiet"]
    ended = subprocess.run(command, capture_output=True, text=True, env=env)
    assert (ended.returncode, ended.stderr) == (0, "")  # SDL looks for no display, and complains of none
    assert sorted(p.name for p in (tmp_path / "run" / "videos").iterdir()) == [
        "step-000000100.webm",
        "step-000000200.webm",
    ]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied", "videos"), ValueError("no picture")])
def test_a_film_that_cannot_be_made_costs_no_training(error, tmp_path, monkeypatch, capsys):
    def refused(*given):
        raise error

    monkeypatch.setattr("runs.watching.film.film", refused)
    train("CartPole-v1", agent="dqn", steps=250, settings=[*SMALL, "video_every=100"], out=tmp_path / "run")
    assert capsys.readouterr().err.count("no video at step") == 2


def test_the_viewer_shows_what_the_network_says(cartpole):
    agent, run = load_run(cartpole, device="cpu")
    with Player(agent, run) as player:
        for _ in range(5):
            player.step()
        thought = player.thoughts[0]
        with torch.no_grad():
            q = agent.network({"obs": torch.from_numpy(player.ts.obs["obs"])}).q_values[0].numpy()
        assert np.allclose(thought.q_values, q)
        assert thought.action == q.argmax()
        assert thought.value == pytest.approx(q.max())
        assert player.view().names == ("push left", "push right")
        assert player.view().trace.returns == [0, 1, 2, 3, 4, 5]


def says(spec, action, support=None, **fields):
    agent = SimpleNamespace(spec=SimpleNamespace(action=spec), support=support)
    (thought,) = read_thoughts(agent, SimpleNamespace(**fields), np.array([action]))
    return thought


def test_outputs_of_every_family_are_read():
    two, q = ActionSpec("discrete", (2,)), torch.tensor([[1.0, 2.0]])
    c51 = says(two, 1, torch.linspace(0, 2, 3), q_values=q, logits=torch.zeros(1, 2, 3))
    assert np.allclose(c51.atoms, 1 / 3)
    assert c51.support.tolist() == [0, 1, 2]
    assert says(two, 1, q_values=q, quantiles=torch.ones(1, 2, 5)).quantiles.shape == (2, 5)
    policy = says(two, 0, dist=Categorical(q.new_zeros(1, 2)), value=torch.tensor([0.5]))
    assert (policy.value, policy.probabilities.tolist(), policy.chosen) == (0.5, [0.5, 0.5], (0,))
    recurrent = says(two, 0, dist=Categorical(q.new_zeros(1, 1, 2)), value=torch.tensor([[0.5]]))
    assert (recurrent.value, recurrent.probabilities.tolist()) == (0.5, [0.5, 0.5])
    many = ActionSpec("multidiscrete", (2, 3))
    thought = says(many, [1, 2], dist=MultiCategorical(torch.zeros(1, 5), (2, 3)))
    assert np.allclose(thought.probabilities, [1 / 2, 1 / 2, 1 / 3, 1 / 3, 1 / 3])
    assert thought.chosen == (1, 4)
    bits = says(ActionSpec("multibinary", (2, 2)), [0, 1], dist=Bernoulli(torch.zeros(1, 2)))
    assert (bits.probabilities.tolist(), bits.chosen) == ([0.5, 0.5], (1,))
    box = ActionSpec("box", (), (-2.0, -1.0), (2.0, 1.0))
    gauss = says(box, [0.1, 0.2], dist=DiagGaussian(q, torch.zeros(2)), value=torch.tensor([3.0]))
    assert (gauss.mean.tolist(), gauss.std.tolist(), gauss.high.tolist(), gauss.value) == ([1, 2], [1, 1], [2, 1], 3)
    base = DiagGaussian(torch.zeros(1, 2), torch.zeros(2))
    squashed = says(box, [0.1, 0.2], dist=Squashed(base, torch.zeros(2), torch.tensor([2.0, 1.0])))
    assert (squashed.mean.tolist(), squashed.std.tolist()) == ([0, 0], [2, 1])
    assert says(two, 1).q_values is None


@pytest.mark.parametrize(
    ("agent", "env"),
    [
        ("ppo", "CartPole-v1"),
        ("ppo", "Pendulum-v1"),
        ("sac", "Pendulum-v1"),
        ("sac", "CartPole-v1"),
        ("td3", "Pendulum-v1"),
        ("c51", "CartPole-v1"),
        ("r2d2", "CartPole-v1"),
    ],
)
def test_every_family_can_be_watched(agent, env):
    run = resolve(env, agent=agent, steps=100_000, settings=["hidden=16"])
    player = agents.build(run.agent, envs.spec(env), num_envs=1, seed=0)
    with Player(player, run) as shown:
        for _ in range(5):
            shown.step()
        view = shown.view()
        canvas = Canvas(400, 300)
        draw_view(canvas, view)
        assert view.thought.value is not None
        assert (view.thought.atoms is not None) == (agent == "c51")
        assert (view.thought.mean is not None) == (env == "Pendulum-v1")
        assert (view.thought.probabilities is not None) == (agent in ("ppo", "sac") and env == "CartPole-v1")
        critics, (low, high) = view.thought.critics, view.trace.critics[-1]
        assert (critics is not None) == (agent in ("sac", "td3")) == math.isfinite(low)
        if critics is not None:
            assert (low, high) == (critics.min(), critics.max()) and low <= view.thought.value <= high


@pytest.mark.parametrize(
    ("agent", "env"),
    [
        ("mcts", "Boards/TicTacToe-v1"),
        ("alphazero", "Boards/TicTacToe-v1"),
        ("ntuple", "Boards/TicTacToe-v1"),
        ("mcts", "CartPole-v1"),
        ("mcts", "FrozenLake-v1"),
        ("q_learning", "FrozenLake-v1"),
        ("value_iteration", "FrozenLake-v1"),
    ],
)
def test_planners_and_tables_can_be_watched(agent, env):
    searches = agent in ("mcts", "alphazero", "ntuple")
    settings = ["simulations=8"] if searches else []
    run = resolve(env, agent=agent, steps=100_000, settings=settings)
    player = agents.build(run.agent, envs.spec(env), num_envs=1, seed=0)
    with Player(player, run) as shown:
        shown.step()  # no game is over
        thought = shown.view().thought
        draw_view(Canvas(400, 300), shown.view())
        values = thought.probabilities if searches else thought.q_values
        assert len(values) == envs.spec(env).action.nvec[0]
        assert thought.action == shown._action[0]


@pytest.mark.parametrize("agent", ["ppo", "dqn", "mcts"])
def test_the_end_of_a_board_game_shows_no_choice_and_keeps_the_curve_of_the_value(agent):
    env = "Boards/TicTacToe-v1"
    run = resolve(env, agent=agent, steps=100_000, settings=["simulations=8"] if agent == "mcts" else ["hidden=16"])
    with Player(agents.build(run.agent, envs.spec(env), num_envs=1, seed=0), run) as shown:
        while not shown.ts.last[0]:
            assert bar_rows(shown.view())
            values = shown.view().trace.values
            shown.step()
        view = shown.view()
        assert view.over and not bar_rows(view) and view.thought.value is None
        draw_view(canvas := Canvas(400, 300), view)
        view.trace.values = [math.nan] * (len(values) + 1)
        draw_view(without := Canvas(400, 300), view)
        assert (canvas.array() != without.array()).any() == bool(np.isfinite(values).any())


def test_keys_steer_the_viewer(cartpole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    agent, run = load_run(cartpole, device="cpu")
    with no_display(), Player(agent, run) as player, Window("test", 400, 300) as window:
        desk = Desk(player, window)
        turns = desk.frames()

        def press(*keys):
            for key in keys:
                window.press(key)
                window.press(key, down=False)
            next(turns)

        next(turns)
        press("space")
        assert desk.paused
        at = len(player.episodes[0].trace.values)
        next(turns)
        assert len(player.episodes[0].trace.values) == at
        press("right")
        assert len(player.episodes[0].trace.values) == at + 1
        press("g", "p", "h", "+", "+")
        assert (player.sampled, desk.panels, desk.help, desk.speed) == (True, False, True, 4.0)
        press("h")
        assert desk.paused and not desk.help, "as it was before the help"
        press("space", "h")
        assert desk.paused, "the help holds the game"
        press("h", "space")
        assert desk.paused and not desk.help
        press(*["+"] * 9)
        assert math.isinf(desk.speed)
        press(*["-"] * 20)
        assert desk.speed == 0.25
        game = player.game(0)
        press("return")
        assert player.game(0) == game + 1
        press("v")
        assert "no place on the picture" in desk.note
        (tmp_path / "videos").touch()  # where the folder should be
        press("s", "r")
        assert "videos" in desk.note
        (tmp_path / "videos").unlink()
        press("s")
        assert len(list(tmp_path.glob("videos/*.png"))) == 1
        press("r")
        press("r")
        assert len(list(tmp_path.glob("videos/*.webm"))) == 1
        press("tab", "left", "right")  # the person plays: the tap decides the next step
        assert desk.human
        desk._advance()
        assert player.human in (0, 1)
        press("tab")
        assert not desk.human
        window.press("q")
        assert next(turns, None) is None


def test_screenshots_go_into_the_runs_folder_and_the_terminal_names_them(cartpole, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    shutil.copytree(cartpole, run)
    saved = run / "checkpoints" / checkpoint_of(run)
    with no_display(), open_player(saved) as player, Window("test", 200, 150) as window:
        Desk(player, window)._press("s")
    (picture,) = (run / "videos").glob("*.png")
    assert capsys.readouterr().err == f"saved {picture}\n" and not (tmp_path / "videos").exists()


def checkpoint_of(run):
    return max(path.name for path in (run / "checkpoints").iterdir())


def test_a_persons_tap_is_the_action_of_the_next_step(cartpole):
    agent, run = load_run(cartpole, device="cpu")
    with no_display(), Player(agent, run) as player, Window("test", 200, 150) as window:
        desk = Desk(player, window)
        desk._press("tab")
        for key, action in (("left", 0), ("right", 1), ("left", 0), ("d", 1)):
            desk._press(key)
            desk._advance()
            assert player.ts.action[0] == action


def test_closing_the_window_ends_quietly(cartpole):
    import pygame

    agent, run = load_run(cartpole, device="cpu")
    with no_display(), Player(agent, run) as player, Window("test", 200, 150) as window:
        turns = Desk(player, window).frames()
        next(turns)
        pygame.event.post(pygame.event.Event(pygame.QUIT))
        assert next(turns, None) is None


def test_saliency_is_the_gradient_and_changes_nothing(breakout):
    agent, run = load_run(breakout, device="cpu")
    with Player(agent, run, seed=5) as plain, Player(agent, run, seed=5) as looked:
        assert looked.can_show_saliency()
        looked.show_saliency = True
        for _ in range(20):
            plain.step()
            looked.step()
            assert plain.ts.action == looked.ts.action
        heat = looked.heat
        assert heat.shape == (10, 10)
        assert 0 <= heat.min() <= heat.max() <= 1
        obs = torch.from_numpy(looked.ts.obs["obs"]).float().requires_grad_()
        agent.network({"obs": obs}).q_values.max().backward()
        axes = 3 if run.env.startswith("Arcade") and obs.shape[1:3] == (10, 10) else 1
        strength = obs.grad[0].abs().sum(axes - 1).numpy()
        assert strength.argmax() == heat.argmax()
        canvas = Canvas(400, 300)
        draw_view(canvas, looked.view())


def test_sixty_frames_a_second_with_all_panels(breakout):
    agent, run = load_run(breakout, device="cpu")
    canvas = Canvas(800, 600)
    with Player(agent, run) as player:
        draw_view(canvas, player.view())
        begun = time.process_time()
        for _ in range(60):
            player.step()
            player.fetch()
            draw_view(canvas, player.view())
        assert time.process_time() - begun < 1.0  # measured: 0.4 s


def trained(run):
    """Everything that a run's checkpoints keep of agent and learner: checksums by step and file."""
    manifests = {path.parent.name: json.loads(path.read_text()) for path in run.glob("checkpoints/*/manifest.json")}
    return {
        (step, name): file["sha256"]
        for step, manifest in manifests.items()
        for name, file in manifest["files"].items()
        if name.startswith(("agent.", "learner."))
    }


def beside_a_watcher(run, **training):
    """Trains with `rl watch --follow` attached from before the start to after the end. Returns what it played."""
    words = [sys.executable, "-m", "runs", "watch", str(run), "--follow", "--episodes", "2"]
    env = {**os.environ, "SDL_VIDEODRIVER": "dummy", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as watcher:
        assert "waiting for the first checkpoint" in watcher.stderr.readline()
        train(out=run, **training)
        during = watcher.poll() is not None
        played, errors = watcher.communicate(timeout=120)
        assert watcher.returncode == 0, errors
    return [float(word) for word in played.removeprefix("returns:").split(",")], during


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there always is a display")
def test_a_training_that_nobody_could_watch_is_not_started(tmp_path, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="leave --watch out, and film the training afterwards"):
        train("cartpole_dqn", steps=2_000, out=tmp_path / "run", watch=True)
    assert not (tmp_path / "run").exists()


def test_a_training_is_the_same_to_the_bit_with_and_without_a_watcher(cartpole, tmp_path):
    played, _ = beside_a_watcher(tmp_path / "watched", recipe="CartPole-v1", agent="dqn", steps=300, settings=SMALL)
    assert len(played) == 2
    assert trained(cartpole) == trained(tmp_path / "watched") != {}


@pytest.mark.full
def test_a_long_training_is_the_same_to_the_bit_with_and_without_a_watcher(tmp_path):
    settings = [*SMALL, "threads=1", "save_every=1000"]
    training = {"recipe": "CartPole-v1", "agent": "dqn", "steps": 60_000, "settings": settings}
    played, during = beside_a_watcher(tmp_path / "watched", **training)
    assert during and len(played) == 2  # it watched while the training went on
    train(out=tmp_path / "alone", **training)
    assert trained(tmp_path / "alone") == trained(tmp_path / "watched") != {}


def test_arcade_games_glide_between_two_steps_and_come_to_rest(breakout):
    agent, run = load_run(breakout, device="cpu")
    with no_display(), Player(agent, run) as player, Window("test", 400, 300) as window:
        desk = Desk(player, window)
        desk._advance()

        def shown(part, period=1000.0):
            desk._moved = time.perf_counter() - part * period
            desk._frame(period)
            return player.pictures[0]

        early, late, there = shown(0.1), shown(0.8), shown(1.1)
        assert (early != late).any() and (late != there).any()
        assert (there == player.env.render()[0]).all()
        assert not player.camera.gliding
        assert (shown(0.5, 1 / 60) == there).all()  # no frames to spare


def test_a_paused_window_rests(cartpole, monkeypatch):
    drawn = []
    monkeypatch.setattr("runs.watching.frame.draw_view", lambda canvas, view: drawn.append(view.paused))
    agent, run = load_run(cartpole, device="cpu")
    with no_display(), Player(agent, run) as player, Window("test", 200, 150) as window:
        desk = Desk(player, window)
        desk.paused = True
        turns = desk.frames()
        for _ in range(20):
            next(turns)
        assert 1 <= len(drawn) <= 5  # once a second
        count = len(drawn)
        window.press("p")
        next(turns)
        assert len(drawn) == count + 1


def test_following_takes_each_newer_checkpoint_and_no_damaged_one(cartpole, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    follower = Follower(run)
    assert follower.newest() is None
    with pytest.raises(InputError, match="has no checkpoint yet"):
        follower.wait(seconds=0.1)
    for name in ("run.json", "episodes.jsonl"):
        shutil.copy(cartpole / name, run / name)
    folders = sorted((cartpole / "checkpoints").iterdir())
    first, newest = folders[0], folders[-1]
    shutil.copytree(first, run / "checkpoints" / first.name)
    follower.wait(seconds=1.0)
    agent, _ = load_run(run, device="cpu")
    step = agent.step
    assert not follower.refresh(agent)
    assert len(follower.curve[0]) > 0

    damaged = shutil.copytree(newest, run / "checkpoints" / newest.name)
    weights = next(damaged.glob("*.safetensors"))
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-50])
    follower._looked = -math.inf
    assert not follower.refresh(agent)
    assert agent.step == step
    weights.write_bytes(whole)
    follower._looked = -math.inf
    assert first == newest or (follower.refresh(agent) and agent.step > step)


def test_bad_input_is_one_line(cartpole, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    for words, line in (
        (["watch", str(tmp_path / "nothing")], "no run at"),
        (["watch", str(cartpole), "--video", "a.avi"], "its ending must be .webm, .mp4 or .gif"),
        (["watch", str(cartpole), "--video", str(tmp_path / "no" / "a.webm")], "no folder"),
    ):
        assert cli.main(words) == 2
        error = capsys.readouterr().err
        assert line in error
        assert error.count("\n") == 1
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform.startswith("linux"):
        assert cli.main(["watch", str(cartpole)]) == 2
        assert "--video FILE" in capsys.readouterr().err
        monkeypatch.setenv("DISPLAY", ":977")
        words = [sys.executable, "-m", "runs", "watch", str(cartpole)]
        ended = subprocess.run(words, capture_output=True, text=True)  # a process of its own: SDL writes past Python
        assert ended.returncode == 2
        assert "--video FILE" in ended.stderr and ended.stderr.count("\n") == 1


def test_the_viewer_beside_a_training_is_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    (tmp_path / "run.json").write_text(json.dumps({"recipe": {}}))
    viewer = open_viewer(tmp_path)
    try:
        time.sleep(0.3)
        assert viewer.poll() is None  # waits for the first checkpoint
    finally:
        viewer.terminate()
        viewer.wait(20)


@pytest.mark.full
def test_ten_thousand_frames_in_flat_memory_and_faster_than_real_time(tmp_path):
    psutil = pytest.importorskip("psutil")
    run = resolve("Arcade/Freeway-v1", agent="dqn", steps=100_000, settings=["hidden=16"])
    agent = agents.build(run.agent, envs.spec(run.env), num_envs=1, seed=0)
    seen = []

    class Watched(Player):
        def fetch(self, part=1.0):
            super().fetch(part)
            seen.append(psutil.Process().memory_info().rss)

    begun = time.process_time()  # of all threads: what a machine with one free core takes
    with Watched(agent, run, games=4) as player:
        write_film(player, tmp_path / "long.webm", 4, (800, 600))
        fps = player.controls.fps
    seconds = time.process_time() - begun
    assert len(seen) > 10_000
    assert max(seen[1000:]) - seen[1000] < 50e6
    assert seconds < len(seen) / fps
    print(f"{len(seen)} frames in {seconds:.0f} s, {(max(seen[1000:]) - seen[1000]) / 1e6:.1f} MB")
