"""`rl play` driven by scripted keys on the dummy driver: every key pressed is the action of the next step."""

import json
import sys

import numpy as np
import pytest

import envs
from envs.controls import KEYS, controls
from envs.drawing import Canvas, Window, no_display
from rl.errors import InputError
from rl.interface import ActionSpec, EnvSpec
from rl.replay import Replay
from runs import train
from runs.cli import command_line as cli
from runs.watching import play as play_module
from runs.watching.high_scores import BEST, Scores
from runs.watching.match import Table, points
from runs.watching.person import Person
from runs.watching.play import play
from runs.watching.recorded_games import RowWriter, read_rows

SMALL = ["learning_starts=60", "batch_size=8", "hidden=16", "eval_episodes=1", "eval_max_steps=30"]


@pytest.fixture(autouse=True)
def own_scores(tmp_path, monkeypatch):
    monkeypatch.setenv("LUDO_DATA", str(tmp_path / "data"))


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "cartpole"
    train("CartPole-v1", agent="dqn", steps=100, settings=SMALL, out=path)
    return path


class Seat:
    """A table on the dummy driver whose keys a test types."""

    def __init__(self, env, seed=0, record=None, rival=None):
        self._display = no_display()
        self._display.__enter__()
        self.person = Person(env, seed, record=record)
        self.window = Window("test", 320, 240)
        if rival is not None:
            self.person.ask(rival.agent.actor(1, seed, stream="play"))
        self.table = Table(self.person, self.window, rival, Scores())

    def tap(self, *keys):
        for key in keys:
            self.window.press(key)
            self.window.press(key, down=False)
        assert self.table._events()

    def turn(self, *keys):
        self.tap(*keys)
        self.table.advance()
        return self.person.ts

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.window.close()
        self.person.close()
        self._display.__exit__(None, None, None)


def test_a_key_is_the_action_of_the_next_step_even_when_tapped_between_two():
    with Seat("Arcade/Seaquest-v1") as seat:
        names = seat.person.controls.names
        assert names == ("noop", "left", "up", "right", "down", "fire")
        for key, name in (("down", "down"), ("s", "down"), ("left", "left"), ("d", "right"), ("space", "fire")):
            assert names[seat.turn(key).action[0]] == name
        assert names[seat.turn().action[0]] == "noop"


def test_gliding_delays_no_key():
    with Seat("Arcade/Breakout-v1") as seat:
        names, canvas = seat.person.controls.names, Canvas(320, 240)
        for key in ("left", "right", "left"):
            seat.table.advance()
            shown = []
            for part in (0.2, 0.6, 1.0):
                seat.table.draw(canvas, part)
                shown.append(canvas.array())
            assert (shown[0] != shown[1]).any() and (shown[1] != shown[2]).any()
            seat.table.draw(canvas, 0.5)
            assert names[seat.turn(key).action[0]] == key  # typed while things were on their way


def test_a_held_key_goes_on():
    with Seat("Arcade/Breakout-v1") as seat:
        seat.window.press("left")
        assert seat.table._events()
        for _ in range(3):
            seat.table.advance()
            assert seat.person.ts.action[0] == 1
        seat.window.press("left", down=False)
        assert seat.table._events()
        seat.table.advance()
        assert seat.person.ts.action[0] == 0


def test_pause_restart_speed_and_help():
    with Seat("CartPole-v1") as seat:
        table = seat.table
        seat.tap("p")
        assert table.paused
        seat.tap("p", "h", "+", "+", "-")
        assert (table.paused, table.help, table.speed) == (False, True, 1.5)
        seat.turn("left")
        assert seat.person.steps == 1
        seat.tap("backspace")
        assert seat.person.steps == 0
        canvas = Canvas(320, 240)
        table.draw(canvas)
        with_help = canvas.array()
        table.help = False
        table.draw(canvas)
        assert (canvas.array() != with_help).any()


def test_a_finished_game_enters_the_scores_and_enter_plays_again():
    with Seat("CartPole-v1") as seat:
        for _ in range(60):
            if seat.person.over:
                break
            seat.turn("left")
        score = seat.person.score
        assert 5 < score < 20
        assert seat.table.verdict == "Game over"
        assert seat.table.finished == [score]
        assert Scores().best("CartPole-v1")[0]["score"] == score
        seat.turn("left")
        assert seat.person.score == score  # nothing moves after the end
        seat.table.draw(seat.window.canvas)
        seat.tap("space")
        assert seat.person.over  # fired a moment too late: no reason to begin again
        seat.tap("return")
        assert seat.person.steps == 0
        assert seat.table.verdict == ""


