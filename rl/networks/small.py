"""The arithmetic of a small network without autograd: compiled if it is very small, in NumPy if it is small."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from torch import nn

from rl.networks.dense import Dense
from rl.networks.torso import Torso

if TYPE_CHECKING:
    from rl.networks.compiled import CompiledDense

SmallNetwork: TypeAlias = "Dense | CompiledDense"


def small_network(torso: Torso, head: nn.Module) -> SmallNetwork | None:
    """`torso` under `head`, as `CompiledDense.of` or else `Dense.of` accepts them; None if neither does."""
    dense, mlp = Dense.of(torso, head), torso.plain_mlp
    if dense is None or mlp is None:
        return None
    from rl.networks.compiled import CompiledDense  # numba takes most of a second to import

    return CompiledDense.of(dense, mlp, head) or dense  # type: ignore[arg-type]
