"""Pictures of the games and of the viewer: `python -m runs.watching.gallery [--out DIR] [RUN ...]`.

Without runs the arcade games; each RUN adds the viewer as it looks for that agent. The README's own are made by
`--out docs/pictures`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl.errors import InputError
from runs.watching.video import grid

FOLDER = Path("runs/out/pictures")

SIZE = (480, 360)

Policy = Callable[[Any, np.random.Generator], int]


def gallery(runs: Sequence[str | Path] = (), folder: str | Path = FOLDER) -> list[Path]:
    """Writes arcade.png (the five games) and viewer-<env>.png (then -2, -3 ...) for each run. Returns the files."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder} cannot be made: {error.strerror}; name another folder") from error
    files = [save(grid([*arcade(), card()], columns=3, gap=6, shade=28), folder / "arcade.png")]
    names = [f"viewer-{_name(run)}" for run in runs]
    for i, run in enumerate(runs):
        before = names[:i].count(names[i])
        files.append(save(viewer(run), folder / f"{names[i]}{f'-{before + 1}' if before else ''}.png"))
    return files


def arcade() -> list[np.ndarray]:
    """One picture of each arcade game, some way into a game."""
    from envs.arcade import GAMES, ArcadeEnv
    from envs.arcade.picture import draw_scene
    from envs.arcade.scene import scene

    pictures = []
    for game in GAMES:
        env = ArcadeEnv(game, sticky_action_prob=0.0)
        rng, best = np.random.default_rng(1), 0.0
        picture = np.zeros((*SIZE[::-1], 3), np.uint8)
        for seed in range(4):
            env.reset(seed=seed)
            for _ in range(150):
                before = env.state.copy()
                _, _, terminated, truncated, _ = env.step(_POLICIES[game](env.state, rng))
                if terminated or truncated:
                    break
                shown = scene(game, env.state, before)
                lively = len(shown.sprites) * (0.3 if game == "Breakout" else 1.0) + shown.score
                if lively > best:
                    best, picture = lively, draw_scene(shown, SIZE)
        env.close()
        pictures.append(picture)
    return pictures


def card() -> np.ndarray:
    """A picture with the commands to type, in place of a sixth game."""
    from envs import drawing

    canvas = drawing.Canvas(*SIZE)
    canvas.fill(drawing.INK)
    canvas.text("Play them:", SIZE[0] / 2, SIZE[1] * 0.36, 26, drawing.MUTED, "centre")
    canvas.text("rl play Arcade/Seaquest-v1", SIZE[0] / 2, SIZE[1] * 0.47, 30, drawing.YELLOW, "centre")
    canvas.text("Train on them:", SIZE[0] / 2, SIZE[1] * 0.60, 26, drawing.MUTED, "centre")
    canvas.text("rl train Arcade/Breakout-v1", SIZE[0] / 2, SIZE[1] * 0.71, 30, drawing.CYAN, "centre")
    return canvas.array()


def viewer(run: str | Path, steps: int = 1_000, known: int = 120) -> np.ndarray:
    """`rl watch` at the best moment of `steps` steps: `known` steps of the future are known, and much is won."""
    from envs.drawing import Canvas, no_display
    from runs.training.evaluation import load_run
    from runs.watching.frame import draw_view
    from runs.watching.player import Player

    agent, recipe = load_run(run, device="cpu")
    canvas, best = Canvas(800, 600), (-1, 0.0)
    with no_display(), Player(agent, recipe) as player:
        for _ in range(steps):
            player.step()
            trace = player.episodes[0].trace
            moment = (min(trace.known, known), trace.returns[-1])
            if moment > best and not player.ts.last[0]:
                best = moment
                player.fetch()
                draw_view(canvas, player.view())
    return canvas.array()


def save(picture: np.ndarray, path: Path) -> Path:
    from PIL import Image

    Image.fromarray(picture).save(path, optimize=True)
    return path


def _name(run: str | Path) -> str:
    from runs.folder.run_folder import resolve

    env = resolve(run).manifest["extra"]["recipe"]["env"]
    return env.removesuffix("-v1").replace("/", "-").replace(":", "-").lower()


def _follow_the_ball(s: Any, rng: np.random.Generator) -> int:
    target = int(s["ball_x"] + s["dx"] * (1 if s["dy"] > 0 else 0))
    return 0 if s["paddle"] == target else 1 if s["paddle"] > target else 2


_POLICIES: dict[str, Policy] = {
    "Breakout": _follow_the_ball,
    "Asterix": lambda s, rng: int(rng.integers(5)),
    "Freeway": lambda s, rng: 1,
    "Seaquest": lambda s, rng: 4 if s["y"] < 3 else int(rng.choice([1, 3, 4, 2, 5, 5])) if s["y"] > 1 else 0,
    "SpaceInvaders": lambda s, rng: int(rng.choice([0, 1, 2, 3, 3])),
}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="gallery", description="Draw the arcade games, and the viewer for each RUN.")
    parser.add_argument("runs", metavar="RUN", nargs="*")
    parser.add_argument("--out", metavar="DIR", default=FOLDER, help=f"default {FOLDER}")
    args = parser.parse_args()
    try:
        for file in gallery(args.runs, args.out):
            print(file)
    except InputError as error:
        print(f"gallery: {error}", file=sys.stderr)
        sys.exit(2)
