"""`rl explain`: the numbers are right, the page shows them, and the run stays as it was."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rl.interface import TimeStep
from runs import train
from runs.cli import command_line as cli
from runs.explaining import history, sight, surface, tape
from runs.explaining.explain import PANELS, _states, expected, explain
from runs.explaining.subject import NotShown, Subject
from runs.explaining.update import update_panel
from tests.runs.reporting import chromium

SMALL = {"eval_every": 0, "eval_episodes": 1, "eval_max_steps": 30, "snapshots": 4}
RUNS: dict[str, dict[str, Any]] = {
    "dqn": {
        "recipe": "CartPole-v1",
        "agent": "dqn",
        "steps": 800,
        "settings": {**SMALL, "learning_starts": 100, "hidden": [24, 16]},
    },
    "ppo": {
        "recipe": "CartPole-v1",
        "agent": "ppo",
        "steps": 512,
        "settings": {**SMALL, "rollout": 128, "minibatch_size": 64, "hidden": [24, 16]},
    },
    "sac": {
        "recipe": "Pendulum-v1",
        "agent": "sac",
        "steps": 300,
        "settings": {**SMALL, "learning_starts": 100, "batch_size": 16, "hidden": [16, 16]},
    },
    "cnn": {
        "recipe": "arcade_breakout_dqn",
        "steps": 600,
        "settings": {**SMALL, "learning_starts": 100, "batch_size": 8},
    },
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run folder of each kind of network."""
    root = tmp_path_factory.mktemp("explained")
    for name, how in RUNS.items():
        train(how["recipe"], out=root / name, **{k: v for k, v in how.items() if k != "recipe"})
    return {name: root / name for name in RUNS}


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Fewer states and points, so that a page takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sight, "ROWS", 40)
        patch.setattr(surface, "SIZE", 5)
        yield


@pytest.fixture(scope="module")
def explained(trained: dict[str, Path]) -> dict[str, Any]:
    """What `explain` found in each run, and the digests of all files before."""
    before = {name: digests(folder) for name, folder in trained.items()}
    return {"before": before, **{name: explain(folder)["runs"][0] for name, folder in trained.items()}}


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
    assert {"dqn": "huber_loss", "ppo": "log_softmax", "sac": "tanh", "cnn": "conv2d"}[name] in kinds


def test_gradients_of_a_network_that_reads_categories_equal_autograds(tmp_path: Path) -> None:
    """Its one-hot observations are made within the network, and must be float64 as all else."""
    settings = {**SMALL, "rollout": 16, "minibatch_size": 16, "hidden": [8]}
    train("FrozenLake-v1", agent="ppo", steps=200, out=tmp_path / "run", settings=settings)
    shown = update_panel(Subject.open(tmp_path / "run"))
    assert shown["agrees"] and shown["difference"] < 1e-12


def test_layers_that_do_not_read_the_observation_are_not_shown(tmp_path: Path) -> None:
    """IQN embeds its 32 fractions by a layer of their own, which has no row for each state."""
    settings = {**SMALL, "learning_starts": 50, "hidden": [8]}
    train("CartPole-v1", agent="iqn", steps=100, out=tmp_path / "run", settings=settings)
    found = explain(tmp_path / "run")["runs"][0]
    assert [layer["title"] for layer in found["sight"]["layers"]] == ["relu 1: 8"]


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
        lambda: functional.silu(x).masked_fill(x > 1, 2.0).sum(),
        lambda: torch.stack([x, functional.softplus(x).square()], 1).amin(1).mean(),
        lambda: functional.elu(x).mean(),
        lambda: functional.layer_norm(x, (4,), weight, weight * 2).square().sum(),
        lambda: (torch.cat([x, x * weight], 1)[:, 1:6] / (2 + weight[0])).exp().sum(0).sum(),
        lambda: torch.addcmul(x, weight, x).transpose(0, 1).movedim(0, 1).square().mean(),
        lambda: x.softmax(-1).clamp(0.1, 0.3).square().sum(1, keepdim=True).add(x).mean(),
        lambda: torch.where(x > 0, x.square(), -x).sqrt().log().sum(-1).mean(),
        lambda: torch.cat([x.detach(), x.chunk(2, 1)[1].unsqueeze(0).expand(2, 3, 2).flatten(1)[:, :4]]).exp().sum(),
        lambda: torch.stack([x, x.gather(1, torch.tensor([[0, 0, 3, 0]] * 3))]).square().sum(),
        lambda: functional.conv2d(x.view(1, 1, 3, 4), weight.view(1, 1, 2, 2), stride=1, padding=1).square().sum(),
    ]
    for loss in losses:
        with tape.Tape() as recorded:
            loss()
        tape.chain_rule(recorded.operations)
        assert tape.check(recorded.operations) < 1e-12, [op.name for op in recorded.operations]
        assert all(op.own and op.rule_gap < 1e-12 and op.chain_gap < 1e-12 for op in recorded.operations)


