"""An environment that kills the process which started its training, the first time only: a node lost on the way."""

import os
import signal
import sys
from pathlib import Path

import gymnasium


class Dying(gymnasium.Wrapper):
    """CartPole with a past. `flag` is a file that says whether the node has been lost already."""

    def __init__(self, flag: str, **options: object) -> None:
        super().__init__(gymnasium.make("CartPole-v1", **options))
        if "runs.comparing.worker" in sys.orig_argv and not Path(flag).exists():
            Path(flag).touch()
            os.kill(os.getppid(), signal.SIGKILL)
