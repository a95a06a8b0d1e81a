"""`rl watch`: the game drawn large and, beside it, what the agent thinks, in a window or as a video.

    watch("runs/out/demo")                                  # a window
    watch("runs/out/demo", video="game.webm")               # the same without a display
    watch("runs/out/training", follow=True)                 # always the newest checkpoint of a running training

The agent plays on its own stream, so nothing here can change a training.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import envs
from rl.errors import InputError
from rl.types import Env, TimeStep
from runs.video import VideoWriter, check_ending

if TYPE_CHECKING:
    from agents.base import Agent
    from envs import EnvConfig
    from envs.controls import Controls
    from envs.drawing import Canvas, Window
    from runs.panels import Thought, View
    from runs.recipe import Run
    from runs.saliency import Saliency

SIZE = (800, 600)
LONGEST = 27_000
"""Steps after which a video leaves a game that has no end of its own: half an hour of Atari."""
END = 0.8
"""Seconds for which a window shows the end of a game."""
POLL = 1.0
"""Seconds between two looks for a newer checkpoint."""


def watch(
    run: str | Path,
    *,
    video: str | Path | None = None,
    episodes: int | None = None,
    grid: int | None = None,
    seed: int = 0,
    sample: bool | None = None,
    follow: bool = False,
    size: tuple[int, int] = SIZE,
) -> dict[str, Any]:
    """Shows a trained agent at play.

    video: write .webm, .mp4 or .gif instead of opening a window; `episodes` games of it, 1 (or `grid`) unless given.
    grid: so many games at once. sample: draw actions instead of taking the best; None: as the recipe evaluates.
    episodes: leave off after so many games, which are those of an evaluation with this seed.
    follow: attach to a running training and always play its newest good checkpoint.
    Returns `run`, `video`, and `returns` and `lengths` of the finished games. Raises `InputError` in one line where
    there is no display, no checkpoint, no picture, or another file ending.
    """
    if video is not None:
        check_ending(video)
    count = grid or 1
    if video is not None:
        from envs.drawing import no_display

        episodes = episodes or count
        with no_display(), _player(run, seed, count, sample, follow, episodes) as player:
            _film(player, Path(video), episodes, size)
            return {"run": str(run), "video": str(video), **player.results}
    from envs.drawing import require_display

    require_display()
    with _player(run, seed, count, sample, follow, episodes) as player:
        _show(player, episodes, size)
        return {"run": str(run), "video": None, **player.results}


def film(
    agent: Agent, run: Run, path: str | Path, *, episodes: int = 1, seed: int = 0, size: tuple[int, int] = SIZE
) -> Path:
    """Writes a video of an agent at hand, one in training too: it acts on a stream of its own. Returns `path`."""
    check_ending(path)
    with Player(agent, run, seed=seed, games=episodes) as player:
        _film(player, Path(path), episodes, size)
    return Path(path)


def open_viewer(run: str | Path) -> subprocess.Popen[bytes]:
    """Starts `rl watch RUN --follow` as a process of its own, at low priority, and returns it."""
    here = str(Path(__file__).parent.parent)
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    viewer = subprocess.Popen(
        [sys.executable, "-m", "runs", "watch", str(run), "--follow"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the training
    )
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, viewer.pid, 10)
    return viewer


def _player(run: str | Path, seed: int, count: int, sample: bool | None, follow: bool, games: int | None) -> Player:
    """The loaded agent on `count` environments; waits for the first checkpoint where a training is followed."""
    from runs.evaluate import load_run

    source = Follower(run) if follow else None
    if source is not None:
        source.wait()
    agent, recipe = load_run(run, device="cpu")
    return Player(agent, recipe, seed=seed, num_envs=count, sample=sample, games=games, follower=source)


def first_pictures(env: Env, id: str) -> list[np.ndarray]:
    """The pictures of an environment that has just been reset. Closes it and raises `InputError` where it has none."""
    try:
        return env.render()
    except (InputError, NotImplementedError) as error:
        env.close()
        raise InputError(f"{id} cannot be shown: {str(error) or 'it has no render_mode rgb_array'}") from None


class Player:
    """An agent on environments of its own: rows, thoughts and the trace of every game, without any drawing.

    games: play the games 0 to games - 1 of an evaluation with this seed; None: one episode after the other, for ever.
    config: how the environment is made; None: as for the run's evaluations.
    """

    def __init__(
        self,
        agent: Agent,
        run: Run,
        *,
        seed: int = 0,
        num_envs: int = 1,
        sample: bool | None = None,
        games: int | None = None,
        stream: str = "watch",
        config: EnvConfig | None = None,
        follower: Follower | None = None,
    ) -> None:
        from envs.controls import action_names, controls, observed_area
        from runs.panels import Episode

        self.agent, self.run, self.follower = agent, run, follower
        if config is None:
            config = run.env_config
            if run.eval_max_steps is not None:
                config = dataclasses.replace(config, max_steps=run.eval_max_steps)
        self.env = envs.make(
            run.env, num_envs=num_envs, seed=seed, stream=stream, config=config, render=True, games=games
        )
        self.pictures = first_pictures(self.env, run.env)
        self.num_envs = num_envs
        self.names = action_names(agent.spec)
        try:
            self.controls: Controls | None = controls(agent.spec)
        except InputError:
            self.controls = None
        height, width = self.pictures[0].shape[:2]
        self.heat_area = observed_area(agent.spec, width, height)
        self.stretch = 4 / 3 if agent.spec.protocol else None  # Atari's pixels are not square
        sampled = run.eval_sample if sample is None else sample
        self.actor = agent.actor(num_envs, seed, stream="evaluate", sample=sampled)
        self.heat: np.ndarray | None = None
        self.show_saliency = False
        self._saliency: Saliency | None = None
        self.finished: dict[tuple[int, int], tuple[float, int]] = {}
        """Return and length of each finished game, by its number and environment."""
        gamma = float(getattr(agent.config, "gamma", 0.99))
        clip = getattr(agent.config, "reward_clip", None)
        # A value in the learner's own scale has nothing here to be compared with.
        comparable = not any(getattr(agent.config, name, False) for name in ("normalize_return", "rescale"))
        self.episodes = [Episode(gamma, clip, comparable) for _ in range(num_envs)]
        self.thoughts: list[Thought] = []
        self.human: int | np.ndarray | None = None
        """The action of the person who holds the controls; None: the agent plays."""
        self._take(self.env.reset())

    def can_show_saliency(self) -> bool:
        """Whether the agent's input has a place on the picture; from the next row on a map can be made."""
        if self._saliency is None:
            from runs.saliency import Saliency

            self._saliency = Saliency(self.actor)
        return self._saliency.leaf is not None

    @property
    def sampled(self) -> bool:
        return self.actor.mode == "sample"

    @sampled.setter
    def sampled(self, wanted: bool) -> None:
        self.actor.mode = "sample" if wanted else "greedy"

    @property
    def results(self) -> dict[str, Any]:
        games = [self.finished[j] for j in sorted(self.finished)]
        return {"returns": [total for total, _ in games], "lengths": [length for _, length in games]}

    def step(self) -> TimeStep:
        """Plays one step in every environment, the person's action in place of the agent's where there is one."""
        action = self._action
        if self.human is not None:
            action = np.array(action)
            action[:] = self.human
        self._take(self.env.step(action))
        return self.ts

    def restart(self) -> None:
        """Leaves the games that are being played and begins the next ones (with `games`, the list from its start)."""
        self._take(self.env.reset())

    def game(self, i: int) -> int:
        """Number of the game that environment i plays, -1 where none is left."""
        info = self.ts.info
        return int(info["game" if "game" in info else "episode"][i])

    def _take(self, ts: TimeStep) -> None:
        from runs.thoughts import read_thoughts

        self.ts = ts
        seen = None if self._saliency is None else self._saliency.push(ts)
        if self._saliency is not None and seen is not None and self.show_saliency:
            self.heat = self._saliency.map(seen, ts)
        self._action = self.actor.act(ts)
        self.thoughts = read_thoughts(self.agent, self.actor.output, self._action)
        for i, (episode, thought) in enumerate(zip(self.episodes, self.thoughts, strict=True)):
            if self.game(i) < 0:
                continue
            if self.human is not None:
                thought.action, thought.chosen = self.human, (int(self.human),) if np.ndim(self.human) == 0 else ()
            over = bool(ts.last[i] and ts.discount[i] == 0)
            value = math.nan if thought.value is None or over else thought.value
            episode.add(value, float(ts.reward[i]), float(ts.discount[i]), bool(ts.first[i]), bool(ts.last[i]))
            if ts.last[i]:
                self.finished[self.game(i), i] = (episode.trace.returns[-1], len(episode.trace.returns) - 1)

    def view(self, i: int = 0) -> View:
        """What one frame shows of environment i, as it stands."""
        from runs.panels import View

        trace = self.episodes[i].trace
        step = self.agent.step
        steps = f"{step / 1e6:g}M" if step >= 1_000_000 else f"{step / 1e3:g}k" if step >= 1000 else str(step)
        return View(
            picture=self.pictures[i],
            title=self.run.env,
            subtitle=f"{self.agent.name} at {steps} steps",
            names=self.names,
            thought=self.thoughts[i],
            trace=trace,
            episode=max(0, self.game(i)),
            step=max(0, len(trace.values) - 1),
            sampled=self.sampled,
            human=self.human is not None,
            over=bool(self.ts.last[i]),
            heat=self.heat if self.show_saliency and i == 0 else None,
            heat_area=self.heat_area,
            curve=None if self.follower is None else self.follower.curve,
            note="" if self.follower is None else self.follower.note,
            stretch=self.stretch,
        )

    def look(self) -> None:
        """Fetches the pictures of the newest row: only frames that are shown are paid for."""
        self.pictures = self.env.render()

    def refresh(self) -> bool:
        """Takes over a newer checkpoint of a training that is followed. True when the weights changed."""
        return self.follower is not None and self.follower.refresh(self.agent)

    def close(self) -> None:
        self.env.close()

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Follower:
    """Finds the newest good checkpoint of a run that another process writes. It only reads."""

    def __init__(self, run: str | Path) -> None:
        self.path = Path(run)
        self.note = ""
        self._current = ""
        self._looked = 0.0
        self._curve: tuple[np.ndarray, np.ndarray] | None = None
        self._size = -1

    def wait(self, seconds: float = math.inf) -> None:
        """Until there is a checkpoint. Says once that it waits. Raises `InputError` when `seconds` are over."""
        begun, told = time.monotonic(), False
        while self.newest() is None:
            if time.monotonic() - begun > seconds:
                raise InputError(f"{self.path} has no checkpoint yet: wait for the training to save one")
            if not told:
                print(f"{self.path}: waiting for the first checkpoint (Ctrl-C stops)", file=sys.stderr, flush=True)
                told = True
            time.sleep(0.2)
        self._current = str(self.newest())

    def newest(self) -> Path | None:
        """The newest checkpoint that is whole; None before the first."""
        from runs.folder import resolve

        if not (self.path / "checkpoints").is_dir():
            return None
        try:
            return resolve(self.path).checkpoint
        except InputError:
            return None

    def refresh(self, agent: Agent) -> bool:
        """Loads a newer checkpoint into `agent`, at most one look a second. True when there was one."""
        from rl import checkpoint

        if time.monotonic() - self._looked < POLL:
            return False
        self._looked = time.monotonic()
        newest = self.newest()
        if newest is None or str(newest) == self._current:
            return False
        try:
            state = checkpoint.load_tree(newest, "agent")
        except (InputError, OSError):  # removed meanwhile: there is a newer one
            return False
        agent.load_agent_state(state)
        self._current = str(newest)
        self.note = f"now playing the checkpoint of step {agent.step:,}"
        return True

    @property
    def curve(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Steps and returns of the training so far: running means of its episodes, at most 400 points."""
        from runs.folder import read_jsonl
        from runs.picture import smoothed

        path = self.path / "episodes.jsonl"
        size = path.stat().st_size if path.exists() else 0
        if size != self._size and size:
            self._size = size
            lines = [line for line in read_jsonl(path) if line.get("return") is not None]
            steps, values = np.array([[line["step"], line["return"]] for line in lines], float).reshape(-1, 2).T
            steps, values = smoothed(steps, values, max(1, min(100, len(values) // 10)))
            keep = np.unique(np.linspace(0, max(0, len(steps) - 1), min(400, len(steps))).astype(int))
            self._curve = steps[keep], values[keep]
        return self._curve


# a video


def _film(player: Player, path: Path, episodes: int, size: tuple[int, int]) -> None:
    """Writes `episodes` games, each frame as soon as it is drawn."""
    from envs.drawing import Canvas

    canvas = Canvas(*size)
    fps = _frames_per_second(player)
    ends = [_last_step(player)] * player.num_envs
    with VideoWriter(path, fps) as out:
        held = round(fps)  # the end of the last game stays for a second
        while held > 0:
            player.look()
            _draw(canvas, player, episodes)
            out.write(canvas.array())
            if len(player.finished) >= episodes or len(player.episodes[0].trace.values) > ends[0]:
                held -= 1
            else:
                player.refresh()
                player.step()


def _last_step(player: Player) -> int:
    limit = player.agent.spec.max_episode_steps
    return LONGEST if limit is None else min(limit, LONGEST)


def _frames_per_second(player: Player) -> float:
    return (player.controls.fps if player.controls is not None else 0.0) or 4.0


def _draw(canvas: Canvas, player: Player, episodes: int | None = None) -> None:
    from runs.panels import draw_grid, draw_view

    if player.num_envs == 1:
        draw_view(canvas, player.view())
    else:
        draw_grid(canvas, [player.view(i) for i in range(player.num_envs)])


# a window


def _show(player: Player, episodes: int | None, size: tuple[int, int]) -> None:
    """Plays in a window until it is closed, or until `episodes` games are over."""
    from envs.drawing import Window

    with Window(f"rl watch {player.run.env}", *size) as window:
        desk = Desk(player, window)
        for _ in desk.frames():
            if episodes is not None and len(player.finished) >= episodes:
                break


class Desk:
    """The viewer's controls: keys in, frames out."""

    def __init__(self, player: Player, window: Window) -> None:
        self.player, self.window = player, window
        self.speed = 1.0
        self.paused = self.help = False
        self.panels = True
        self.human = False
        self.note = ""
        self._note_until = 0.0
        self._recorder: VideoWriter | None = None
        self._once = False
        self._tapped: set[str] = set()

    def frames(self) -> Iterator[int]:
        """One turn for each frame that is shown, until the window closes."""
        due = time.perf_counter()
        count = 0
        try:
            while self._keys():
                now = time.perf_counter()
                period = 1.0 / (_frames_per_second(self.player) * self.speed)
                if self.paused and not self._once:
                    due = now + period
                elif self._once:
                    self._advance()
                    self._once = False
                else:
                    until = now + 0.012  # then it is time for a frame, however fast the game is to go
                    while now >= due and now < until:
                        self._advance()
                        due = max(due + period, now - 5 * period) if math.isfinite(self.speed) else now
                        if self.player.ts.last[0] and self.speed <= 2:
                            due = now + END / self.speed
                        now = time.perf_counter()
                self._frame()
                count += 1
                yield count
                if math.isfinite(self.speed) and not self.paused:
                    rest = due - time.perf_counter()
                    if rest > 1 / 60:
                        time.sleep(min(rest, 1 / 30) - 1 / 120)
        finally:
            self._stop_recording()

    def _advance(self) -> None:
        player = self.player
        player.human = None
        if self.human and player.controls is not None:
            player.human = player.controls.action(self.window.held | self._tapped, player.thoughts[0].action)
            self._tapped.clear()
        if player.refresh():
            self._say(player.follower.note if player.follower else "")
        player.step()

    def _frame(self) -> None:
        from runs.panels import draw_grid, draw_view

        player, canvas = self.player, self.window.canvas
        player.look()
        views = [player.view(i) for i in range(player.num_envs)]
        for view in views:
            view.speed, view.paused, view.panels, view.help = self.speed, self.paused, self.panels, self.help
            view.recording, view.human = self._recorder is not None, self.human
            view.note = self.note if time.perf_counter() < self._note_until else ""
        if len(views) == 1:
            draw_view(canvas, views[0])
        else:
            draw_grid(canvas, views)
        if self._recorder is not None:
            try:
                self._recorder.write(canvas.array())
            except InputError:
                self._stop_recording()
                self._say("the window changed its size: recording stopped")
        self.window.show(fps=60)

    def _keys(self) -> bool:
        """Handles what was typed. False when the window was closed."""
        for event in self.window.events():
            if event.kind == "close":
                return False
            if event.kind == "press" and not self._press(event.key):
                return False
        return True

    def _press(self, key: str) -> bool:
        from runs.panels import SPEEDS

        player = self.player
        if self.human and player.controls is not None and key in player.controls.keys:
            self._tapped.add(key)  # a tap between two steps still counts
            return True
        match key:
            case "q" | "escape":
                return False
            case "space":
                self.paused = not self.paused
            case "right" | "n" | ".":
                self._once = self.paused
            case "+" | "=" | "[+]" | "up":
                self.speed = SPEEDS[min(SPEEDS.index(self.speed) + 1, len(SPEEDS) - 1)]
            case "-" | "[-]" | "down":
                self.speed = SPEEDS[max(SPEEDS.index(self.speed) - 1, 0)]
            case "return" | "enter":
                player.restart()
            case "g":
                player.sampled = not player.sampled
            case "p":
                self.panels = not self.panels
            case "h" | "?":
                self.help = not self.help
            case "v":
                self._saliency()
            case "tab":
                self._hand_over()
            case "s":
                self._screenshot()
            case "r":
                self._record()
        return True

    def _saliency(self) -> None:
        player = self.player
        if not player.can_show_saliency():
            self._say(f"{player.run.env} shows the agent numbers: they have no place on the picture")
            return
        player.show_saliency, player.heat = not player.show_saliency, None
        self._say("saliency: what the choice depends on" if player.show_saliency else "saliency off")

    def _hand_over(self) -> None:
        if self.player.controls is None:
            self._say(f"{self.player.run.env} has actions that keys cannot choose")
            return
        self.human = not self.human
        keys = ", ".join(f"{k}: {a}" for k, a in self.player.controls.legend()[:5])
        self._say(f"you play ({keys}); TAB hands back" if self.human else "the agent plays")

    def _say(self, words: str, seconds: float = 3.0) -> None:
        self.note, self._note_until = words, time.perf_counter() + seconds

    def _file(self, ending: str) -> Path:
        folder = Path("videos")
        if self.player.follower is not None:
            folder = self.player.follower.path / "videos"
        folder.mkdir(parents=True, exist_ok=True)
        name = self.player.run.env.replace("/", "-").replace(":", "-")
        return folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}{ending}"

    def _screenshot(self) -> None:
        path = self._file(".png")
        self.window.canvas.save(path)
        self._say(f"saved {path}")

    def _record(self) -> None:
        if self._recorder is not None:
            self._stop_recording()
            return
        self._recorder = VideoWriter(self._file(".webm"), 60)
        self._say("recording; R stops")

    def _stop_recording(self) -> None:
        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            if recorder.frames:
                self._say(f"saved {recorder.close()}")
            else:
                recorder.discard()
