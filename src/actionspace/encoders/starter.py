"""The starter encoder: a small Video Swin, looking twice, that ships with the package.

It was trained on procedurally rendered motion (``scripts/starter``, ``docs/starter-encoder.md``) so
that a first run needs no network. It is no substitute for an encoder trained on real video.
Importing this module does not import torch.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from actionspace.encoders.architectures import SwinArchitecture
from actionspace.encoders.spec import ClipSpec
from actionspace.errors import WeightsError

if TYPE_CHECKING:
    import torch

    from actionspace.encoders.encoder import Encoder

LICENCE = "Apache-2.0"
ARCHITECTURE = SwinArchitecture(
    96, (2, 4), (4, 8), drop_path_rate=0.05, patch_size=(4, 8, 8), window_size=(4, 4, 4)
)
CLIP = ClipSpec(
    frames=16, stride=1, size=128, short_side=128, geometry="full", resize="fast", fps=None
)
#: Side of each look in pixels, learned channels read from it, and cells per side of its maps.
LOOK, READ, CELLS = 64, 64, 8
#: Channels of the starter's features (see ``starter_net``): learned ones of both looks, maps of
#: brightness and change of both, and the centre of the near one.
DIM = 2 * READ + 4 * CELLS * CELLS + 2
WEIGHTS_FILE = "starter.safetensors"


def load_starter(trained: bool = True, seed: int = 0) -> Encoder:
    """Return the starter encoder in eval mode, on the CPU.

    Args:
        trained: with the weights of the package; else the same network with random weights.
        seed: of the random weights.

    Raises:
        WeightsError: the package's weight file is missing or damaged.
    """
    import torch

    from actionspace.encoders.encoder import Encoder
    from actionspace.encoders.fit import fit_state
    from actionspace.encoders.starter_net import StarterNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = StarterNet()
    digest = f"untrained-seed{seed}"
    if trained:
        state, digest = _packaged()
        fit_state(net, state, what="the package's starter weights", hint="Reinstall actionspace.")
    encoder = Encoder(
        net, name="starter", dim=net.dim, clip=CLIP, licence=LICENCE, weights_hash=digest
    )
    return encoder.eval()


def metadata() -> dict[str, str]:
    """Return what the weight file says about its making (script settings, seed, data, licence).

    Raises:
        WeightsError: the package's weight file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    source = resources.files("actionspace.encoders") / "data" / WEIGHTS_FILE
    try:
        with resources.as_file(source) as path, safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as e:
        raise _damaged(e) from e


def _packaged() -> tuple[dict[str, torch.Tensor], str]:
    import hashlib

    from safetensors import SafetensorError
    from safetensors.torch import load

    source = resources.files("actionspace.encoders") / "data" / WEIGHTS_FILE
    try:
        data = source.read_bytes()
        state = {name: value.float() for name, value in load(data).items()}
    except (OSError, SafetensorError) as e:
        raise _damaged(e) from e
    return state, hashlib.sha256(data).hexdigest()


def _damaged(e: Exception) -> WeightsError:
    return WeightsError(
        f"The starter encoder's weights (actionspace/encoders/data/{WEIGHTS_FILE}) cannot be read: "
        f"{e}. Reinstall actionspace."
    )
