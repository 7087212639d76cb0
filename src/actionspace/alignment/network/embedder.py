"""Maps or features of frames to embeddings: by attention, by convolutions, or each by itself.

All take ``[B, T x contexts, C, h, w]``; all but the convolutions also ``[B, T x contexts, C]``.
Names of weights are those of published checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from actionspace.alignment.network.config import NetworkConfig
from actionspace.alignment.network.encoder import TemporalEncoder
from actionspace.alignment.network.positions import places, sinusoids


class TransformerEmbedder(nn.Module):
    """Frames that look at one another.

    Largest values over space, fully connected layers with BatchNorm over all frames of the batch
    (padded ones as well), positions, temporal encoder, a linear layer.
    """

    def __init__(self, config: NetworkConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        self.fc_layers = _connected(channels, config.fc, config.fc_dropout, nn.BatchNorm1d)
        self.video_emb = nn.Linear((channels, *config.fc)[-1], config.hidden_dim)
        self.drop = nn.Dropout(config.dropout)
        self.video_encoder = TemporalEncoder(config)
        self.embedding_layer = nn.Linear(config.hidden_dim, config.embedding_dim)

    def reduce(self, maps: Tensor) -> Tensor:
        """Return the largest values over space, ``[N, C, h, w]`` to ``[N, C]``."""
        return largest(maps)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return embeddings ``[B, T, embedding_dim]``.

        Args:
            x: ``[B, T, C, h, w]`` or ``[B, T, C]``.
            mask: bool ``[B, T]``, True where there is a frame; None = everywhere. Padded frames are
                embedded, too, but not looked at (unless a row has no others).
        """
        out: Tensor = self.embedding_layer(self.video_encoder(self._steps(x), visible(mask)))
        return out

    def attention(self, x: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """Return the attention of each layer, averaged over heads, ``[B, T, T]``."""
        steps, seen, maps = self._steps(x), visible(mask), []
        for layer in self.video_encoder.enc_layers:
            maps.append(layer.attention(steps, seen))  # type: ignore[operator]
            steps = layer(steps, seen)
        return maps

    def _steps(self, x: Tensor) -> Tensor:
        """Return what the temporal encoder takes, ``[B, T, hidden_dim]``."""
        batch, length = x.shape[:2]
        rows = x.flatten(0, 1)
        rows = self.fc_layers(self.reduce(rows) if rows.ndim == 4 else rows)
        steps: Tensor = self.video_emb(rows).reshape(batch, length, -1)
        kind = self.config.positions
        if kind != "none":
            train = self.config.train_frames if kind == "stretched" else None
            table = sinusoids(places(length, train), steps.shape[2])
            steps = steps + table.to(steps.device, steps.dtype)
        dropped: Tensor = self.drop(steps)
        return dropped


class ConvEmbedder(nn.Module):
    """Three-dimensional convolutions over the contexts of a frame, as in TCC (Dwibedi et al.,
    CVPR 2019): a frame knows of the others nothing but its contexts."""

    def __init__(self, config: NetworkConfig, channels: int) -> None:
        super().__init__()
        self.contexts = config.contexts
        layers: list[nn.Module] = []
        for conv in config.conv:
            padding = (conv.time_padding, 0, 0)
            layers += [
                nn.Conv3d(channels, conv.channels, conv.kernel, padding=padding),
                nn.BatchNorm3d(conv.channels),
                nn.ReLU(),
            ]
            channels = conv.channels
        self.conv_layers = nn.Sequential(*layers)
        self.fc_layers = _connected(channels, config.fc, config.fc_dropout)
        self.embedding_layer = nn.Linear((channels, *config.fc)[-1], config.embedding_dim)

    def reduce(self, maps: Tensor) -> Tensor:
        """Return the maps as they are: the convolutions need them."""
        return maps

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return embeddings ``[B, T, embedding_dim]`` of ``[B, T x contexts, C, h, w]``.

        ``mask`` is of no use here.
        """
        frames = grouped(x, self.contexts)
        maps = self.conv_layers(frames.flatten(0, 1).transpose(1, 2))
        rows = self.fc_layers(maps.amax((2, 3, 4)))
        out: Tensor = self.embedding_layer(rows)
        return out.reshape(*frames.shape[:2], -1)


class VanillaEmbedder(nn.Module):
    """The largest value over space and the contexts of a frame, and fully connected layers."""

    def __init__(self, config: NetworkConfig, channels: int) -> None:
        super().__init__()
        self.contexts = config.contexts
        self.fc_layers = _connected(channels, config.fc, config.fc_dropout)
        self.embedding_layer = nn.Linear((channels, *config.fc)[-1], config.embedding_dim)

    def reduce(self, maps: Tensor) -> Tensor:
        """Return the largest values over space, ``[N, C, h, w]`` to ``[N, C]``."""
        return largest(maps)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return embeddings ``[B, T, embedding_dim]`` of ``[B, T x contexts, C, h, w]``, or of
        ``[B, T x contexts, C]``.

        ``mask`` is of no use here.
        """
        rows = grouped(largest(x) if x.ndim == 5 else x, self.contexts).amax(2)
        out: Tensor = self.embedding_layer(self.fc_layers(rows.flatten(0, 1)))
        return out.reshape(*rows.shape[:2], -1)


def largest(maps: Tensor) -> Tensor:
    """Return the largest values over space, ``[..., h, w]`` to ``[...]``."""
    return maps.amax((-2, -1))


def visible(mask: Tensor | None) -> Tensor | None:
    """Return which frames attention may look at, bool ``[B, 1, 1, T]``, of a mask ``[B, T]``.

    In a row without any valid frame all may be looked at: there is no softmax of nothing.
    """
    if mask is None:
        return None
    valid = mask.bool()
    return (valid | ~valid.any(1, keepdim=True))[:, None, None, :]


def grouped(x: Tensor, contexts: int) -> Tensor:
    """``[B, T x contexts, ...]`` to ``[B, T, contexts, ...]``."""
    return x.reshape(x.shape[0], -1, contexts, *x.shape[2:])


def _connected(
    channels: int,
    widths: Sequence[int],
    dropout: float,
    norm: Callable[[int], nn.Module] | None = None,
) -> nn.Sequential:
    """Return dropout, linear layer, norm if any, and ReLU for each of the widths."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Dropout(dropout), nn.Linear(channels, width)]
        layers += [norm(width)] if norm else []
        layers += [nn.ReLU()]
        channels = width
    return nn.Sequential(*layers)