def test_turn_by_turn_games_wait_for_a_key():
    with Seat("FrozenLake-v1") as seat:
        assert seat.person.controls.fps == 0
        seat.tap("down")
        seat.table.advance()
        assert seat.person.ts.action[0] == 1


def test_against_an_agent_both_play_the_same_game(cartpole):
    rival = play_module._rival("CartPole-v1", cartpole, 3)
    with rival, Seat("CartPole-v1", seed=3, rival=rival) as seat:
        assert np.array_equal(seat.person.ts.obs["obs"], rival.ts.obs["obs"])
        for _ in range(600):
            if seat.person.over and rival.ts.last[0]:
                break
            seat.turn("left")
        theirs = rival.episodes[0].trace.returns[-1]
        verdict = (
            "You win" if seat.person.score > theirs else "The agent wins" if seat.person.score < theirs else "A draw"
        )
        assert seat.table.verdict.startswith(verdict)
        assert seat.table.wins + seat.table.losses == (seat.person.score != theirs)
        seat.table.draw(seat.window.canvas)
        seat.tap("return")
        assert np.array_equal(seat.person.ts.obs["obs"], rival.ts.obs["obs"])  # the next game, the same for both again


def test_tab_hands_the_controls_to_the_agent_and_back(cartpole):
    rival = play_module._rival("CartPole-v1", cartpole, 3)
    with rival, Seat("CartPole-v1", seed=3, rival=rival) as seat:
        seat.tap("tab")
        for _ in range(8):  # the same game, the same agent: the same course
            seat.turn("left")
            assert np.array_equal(seat.person.ts.obs["obs"], rival.ts.obs["obs"])
        seat.tap("tab")
        assert seat.turn("left").action[0] == 0


def test_a_game_that_the_agent_helped_with_is_not_the_persons_score(cartpole):
    rival = play_module._rival("CartPole-v1", cartpole, 3)
    with rival, Seat("CartPole-v1", seed=3, rival=rival) as seat:
        for helped in (True, False):
            if helped:
                seat.tap("tab")  # taps are no steps: the agent plays the next turn
                seat.turn("left")
                seat.tap("tab")
            while not (seat.person.over and rival.ts.last[0]):
                seat.turn("left")
            entered = [row["score"] for row in Scores().best("CartPole-v1")]
            assert entered == ([] if helped else [seat.person.score])
            theirs = rival.episodes[0].trace.returns[-1]
            assert seat.table.wins + seat.table.losses == (not helped and seat.person.score != theirs)
            seat.tap("return")


