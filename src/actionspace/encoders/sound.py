"""``logmel``: the sound of a clip as features, without a network.

A clip's features are the mean and the standard deviation of each band of its log-mel spectrogram
(:mod:`actionspace.video.logmel`), which the decoder's side computes; so everything that works on an
encoder's features (probe, evaluate, predict, fuse) works on sound.
"""

from __future__ import annotations

from dataclasses import asdict

from torch import Tensor, nn

from actionspace.encoders.encoder import Encoder
from actionspace.encoders.spec import SOUND
from actionspace.errors import UsageError
from actionspace.video.logmel import LogMel


class LogMelEncoder(Encoder):
    """An encoder without weights: the pooled spectrogram is the feature.

    Attributes:
        sound: the spectrogram that clips are to come as.
    """

    def __init__(self, sound: LogMel) -> None:
        super().__init__(
            nn.Identity(),
            name="logmel",
            dim=sound.dim,
            clip=SOUND,
            weights_hash="none",
            options=asdict(sound),
        )
        self.sound = sound

    def prepare(self, clips: Tensor) -> Tensor:
        """Return pooled spectrograms float32 ``[B, D]`` on this device.

        Raises:
            UsageError: the clips are pictures.
        """
        if clips.ndim != 2:
            raise UsageError(
                "Encoder 'logmel' listens, and was given pictures. Sound is used through features: "
                "extract them, or train a recipe in probe mode."
            )
        return clips.to(self.mean.device).float()
