"""V-JEPA 2 and 2.1 as encoders that look ahead: a clip's tokens, then what they predict.

As the published anticipation on EPIC-KITCHENS-100 does it (Assran et al. 2025, section 6.2): the
predictor is asked for the tokens of one tubelet, some seconds after the clip, and a probe sees
them beside the encoder's own. To be named as an encoder of one's own::

    encoder: actionspace.encoders.vjepa_future:encoder
    encoder_options: {network: vjepa2_vit_large_pretrained, seconds: 1.0}
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from actionspace.encoders.architectures_vjepa import VJEPAArchitecture
from actionspace.encoders.create import UNTRAINED, create_encoder
from actionspace.encoders.encoder import Encoder
from actionspace.encoders.published import NETWORKS, WEIGHTS
from actionspace.encoders.spec import ClipSpec
from actionspace.encoders.vjepa import VJEPA2
from actionspace.encoders.vjepa21 import VJEPA21
from actionspace.encoders.vjepa_files import load_predictor
from actionspace.encoders.vjepa_predictor import VJEPA2Predictor, VJEPA21Predictor
from actionspace.errors import UsageError

FRAMES, FPS = 32, 8.0
"""Four seconds, as the published anticipation looks at."""


class VJEPAFuture(nn.Module):
    """``[B, 3, T, H, W]`` to ``[B, D, T' + 1, H', W']``: the clip's tokens, then predicted ones.

    Predicted tokens that are wider than the encoder's (those of 2.1 are of four levels, or of the
    teacher) are cut to their last D channels, as published.

    Args:
        encoder, predictor: of one checkpoint; the predictor's grid must be that of the clips.
        ahead: tubelets between the last of the clip and the one that is predicted.
        mask_index: see :meth:`.VJEPA2Predictor.forward`; published: 1.
    """

    def __init__(
        self, encoder: VJEPA2, predictor: VJEPA2Predictor, *, ahead: int, mask_index: int = 1
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.predictor = predictor
        self.ahead = ahead
        self.mask_index = mask_index
        self.dim = encoder.dim

    def forward(self, x: Tensor) -> Tensor:
        """Encode normalised clips and predict.

        Raises:
            UsageError: the clips have another height or width than the predictor was made for.
        """
        grid = self.encoder.patch_embed.grid(x)
        if grid[1:] != self.predictor.grid:
            raise UsageError(
                f"The predictor was made for {self.predictor.grid} rows and columns of tokens; "
                f"these clips of {list(x.shape[3:])} pixels have {grid[1:]}. Set the clip's size."
            )
        levels = self._levels(x)
        count, space = math.prod(grid), grid[1] * grid[2]
        ids = torch.arange(count, device=x.device).expand(len(x), -1)
        wanted = count + space * self.ahead + torch.arange(space, device=x.device)
        predicted = self.predictor(
            levels, ids, wanted.expand(len(x), -1), mask_index=self.mask_index
        )
        tokens = torch.cat((levels[..., -self.dim :], predicted[..., -self.dim :]), dim=1)
        return tokens.transpose(1, 2).reshape(len(x), self.dim, grid[0] + 1, *grid[1:])

    def _levels(self, x: Tensor) -> Tensor:
        """Return what the predictor reads: the last level's tokens, or those of all levels."""
        if isinstance(self.encoder, VJEPA21):
            several = isinstance(self.predictor.predictor_embed, nn.Sequential)
            return self.encoder.encode(x, hierarchical=several)
        return self.encoder.encode(x)


def encoder(
    network: str = "vjepa2_vit_large_pretrained",
    *,
    seconds: float = 1.0,
    frames: int = FRAMES,
    fps: float = FPS,
    size: int | None = None,
    weights: str | None = None,
    mask_index: int = 1,
    encoder_options: dict[str, Any] | None = None,
    predictor_options: dict[str, Any] | None = None,
) -> Encoder:
    """Make an encoder that looks ahead.

    Args:
        network: name of published V-JEPA weights, of a network with ``weights``, or
            ``untrained:NETWORK``.
        seconds: how far ahead, from the end of the clip; rounded down to whole tubelets.
        frames, fps: of the clips; they end where what may be seen ends.
        size: pixels of the clips; None = what the network was trained on last.
        weights: a file that holds encoder and predictor.
        mask_index: which learned stand-in asks for a token; published: 1.
        encoder_options, predictor_options: of the networks, where they differ.

    Raises:
        UsageError: it is no V-JEPA, or ``seconds`` is not above 0.
        WeightsError: weights are missing, hold no predictor, or do not fit.
    """
    bare = network.removeprefix(UNTRAINED)
    architecture = {**NETWORKS, **{w.name: w.architecture for w in WEIGHTS}}.get(bare)
    if not isinstance(architecture, VJEPAArchitecture):
        raise UsageError(
            f"Encoder '{network}' predicts nothing: choose a V-JEPA, see "
            "`actionspace list encoders 'vjepa*'`."
        )
    if not seconds > 0:
        raise UsageError(f"seconds={seconds} lies in the clip; expected more than 0.")
    size = size or architecture.clip.size
    clip = _clip(architecture.clip, frames, fps, size)
    made = create_encoder(network, weights=weights, clip=clip, **(encoder_options or {}))
    backbone = cast(VJEPA2, made.backbone)
    source = weights or (bare if bare == network and bare not in NETWORKS else None)
    options = {"img_size": size, **(predictor_options or {})}
    if source is None:
        predictor = _untrained(architecture, backbone, options)
    else:
        predictor = load_predictor(source, **options)
    tubelet = backbone.patch_embed.patch[0]
    future = VJEPAFuture(
        backbone, predictor, ahead=int(seconds * fps / tubelet), mask_index=mask_index
    )
    told = {"network": network, "seconds": seconds, "frames": frames, "fps": fps, "size": size}
    own = {"encoder_options": encoder_options, "predictor_options": predictor_options}
    told |= {"mask_index": mask_index} | {name: value for name, value in own.items() if value}
    return Encoder(
        future,
        name=network,
        dim=future.dim,
        clip=clip,
        licence=made.licence,
        options=told,
    )


def _clip(own: ClipSpec, frames: int, fps: float, size: int) -> ClipSpec:
    short_side = int(size * own.short_side / own.size)
    return replace(own, frames=frames, stride=1, fps=fps, size=size, short_side=short_side)


def _untrained(
    architecture: VJEPAArchitecture, backbone: VJEPA2, options: dict[str, Any]
) -> VJEPA2Predictor:
    kind = VJEPA2Predictor if architecture.version == 2 else VJEPA21Predictor
    told = architecture.predictor_options() | {"embed_dim": backbone.dim}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(**told | options)
