"""What an exported file of alignment computes: features or pictures of a video to embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from actionspace.alignment.network.model import AlignmentNetwork
from actionspace.training.augment.frames import MEAN, STD


class Embeddings(nn.Module):
    """A network that is given a video as it is: pictures are normalised, contexts gathered within.

    Args:
        network: in evaluation mode.
        context_stride: frames between the contexts of a frame.
    """

    back: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, network: AlignmentNetwork, context_stride: int) -> None:
        super().__init__()
        config = network.config
        self.network = network
        self.pictures = config.input == "frames"
        self.outputs = ("embeddings", "logits") if network.classes else ("embeddings",)
        self.register_buffer("back", context_stride * torch.arange(1 - config.contexts, 1))
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values).reshape(3, 1, 1))

    def forward(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return the embeddings of all rows, and what the classifier says of them, if there is one.

        Args:
            rows: features, float32 ``[1, N, D]``; or pictures of the network's size, uint8
                ``[1, N, size, size, 3]``.

        Returns:
            ``[1, N, embedding_dim]`` and ``[1, N, classes]``.
        """
        if self.pictures:
            shares = rows.permute(0, 1, 4, 2, 3).float() / 255
            rows = self.network.encode_pictures((shares - self.mean) / self.std)
        if self.back.shape[0] > 1:
            frames = torch.arange(rows.shape[1]).unsqueeze(1)
            rows = rows[:, (frames + self.back).clamp(min=0).flatten()]
        found = self.network.of_features(rows)
        if not self.network.classes:
            return (found,)
        return found, self.network.of_features(rows, classify=True)
