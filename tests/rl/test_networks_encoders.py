"""What reaches the first layer, what each encoder gives, and what is refused."""

import copy
import itertools
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rl.errors import InputError
from rl.interface import ActionSpec, EnvSpec, ObsLeaf
from rl.networks import NetConfig
from rl.networks.encoders import BLOCK, MLP, BlockConv2d, PixelNorm, Planes, largest_in_windows, stem_kind
from rl.networks.init import seeded
from rl.networks.torso import Torso, build_torso

VECTOR = ObsLeaf((4,), "float32", "vector")
FRAME = ObsLeaf((84, 84), "uint8", "image", scale=255.0)
COLOUR = ObsLeaf((96, 96, 3), "uint8", "image", "HWC", scale=255.0)
BOARD = ObsLeaf((10, 10, 4), "bool", "board", "HWC")
INDEX = ObsLeaf((2,), "int64", "index", nvec=(3, 5))


def spec(**leaves: ObsLeaf) -> EnvSpec:
    return EnvSpec("Test-v0", leaves, ActionSpec("discrete", (3,)))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_obs(leaf: ObsLeaf, *lead: int, seed: int = 0) -> Tensor:
    shape = lead + leaf.shape
    if leaf.kind == "vector":
        return torch.randn(shape, generator=rng(seed))
    if leaf.kind == "index":
        return torch.stack([torch.randint(n, shape[:-1], generator=rng(seed)) for n in leaf.nvec], -1)
    high, dtype = {"uint8": (256, torch.uint8), "bool": (2, torch.bool), "float32": (256, torch.float32)}[leaf.dtype]
    return torch.randint(high, shape, generator=rng(seed)).to(dtype)


def run(torso: Torso, **obs: Tensor) -> Tensor:
    features, _ = torso(obs)
    return features


def first_input(torso: Torso, kind: type[nn.Module], **obs: Tensor) -> Tensor:
    seen: list[Tensor] = []
    layer = next(part for part in torso.modules() if isinstance(part, kind))
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    run(torso, **obs)
    handle.remove()
    return seen[0]


pytestmark = pytest.mark.usefixtures("seeded_weights")


# What reaches the first layer.


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("leaf", [FRAME, COLOUR])
@pytest.mark.parametrize("encoder", ["auto", "mlp"])
def test_bytes_0_and_255_reach_the_network_as_0_and_1_once_and_the_stored_frame_is_untouched(
    dtype: str, leaf: ObsLeaf, encoder: str
) -> None:
    leaf = replace(leaf, dtype=dtype)
    torso = build_torso(spec(obs=leaf), NetConfig(encoder=encoder))
    frame = random_obs(leaf, 2)
    frame[0], frame[1, 0] = 0, 255
    kept = frame.clone()
    layer = nn.Linear if encoder == "mlp" else nn.Conv2d
    for _ in range(2):
        seen = first_input(torso, layer, obs=frame)
        assert seen.dtype == torch.float32 and seen.shape[0] == 2
        assert (seen[0] == 0.0).all() and seen[1].max() == 1.0
        torch.testing.assert_close(seen.sum(), frame.sum() / 255.0)
        assert torch.equal(frame, kept)


def test_a_board_of_bools_reaches_the_network_as_0_and_1_planes() -> None:
    board = random_obs(BOARD, 3)
    seen = first_input(build_torso(spec(obs=BOARD), NetConfig()), nn.Conv2d, obs=board)
    assert torch.equal(seen, board.permute(0, 3, 1, 2).float())


