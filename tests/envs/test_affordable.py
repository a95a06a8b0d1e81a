"""How many environments this machine can make, predicted before any is made."""

from __future__ import annotations

import gc
import re
import time

import numpy as np
import pytest

import envs
from envs import trial
from envs.config import EnvConfig
from rl.device import keep_freed_memory
from rl.errors import InputError
from rl.memory import private_memory, release_freed_memory
from runs.cli import main
from tests.envs.faulty import Game

HERE = __name__
FIGURES = (
    r"would take about [\d,]+ s and [\d,.]+ GB to make \([\d,.]+ ms and \d+ kB each, measured; [\d.]+ GB are free\)"
)


class Large(Game):
    """Holds 64 megabytes."""

    def __init__(self) -> None:
        self.level = np.ones(2**23)


class Littering(Large):
    """The first one made leaves 64 megabytes of garbage, the others free it, as Python does from time to time."""

    left = False

    def __init__(self) -> None:
        if Littering.left:
            gc.collect()
        else:
            Littering.left = True
            cycle: list[object] = [np.ones(2**23)]
            cycle.append(cycle)
        super().__init__()


class Slow(Game):
    """Takes a tenth of a second to make."""

    def __init__(self) -> None:
        time.sleep(0.1)


@pytest.mark.parametrize("vector", ["auto", "sync", "async"])
@pytest.mark.parametrize("id", ["Taxi-v4", f"{HERE}:Large", f"{HERE}:Slow"])
def test_a_million_environments_are_refused_with_the_figures_measured(id, vector):
    begun = time.monotonic()
    said = f"1,000,000 environments of {id} {FIGURES}: num_envs may be about ([\\d,]+)$"
    with pytest.raises(InputError) as caught:
        envs.make(id, num_envs=1_000_000, config=EnvConfig(vector=vector))
    found = re.match(said, str(caught.value))
    assert found and 0 < int(found[1].replace(",", "")) < 1_000_000
    assert time.monotonic() - begun < 60


def test_a_million_rows_of_the_compiled_loop_are_refused_too(monkeypatch):
    with pytest.raises(InputError, match=f"1,000,000 environments of CartPole-v1 {FIGURES}: num_envs may be about"):
        envs.make("CartPole-v1", num_envs=1_000_000)
    with envs.make("CartPole-v1", num_envs=1_000) as env:
        assert env.spec.options["vector"] == "compiled"
    monkeypatch.setattr(trial, "available_memory", lambda: 1_000_000)
    with pytest.raises(InputError, match="num_envs may be about [345]\\d\\d$"):  # rows of 2 kB, some pages for resets
        envs.make("CartPole-v1", num_envs=1_000)


def test_a_million_atari_games_are_refused_too():
    pytest.importorskip("ale_py")
    with pytest.raises(InputError, match=f"1,000,000 environments of ALE/Pong-v5 {FIGURES}"):
        envs.make("ALE/Pong-v5", num_envs=1_000_000)


def test_the_figures_are_those_of_one_environment(monkeypatch):
    monkeypatch.setattr(trial, "available_memory", lambda: 100 * 2**20)
    with pytest.raises(InputError, match=r"measured; 0\.1 GB are free") as caught:
        envs.make(f"{HERE}:Large", num_envs=300)
    size = re.search(r" ms and ([\d,]+) kB each", str(caught.value))
    assert size and float(size[1].replace(",", "")) == pytest.approx(2**26 / 1000, rel=0.3)
    monkeypatch.setattr(trial, "available_memory", lambda: 2**40)
    with pytest.raises(InputError, match=r"2\d\d s and .* \(1\d\d\.\d\d ms .*: num_envs may be about [19][\d,]+$"):
        envs.make(f"{HERE}:Slow", num_envs=2_000)


def test_what_is_counted_is_what_the_process_has_written(tmp_path):
    release_freed_memory()
    before = private_memory()
    rows = np.ones(2**23)
    assert private_memory() - before == pytest.approx(rows.nbytes, rel=0.1)
    (tmp_path / "status").write_text(
        "VmRSS:\t 900 kB\nRssAnon:\t     300 kB\nRssFile:\t 600 kB\nVmSwap:\t       5 kB\n"
    )
    assert private_memory(tmp_path / "status") == 305 * 1024, "a library's pages come and go"
    assert private_memory(tmp_path / "none") > 305 * 1024, "resident memory where there is no such file"


def test_memory_that_the_allocator_keeps_hides_no_part_of_the_size(monkeypatch):
    if not keep_freed_memory():
        pytest.skip("needs glibc")
    blocks = [np.ones(2**21) for _ in range(8)]
    del blocks  # 128 MiB, enough for two of Large without a new page
    monkeypatch.setattr(trial, "available_memory", lambda: 100 * 2**20)
    monkeypatch.setattr(trial, "SAMPLE", (2, 0.5))
    with pytest.raises(InputError, match=r" ms and 6[67]\d{3} kB each"):
        envs.make(f"{HERE}:Large", num_envs=300)


@pytest.mark.full
def test_garbage_freed_meanwhile_hides_no_part_of_the_size(monkeypatch):
    monkeypatch.setattr(Littering, "left", False)
    monkeypatch.setattr(trial, "SAMPLE", (8, 60.0))  # on a slow machine the first alone would fill half a second
    monkeypatch.setattr(trial, "available_memory", lambda: 100 * 2**20)
    with pytest.raises(InputError, match=r" ms and 6[67]\d{3} kB each"):
        envs.make(f"{HERE}:Littering", num_envs=300)


def test_as_many_as_the_machine_can_take_are_made():
    with envs.make("CartPole-v1", num_envs=trial.MANY, config=EnvConfig(vector="sync")) as env:
        assert env.reset().obs["obs"].shape == (trial.MANY, 4)


@pytest.mark.parametrize("agent", ["dqn", "ppo"])
def test_a_training_with_a_million_environments_is_bad_input_and_leaves_no_folder(agent, tmp_path, capsys):
    for env in ("Taxi-v4", "CartPole-v1"):
        words = ["train", env, "--agent", agent, "--num-envs", "1000000", "--out", str(tmp_path / "run")]
        assert main([*words, "--steps", "2000000"]) == 2
        err = capsys.readouterr().err
        assert "1,000,000 environments" in err and err.count("\n") == 1 and not (tmp_path / "run").exists()