def test_an_lstm_cell_whose_h_depends_on_its_c_is_not_marked_as_wrong() -> None:
    """Autograd's gradient at c counts what flows through h too; a page of an LSTM called right gradients wrong."""
    cell = torch.nn.LSTMCell(2, 3).double()
    with tape.Tape() as recorded:
        h, c = cell(torch.ones(1, 2, dtype=torch.float64))
        h, c = cell(torch.ones(1, 2, dtype=torch.float64), (h, c))
        (h.sum() + c.square().sum()).exp()
    tape.chain_rule(recorded.operations)
    assert tape.check(recorded.operations) < 1e-12 and {"lstm_cell"} < {op.name for op in recorded.operations}


def test_a_function_without_a_rule_takes_pytorchs_derivative_and_is_named() -> None:
    x = torch.ones(2, dtype=torch.float64).requires_grad_()
    with tape.Tape() as recorded:
        x.sin().sum()
    assert [op.own for op in recorded.operations] == [False, True]
    found = tape.chain_rule(recorded.operations)
    assert torch.equal(found[id(x)], x.detach().cos())


def test_the_runs_stay_bit_equal(trained: dict[str, Path], explained: dict[str, Any]) -> None:
    assert {name: digests(folder) for name, folder in trained.items()} == explained["before"]
    assert all((folder / "explain.html").stat().st_size < 5_000_000 for folder in trained.values())


