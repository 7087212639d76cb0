"""A trained attentive probe as a head: it pools the tokens of a clip, a linear layer scores them.

The counterpart of :class:`.linear.LinearHead`: arrays and names, with which torch is loaded when
there is something to score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actionspace.errors import WeightsError
from actionspace.heads.attentive_config import AttentiveConfig
from actionspace.heads.linear import LinearHead, to_probabilities

if TYPE_CHECKING:
    from actionspace.heads.attentive import AttentivePooler, AttentiveProbe

Floats = NDArray[np.float32]

AT_ONCE = 2**14
"""Tokens that are pooled in one pass."""


@dataclass(frozen=True, eq=False)
class AttentiveHead:
    """A classifier of clips of several tokens, computed in float32.

    Attributes:
        weight: of the linear layer, ``[C, D]`` float32.
        bias: ``[C]`` float32.
        classes: class names in score order.
        pooler: weights of the :class:`~.attentive.AttentivePooler` by name, of one query.
        config: its options.
        multi_label, temperature, thresholds: as of a linear head.
        device: where it pools.
    """

    weight: Floats
    bias: Floats
    classes: tuple[str, ...]
    pooler: Mapping[str, Floats]
    config: AttentiveConfig = field(default_factory=AttentiveConfig)
    multi_label: bool = False
    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    device: str = "cpu"

    unit: ClassVar[bool] = False

    def __post_init__(self) -> None:
        expected = (len(self.classes), self.dim)
        if self.weight.shape != expected or self.bias.shape != expected[:1]:
            raise WeightsError(
                f"An attentive head for {len(self.classes)} classes needs weight [classes, dims] "
                f"and bias [classes]; got {self.weight.shape} and {self.bias.shape}."
            )

    @classmethod
    def of(
        cls,
        probe: AttentiveProbe,
        config: AttentiveConfig,
        classes: Sequence[str],
        multi_label: bool = False,
        device: str = "cpu",
    ) -> AttentiveHead:
        """Take a fitted probe of one kind of label apart.

        Args:
            probe: as ``fit_attentive`` found it.
            config: its options.
            classes: class names in the order of its outputs.
            multi_label: whether its scores go through a sigmoid.
            device: where the head pools.
        """
        [layer] = probe.heads.values()
        state = {k: v.detach().cpu().numpy() for k, v in probe.pooler.state_dict().items()}
        weight, bias = (p.detach().cpu().numpy() for p in layer.parameters())
        return cls(weight, bias, tuple(classes), state, config, multi_label, device=device)

    @property
    def dim(self) -> int:
        """Width D of the tokens this head takes."""
        return int(self.weight.shape[-1])

    @property
    def size(self) -> int:
        """How many numbers were learnt."""
        return self.weight.size + self.bias.size + sum(v.size for v in self.pooler.values())

    def scores(self, x: ArrayLike) -> Floats:
        """Return logits ``[..., C]`` of tokens ``[..., L, D]``.

        Raises:
            WeightsError: tokens of another width than the head was fitted on, or weights that are
                not those of its options.
        """
        tokens = np.asarray(x)
        if tokens.ndim < 2 or tokens.shape[-1] != self.dim:
            raise WeightsError(
                f"Got features of shape {list(tokens.shape)}, but this head takes tokens "
                f"[..., tokens, {self.dim}]: use the encoder and the tokens of the run."
            )
        flat = tokens.reshape(-1, *tokens.shape[-2:])
        logits = self._pool(flat) @ self.weight.T + self.bias
        return logits.reshape(*tokens.shape[:-2], len(self.classes))

    def probabilities(self, x: ArrayLike) -> Floats:
        """Return calibrated probabilities ``[..., C]`` of tokens ``[..., L, D]``."""
        return to_probabilities(self.scores(x), self.multi_label, self.temperature)

    def _pool(self, tokens: NDArray[np.floating]) -> Floats:
        """Return ``[N, D]`` of tokens ``[N, L, D]``."""
        import torch

        from actionspace.features.forward import arithmetic

        device = torch.device(self.device)
        rows = max(1, AT_ONCE // max(tokens.shape[1], 1))
        pooled = [np.zeros((0, self.dim), np.float32)]
        with torch.inference_mode(), arithmetic("float32", device):
            for at in range(0, len(tokens), rows):
                some = np.ascontiguousarray(tokens[at : at + rows], np.float32)
                found = self._network(torch.from_numpy(some).to(device))
                pooled.append(found[:, 0].cpu().numpy())
        return np.concatenate(pooled)

    @cached_property
    def _network(self) -> AttentivePooler:
        import torch

        from actionspace.heads.attentive import AttentivePooler

        with torch.random.fork_rng(devices=[]):  # of its first weights nothing stays
            network = AttentivePooler(self.dim, self.config)
        state = {name: torch.from_numpy(np.array(v)) for name, v in self.pooler.items()}
        try:
            network.load_state_dict(state)
        except RuntimeError as e:
            raise WeightsError(f"The weights are not those of an attentive head: {e}") from e
        return network.to(self.device).eval()


Head = LinearHead | AttentiveHead
"""What scores rows: of one vector each, or of tokens."""
