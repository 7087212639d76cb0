"""What the network is trained for: the label of the next event, and perhaps the way there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from actionspace.anticipation.network.causal import feature_loss, past_loss
from actionspace.anticipation.network.said import Said
from actionspace.anticipation.options import LossConfig
from actionspace.anticipation.samples import Observed
from actionspace.heads.focal import focal_loss


def anticipation_losses(
    said: Sequence[Said], seen: Observed, config: LossConfig
) -> dict[str, Tensor]:
    """Return ``loss`` and its parts, means over the questions of a batch.

    Of several stores each branch also learns the label by itself, so that none lies idle.

    Args:
        said: of the network: all branches together, then each of them where there are several.
        seen: the batch.
        config: which losses.
    """
    parts = label_losses(said[0].logits, seen.targets, config)
    loss = torch.stack(list(parts.values())).sum()
    found = {f"{name}_loss": value for name, value in parts.items()} if len(parts) > 1 else {}
    branches = said[1:] or said
    for branch in said[1:]:
        loss = loss + torch.stack(
            list(label_losses(branch.logits, seen.targets, config).values())
        ).sum() / len(branches)
    for k, branch in enumerate(branches):
        if config.feature and branch.foreseen is not None:
            error = feature_loss(branch.foreseen, seen.rows[k], seen.known[k]).mean()
            found["feature_loss"] = found.get("feature_loss", 0) + error
            loss = loss + config.feature * error
        if config.past and branch.during is not None and k == 0:  # labels lie at its rows
            error = past_loss(branch.during, seen.during, seen.known[0]).mean()
            found["past_loss"] = error
            loss = loss + config.past * error
    for k, (name, logits) in enumerate(said[0].logits.items()):
        front = f"{name}_" if len(said[0].logits) > 1 else ""
        right = (logits.detach().argmax(1) == seen.targets[:, k]).float().mean()
        found[f"{front}top1_accuracy"] = right
    return {"loss": loss, **found}


def label_losses(
    logits: Mapping[str, Tensor], targets: Tensor, config: LossConfig
) -> dict[str, Tensor]:
    """Return the loss of each column, a mean over questions; one without a label adds nothing.

    Args:
        logits: ``[B, C]`` of each column.
        targets: int64 ``[B, K]``; -1 = no label.
        config: which loss.
    """
    return {
        name: _loss(values.float(), targets[:, k], config) / len(targets)
        for k, (name, values) in enumerate(logits.items())
    }


def _loss(logits: Tensor, truth: Tensor, config: LossConfig) -> Tensor:
    if config.name == "cross_entropy":
        return functional.cross_entropy(
            logits,
            truth,
            ignore_index=-1,
            reduction="sum",
            label_smoothing=config.label_smoothing,
        )
    known = truth >= 0
    hot = functional.one_hot(truth.clamp(min=0), logits.shape[1]).to(logits.dtype)
    each = focal_loss(logits, hot, alpha=config.alpha, gamma=config.gamma)
    return (each.sum(1) * known).sum()
