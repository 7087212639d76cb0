"""What is known of one published weight file. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from actionspace.encoders.architectures import SwinArchitecture
from actionspace.encoders.architectures_vjepa import VJEPAArchitecture
from actionspace.encoders.convnet import ConvNet
from actionspace.encoders.spec import ClipSpec

Architecture = SwinArchitecture | ConvNet | VJEPAArchitecture

APACHE = "Apache-2.0 (of the code; weights not licensed apart)"


@dataclass(frozen=True)
class WeightFile:
    """A published weight file.

    Attributes:
        name: what to ask for; also the name of the encoder it makes.
        url: where it is downloaded from.
        architecture: what it fits.
        classes: outputs of its head.
        label_set: what those outputs are.
        licence: licence as stated by its publisher.
        note: published accuracy and origin (not checked here).
        labels: names of the outputs in order, empty where no reliable list is at hand.
        sha256: of the file, whole or its first digits; empty = none published.
        clip: the clip it was trained on.
        mirror: a second address of the same published file.
        bytes_per_parameter: 4; 8 where the optimiser's momentum lies beside each weight; 16 with
            two moments and an average of the weights.
        cached_as: its name in the cache, where that of its address would not do.
    """

    name: str
    url: str
    architecture: Architecture
    classes: int
    label_set: str
    licence: str
    note: str
    labels: tuple[str, ...] = ()
    sha256: str = ""
    clip: ClipSpec = field(default_factory=ClipSpec)
    mirror: str = ""
    bytes_per_parameter: int = 4
    cached_as: str = ""

    @property
    def filename(self) -> str:
        """Name of the file in the cache; unique among the published ones."""
        if self.cached_as:
            return self.cached_as
        publisher = "torchvision" if "pytorch.org" in self.url else self.url.split("/")[3]
        return f"{publisher.lower()}-{self.url.rsplit('/', 1)[1]}"

    @property
    def megabytes(self) -> float:
        """About how large the file is."""
        weights = self.architecture.parameters(self.classes) * self.bytes_per_parameter
        return (weights + self.architecture.buffer_bytes) / 1e6
