"""`rl play`: a person plays, alone or against an agent, with sensible keys at the game's own speed.

play("Arcade/Seaquest-v1")
play("ALE/Pong-v5", vs="runs/out/pong")       # split screen, the same seed for both
play("CartPole-v1", record="games/")          # keeps the games as rows
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import agents
import envs
from envs import EnvConfig
from rl.errors import InputError
from rl.types import TimeStep
from runs.player import GLIDE, Camera, Player
from runs.rows import RowWriter
from runs.scores import Scores
from runs.trust import Trust

if TYPE_CHECKING:
    from agents.base import Actor
    from envs.drawing import Canvas, Window
SIZE = (800, 600)
SPEEDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)


def play(
    env: str,
    *,
    vs: str | Path | None = None,
    record: str | Path | None = None,
    seed: int | None = None,
    config: EnvConfig | None = None,
    size: tuple[int, int] = SIZE,
    trust: Trust = False,
) -> dict[str, Any]:
    """Opens a window in which a person plays `env` until it is closed.

    vs: the run of an agent that plays the same game beside it, from the same seed. record: a folder that keeps the
    person's games as rows (`runs.rows`). seed: of the first game, drawn unless given. trust: import code that the run
    `vs` names, even if this machine did not write it.
    Returns `env`, `scores` of the finished games, and `best`. Raises `InputError` in one line where there is no
    display, for an environment without pictures or with actions that keys cannot choose, and for an agent of
    another game.
    """
    from envs.drawing import Window, require_display

    require_display("playing needs one; `rl watch RUN --video FILE` films an agent without")
    seed = secrets.randbelow(2**31) if seed is None else seed
    rival = None if vs is None else _rival(env, vs, seed, trust)
    try:
        if rival is not None:
            config = rival.run.env_config
        with Person(env, seed, config, record) as person, Window(f"rl play {env}", *size) as window:
            if rival is not None:
                person.ask(rival.agent.actor(1, seed, stream="play"))
            table = Table(person, window, rival, Scores())
            table.run()
            return {"env": env, "scores": table.finished, "best": table.scores.best(env)}
    finally:
        if rival is not None:
            rival.close()


def points(score: float) -> str:
    """A score as a player reads it: hundredths at the finest, and no exponent."""
    return f"{round(score, 2) + 0.0:,.12g}"


def _rival(env: str, run: str | Path, seed: int, trust: Trust = False) -> Player:
    from runs.evaluate import load_run

    agent, recipe = load_run(run, device="cpu", trust=trust)
    if recipe.env != env:
        raise InputError(f"the agent of {run} plays {recipe.env}, not {env}: rl play {recipe.env} --vs {run}")
    return Player(agent, recipe, seed=seed, stream="play", config=recipe.env_config)


class Person:
    """One environment that a person plays: rows, score and picture, without a window."""

    def __init__(self, env: str, seed: int, config: EnvConfig | None = None, record: str | Path | None = None) -> None:
        from envs.controls import controls

        self.env = envs.make(env, seed=seed, stream="play", config=config, render=True)
        try:
            self.controls = controls(self.env.spec)
            self.ts = self.env.reset()
            self.rows = None if record is None else RowWriter(record, env)
        except InputError as error:
            self.env.close()
            raise InputError(f"{env} cannot be played: {error}") from None
        self.camera = Camera(self.env, env)
        self.picture = self.camera.pictures[0]
        self.spec = self.env.spec
        self.score, self.steps = 0.0, 0
        self.action: int | np.ndarray | None = None
        self.advice: np.ndarray | None = None
        self._advisor: Actor | None = None
        if self.rows is not None:
            self.rows.add(self.ts)

    @property
    def over(self) -> bool:
        return bool(self.ts.last[0])

    def step(self, held: frozenset[str] | set[str]) -> TimeStep:
        """Plays the action that the held keys ask for."""
        self.action = self.controls.action(held, self.action)
        return self._take(self.env.step(np.asarray(self.action)[None]))

    def ask(self, advisor: Actor) -> None:
        """Has an agent look on, so that it can take over at any time."""
        self._advisor = advisor
        self.advice = advisor.act(self.ts)

    def follow_advice(self) -> TimeStep:
        """Plays the action that the agent would take."""
        assert self.advice is not None
        self.action = self.advice[0]
        return self._take(self.env.step(self.advice))

    def restart(self) -> TimeStep:
        """The next game, whether this one is over or not."""
        return self._take(self.env.reset())

    def _take(self, ts: TimeStep) -> TimeStep:
        self.ts = ts
        if ts.first[0]:
            self.score, self.steps, self.action = 0.0, 0, None
        else:
            self.score += float(ts.reward[0])
            self.steps += 1
        if self.rows is not None:
            self.rows.add(ts)
        if self._advisor is not None:
            self.advice = self._advisor.act(ts)
        return ts

    def look(self, part: float = 1.0) -> None:
        """Fetches the picture (see `Camera.look`)."""
        self.picture = self.camera.look(self.ts, part)[0]

    def close(self) -> None:
        if self.rows is not None:
            self.rows.flush()
        self.env.close()

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Table:
    """The play loop: keys to actions at the game's speed, pause, restart, scores, and the agent across the table."""

    def __init__(self, person: Person, window: Window, rival: Player | None, scores: Scores) -> None:
        self.person, self.window, self.rival, self.scores = person, window, rival, scores
        self.speed, self.paused, self.help = 1.0, False, False
        self.autopilot = False
        """The agent holds the person's controls (TAB)."""
        self._helped = False
        """Whether it held them for a step of this game: then the score is not the person's."""
        self.finished: list[float] = []
        self.wins, self.losses = 0, 0
        self.verdict = ""
        self.note = ""
        self._note_until = 0.0
        self._tapped: set[str] = set()
        self._counted = False
        self._moved = self._ended = 0.0
        """When the newest step was made, and when the game ended."""
        # Atari's pixels are not square; half a window has no room for their true shape
        self._stretch = 4 / 3 if person.spec.protocol and rival is None else None
        best = scores.best(person.spec.id)
        self.best = float(best[0]["score"]) if best else None
        self._say("H: keys", 4.0)

    def run(self) -> None:
        """Until the window is closed."""
        due = time.perf_counter() + 0.6  # a moment to find one's seat
        while self._events():
            fps = self.person.controls.fps * self.speed
            now = time.perf_counter()
            if self.paused or self.help:
                due = now + 1 / max(fps, 1.0)
            elif fps == 0:
                if self._tapped or self.autopilot:
                    self.advance()
            elif now >= due:
                self.advance()
                due = max(due + 1 / fps, now)
            way = GLIDE / fps if fps else 0.0
            self.draw(self.window.canvas, (time.perf_counter() - self._moved) / way if way > 1 / 30 else 1.0)
            self.window.show(fps=60)

    def advance(self) -> None:
        """One step for everybody whose game is not over."""
        person, rival = self.person, self.rival
        self._moved = time.perf_counter()
        keys = self.window.held | self._tapped if person.controls.fps else set(self._tapped)
        self._tapped.clear()
        if not person.over:
            if self.autopilot:
                person.follow_advice()
                self._helped = True
            else:
                person.step(keys)
        if rival is not None and not rival.ts.last[0]:
            rival.step()
        if person.over and not self._counted and (rival is None or rival.ts.last[0]):
            self._count()

    def _count(self) -> None:
        """Enters the finished game."""
        person, rival = self.person, self.rival
        self._counted, self._ended = True, time.perf_counter()
        self.finished.append(person.score)
        place = None if self._helped else self.scores.add(person.spec.id, person.score, person.steps)
        if rival is not None:
            theirs = rival.episodes[0].trace.returns[-1]
            if not self._helped:
                self.wins += person.score > theirs
                self.losses += person.score < theirs
            you = "With its help you win" if self._helped else "You win"
            won = you if person.score > theirs else "The agent wins" if person.score < theirs else "A draw"
            self.verdict = f"{won}, {points(person.score)} to {points(theirs)}"
        else:
            self.verdict = "A new best!" if place == 1 and self.best is not None else "Game over"
        if place is not None:
            self.best = person.score if self.best is None else max(self.best, person.score)
        if self.scores.trouble:
            self._say(self.scores.trouble, 6.0)

    def restart(self) -> None:
        """The next game, for both."""
        self.person.restart()
        if self.rival is not None:
            self.rival.restart()
        self._counted, self._helped, self.verdict, self.paused = False, False, "", False

    def _events(self) -> bool:
        """Handles what was typed. False when the window was closed."""
        for event in self.window.events():
            if event.kind == "close" or (event.kind == "press" and event.key == "escape"):
                return False
            if event.kind == "press":
                self._press(event.key)
        return True

    def _press(self, key: str) -> None:
        # Who was still firing when the game ended did not mean to begin another one.
        again = key == "return" or (key == "space" and time.perf_counter() - self._ended > 1.0)
        if self._counted and again:
            self.restart()
            return
        if key in self.person.controls.keys:
            self._tapped.add(key)  # a tap between two steps still counts: it is the action of the next frame
            if self.person.controls.chooses(key):
                return
        match key:
            case "p":
                self.paused = not self.paused
            case "h" | "f1":
                self.help = not self.help
            case "return" | "backspace":
                self.restart()
            case "+" | "=" | "[+]":
                self.speed = SPEEDS[min(SPEEDS.index(self.speed) + 1, len(SPEEDS) - 1)]
            case "-" | "[-]":
                self.speed = SPEEDS[max(SPEEDS.index(self.speed) - 1, 0)]
            case "tab":
                self._hand_over()

    def _hand_over(self) -> None:
        if self.rival is None:
            self._say("there is no agent at the table: rl play ENV --vs RUN")
            return
        self.autopilot = not self.autopilot
        self._say("the agent plays for you; TAB takes back" if self.autopilot else "you play")

    def _say(self, words: str, seconds: float = 3.0) -> None:
        self.note, self._note_until = words, time.perf_counter() + seconds

    # drawing

    def draw(self, canvas: Canvas, part: float = 1.0) -> None:
        """Paints the whole frame; below 1, things are that far on their way, in games that can be shown so."""
        from envs import drawing
        from runs.panels import draw_help, draw_note, unit_of

        person, rival = self.person, self.rival
        person.look(part)
        if rival is not None:
            rival.look(part)
        unit = unit_of(canvas)
        bar = unit * 2.3
        canvas.fill(drawing.INK)
        self._header(canvas, unit, bar)
        width, height = canvas.width, canvas.height - bar
        seats = [("you", person.score, person.picture, person.over)]
        if rival is not None:
            theirs = rival.episodes[0].trace.returns[-1]
            seats.append((agents.title(rival.agent.config), theirs, rival.pictures[0], bool(rival.ts.last[0])))
        across = len(seats) if width >= height else 1
        wide, high = width / across, height / (len(seats) // across)
        for k, (name, score, picture, over) in enumerate(seats):
            seat = canvas.part(k % across * wide, bar + k // across * high, wide, high)
            top = unit * 2.2 if rival is not None else 0.0
            box = seat.picture(picture, 4, top + 2, seat.width - 8, seat.height - top - 6, self._stretch)
            if rival is not None:
                seat.text(name, unit, top / 2, unit * 1.1, (drawing.CYAN, drawing.VIOLET)[k])
                seat.text(points(score), wide - unit, top / 2, unit * 1.4, drawing.YELLOW, "right")
                if over:
                    seat.rect(*box, (*drawing.INK, 140))
        if self.verdict:
            middle = bar + height * 0.5
            canvas.rect(0, middle - unit * 2.6, width, unit * 5.2, (*drawing.INK, 225))
            canvas.text(self.verdict, width / 2, middle - unit * 0.7, unit * 2, drawing.TEXT, "centre")
            canvas.text("ENTER plays again", width / 2, middle + unit * 1.3, unit, drawing.MUTED, "centre")
        elif time.perf_counter() < self._note_until:
            draw_note(canvas, self.note, unit)
        if self.help:
            draw_help(canvas, self.legend(), unit)

    def legend(self) -> list[tuple[str, str]]:
        """Keys and what they do here."""
        more = [("P", "pause"), ("BACKSPACE", "new game"), ("+  -", "faster, slower")]
        if self.rival is not None:
            more.append(("TAB", "let the agent play, take back"))
        return [*self.person.controls.legend()[:9], *more, ("ESC", "quit")]

    def _header(self, canvas: Canvas, unit: float, bar: float) -> None:
        from envs import drawing

        person = self.person
        canvas.rect(0, 0, canvas.width, bar, drawing.PANEL)
        canvas.rect(0, bar - 1, canvas.width, 1, drawing.EDGE)
        middle, x = bar * 0.48, unit * 0.7
        x += canvas.text(person.spec.id, x, middle, unit * 1.15, drawing.TEXT) + unit * 1.2
        cells = [("score", points(person.score), drawing.YELLOW)]
        if self.best is not None:
            cells.append(("best", points(max(self.best, person.score)), drawing.GREEN))
        if self.rival is not None:
            cells.append(("you : agent", f"{self.wins} : {self.losses}", drawing.CYAN))
        for label, value, colour in cells:
            x += canvas.text(label, x, middle + unit * 0.1, unit * 0.8, drawing.MUTED) + unit * 0.4
            x += canvas.text(value, x, middle, unit * 1.3, colour) + unit * 1.2
        right = canvas.width - unit * 0.7
        words = "PAUSED" if self.paused else "AGENT PLAYS" if self.autopilot else f"{self.speed:g}x"
        colour = drawing.YELLOW if self.paused or self.autopilot else drawing.MUTED
        canvas.text(words, right, middle, unit * 0.9, colour, "right")