@pytest.mark.parametrize("leaf", [FRAME, replace(FRAME, scale=7.0), COLOUR, BOARD])
def test_in_bfloat16_planes_have_the_bits_of_float32_rounded_once(leaf: ObsLeaf) -> None:
    planes = Planes(leaf, 2, channels_last=True)
    x = random_obs(leaf, 3, 2)
    exact = planes(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = planes(x)
    assert (exact.dtype, found.dtype) == (torch.float32, torch.bfloat16)
    assert torch.equal(found, exact.to(torch.bfloat16))


@pytest.mark.parametrize("leaf", [FRAME, COLOUR])
def test_pictures_cut_into_blocks_give_the_same_numbers_and_gradients(leaf: ObsLeaf) -> None:
    planes, whole = Planes(leaf, 2, channels_last=True, blocks=True), Planes(leaf, 2, channels_last=True)
    channels, height, width = planes.shape
    with seeded(0):
        conv = BlockConv2d(channels, 5, 8, BLOCK).double()
    x = random_obs(leaf, 3, 2)
    with torch.autocast("cpu", torch.bfloat16):
        cut, plain = planes(x), whole(x)
    assert cut.shape == (3, channels * BLOCK**2, height // BLOCK, width // BLOCK) and plain.shape[1] == channels
    assert cut.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(conv(cut.double()), conv(plain.double()))
    (a,), (b,) = (torch.autograd.grad(conv(v.double()).square().sum(), [conv.weight]) for v in (cut, plain))
    torch.testing.assert_close(a, b)
    assert torch.equal(planes(x), whole(x)), "float32 is not cut"


def test_only_bytes_whose_sides_are_whole_blocks_are_cut() -> None:
    odd = replace(FRAME, shape=(86, 84))
    with torch.autocast("cpu", torch.bfloat16):
        assert Planes(odd, 1, channels_last=True, blocks=True)(random_obs(odd, 2, 1)).shape[1] == 1
        assert Planes(BOARD, 1, channels_last=True, blocks=True)(random_obs(BOARD, 2, 1)).shape[1] == 4


@pytest.mark.parametrize("leaf", [FRAME, COLOUR, replace(COLOUR, shape=(3, 96, 96), layout="CHW")])
def test_a_stack_is_folded_into_channels_oldest_first(leaf: ObsLeaf) -> None:
    frames = random_obs(leaf, 2, 3)  # [B, S, ...]
    seen = first_input(build_torso(spec(obs=leaf), NetConfig(), stack=3), nn.Conv2d, obs=frames)
    planes = frames.movedim(-1, 2) if leaf.layout == "HWC" else frames.reshape(2, 3, -1, *leaf.shape[-2:])
    torch.testing.assert_close(seen, planes.flatten(1, 2).float() / 255)


def test_a_stack_of_vectors_is_concatenated_and_one_of_categories_one_hot() -> None:
    x = random_obs(VECTOR, 2, 3)
    assert torch.equal(first_input(build_torso(spec(obs=VECTOR), NetConfig(), 3), nn.Linear, obs=x), x.flatten(1))
    index = torch.tensor([[[2, 0], [0, 4]]])  # [B, S, K]
    seen = first_input(build_torso(spec(obs=INDEX), NetConfig(), 2), nn.Linear, obs=index)
    assert seen.tolist() == [[0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]]


def test_leaves_meet_in_one_mlp_and_each_reaches_the_features() -> None:
    leaves = {"frame 0": FRAME, "board.1": BOARD, "index": INDEX, "vector": VECTOR}
    torso = build_torso(spec(**leaves), NetConfig(hidden=(32,)))
    obs = {name: random_obs(leaf, 5) for name, leaf in leaves.items()}
    features = run(torso, **obs)
    assert features.shape == (5, torso.out_features) == (5, 32)
    for name, leaf in leaves.items():
        other = run(torso, **{**obs, name: random_obs(leaf, 5, seed=1)})
        assert not torch.allclose(features, other, atol=1e-4), name


# Which encoder, and what it gives.


@pytest.mark.parametrize(
    ("leaf", "kind"),
    [
        (VECTOR, "flat"),
        (INDEX, "onehot"),
        (FRAME, "nature"),
        (COLOUR, "nature"),
        (replace(FRAME, shape=(36, 40)), "nature"),
        (replace(FRAME, shape=(35, 84)), "impala"),
        (BOARD, "board"),
        (replace(BOARD, shape=(2, 9, 4)), "flat"),
        (replace(FRAME, shape=(16, 16)), "board"),
    ],
)
def test_auto_picks_by_kind_and_size(leaf: ObsLeaf, kind: str) -> None:
    assert stem_kind(leaf, "auto") == kind


@pytest.mark.parametrize("side", [(36, 36), (37, 53), (64, 48), (84, 84)])
@pytest.mark.parametrize("encoder", ["nature", "nips", "impala", "board"])
def test_the_declared_width_is_the_real_one_for_every_size(encoder: str, side: tuple[int, int]) -> None:
    leaf = replace(FRAME, shape=side)
    for hidden in ((), None):
        torso = build_torso(spec(obs=leaf), NetConfig(encoder=encoder, hidden=hidden), 2)
        assert run(torso, obs=random_obs(leaf, 3, 2)).shape == (3, torso.out_features)


def test_default_widths_are_those_of_the_papers() -> None:
    widths = {name: build_torso(spec(obs=leaf), NetConfig()).out_features for name, leaf in LEAVES.items()}
    assert widths == {"vector": 64, "frame": 512, "board": 128, "index": 64}
    assert build_torso(spec(obs=FRAME), NetConfig(encoder="nips"), 4).out_features == 256
    assert sum(p.numel() for p in build_torso(spec(obs=FRAME), NetConfig(), 4).parameters()) == 1_684_128  # Nature's


LEAVES = {"vector": VECTOR, "frame": FRAME, "board": BOARD, "index": INDEX}


@pytest.mark.parametrize("name", LEAVES)
@pytest.mark.parametrize("stack", [1, 2])
def test_leading_dimensions_are_kept_and_rows_do_not_mix(name: str, stack: int) -> None:
    leaf = LEAVES[name]
    torso = build_torso(spec(obs=leaf), NetConfig(), stack)
    tail = (stack,) if stack > 1 else ()
    obs = random_obs(leaf, 2, 3, *tail)  # [T, B, (S,) ...]
    features = run(torso, obs=obs)
    assert features.shape == (2, 3, torso.out_features)
    torch.testing.assert_close(run(torso, obs=obs[1]), features[1])
    torch.testing.assert_close(run(torso, obs=obs[1, 2]), features[1, 2])


@pytest.mark.parametrize("leaf", [FRAME, COLOUR, BOARD])
@pytest.mark.parametrize("encoder", ["auto", "impala"])
def test_channels_last_gives_the_same_numbers_and_gradients_and_keeps_weights_contiguous(
    leaf: ObsLeaf, encoder: str
) -> None:
    torso = build_torso(spec(obs=leaf), NetConfig(encoder=encoder, layer_norm=True))
    plain = build_torso(spec(obs=leaf), NetConfig(encoder=encoder, layer_norm=True, channels_last=False))
    plain.load_state_dict(torso.state_dict())
    obs = random_obs(leaf, 4)
    torch.testing.assert_close(run(torso, obs=obs), run(plain, obs=obs), atol=1e-5, rtol=1e-4)
    run(torso, obs=obs).square().mean().backward()
    run(plain, obs=obs).square().mean().backward()
    for mine, theirs in zip(torso.parameters(), plain.parameters(), strict=True):
        assert mine.is_contiguous() and mine.grad is not None and mine.grad.is_contiguous()
        assert theirs.grad is not None and (mine.grad - theirs.grad).norm() < 1e-2 * theirs.grad.norm() + 1e-6
    assert first_input(torso, nn.Conv2d, obs=obs).is_contiguous(memory_format=torch.channels_last)


def test_images_and_boards_can_be_read_as_vectors() -> None:
    torso = build_torso(spec(obs=BOARD, v=VECTOR), NetConfig(encoder="mlp"))
    assert not any(isinstance(part, nn.Conv2d) for part in torso.modules())
    assert run(torso, obs=random_obs(BOARD, 2), v=random_obs(VECTOR, 2)).shape == (2, 64)


# The fields.


@pytest.mark.parametrize("name", ["relu", "tanh", "elu", "silu"])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_the_mlp_equals_its_layers_called_one_by_one_gradients_included(name: Any, layer_norm: bool) -> None:
    net = MLP(4, (8, 6), NetConfig(activation=name, layer_norm=layer_norm))
    act = {"relu": torch.relu, "tanh": torch.tanh, "elu": nn.functional.elu, "silu": nn.functional.silu}[name]
    x = random_obs(VECTOR, 5).requires_grad_()

    def reference(x: Tensor) -> Tensor:
        for layer in net:
            x = layer(x) if isinstance(layer, nn.Linear | nn.LayerNorm) else act(x)
        return x

    results = []
    for forward in (net, reference):
        y = forward(x)
        results.append([y, *torch.autograd.grad(y.square().sum(), [x, *net.parameters()])])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs)
    assert sum(isinstance(layer, nn.LayerNorm) for layer in net) == 2 * layer_norm


def test_hooks_on_layers_of_the_mlp_fire() -> None:
    torso = build_torso(spec(obs=VECTOR), NetConfig())
    assert first_input(torso, nn.Linear, obs=random_obs(VECTOR, 2)).shape == (2, 4)


def test_a_copy_shares_nothing_with_its_original() -> None:
    for leaf in LEAVES.values():
        torso = build_torso(spec(obs=leaf), NetConfig())
        twin = copy.deepcopy(torso)
        obs = random_obs(leaf, 2)
        before = run(torso, obs=obs).clone()
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.add_(0.1)
        assert torch.equal(run(torso, obs=obs), before) and not torch.equal(run(twin, obs=obs), before)
        twin.load_state_dict(torso.state_dict())
        assert torch.equal(run(twin, obs=obs), before)


def test_parameters_can_be_swapped_for_one_call() -> None:
    torso = build_torso(spec(obs=VECTOR), NetConfig())
    obs = {"obs": random_obs(VECTOR, 2)}
    zero = {name: torch.zeros_like(p) for name, p in torso.named_parameters()}
    features, _ = torch.func.functional_call(torso, zero, (obs,))
    assert (features == 0).all() and not (torso(obs)[0] == 0).all()


@pytest.mark.parametrize("name", LEAVES)
def test_a_torso_compiles_to_one_graph(name: str) -> None:
    torso, obs = build_torso(spec(obs=LEAVES[name]), NetConfig()), {"obs": random_obs(LEAVES[name], 4)}
    compiled = torch.compile(torso, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(obs)[0], torso(obs)[0])


def test_orthogonal_weights_have_gain_sqrt_2_and_biases_0() -> None:
    torso = build_torso(spec(obs=VECTOR), NetConfig(orthogonal=True, core="gru", core_size=16))
    for layer in torso.modules():
        if isinstance(layer, nn.Linear):
            singular = torch.linalg.svdvals(layer.weight)
            torch.testing.assert_close(singular, torch.full_like(singular, 2**0.5))
            assert (layer.bias == 0).all()
    assert torso.core is not None
    torch.testing.assert_close(torch.linalg.svdvals(torso.core.rnn.weight_ih_l0), torch.ones(48))
    assert all((p == 0).all() for name, p in torso.core.named_parameters() if "bias" in name)


def test_layer_norm_in_a_cnn_normalises_the_channels_of_each_pixel() -> None:
    torso = build_torso(spec(obs=FRAME), NetConfig(layer_norm=True))
    norms = [part for part in torso.modules() if isinstance(part, PixelNorm)]
    assert [norm.normalized_shape for norm in norms] == [(32,), (64,), (64,)]
    x = torch.randn(2, 32, 5, 5, generator=rng())
    y = norms[0](x)
    torch.testing.assert_close(y.mean(1), torch.zeros(2, 5, 5), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(y.var(1, unbiased=False), torch.ones(2, 5, 5), atol=1e-3, rtol=0.0)


def test_impala_fields_change_what_they_say() -> None:
    config = NetConfig(encoder="impala", hidden=(), width=2, max_pool=6)
    assert build_torso(spec(obs=FRAME), config, 4).out_features == 64 * 6 * 6
    assert build_torso(spec(obs=FRAME), NetConfig(encoder="impala", hidden=()), 4).out_features == 32 * 11 * 11


def test_spectral_norm_bounds_the_residual_convolutions_and_acting_leaves_it_alone() -> None:
    leaf = replace(FRAME, shape=(20, 20))
    torso = build_torso(spec(obs=leaf), NetConfig(encoder="impala", spectral_norm=True))
    convs = [part for part in torso.modules() if isinstance(part, nn.Conv2d)]
    normed = [conv for conv in convs if hasattr(conv, "parametrizations")]
    assert len(convs) == 15 and len(normed) == 12
    obs = random_obs(leaf, 2)
    before = copy.deepcopy(torso.state_dict())
    with torch.inference_mode():
        run(torso, obs=obs)
    assert all(torch.equal(value, before[name]) for name, value in torso.state_dict().items())
    for _ in range(2):
        run(torso, obs=obs).sum().backward()  # twice: an iteration must not touch what the last graph needs
    with torch.no_grad():  # as a target network is used
        for _ in range(100):
            run(torso, obs=obs)
    assert not all(torch.equal(value, before[name]) for name, value in torso.state_dict().items())
    for conv in normed:
        assert torch.linalg.svdvals(conv.weight.detach().flatten(1))[0].item() == pytest.approx(1.0, abs=0.02)


def test_a_seed_means_the_same_weights_and_the_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    nets = []
    for seed in (3, 3, 4):
        with seeded(seed):
            nets.append(build_torso(spec(obs=BOARD), NetConfig(core="lstm")))
    same, again, other = (torch.cat([p.flatten() for p in net.parameters()]) for net in nets)
    assert torch.equal(same, again) and not torch.equal(same, other)
    assert torch.equal(before, torch.random.get_rng_state())


# Your own, and what is refused.


class Mine(nn.Module):
    """A user's encoder: sums."""

    out_features = 1

    def __init__(self, spec: EnvSpec, config: NetConfig, stack: int) -> None:
        super().__init__()
        self.dims = len(next(iter(spec.obs.values())).shape) + (stack > 1)

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        assert obs["obs"].ndim == 1 + self.dims  # [B, ...]: leading dimensions are folded before the call
        return obs["obs"].flatten(1).sum(1, keepdim=True)


class Unmade(Mine):
    """Takes no configuration."""

    def __init__(self) -> None:
        super().__init__(spec(obs=VECTOR), NetConfig(), 1)


class Narrow(Mine):
    out_features = 3


class Pair(Mine):
    def forward(self, obs: dict[str, Tensor]) -> Any:
        return super().forward(obs), None


class Picky(Mine):
    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        return obs["pixels"]


def test_your_own_encoder_takes_any_leading_dimensions_and_a_core() -> None:
    torso = build_torso(spec(obs=VECTOR), NetConfig(encoder=f"{__name__}:Mine"), 2)
    obs = random_obs(VECTOR, 3, 5, 2)
    torch.testing.assert_close(run(torso, obs=obs), obs.sum((-1, -2)).unsqueeze(-1))
    assert build_torso(spec(obs=VECTOR), NetConfig(encoder=f"{__name__}:Mine", core="gru")).out_features == 128


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"encoder": "natur"}, "unknown encoder 'natur': did you mean 'nature'?"),
        ({"activation": "gelu"}, "unknown activation 'gelu': did you mean 'elu'?"),
        ({"core": "rnn"}, "unknown core 'rnn'"),
        ({"hidden": (64, 0)}, "hidden must be an integer of at least 1, got 0"),
        ({"core_size": 0}, "core_size must be an integer of at least 1, got 0"),
        ({"width": 0}, "width must be an integer of at least 1, got 0"),
        ({"max_pool": -1}, "max_pool must be an integer of at least 0, got -1"),
        ({"encoder": "nature"}, "encoder 'nature' reads pictures and Test-v0 shows none: use 'auto' or 'mlp'"),
        ({"encoder": "impala", "width": 2}, "encoder 'impala' reads pictures and Test-v0 shows none"),
        ({"width": 2}, "width is a field of encoder 'impala'"),
        ({"spectral_norm": True}, "spectral_norm is a field of encoder 'impala'"),
        ({"max_pool": 6}, "max_pool is a field of encoder 'impala'"),
        ({"encoder": "nowhere:Net"}, "encoder 'nowhere:Net' cannot be imported: No module named 'nowhere'"),
        ({"encoder": "rl.interface:Absent"}, "encoder 'rl.interface:Absent' cannot be imported"),
        ({"encoder": ":Net"}, "encoder ':Net' cannot be imported"),
        ({"encoder": "rl.interface:TimeStep"}, "encoder 'rl.interface:TimeStep' must be a class of torch.nn.Module"),
        ({"encoder": f"{__name__}:Unmade"}, "Unmade' cannot be made as Class(spec, config, stack): TypeError: "),
        (
            {"encoder": f"{__name__}:Narrow"},
            "(2, 1) for {'obs' float32 (2, 4)}, its out_features promise (2, 3)",
        ),
        ({"encoder": f"{__name__}:Pair"}, "Pair' gave tuple for {'obs' float32 (2, 4)}"),
        ({"encoder": f"{__name__}:Picky"}, "Picky' failed on {'obs' float32 (2, 4)}: KeyError: 'pixels'"),
        ({"encoder": "torch.nn:Identity"}, "encoder 'torch.nn:Identity' needs an integer attribute `out_features`"),
    ],
)
def test_what_cannot_be_honoured_is_refused_in_one_line(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        build_torso(spec(obs=VECTOR), NetConfig(**fields))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_pictures_that_an_encoder_cannot_read_are_refused_in_one_line() -> None:
    small = replace(FRAME, shape=(20, 20))
    with pytest.raises(InputError, match="encoder 'nature' needs pictures of at least 36x36, got 20x20: use 'auto'"):
        build_torso(spec(obs=small), NetConfig(encoder="nature"))
    with pytest.raises(InputError, match=r"needs shape \(H, W\), HWC or CHW, got \(4, 84, 84\)"):
        build_torso(spec(obs=replace(FRAME, shape=(4, 84, 84))), NetConfig())


def test_a_config_can_be_read_without_torch() -> None:
    code = "import sys; from rl.networks import NetConfig; NetConfig(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_configs_are_values() -> None:
    assert NetConfig(hidden=[32, 32]) == NetConfig(hidden=(32, 32))  # type: ignore[arg-type]
    grid = itertools.product((64, 65), repeat=2)
    assert len({NetConfig(hidden=widths) for widths in grid}) == 4
    assert np.prod(NetConfig(hidden=(3, 4)).hidden or ()) == 12


@pytest.mark.parametrize("shape", [(2, 3, 11, 11), (1, 2, 6, 9), (2, 1, 5, 13), (1, 1, 2, 4)])
def test_the_largest_in_windows_are_those_of_pytorchs_adaptive_max_pool(shape: tuple[int, ...]) -> None:
    x, y = (torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2))
    ours, theirs = largest_in_windows(x, 4), nn.AdaptiveMaxPool2d(4)(y)
    assert torch.equal(ours, theirs)
    weight = torch.randn(ours.shape, generator=torch.Generator().manual_seed(2))
    (ours * weight).sum().backward()
    (theirs * weight).sum().backward()
    assert x.grad is not None and y.grad is not None
    assert torch.allclose(x.grad, y.grad, atol=1e-6)


