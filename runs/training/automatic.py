"""When a run saves and evaluates if its recipe does not say: by time, within a small share of the training's time.

Neither changes what is learned. Two runs of the same seed may evaluate at different steps, because this depends on the
machine's speed, but at the same step they score the same.
"""

from __future__ import annotations

SAVE_SECONDS = 50.0
"""Seconds of training between two saves: with an evaluation in between, a kill costs at most a minute."""
FIRST_SAVE = 10.0
"""Seconds of training before the first save, so that a viewer soon has something to show."""
WATCHED_SECONDS = 5.0
"""Seconds of training between two saves while a viewer follows the run."""
SAVE_SHARE = 0.02
"""Largest share of the training's time that saves may take."""
EVALUATIONS = 10
"""Evaluations along the way, if there is time for all of them."""
EPISODES = 5
"""Games of an automatic evaluation."""
EVALUATION_SHARE = 0.1
"""Largest share of the training's time that evaluations may take."""


class SaveClock:
    """Decides when to save, by seconds of training and by what earlier saves cost."""

    def __init__(self, watched: bool = False) -> None:
        self._period = WATCHED_SECONDS if watched else SAVE_SECONDS
        self._next = min(FIRST_SAVE, self._period)
        self._earliest = 0.0

    def due(self, seconds: float) -> bool:
        """Whether a save is due after `seconds` of training."""
        return seconds >= self._next

    def allows(self, seconds: float) -> bool:
        """Whether a save now, such as after an evaluation, stays within the share of time."""
        return seconds >= self._earliest

    def saved(self, seconds: float, cost: float) -> None:
        """Notes a save that took `cost` seconds after `seconds` of training."""
        self._earliest = seconds + cost / SAVE_SHARE
        self._next = max(seconds + self._period, self._earliest)


class EvaluationBudget:
    """Decides whether an automatic evaluation fits into its share of the training's time."""

    def __init__(self) -> None:
        self._spent = 0.0
        self._seconds_a_step: float | None = None

    def allows(self, seconds: float, steps: int, length: float | None, games: int) -> bool:
        """Whether `games` games of about `length` steps fit after `seconds` and `steps` of training.

        Before the first evaluation, a game's step is assumed to cost as much as a training step, an overestimate.
        `length` is None before the first training episode has ended: then nothing is evaluated.
        """
        if length is None:
            return False
        a_step = seconds / max(steps, 1) if self._seconds_a_step is None else self._seconds_a_step
        return self._spent + games * length * a_step <= EVALUATION_SHARE * seconds

    def evaluated(self, cost: float, steps: int) -> None:
        """Notes an evaluation of `steps` steps that took `cost` seconds."""
        self._spent += cost
        self._seconds_a_step = cost / max(steps, 1)
