from typing import Any

import pytest

from runs import bench, peers


def test_a_speed_on_atari_says_that_our_consoles_have_threads_of_their_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def theirs(*names: str, **options: Any) -> dict[str, float]:
        return {"steps_per_second": 100.0}

    monkeypatch.setattr(peers, "sb3_speed", theirs)
    monkeypatch.setattr(bench, "our_speed", lambda duel, seed: 250.0)
    pong, cartpole = bench.bench(["pong_ppo", "cartpole_ppo_zoo"], repeats=1, quiet=False)["results"]
    assert "C++ thread" in pong["note"] and "DummyVecEnv" in pong["note"] and "has 2 threads" in pong["note"]
    assert cartpole["note"] == "" and cartpole["ratio"] == 2.5
    first, second = capsys.readouterr().err.splitlines()
    assert pong["note"] in first and second == "cartpole_ppo_zoo: 250 steps/s, SB3 100: 2.50x"