def test_recorded_games_load_into_the_replay(tmp_path):
    with Seat("Arcade/Breakout-v1", record=tmp_path / "games") as seat:
        rows = 1
        for k in range(50):
            if seat.person.over:
                seat.tap("return")
            else:
                seat.turn(("left", "right")[k % 2])
            rows += 1
    spec = envs.spec("Arcade/Breakout-v1")
    replay = Replay(spec, 1, 200, np.random.default_rng(0))
    loaded = list(read_rows(tmp_path / "games", "Arcade/Breakout-v1"))
    assert rows - 1 <= len(loaded) <= rows  # a last game of one row has no transition
    assert loaded[0].first[0]
    assert sum(int(ts.first[0]) for ts in loaded) >= 2
    for ts in loaded:
        replay.append(ts)
    windows = replay.sample(16)
    assert windows.obs["obs"].shape[-3:] == spec.obs["obs"].shape
    with pytest.raises(InputError, match="a game of Arcade/Breakout-v1, not of Arcade/Freeway-v1"):
        list(read_rows(tmp_path / "games", "Arcade/Freeway-v1"))
    with pytest.raises(InputError, match="holds no recorded game"):
        list(read_rows(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--record .* cannot be made"):
        RowWriter(tmp_path / "file" / "x", "CartPole-v1")


def test_the_loop_plays_at_the_games_speed_until_the_window_closes():
    import threading
    import time

    import pygame

    with Seat("Arcade/Freeway-v1") as seat:
        seat.table.speed = 4.0  # 80 steps a second
        timer = threading.Timer(1.6, lambda: pygame.event.post(pygame.event.Event(pygame.QUIT)))
        timer.start()
        begun = time.perf_counter()
        seat.table.run()
        seconds = time.perf_counter() - begun - 0.6
        assert 0.2 * 80 * seconds < seat.person.steps <= 80 * seconds + 2  # fewer on a machine that is busy


def test_scores_keep_the_best_ten_and_survive_a_damaged_file(tmp_path):
    scores = Scores(tmp_path / "deep" / "scores.json")
    places = [scores.add("A", score, 10) for score in [5, 9, 1, *range(20, 30)]]
    assert places[:4] == [1, 1, 3, 1]
    assert [e["score"] for e in scores.best("A")] == list(range(29, 19, -1))
    assert len(scores.best("A")) == BEST
    assert scores.add("A", 0, 1) is None
    assert scores.add("B", 0, 1) == 1
    scores.path.write_text("{broken")
    assert scores.best("A") == []
    assert scores.add("A", 99, 1) is None
    assert "cannot be read" in scores.trouble
    assert scores.path.read_text() == "{broken"  # left for its owner to mend


def test_points_are_written_as_a_player_reads_them():
    assert [points(x) for x in (0.0208333, -0.001, 3.0, 1_234_567.0)] == ["0.02", "0", "3", "1,234,567"]


def test_every_control_names_its_actions_and_keys():
    for env, held, action in (
        ("CartPole-v1", {"right"}, 1),
        ("MountainCar-v0", set(), 1),
        ("Acrobot-v1", {"a"}, 0),
        ("Taxi-v4", {"space"}, 4),
        ("Blackjack-v1", {"up"}, 1),
        ("Arcade/SpaceInvaders-v1", {"space"}, 3),
        ("ALE/Pong-v5", {"right", "space"}, 4),
        ("Pendulum-v1", {"left"}, [2.0]),
        ("MountainCarContinuous-v0", {"right"}, [1.0]),
    ):
        found = controls(envs.spec(env))
        assert np.allclose(found.action(held), action), env
        assert found.legend()
        assert found.fps >= 0
    # an agent that nobody has described is played by number
    unknown = EnvSpec("mine:Game-v0", {}, ActionSpec("discrete", (12,)))
    assert controls(unknown).action({"3"}) == 2
    assert controls(unknown).legend()[2] == ("3", "action 2")
    arm = EnvSpec("mine:Arm-v0", {}, ActionSpec("box", (), (-1.0, 0.0, -3.0), (1.0, 2.0, np.inf)))
    assert controls(arm).action({"left", "up", "d"}).tolist() == [-1.0, 2.0, 1.0]
    with pytest.raises(InputError, match="has multidiscrete actions, which keys cannot choose"):
        controls(EnvSpec("X-v0", {}, ActionSpec("multidiscrete", (2, 2))))
    assert controls(envs.spec("CartPole-v1")).action(set(), before=1) == 1  # no neutral: the one before again
    assert set(KEYS.values()) >= {"left", "right", "up", "down", "fire"}


def test_bad_input_is_one_line(cartpole, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    (tmp_path / "file").write_text("")
    for words, line in (
        (["play", "CartPole-v9"], "did you mean 'CartPole-v1'"),
        (["play", "MountainCar-v0", "--vs", str(cartpole)], f"rl play CartPole-v1 --vs {cartpole}"),
        (["play", "CartPole-v1", "--vs", str(tmp_path / "none")], "no run at"),
        (["play", "CartPole-v1", "--record", str(tmp_path / "file" / "x")], "--record"),
    ):
        assert cli.main(words) == 2, words
        captured = capsys.readouterr()
        assert line in captured.err
        assert captured.err.count("\n") == 1
        assert captured.out == ""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform.startswith("linux"):
        assert cli.main(["play", "CartPole-v1"]) == 2
        said = capsys.readouterr().err
        assert "no display to open a window on" in said
        assert "use --video" not in said  # which play has not
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with pytest.raises(InputError, match="Blind: this environment gives no picture: it has no render_mode"):
        play("tests.runs.watching.test_play:Blind")


def test_the_result_is_plain_json(monkeypatch):
    def run(table):
        table.restart()

    monkeypatch.setattr(Table, "run", run)
    with no_display():
        result = play("CartPole-v1", seed=1)
    assert json.loads(json.dumps(result)) == {"env": "CartPole-v1", "scores": [], "best": []}


def Blind(render_mode=None):
    """Makes an environment without pictures, for the test above."""
    import gymnasium

    class Dark(gymnasium.Env):
        metadata = {"render_modes": []}  # noqa: RUF012
        observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return np.zeros(1, np.float32), {}

        def step(self, action):
            return np.zeros(1, np.float32), 0.0, True, False, {}

    return Dark()