def test_equal_ones_in_a_window_share_the_gradient() -> None:
    x = torch.ones(1, 1, 4, 4, requires_grad=True)
    largest_in_windows(x, 2).sum().backward()
    assert x.grad is not None and torch.equal(x.grad, torch.full((1, 1, 4, 4), 0.25))


def test_simba_standardises_and_adds_blocks_to_the_embedding() -> None:
    encoder: Any = build_torso(
        spec(obs=ObsLeaf((3,), "float32", "vector")), NetConfig(encoder="simba", hidden=(4, 4))
    ).encoder
    assert len(encoder.blocks) == 2 and encoder.out_features == 4
    rows = torch.tensor([[100.0, 0.0, -5.0], [102.0, 4.0, -5.0]])
    encoder.normaliser.update({"obs": rows})
    with torch.no_grad():
        for block in encoder.blocks:
            block.layers[3].weight.zero_()  # leaves the embedding
        embedded = encoder.embed(torch.tensor([[-1.0, -1.0, 0.0], [1.0, 1.0, 0.0]]))
        assert torch.allclose(encoder({"obs": rows}), nn.functional.layer_norm(embedded, (4,)), atol=1e-4)


def test_simba_wants_blocks_of_one_width() -> None:
    with pytest.raises(InputError, match="equal widths"):
        build_torso(spec(obs=VECTOR), NetConfig(encoder="simba", hidden=(4, 8)))
