"""`rl explain`: the numbers are right, the page shows them, and the run stays as it was."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from runs import train
from runs.cli import command_line as cli
from runs.explaining import tape
from runs.explaining.explain import explain
from runs.explaining.subject import Subject
from runs.explaining.update import update_panel
from tests.runs.reporting import chromium

SMALL = {"eval_every": 0, "eval_episodes": 1, "eval_max_steps": 30, "snapshots": 4}
RUNS: dict[str, dict[str, Any]] = {
    "dqn": {"recipe": "CartPole-v1", "agent": "dqn", "steps": 1_400, "settings": {**SMALL, "hidden": [24, 16]}},
    "ppo": {
        "recipe": "CartPole-v1",
        "agent": "ppo",
        "steps": 512,
        "settings": {**SMALL, "rollout": 128, "minibatch_size": 64, "hidden": [24, 16]},
    },
    "cnn": {
        "recipe": "arcade_breakout_dqn",
        "steps": 1_200,
        "settings": {**SMALL, "learning_starts": 200, "batch_size": 8},
    },
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run folder of each kind of network."""
    root = tmp_path_factory.mktemp("explained")
    for name, how in RUNS.items():
        train(how["recipe"], out=root / name, **{k: v for k, v in how.items() if k != "recipe"})
    return {name: root / name for name in RUNS}


def digests(folder: Path) -> dict[str, str]:
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != "explain.html")
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.parametrize("name", RUNS)
def test_every_gradient_by_our_chain_rule_equals_autograds(trained: dict[str, Path], name: str) -> None:
    shown = update_panel(Subject.open(trained[name]))
    assert shown["without_rule"] == [] and shown["agrees"] and shown["difference"] < 1e-12
    assert all(node["ok"] and node["own"] for node in shown["nodes"])
    assert shown["nodes"][-1]["shape"] == [] and shown["nodes"][-1]["value"]["mean"] == pytest.approx(shown["loss"])
    assert shown["step"]["ok"] and shown["step"]["t"] > 1, "the moments are those of the run"
    kinds = {node["name"] for node in shown["nodes"]}
    assert {"dqn": "huber_loss", "ppo": "log_softmax", "cnn": "conv2d"}[name] in kinds


def test_the_shown_update_is_the_one_that_the_run_would_make_next(trained: dict[str, Path]) -> None:
    """The gradient norm of the page's batch is the one that the agent's own `learn` reports."""
    shown = update_panel(Subject.open(trained["dqn"]))
    agent = Subject.open(trained["dqn"]).agent
    agent.load_learner_state(torch_learner(trained["dqn"]))
    metrics = agent.learn(agent.sample())  # type: ignore[attr-defined]
    assert float(metrics["grad_norm"]) == pytest.approx(shown["step"]["norm"], rel=1e-4)
    assert float(metrics["loss"]) == pytest.approx(shown["loss"], rel=1e-4)


def torch_learner(folder: Path) -> Any:
    from rl import checkpoint

    return checkpoint.load_tree(checkpoint.newest_good(folder)[0], "learner")


def test_each_rule_equals_pytorchs_derivative() -> None:
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    weight = torch.rand(4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    functional = torch.nn.functional
    losses = [
        lambda: functional.silu(x).sum(),
        lambda: functional.elu(x).mean(),
        lambda: functional.layer_norm(x, (4,), weight, weight * 2).square().sum(),
        lambda: (torch.cat([x, x * weight], 1)[:, 1:6] / (2 + weight[0])).exp().sum(0).sum(),
        lambda: x.softmax(-1).clamp(0.1, 0.3).square().sum(1, keepdim=True).add(x).mean(),
        lambda: torch.where(x > 0, x.square(), -x).sqrt().log().sum(-1).mean(),
        lambda: functional.conv2d(x.view(1, 1, 3, 4), weight.view(1, 1, 2, 2), stride=1, padding=1).square().sum(),
    ]
    for loss in losses:
        with tape.Tape() as recorded:
            loss()
        checks = tape.check(recorded.operations, tape.chain_rule(recorded.operations))
        assert max(max(c) for c in checks) < 1e-12, [op.name for op in recorded.operations]


def test_a_function_without_a_rule_takes_pytorchs_derivative_and_is_named() -> None:
    x = torch.ones(2, dtype=torch.float64).requires_grad_()
    with tape.Tape() as recorded:
        x.sin().sum()
    assert [op.own for op in recorded.operations] == [False, True]
    found = tape.chain_rule(recorded.operations)
    assert torch.equal(found[id(x)], x.detach().cos())


def test_the_runs_stay_bit_equal(trained: dict[str, Path]) -> None:
    before = {name: digests(folder) for name, folder in trained.items()}
    for folder in trained.values():
        explain(folder)
    assert {name: digests(folder) for name, folder in trained.items()} == before


def test_the_command_prints_the_numbers_as_json(trained: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", str(trained["dqn"]), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["schema"] == 1 and found["runs"][0]["update"]["agrees"]
    assert Path(found["html"]) == trained["dqn"] / "explain.html" and found["bytes"] < 5_000_000


def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", str(tmp_path)]) == 2
    assert "neither a run folder" in capfd.readouterr().err


def test_snapshots_keep_checkpoints_spread_over_the_training(trained: dict[str, Path]) -> None:
    assert len(list((trained["dqn"] / "checkpoints").iterdir())) == 4
    subject = Subject.open(trained["dqn"])
    assert list(subject.checkpoints) == [350, 700, 1_050, 1_400] and subject.steps() == [0, 350, 700, 1_050, 1_400]
    assert subject.missing == []


@pytest.mark.skipif(not chromium.AVAILABLE, reason=chromium.REASON)
def test_a_wrong_derivative_is_marked_on_the_page(
    trained: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tape.Rule("g where x > 0, else 0", lambda g, y, x, **_: (g * (x > 0) * 1.001,))
    monkeypatch.setitem(tape.RULES, "relu", wrong)
    page = Path(explain(trained["dqn"], out=tmp_path / "wrong.html")["html"])
    with chromium.Chromium() as browser:
        browser.open(page)
        marked = browser.js("[...document.querySelectorAll('#update g.op.wrong .name')].map((t) => t.textContent)")
        assert marked == ["relu ≠", "relu ≠"]
        assert browser.js("document.querySelectorAll('#update g.op.differs').length") > 0, "what lies before them"
        assert "differs" in browser.js("document.querySelector('#update .bad').textContent")
        assert "are wrong" in browser.js("document.querySelector('.verdict').textContent")


@pytest.mark.skipif(not chromium.AVAILABLE, reason=chromium.REASON)
def test_the_page_opens_offline_without_a_console_line_and_fits_the_window(
    trained: dict[str, Path], tmp_path: Path
) -> None:
    page = Path(explain(trained["cnn"], trained["dqn"], out=tmp_path / "two.html")["html"])
    with chromium.Chromium() as browser:
        for width in (1200, 400):
            for dark in (False, True):
                browser.resize(width, 900)
                browser.media(dark=dark)
                browser.open(page)
                assert browser.js("document.documentElement.scrollWidth") == width
        browser.js("document.querySelector('#update g.op').dispatchEvent(new MouseEvent('click'))")
        assert "conv2d" in browser.js("document.querySelector('#update h3 + .facts, #update .columns h3').textContent")
        assert browser.problems == [] and {r.partition(":")[0] for r in browser.requests} <= {"file", "data"}
