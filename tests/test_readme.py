"""README claims what result files say, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from rl.stats import iqm
from runs.folder.places import RESULTS
from runs.recipe import recipe_names, resolve
from runs.recording.results import fingerprint, read_results
from runs.reporting.analysis import analyse, flat
from runs.reporting.comparison_file import read_comparison
from runs.reporting.wording import number

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
ROW = re.compile(r"^\| (\w+) \| ([-\d.]+)(?: \((\d+) seeds\))? \| ([\d,]+) \| ([\d.]+) \|$", re.MULTILINE)
REACHED = (ROOT / "docs" / "results.md").read_text()
CLAIMS = sorted({*ROW.findall(README), *ROW.findall(REACHED)})


def test_the_tables_are_found() -> None:
    table = README.split("## What it reaches")[1].split("\n## ")[0]
    assert len(ROW.findall(README)) == table.count("\n| ") - 1 > 5  # all rows but the header
    assert len(ROW.findall(REACHED)) == REACHED.count("\n| ") - 1 > 20


@pytest.mark.parametrize("claim", CLAIMS, ids=[claim[0] for claim in CLAIMS])
def test_a_claim_is_what_was_recorded(claim: tuple[str, ...]) -> None:
    recipe, score, seeds, steps, minutes = claim
    run = resolve(recipe)
    found = [r for r in read_results(RESULTS) if (r["recipe"], r["fingerprint"]) == (recipe, fingerprint(run))]
    assert {r["status"] for r in found} == {"ok"} and len(found) == int(seeds or 1)
    assert float(score) == round(float(iqm([r["score"]["mean"] for r in found])), 1)
    assert int(steps.replace(",", "")) == run.steps
    assert float(minutes) == round(float(np.median([r["seconds"] for r in found])) / 60, 1)


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_every_link_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text())
    lost = [link for link in links if "://" not in link and not ((ROOT / page).parent / link).exists()]
    assert not lost


VERDICTS = re.findall(r"^\| `([\w:]+)`.* \| (\S+ \[.*\]) \| (.*?) ?\|$", README, re.MULTILINE)


def test_the_verdicts_on_stable_baselines3_are_those_of_the_recorded_comparison() -> None:
    found = flat(analyse(read_comparison(RESULTS / "compare" / "cartpole-dqn")))
    (task,) = {c["task"] for c in found["contenders"]}
    assert task == "CartPole-v1" and {len(c["scores"]) for c in found["contenders"]} == {10}
    interval = {c["name"]: f"{number(c['iqm'])} [{', '.join(map(number, c['interval']))}]" for c in found["contenders"]}
    verdict = {p["b"]: p["verdict"] for p in found["pairs"] if p["a"] == "dqn"}
    assert [(name, interval[name], verdict.get(name, "")) for name in ("dqn", "sb3:dqn", "zoo:dqn")] == VERDICTS


AGENTS = (ROOT / "docs" / "arcade.md").read_text().split("## What agents reach")[1]
KINDS = {
    "PPO 10M": "ppo_10m",
    "PPO 2M": "ppo",
    "PQN 10M": "pqn",
    "Rainbow 1M": "rainbow",
    "DQN 1M": "dqn",
    "C51 1M": "c51",
    "QR-DQN 1M": "qrdqn",
    "IQN 1M": "iqn",
}
"""Column -> the end of its recipes' names; the other columns are of peers."""
TABLES = [
    [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines() if not row.startswith("|--")]
    for table in re.findall(r"(?:^\|.*\n)+", AGENTS, re.MULTILINE)
]
ARCADE = [(row[0], column, cell) for head, *rows in TABLES for row in rows for column, cell in zip(head, row)]


@pytest.mark.parametrize(("game", "column", "cell"), [a for a in ARCADE if a[1] in KINDS])
def test_what_agents_reach_in_the_arcade_is_what_was_recorded(game: str, column: str, cell: str) -> None:
    name = f"arcade_{re.sub('(?<=[a-z])(?=[A-Z])', '_', game).lower()}_{KINDS[column]}"
    known = name in recipe_names()
    mark = fingerprint(resolve(name)) if known else None
    found = read_results(RESULTS) if known else []
    scores = {r["seed"]: r["score"]["mean"] for r in found if (r["recipe"], r["fingerprint"]) == (name, mark)}
    assert cell == (", ".join(f"{scores[seed]:.1f}" for seed in sorted(scores)) or "-"), name


def test_all_five_games_are_in_both_tables() -> None:
    for _, *rows in TABLES:
        assert [row[0] for row in rows] == ["Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders"]
    assert {column for _, column, _ in ARCADE} >= set(KINDS)


SPEED = re.findall(
    r"^\| (\w+) \| [^|]+ \| ([-\d.,]+) \| ([-\d.,]+) \| ([-\d.]+) \|$",
    (ROOT / "docs" / "speed.md").read_text(),
    re.MULTILINE,
)


def test_speeds_are_those_of_the_newest_file_that_has_them() -> None:
    newest = {}
    for path in sorted((RESULTS / "bench").glob("*.json")):  # named by date
        newest |= {r["name"]: r for r in json.loads(path.read_text())["results"]}

    def shown(x: float | None, digits: str = "") -> str:
        return "-" if x is None else format(x, digits or (",.0f" if x >= 1000 else ".4g"))

    assert len(SPEED) > 15
    for name, ours, peer, ratio in SPEED:
        r = newest[name]
        said = shown(r["ours"]), shown(r["peer"]), shown(r["ratio"], ".2f")
        assert (ours, peer, ratio) == said, name


JOINED = re.findall(
    r"^\| `([\w:@]+)`.* - `([\w:@]+)` \| ([-\d.]+) \| ([-\d.]+) to ([-\d.]+) \| ([a-z ]+) \|$", README, re.MULTILINE
)


@pytest.mark.parametrize("claim", JOINED, ids=[f"{claim[0]}-{claim[1]}" for claim in JOINED])
def test_every_verdict_over_the_classic_tasks_is_that_of_the_comparison(claim: tuple[str, ...]) -> None:
    a, b, difference, low, high, verdict = claim
    place = RESULTS / "compare" / ("classic-ppo" if "ppo" in a else "classic-dqn")
    pairs = flat(analyse(read_comparison(place)))["aggregate"]["pairs"]
    (pair,) = [p for p in pairs if (p["a"], p["b"]) == (a, b)]
    assert (pair["verdict"], pair["runs"]) == (verdict, {"classic-dqn": 10, "classic-ppo": 5}[place.name])
    assert [f"{x:.2f}" for x in (pair["difference"], *pair["interval"])] == [difference, low, high]


def test_pong_s_scores_are_those_of_the_comparison() -> None:
    found = flat(analyse(read_comparison(RESULTS / "compare" / "pong-ppo")))["contenders"]
    ours, theirs = (next(c for c in found if c["name"] == name)["scores"] for name in ("ppo", "zoo:ppo"))
    assert len(ours) == len(theirs) == 1
    assert f"our PPO {ours[0]:.1f}, SB3's PPO with the RL Zoo's values {theirs[0]:.1f}\n" in REACHED


def test_there_are_such_verdicts() -> None:
    assert len(JOINED) == 6


def test_breakouts_score_is_the_recorded_one() -> None:
    found = [r for r in read_results(RESULTS) if r["recipe"] == "breakout_ppo"]
    (score,) = (r["score"] for r in found if r["fingerprint"] == fingerprint(resolve("breakout_ppo")))
    assert f"{score['mean']:.1f} after 2,000,000 steps (one seed, {score['episodes']} games" in REACHED
