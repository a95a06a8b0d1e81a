"""The table of `rl inspect` against the arithmetic of the papers' networks."""

import pytest
import torch
from torch import Tensor, nn

from rl.interface import ActionSpec, EnvSpec, ObsLeaf
from rl.networks import NetConfig
from rl.networks.heads import ValueHead
from rl.networks.summary import LayerRow, describe, describe_tuples, render_facts, render_table
from rl.networks.torso import build_torso
from tests.rl.test_networks_tuples import network as tuple_network

ACTION = ActionSpec("discrete", (6,))
ATARI = EnvSpec("Atari", {"obs": ObsLeaf((84, 84), "uint8", "image", scale=255.0)}, ACTION)
CARTPOLE = EnvSpec("CartPole", {"obs": ObsLeaf((4,), "float32", "vector")}, ActionSpec("discrete", (2,)))


pytestmark = pytest.mark.usefixtures("seeded_weights")


class Network(nn.Module):
    """A whole agent network, as agents build them."""

    def __init__(self, spec: EnvSpec, config: NetConfig, stack: int = 1, noisy: bool = False) -> None:
        super().__init__()
        self.torso = build_torso(spec, config, stack)
        self.head = ValueHead(self.torso.out_features, spec.action.nvec[0], noisy=noisy)

    def forward(self, obs: dict[str, Tensor], state: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        features, state = self.torso(obs, state)
        return self.head(features), state


def short(row: LayerRow) -> tuple[str, tuple[int, ...], int, int, int | None]:
    return row.kind, row.shape, row.parameters, row.multiply_adds, row.receptive_field


def test_the_nature_network_layer_by_layer() -> None:
    rows = describe(Network(ATARI, NetConfig(), stack=4), ATARI, stack=4)
    assert [short(row) for row in rows] == [
        ("Planes", (4, 84, 84), 0, 0, 1),
        ("Conv2d", (32, 20, 20), 4 * 64 * 32 + 32, 32 * 400 * 4 * 64, 8),
        ("Conv2d", (64, 9, 9), 32 * 16 * 64 + 64, 64 * 81 * 32 * 16, 20),
        ("Conv2d", (64, 7, 7), 64 * 9 * 64 + 64, 64 * 49 * 64 * 9, 36),
        ("Linear", (512,), 3136 * 512 + 512, 3136 * 512, None),
        ("Linear", (6,), 512 * 6 + 6, 512 * 6, None),
    ]


def test_every_parameter_is_counted_once_for_every_kind_of_network() -> None:
    leaves = {
        "a": ObsLeaf((40, 40, 3), "uint8", "image", "HWC", scale=255.0),
        "b": ObsLeaf((2,), "int64", "index", nvec=(3, 4)),
    }
    several = EnvSpec("Several", leaves, ACTION)
    for spec, config, stack in (
        (ATARI, NetConfig(encoder="impala", spectral_norm=True, max_pool=6, layer_norm=True), 4),
        (several, NetConfig(core="lstm"), 2),
        (CARTPOLE, NetConfig(layer_norm=True, core="gru"), 1),
        (CARTPOLE, NetConfig(hidden=()), 1),
    ):
        network = Network(spec, config, stack, noisy=True)
        rows = describe(network, spec, stack)
        assert sum(row.parameters for row in rows) == sum(p.numel() for p in network.parameters())
        assert all(0 not in row.shape and len(row.shape) in (1, 3) for row in rows)
        assert rows[-1].shape == spec.action.nvec


def test_a_core_is_one_row_whose_products_are_its_two_matrices() -> None:
    rows = describe(build_torso(CARTPOLE, NetConfig(core="lstm", core_size=32)), CARTPOLE)
    assert short(rows[-1]) == ("LSTM", (32,), 4 * 32 * (64 + 32) + 8 * 32, 4 * 32 * (64 + 32), None)


def test_the_receptive_field_of_impala_is_that_of_its_longest_path() -> None:
    rows = describe(build_torso(ATARI, NetConfig(encoder="impala"), 4), ATARI, 4)
    seen, jump = 1, 1
    for _ in range(3):
        seen, jump = seen + 2 * jump + 2 * jump, 2 * jump  # convolution, then max-pool of stride 2
        seen += 4 * 2 * jump  # four 3x3 convolutions
    assert [row.receptive_field for row in rows if row.receptive_field][-1] == seen


def test_inspection_leaves_the_network_as_it_was() -> None:
    network = Network(ATARI, NetConfig(), 4).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    describe(network, ATARI, 4)
    assert network.training and all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(part._forward_hooks for part in network.modules())


def test_the_table_lines_up_and_ends_with_the_totals() -> None:
    lines = render_table(describe(Network(CARTPOLE, NetConfig()), CARTPOLE)).splitlines()
    assert lines == [
        "layer                kind    output  parameters  multiply-adds  sees",
        "torso.encoder.mlp.0  Linear  64             320            256",
        "torso.encoder.mlp.2  Linear  64           4,160          4,096",
        "head.advantage       Linear  2              130            128",
        "total                                     4,610          4,480",
    ]


def test_an_n_tuple_network_is_counted_in_tuples_tables_and_reads() -> None:
    network = tuple_network("ConnectFour", count=5, length=4)
    facts = describe_tuples(network)
    assert list(facts.values()) == [5, 4, 2, 2 * 5, 3**4, 2 * 5 * 3**4, 2 * 5, 2 * 5 - 1]
    assert facts["parameters"] == sum(p.numel() for p in network.parameters())
    assert facts["weights read for one position"] == len(network.net.start)
    assert render_facts(facts).splitlines()[::5] == [
        "tuples                           5",
        "parameters                     810",
    ]
