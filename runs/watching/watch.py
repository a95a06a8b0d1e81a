"""`rl watch`: the game drawn large and, beside it, what the agent thinks, in a window or as a video.

    watch("runs/out/demo")                                  # a window
    watch("runs/out/demo", video="game.webm")               # the same without a display
    watch("runs/out/training", follow=True)                 # always the newest checkpoint of a running training

The agent plays on its own stream, so nothing here can change a training.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rl.errors import InputError
from runs.folder.trust import Trust, UntrustedError
from runs.watching.film import SIZE, write_film
from runs.watching.follow import Follower
from runs.watching.player import Player
from runs.watching.video import check_ending
from runs.watching.window import show_window


def watch(
    run: str | Path,
    *,
    video: str | Path | None = None,
    episodes: int | None = None,
    grid: int | None = None,
    seed: int | None = None,
    sample: bool | None = None,
    follow: bool = False,
    paused: bool = False,
    size: tuple[int, int] = SIZE,
    trust: Trust = False,
) -> dict[str, Any]:
    """Shows a trained agent at play.

    video: write .webm, .mp4 or .gif instead of opening a window; `episodes` games of it, 1 (or `grid`) unless given.
    grid: number of games shown at once. sample: draw actions instead of taking the best; None: as the recipe evaluates.
    episodes: stop after this many games. They start as the games of an evaluation with `seed` do (None: the run's
    seed). One at a time they equal those games; in a grid, a policy that samples draws other actions.
    follow: attach to a running training and always play its newest good checkpoint. paused: begin paused.
    trust: import code that the run names, even if this machine did not write it.
    Returns `run`, `video`, and `returns` and `lengths` of the finished games. Raises `InputError` if there is no
    display, no checkpoint or no picture, and for another file ending.
    """
    if video is not None:
        check_ending(video)
    count = grid or 1
    if video is not None:
        from envs.drawing import no_display

        episodes = episodes or count
        if episodes < count:
            raise InputError(
                f"--grid {count} films {count} games at once, --episodes {episodes} are fewer: give {count} or more"
            )
        with no_display(), open_player(run, seed, count, sample, follow, episodes, trust) as player:
            write_film(player, Path(video), episodes, size)
            return {"run": str(run), "video": str(video), **player.results}
    from envs.drawing import require_display

    require_display()
    with open_player(run, seed, count, sample, follow, episodes, trust) as player:
        show_window(player, episodes, size, paused)
        return {"run": str(run), "video": None, **player.results}


def open_player(
    run: str | Path,
    seed: int | None = None,
    count: int = 1,
    sample: bool | None = None,
    follow: bool = False,
    games: int | None = None,
    trust: Trust = False,
) -> Player:
    """The loaded agent on `count` environments; waits for the first checkpoint if a training is followed."""
    from runs.training.evaluation import load_run

    source = Follower(run) if follow else None
    if source is not None:
        source.wait()
    for patience in reversed(range(10)):
        try:
            agent, recipe = load_run(run, device="cpu", trust=trust)
            break
        except UntrustedError:
            raise
        except InputError:
            if source is None or not patience:
                raise
            time.sleep(0.1)  # a training removes a checkpoint as soon as a newer one is whole
    seed = recipe.seed if seed is None else seed
    return Player(
        agent, recipe, seed=seed, num_envs=count, sample=sample, games=games, follower=source, folder=_folder(run)
    )


def _folder(run: str | Path) -> Path:
    """The run folder of a run or of one of its checkpoints."""
    path = Path(run)
    return path.parent.parent if path.parent.name == "checkpoints" else path
