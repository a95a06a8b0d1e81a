"""The random policy's score: published where the protocol is the table's, kept where a worker has played it."""

from pathlib import Path
from typing import Any

import pytest

from runs.comparing import references
from runs.comparing.comparison import random_side
from runs.comparing.plan import make_plan


def task(env: str, *settings: str) -> Any:
    from runs.recipe import Run, default_run
    from runs.settings.apply import apply_settings

    run: Run = apply_settings(default_run(env, "dqn"), list(settings))
    return make_plan(run, ["random"]).tasks[0]


@pytest.mark.parametrize(
    ("settings", "score"),
    [((), 1.7), (("protocol=100k",), 1.7), (("protocol=dopamine",), None), (("protocol=machado",), None)],
)
def test_breakouts_published_score_counts_for_no_ops_without_sticky_actions(
    settings: tuple[str, ...], score: float | None
) -> None:
    assert references.published(task("ALE/Breakout-v5", *settings)) == score


def test_no_score_is_published_for_changed_games_and_for_others() -> None:
    assert references.published(task("ALE/Breakout-v5", "eval_max_steps=100")) is None
    assert references.published(task("ALE/Breakout-v5", "flicker=0.5")) is None
    assert references.published(task("CartPole-v1")) is None


def test_a_score_is_kept_for_the_same_games_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUDO_REFERENCES", str(tmp_path))
    side, longer = random_side(task("CartPole-v1")), random_side(task("CartPole-v1", "steps=70000"))
    other = random_side(task("CartPole-v1", "eval_max_steps=50"))
    played = {"status": "ok", "score": 22.5, "returns": [22.0, 23.0], "machine": {}}
    references.keep(side, {k: v for k, v in played.items() if k != "machine"})
    assert references.kept(side) is None, "only a worker's result is kept"
    references.keep(side, played)
    assert references.kept(side) == references.kept(longer) == 22.5 and references.kept(other) is None
    (file,) = tmp_path.iterdir()
    for damaged in ("{", "[]", '{"score": "22"}', '{"score": 1e999}'):
        file.write_text(damaged)
        assert references.kept(side) is None
    monkeypatch.setenv("LUDO_REFERENCES", "")
    references.keep(side, played)
    assert references.kept(side) is None
