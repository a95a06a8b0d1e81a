"""A game between a person and an agent, side by side."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import agents
from runs.watching.camera import GLIDE
from runs.watching.high_scores import Scores
from runs.watching.person import Person

if TYPE_CHECKING:
    from envs.drawing import Canvas, Window
    from runs.watching.player import Player


SPEEDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)


def points(score: float) -> str:
    """A score as a player reads it: hundredths at the finest, and no exponent."""
    return f"{round(score, 2) + 0.0:,.12g}"


class Table:
    """The play loop: keys to actions at the game's speed, pause, restart, scores, and the rival agent."""

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
        """Plays until the window is closed."""
        due = time.perf_counter() + 0.6  # so that the player sees the start
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
        """One step for each player whose game is not over."""
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
        """Paints the whole frame; with `part` below 1, things stand at that part of their way, if the game can."""
        from envs import drawing
        from runs.watching.frame import draw_help, draw_note, unit_of

        person, rival = self.person, self.rival
        person.fetch(part)
        if rival is not None:
            rival.fetch(part)
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
