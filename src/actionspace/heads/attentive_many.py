"""Many attentive probes of one shape computed at once: a learning rate and a decay for each.

Every weight is stacked, ``[K, ...]``, so that K small matrix products are one large one; the
tokens are read, and normed by the first layer, once for all. With one query for every few tokens
the pooling attention costs most in its keys and values, and needs neither: a query attends by

    q . (W_k x)  =  (W_k^T q) . x          and          sum_l a_l W_v x_l  =  W_v (sum_l a_l x_l),

so that the products run over queries, not tokens. (A key's bias is the same for all tokens, which
the softmax does not see.) Results are those of :class:`.attentive.AttentiveProbe` up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from actionspace.heads.attentive import SINGLE, AttentiveProbe
from actionspace.heads.attentive_config import AttentiveConfig


class ManyProbes:
    """K copies of a probe with weights of their own, and their AdamW.

    Args:
        start: whose weights all of them begin with.
        config: its options.
        lrs: learning rate of each ``[K]``.
        weight_decays: of each ``[K]``, on all of its parameters, as in V-JEPA 2.
    """

    def __init__(
        self,
        start: AttentiveProbe,
        config: AttentiveConfig,
        lrs: Sequence[float],
        weight_decays: Sequence[float],
    ) -> None:
        self.count = len(lrs)
        self.lrs = tuple(lrs)
        self._like = start
        self._config = config
        # The values of a probe lie in one row: to the optimiser it is a single parameter.
        row = torch.cat([p.detach().flatten() for p in start.parameters()])
        self._values = row.repeat(self.count, 1)
        gradients = torch.zeros_like(self._values)
        self._w: dict[str, Tensor] = {}
        self._gradients: list[Tensor] = []
        at = 0
        for name, p in start.named_parameters():
            part = slice(at, at + p.numel())
            shape = (self.count, *p.shape)
            self._w[name] = self._values[:, part].view(shape).requires_grad_()
            self._gradients.append(gradients[:, part].view(shape))
            at = part.stop
        groups = self._groups(gradients, weight_decays)
        self._optimizer = torch.optim.AdamW(groups, fused=True)

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        """Return logits ``[K, B, C]`` of tokens ``[B, L, D]``, by name of the linear layer."""
        for i in range(self._config.depth - 1):
            x = self._block(f"pooler.blocks.{i}.", x)
        pooled = self._pool("pooler.cross_attention_block.", x)
        return {
            name: self._linear(f"heads.{name}", pooled[:, :, i])
            for i, name in enumerate(self._like.heads)
        }

    def step(self, loss: Tensor, share: float) -> None:
        """Take one step down.

        Args:
            loss: sum of the losses of all probes.
            share: of the learning rates.
        """
        found = torch.autograd.grad(loss, list(self._w.values()))
        for gradient, value in zip(self._gradients, found, strict=True):
            gradient.copy_(value)
        for lr, group in zip(self.lrs, self._optimizer.param_groups, strict=True):
            group["lr"] = lr * share
        self._optimizer.step()

    def probe(self, k: int) -> AttentiveProbe:
        """Return one of them on its own, on the CPU."""
        sizes = {name: self._w[f"heads.{name}.bias"].shape[1] for name in self._like.heads}
        classes = sizes[SINGLE] if self._like.single else sizes
        with torch.random.fork_rng(devices=[]):  # of its first weights nothing stays
            found = AttentiveProbe(self._dim, classes, self._config)
        found.load_state_dict({name: w[k].detach().cpu() for name, w in self._w.items()})
        return found.eval()

    @property
    def _dim(self) -> int:
        return self._w["pooler.query_tokens"].shape[-1]

    def _groups(self, gradients: Tensor, decays: Sequence[float]) -> list[dict[str, Any]]:
        groups = []
        for values, gradient, lr, decay in zip(
            self._values, gradients, self.lrs, decays, strict=True
        ):
            row = values.detach().requires_grad_()
            row.grad = gradient
            groups.append({"params": [row], "lr": lr, "weight_decay": decay})
        return groups

    def _block(self, name: str, x: Tensor) -> Tensor:
        """Self-attention of ``[B, L, D]`` or ``[K, B, L, D]``, to ``[K, B, L, D]``."""
        qkv = self._linear(name + "attn.qkv", self._norm(name + "norm1", x))
        heads = self._config.num_heads
        qkv = qkv.view(*qkv.shape[:3], 3, heads, -1).permute(3, 0, 1, 4, 2, 5).flatten(1, 2)
        q, k, v = qkv.unbind(0)
        y = F.scaled_dot_product_attention(q, k, v)  # [K B, H, L, D / H]
        y = y.transpose(1, 2).flatten(2).view(self.count, -1, *x.shape[-2:])
        x = x + self._linear(name + "attn.proj", y)
        return x + self._mlp(name, x)

    def _pool(self, name: str, x: Tensor) -> Tensor:
        """Pool ``[B, L, D]`` or ``[K, B, L, D]`` by the queries into ``[K, B, Q, D]``."""
        queries = self._w["pooler.query_tokens"]  # [K, 1, Q, D]
        if not self._config.complete_block:
            return self._attend(name, queries, x, None)
        plain = F.layer_norm(x, (self._dim,), eps=self._config.layer_norm_eps)
        y = queries + self._attend(name + "xattn.", queries, plain, name + "norm1")
        return y + self._mlp(name, y)

    def _attend(self, name: str, queries: Tensor, x: Tensor, norm: str | None) -> Tensor:
        """Attend to what ``norm`` makes of ``x``, its scale and shift taken in behind."""
        heads, dim = self._config.num_heads, self._dim
        split = (self.count, -1, heads, dim // heads)
        q = self._linear(name + "q", queries).view(split)  # [K, Q, H, D / H]
        kv = self._w[name + "kv.weight"]
        keys, values = kv.view(self.count, 2, heads, -1, dim).unbind(1)  # [K, H, D / H, D]
        asked = torch.einsum("kqhe,khed->khqd", q, keys) * (dim // heads) ** -0.5
        if norm is not None:
            asked = asked * self._w[norm + ".weight"][:, None, None]
        asked = asked.flatten(1, 2)  # [K, H Q, D]
        if x.ndim == 3:  # the same tokens for all probes
            shares = (x @ asked.flatten(0, 1).T).softmax(dim=1)  # [B, L, K H Q]
            found = (shares.transpose(1, 2) @ x).view(len(x), self.count, -1, dim).transpose(0, 1)
        else:
            shares = (x @ asked[:, None].transpose(2, 3)).softmax(dim=2)  # [K, B, L, H Q]
            found = shares.transpose(2, 3) @ x
        if norm is not None:
            found = self._scale(norm, found)
        found = found.reshape(*found.shape[:2], heads, -1, dim)  # [K, B, H, Q, D]
        y = torch.einsum("kbhqd,khed->kbqhe", found, values).flatten(3)
        bias = self._w.get(name + "kv.bias")
        return y if bias is None else y + bias[:, None, None, dim:]

    def _mlp(self, name: str, x: Tensor) -> Tensor:
        hidden = F.gelu(self._linear(name + "mlp.fc1", self._norm(name + "norm2", x)))
        return self._linear(name + "mlp.fc2", hidden)

    def _norm(self, name: str, x: Tensor) -> Tensor:
        """LayerNorm of ``[B, N, D]`` or ``[K, B, N, D]``, to ``[K, B, N, D]``."""
        return self._scale(name, F.layer_norm(x, (self._dim,), eps=self._config.layer_norm_eps))

    def _scale(self, name: str, x: Tensor) -> Tensor:
        weight, bias = (self._w[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
        return torch.addcmul(bias, x, weight)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        """Map ``[K, ..., D]`` to ``[K, ..., O]``."""
        weight, bias = self._w[name + ".weight"].transpose(1, 2), self._w.get(name + ".bias")
        rows = x.flatten(1, -2)
        y = rows @ weight if bias is None else torch.baddbmm(bias[:, None], rows, weight)
        return y.view(self.count, *x.shape[1:-1], -1)