def test_the_command_prints_the_numbers_as_json(trained: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", str(trained["dqn"]), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["schema"] == 1 and found["runs"][0]["update"]["agrees"]
    assert Path(found["html"]) == trained["dqn"] / "explain.html" and found["bytes"] < 5_000_000
    (numbers,) = found["runs"]
    assert set(PANELS) <= set(numbers) and not any("why_not" in numbers[panel] for panel in PANELS)
    assert len(numbers["surface"]["loss"]) == 25 and numbers["surface"]["path"] and numbers["update"]["step"]["ok"]
    assert {"gradient", "weight", "flow", "dead", "dormant", "rank", "drift"} <= set(numbers["history"]["rows"][-1])
    assert {"saliency", "layers", "map", "neighbours", "value", "followed", "field"} <= set(numbers["sight"])


def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", str(tmp_path)]) == 2
    assert "neither a run folder" in capfd.readouterr().err


def test_snapshots_keep_checkpoints_spread_over_the_training(trained: dict[str, Path]) -> None:
    assert len(list((trained["dqn"] / "checkpoints").iterdir())) == 4
    subject = Subject.open(trained["dqn"])
    assert list(subject.checkpoints) == [200, 400, 600, 800] and subject.steps() == [0, 200, 400, 600, 800]
    assert subject.missing == []


def test_checkpoints_are_read_without_a_new_environment(
    trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An Atari game takes a second or more to make, which made a Pong page take longer than a minute."""
    subject = Subject.open(trained["cnn"])
    monkeypatch.setattr("envs.spec", lambda *_: pytest.fail("made a game to read a checkpoint"))
    assert [subject.at(step).step for step in subject.steps()] == subject.steps()


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
        assert "wrong operations are marked" in browser.js("document.querySelector('.verdict').textContent")
        browser.settle()
        boxes = "['.graph', '.graph .chosen'].map((s) => document.querySelector(s).getBoundingClientRect())"
        inside = f"(([a, b]) => b.top >= a.top && b.bottom <= a.bottom)({boxes})"
        assert browser.js(inside), "the graph opens on the wrong operation"


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


def test_the_return_that_followed_is_the_discounted_sum_or_unknown() -> None:
    """One environment, gamma 0.5: a death after two rewards is known, a cut by the last row is not."""

    def row(reward: float, discount: float = 1.0, first: bool = False) -> TimeStep:
        one = [np.array([x], np.float32) for x in (reward, discount)]
        return TimeStep({}, None, np.zeros(1), *one, np.array([first]), np.zeros(1, bool), {})

    class Config:
        gamma, reward_clip = 0.5, 1.0

    after = [row(1.0), row(3.0, discount=0.0), row(0.0, first=True), row(1.0), row(1.0)]
    found = sight.returns_that_followed(after, Config())[:, 0]
    assert found[:2].tolist() == [1.0 + 0.5 * 1.0, 1.0] and np.isnan(found[2:]).all()


def test_the_effective_rank_counts_the_singular_values_that_hold_99_percent() -> None:
    assert history.effective_rank(torch.diag(torch.tensor([50.0, 49.0, 0.5, 0.5]))) == 2
    assert history.effective_rank(torch.eye(4)) == 4 and history.effective_rank(torch.zeros(3, 2)) == 0


def test_directions_have_the_norm_of_each_filter_and_leave_biases() -> None:
    weights = [torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.ones(2)]
    found = surface.filter_normalised(torch.tensor([1.0, 0.0, 2.0, 0.0, 1.0, 1.0]), weights)
    assert torch.allclose(found, torch.tensor([5.0, 0.0, 1.0, 0.0, 0.0, 0.0]))


def test_a_path_within_the_plane_is_found_again() -> None:
    plane = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    places, share = surface.project(torch.tensor([[3.0, 2.0, 0.0], [0.0, 0.0, 1.0]]), plane)
    assert places[0].tolist() == pytest.approx([1.0, 2.0]) and places[1].tolist() == pytest.approx([0.0, 0.0])
    assert share == pytest.approx(13 / 14)


def test_the_surface_is_as_fine_as_the_time_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each evaluation takes one second of a made-up clock; every grid has the middle, and no point is asked twice."""
    monkeypatch.setattr(surface, "SIZE", 51)
    clock = {"now": 0.0}
    asked: list[tuple[float, float]] = []
    monkeypatch.setattr(surface.time, "monotonic", lambda: clock["now"])

    def loss(x: float, y: float) -> float:
        clock["now"] += 1.0
        asked.append((x, y))
        return x + 10 * y

    for seconds, size in ((0, 3), (9, 3), (200, 11), (1000, 25), (9000, 51)):
        clock["now"] = 0.0
        asked.clear()
        axis, losses = surface.refined(loss, 1.0, seconds)
        assert len(axis) == size and losses == [x + 10 * y for y in axis for x in axis]
        assert len(asked) == len(set(asked)) <= max(9, seconds + 2) and pytest.approx(axis[size // 2]) == 0.0


def test_two_clusters_stay_apart_on_the_map_of_neighbours() -> None:
    features = torch.randn(60, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features[30:] += 10.0
    found = sight.tsne(features, perplexity=10.0)
    inside = [torch.cdist(found[k : k + 30], found[k : k + 30]).amax(1) for k in (0, 30)]
    between = torch.cdist(found[:30], found[30:]).min()
    assert float(between) > float(max(x.median() for x in inside)) / 2 and found.isfinite().all()
    assert (torch.cdist(found, found).fill_diagonal_(torch.inf).argmin(1) < 30).tolist() == [True] * 30 + [False] * 30


def test_a_table_has_no_layers_and_each_panel_says_so(tmp_path: Path) -> None:
    train("CliffWalking-v1", agent="q_learning", steps=200, settings={**SMALL, "snapshots": 0}, out=tmp_path / "q")
    page = explain(tmp_path / "q")
    found = page["runs"][0]
    assert all("why_not" in found[panel] for panel in ("update", "history", "sight", "surface"))
    assert "without a network of layers" in found["history"]["why_not"]
    assert "a table learns entry by entry" in found["update"]["why_not"]
    assert "No panel applies" in Path(page["html"]).read_text(encoding="utf-8")


def test_memory_and_distributions_have_every_panel_from_a_single_checkpoint(tmp_path: Path) -> None:
    """An LSTM's hidden row has one axis more, and C51's support and targets are tensors of the agent itself."""
    settings = {**SMALL, "snapshots": 0, "hidden": [8, 8]}
    lstm = {**settings, "core": "lstm", "core_size": 8, "rollout": 32, "minibatch_size": 32}
    train("CartPole-NoVelocity-v1", agent="ppo", steps=128, settings=lstm, out=tmp_path / "lstm")
    train("CartPole-v1", agent="c51", steps=150, settings={**settings, "learning_starts": 50}, out=tmp_path / "c51")
    for name, without_rule in (("lstm", {"lstm", "lstm_cell", "chunk"}), ("c51", set())):
        found = explain(tmp_path / name)["runs"][0]
        assert not any("why_not" in found[panel] for panel in PANELS), name
        assert set(found["update"]["without_rule"]) <= without_rule and found["update"]["difference"] < 1e-12
        assert [row["step"] for row in found["history"]["rows"]] == [0, found["surface"]["path"][-1]["step"]]
        assert len(found["sight"]["layers"][0]["units"]) == len(found["sight"]["chosen"])
        assert found["missing"][0].startswith(f"Checkpoints of {name}: 1;")


def test_a_target_network_copied_at_each_checkpoint_is_said_to_be(explained: dict[str, Any]) -> None:
    """DQN's copies every 10 updates fall on all checkpoints here; without the sentence, 0 looks like a fault."""
    drift = [row["drift"] for row in explained["dqn"]["history"]["rows"]]
    assert explained["dqn"]["history"]["copied"] == (not any(gap for one in drift for gap in one.values()))
    assert explained["ppo"]["history"]["copied"] is False


def test_panels_run_in_one_thread_and_the_callers_threads_come_back(
    trained: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two, the page of an LSTM took six minutes beside other programs instead of one."""
    before = torch.get_num_threads()
    for panel in PANELS:
        monkeypatch.setitem(PANELS, panel, lambda _: {"why_not": f"{torch.get_num_threads()} thread"})
    found = explain(trained["dqn"], out=tmp_path / "threads.html")["runs"][0]
    assert {found[panel]["why_not"] for panel in PANELS} == {"1 thread"} and torch.get_num_threads() == before


def test_an_agent_that_searches_plays_no_games_for_a_page_that_cannot_show_them(
    trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """AlphaZero's page took 24 seconds of search, for panels that all said that they do not apply."""
    subject = Subject.open(trained["dqn"])
    subject.agent.plan = None  # type: ignore[attr-defined]
    monkeypatch.setattr("runs.explaining.explain.play", lambda *_, **__: pytest.fail("played"))
    assert _states(subject) is None
    with pytest.raises(NotShown, match="its actions come from a search"):
        subject.known_states()


def test_an_agent_of_ones_own_is_named_and_a_fault_of_ours_is_not_swallowed(trained: dict[str, Path]) -> None:
    subject = Subject.open(trained["dqn"])
    assert expected(subject) is NotShown
    subject.agent.__class__ = type("Mine", (type(subject.agent),), {"__module__": "mine"})
    assert expected(subject) is Exception


def test_the_panels_measure_the_run(explained: dict[str, Any]) -> None:
    """The middle of the surface is the loss of the update; the newest checkpoint ends the path and the curves."""
    found = {name: explained[name] for name in RUNS}
    for name, one in found.items():
        rows, plane = one["history"]["rows"], one["surface"]
        assert rows[0]["step"] == plane["path"][0]["step"] == 0
        assert rows[-1]["step"] == plane["path"][-1]["step"] == RUNS[name]["steps"]
        assert plane["loss"][12] == pytest.approx(one["update"]["loss"], rel=2e-3), "the 13th of 25 is in the middle"
        weights = {w["name"]: w["norm"] for w in one["update"]["weights"] if len(w["shape"]) > 1}
        assert rows[-1]["gradient"] == pytest.approx(weights, rel=1e-3)
        assert len(one["sight"]["map"]) == len(one["sight"]["value"]) == one["history"]["states"]
        assert all(0 <= share <= 1 for row in rows for share in {**row["dead"], **row["dormant"]}.values())
        flow = rows[-1]["flow"]
        assert flow[one["history"]["slowest"]] == min(flow.values()) and one["history"]["fastest"] in flow
    assert "drift" in found["dqn"]["history"]["rows"][-1] and "drift" not in found["ppo"]["history"]["rows"][-1]
    assert "entropy" in found["ppo"]["history"]["rows"][0] and "kl" in found["ppo"]["history"]["rows"][1]
    assert found["cnn"]["sight"]["field"]["size"] == [3, 3] and len(found["cnn"]["sight"]["saliency"]["maps"]) == 6
    assert "without a convolution" in found["dqn"]["sight"]["field"]["why_not"]


def test_the_page_says_why_the_slowest_layer_is_slow(trained: dict[str, Path], explained: dict[str, Any]) -> None:
    """The ratio of the two layers is that of their gradients times that of their weights, whose growth follows."""
    text = (trained["ppo"] / "explain.html").read_text(encoding="utf-8")
    n = r"(\S+)"
    factors = re.search(
        rf"The factor {n} between them \(health[^)]*\) is {n} from the gradient times {n} from the size", text
    )
    grown = re.search(rf"Since step 0 the slow weight has become {n} times as large, the fast one {n} times", text)
    assert factors and grown, "the sentences are there"
    whole, gradient, weight = (float(x.replace(",", "")) for x in factors.groups())
    (first, *_, last), slow = explained["ppo"]["history"]["rows"], explained["ppo"]["history"]["slowest"]
    assert float(grown[1]) == pytest.approx(last["weight"][slow] / first["weight"][slow], rel=0.01)
    assert whole == pytest.approx(max(last["flow"].values()) / last["flow"][slow], rel=0.01)
    assert whole == pytest.approx(gradient * weight, rel=0.02)


def test_a_checkpoint_without_its_replay_is_explained_and_what_is_missing_is_named(
    trained: dict[str, Path], tmp_path: Path
) -> None:
    newest = max((trained["dqn"] / "checkpoints").iterdir())
    shutil.copytree(newest, tmp_path / newest.name)
    found = explain(tmp_path / newest.name, out=tmp_path / "alone.html")["runs"][0]
    assert "rows of new games stand in for the replay" in found["missing"][0] and found["update"]["agrees"]


def test_the_times_on_the_page_about_explain_are_the_recorded_ones() -> None:
    docs = Path(__file__).parents[3] / "docs"
    rows = json.loads((docs / "explain.json").read_text())["runs"]
    shown = [line.split("|")[1:6] for line in (docs / "explain.md").read_text().splitlines() if line.startswith("| `")]
    wanted = [[r[name] for name in ("recipe", "seconds", "processor", "megabytes", "surface")] for r in rows]
    assert [[cell.strip().strip("`") for cell in row] for row in shown] == [[str(x) for x in row] for row in wanted]
    assert len(rows) >= 12 and all(r["seconds"] < 60 and r["megabytes"] < 5 for r in rows)
