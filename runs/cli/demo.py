"""`make demo`: trains an agent in front of you, then leaves a video of two games and its learning curve."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from runs import cli
from runs.folder.places import OUT

RECIPE = "arcade_space_invaders_ppo"

SETTINGS = ("--steps", "500_000", "--set", "lr=1e-3:0:2_000_000", "--set", "eval_episodes=20")
"""The first quarter of the recipe: 36 to 51 points, by processor and threads, where random play makes 3 (20 games).

The learning rate falls as in the whole recipe; brought to zero within 450,000 steps it left 29."""


def main() -> int:
    """Trains, films, draws and prints where the files are. Returns the first exit status that is not 0, else 0."""
    folder = OUT / f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
    video, picture = folder / "videos" / "demo.webm", folder / "learning-curve.png"
    print(f"training {RECIPE} (about two minutes); Ctrl-C stops and saves", flush=True)
    status = cli.main(["train", RECIPE, *SETTINGS, "--out", str(folder), *sys.argv[1:]])
    if status:
        return status
    from runs.watching.learning_curve import learning_curve  # imports matplotlib, which training does not need

    learning_curve(folder, picture)
    video.parent.mkdir(exist_ok=True)
    status = cli.main(["watch", str(folder), "--video", str(video), "--episodes", "2", "--quiet"])
    if status:
        return status
    for what, path in (("video", video), ("learning curve", picture)):
        print(f"{what + ':':15} {path.resolve()}")
    rl = Path(sys.executable).with_name("rl")
    near = rl.relative_to(Path.cwd()) if rl.is_relative_to(Path.cwd()) else rl
    print(f"{'watch it:':15} {near} watch {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
