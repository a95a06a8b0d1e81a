"""Films of games, drawn without a display."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runs.watching.player import Player
from runs.watching.video import VideoWriter, check_ending

if TYPE_CHECKING:
    from agents.base import Agent
    from envs.drawing import Canvas
    from runs.recipe import Run


SIZE = (800, 600)

LONGEST = 27_000
"""Steps after which a video leaves a game that has no end of its own: half an hour of Atari."""


def film(
    agent: Agent,
    run: Run,
    path: str | Path,
    *,
    episodes: int = 1,
    seed: int = 0,
    size: tuple[int, int] = SIZE,
    longest: int = 2_000,
) -> Path:
    """Writes a video of an agent, which may be in training, because it acts on a separate stream. Returns `path`.

    Creates the folder. A game stops after `longest` steps, because the training waits for the film.
    """
    from envs.drawing import no_display

    check_ending(path)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with no_display(), Player(agent, run, seed=seed, games=episodes) as player:
        write_film(player, Path(path), episodes, size, longest)
    return Path(path)


def write_film(player: Player, path: Path, episodes: int, size: tuple[int, int], longest: int = LONGEST) -> None:
    """Writes `episodes` games, each frame as soon as it is drawn."""
    from envs.drawing import Canvas

    canvas = Canvas(*size)
    fps = frames_per_second(player)
    limit = player.agent.spec.max_episode_steps
    end = longest if limit is None else min(limit, longest)
    with VideoWriter(path, fps) as out:
        held = round(fps)  # the end of the last game stays for a second
        while held > 0:
            player.fetch()
            draw(canvas, player)
            out.write(canvas.array())
            if len(player.finished) >= episodes or len(player.episodes[0].trace.values) > end:
                held -= 1
            else:
                player.refresh()
                player.step()


def frames_per_second(player: Player) -> float:
    return (player.controls.fps if player.controls is not None else 0.0) or 4.0


def draw(canvas: Canvas, player: Player) -> None:
    """One frame: the game and what the agent thinks, or all games of a grid."""
    from runs.watching.frame import draw_grid, draw_view

    if player.num_envs == 1:
        draw_view(canvas, player.view())
    else:
        draw_grid(canvas, [player.view(i) for i in range(player.num_envs)])
