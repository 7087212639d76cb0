"""The network that the loop trains: an encoder (frozen, adapted or none), a head, its loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from actionspace.encoders.drop_path import DropPath
from actionspace.encoders.encoder import Encoder
from actionspace.features.forward import arithmetic
from actionspace.heads.linear import LinearHead
from actionspace.heads.losses import binary_cross_entropy, cross_entropy, smooth_labels
from actionspace.recognition.recipe import HeadConfig
from actionspace.training.freeze import drifts, freeze, let_drift, train_mode

if TYPE_CHECKING:
    from actionspace.recognition.joint_loss import JointLoss


class LinearLayer(nn.Module):
    """Dropout and one linear layer on pooled features, as the head of mmaction's recognisers.

    A layer for each of several columns is one whose outputs lie side by side.
    """

    def __init__(self, dim: int, classes: int, config: HeadConfig, *, seed: int) -> None:
        """Draw weights from N(0, ``init_std``), a function of the seed; biases are 0."""
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)
        self.linear = nn.Linear(dim, classes)
        generator = torch.Generator().manual_seed(seed)
        nn.init.normal_(self.linear.weight, std=config.init_std, generator=generator)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[B, C]`` of features ``[B, D]``."""
        return self.linear(self.dropout(x))  # type: ignore[no-any-return]

    def as_head(
        self, classes: list[str], multi_label: bool, part: slice = slice(None)
    ) -> LinearHead:
        """Return the layer, or a part of its outputs, as the classifier that predicts."""
        weight, bias = (
            tensor.detach()[part].cpu().numpy().astype(np.float32)
            for tensor in (self.linear.weight, self.linear.bias)
        )
        return LinearHead(weight, bias, tuple(classes), multi_label)


class HeadLoss(nn.Module):
    """Cross-entropy of one label per sample, or binary cross-entropy of several.

    The mean is always over samples, also of weighted ones, so that the parts of a step add up.

    Attributes:
        multi_label: whether a sample may have several labels.
    """

    weight: Tensor | None

    def __init__(self, targets: np.ndarray, classes: int, config: HeadConfig) -> None:
        """Prepare.

        Args:
            targets: of all training samples, int64 ``[N]`` or bool ``[N, C]``; they balance.
            classes: number of classes C.
            config: class weights, label smoothing.
        """
        super().__init__()
        self._classes = classes
        self._smoothing = config.label_smoothing
        self.multi_label = targets.ndim == 2
        weight = balance(targets, classes) if config.class_weight == "balanced" else None
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of logits ``[B, C]``.

        Targets are class numbers int64 ``[B]`` or bool ``[B, C]``; or soft, float ``[B, C]``, of
        mixed samples of either kind.
        """
        weight = self.weight
        if self.multi_label:
            targets = targets.to(logits.dtype)
            each = None if weight is None else torch.lerp(weight[0], weight[1], targets)
            return binary_cross_entropy(logits, targets, class_weight=each)
        labels = targets
        if self._smoothing:
            labels = smooth_labels(targets, self._classes, self._smoothing)
        if weight is None:
            return cross_entropy(logits, labels)
        # It divides by the weights of the batch; wanted is the mean over samples.
        each = weight[labels] if labels.ndim == 1 else (labels * weight).sum(dim=1)
        return each.mean() * cross_entropy(logits, labels, class_weight=weight)

    def parts(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the loss and how well the batch was recognised, mixed clips by the larger part."""
        right = hits(logits.detach(), targets, self.multi_label)
        found = {name: of.float().mean() for name, of in right.items()}
        return {"loss": self.forward(logits, targets), **found}


def hits(logits: Tensor, targets: Tensor, multi_label: bool) -> dict[str, Tensor]:
    """Return by name of the measure which samples are recognised, bool ``[B]`` each.

    Args:
        logits: ``[B, C]``.
        targets: as for :class:`HeadLoss`; of mixed samples the larger part counts.
        multi_label: several labels per sample: then all of them must be right.
    """
    if multi_label:
        return {"exact_match_accuracy": ((logits > 0) == (targets > 0.5)).all(dim=1)}
    if targets.ndim == 2:
        targets = targets.argmax(dim=1)
    found = logits.topk(min(5, logits.shape[1]), dim=1).indices == targets[:, None]
    return {"top1_accuracy": found[:, 0], "top5_accuracy": found.any(dim=1)}


def balance(targets: np.ndarray, classes: int) -> Tensor:
    """Return the weights with which every class counts the same, 1 on average.

    Args:
        targets: int64 ``[N]`` or bool ``[N, C]``.
        classes: number of classes C.

    Returns:
        float32 ``[C]``, or with several labels ``[2, C]``: of what is not, and is, of a class.
        A class (or its absence) that does not occur has weight 0.
    """
    if targets.ndim == 2:
        positive = targets.mean(axis=0)
        share, wanted = np.stack([1 - positive, positive]), 0.5
    else:
        share = np.bincount(targets, minlength=classes) / len(targets)
        wanted = 1 / np.count_nonzero(share)
    weight = np.divide(wanted, share, out=np.zeros_like(share), where=share > 0)
    return torch.from_numpy(weight.astype(np.float32))


class HeadModel(nn.Module):
    """Logits ``[B, C]`` of uint8 clips ``[B, T, H, W, 3]``, or of features ``[B, D]``.

    A frozen encoder computes as it does when features are stored, in its own precision and without
    gradients: what is learnt from clips is what is learnt from a store of the same views. One that
    is trained computes in the loop's precision.

    Attributes:
        frozen: whether nothing but the head is trained.
    """

    def __init__(
        self,
        head: LinearLayer,
        loss: HeadLoss | JointLoss,
        encoder: Encoder | None = None,
        *,
        frozen: bool = True,
        precision: str = "auto",
        stochastic_depth: bool = False,
        batch_norm_drift: bool = False,
    ) -> None:
        """Put them together.

        Args:
            head: what is trained.
            loss: what it is trained by.
            encoder: None = the inputs are features.
            frozen: freeze the encoder; False = what of it is trained is set already.
            precision: arithmetic of a frozen encoder.
            stochastic_depth: compat: leave drop path active in what is frozen.
            batch_norm_drift: compat: BatchNorms of what is frozen go on as in training, so that
                their statistics become a part of what is learnt.
        """
        super().__init__()
        self.head = head
        self.loss = loss
        self.encoder = encoder
        self.frozen = frozen
        self._precision = precision
        self._stochastic_depth = stochastic_depth
        if encoder is not None and frozen:
            freeze(encoder)
            if batch_norm_drift:
                let_drift(encoder)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[B, C]``."""
        return self.head(self._encode(x))  # type: ignore[no-any-return]

    def set_training(self) -> None:
        """Train; what is frozen stays in evaluation mode, but for drop path and drifting statistics
        as asked.
        """
        drops = self._stochastic_depth
        train_mode(self, lambda m: drifts(m) or (drops and isinstance(m, DropPath)))

    def _encode(self, x: Tensor) -> Tensor:
        if self.encoder is None or x.ndim == 2:  # features
            return x
        if not self.frozen:
            return self.encoder(self.encoder.prepare(x)).float()  # type: ignore[no-any-return]
        with torch.no_grad(), arithmetic(self._precision, x.device):
            return self.encoder(self.encoder.prepare(x)).float()  # type: ignore[no-any-return]
