"""The starter encoder: a small Video Swin, looking twice, that ships with the package.

It was trained on procedurally rendered motion (``scripts/starter``, ``docs/starter-encoder.md``) so
that a first run needs no network. It is no substitute for an encoder trained on real video.
Importing this module does not import torch.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
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
#: What a mover does; the starter's first channels are logits of these.
MOTIONS = (
    "locomote",  # the whole mover changes place, limbs in a gait
    "rise",  # the front of the body goes up
    "lower",  # the front of the body goes down
    "head_ramp",  # the head is raised or lowered once
    "head_osc",  # the head nods or shakes
    "fore_at_head",  # the front limbs work at the head
    "fore_osc",  # the front limbs wave or paddle
    "hind_osc",  # a hind limb scratches or kicks
    "curl",  # the head goes to the flank or belly and works there
    "tail_osc",
    "turn",  # about the vertical axis: the outline is foreshortened
    "rotate",  # in the image plane
    "shake",  # the whole body trembles
    "approach",  # the outline grows or shrinks
    "jump",  # up and down along a parabola
)
VALUES = tuple(
    f"{name}_{i}" if count > 1 else name
    for name, count in (
        ("camera", 3),
        ("movers", 1),
        ("place", 4),
        ("displacement", 2),
        ("extent", 2),
        ("growth", 2),
        ("speed", 1),
        ("energy_by_part", 5),
        ("size", 1),
        ("posture_first", 8),
        ("posture_last", 8),
        ("posture_change", 8),
        ("frequency", 1),
    )
    for i in range(count)
)
"""How it moves; the starter's next channels (units in ``scripts/starter/render.py``)."""
MAPS = 4 * CELLS**2 + 2
"""The starter's last channels: brightness and change in cells of two looks, and a centre."""
DIM = len(MOTIONS) + len(VALUES) + MAPS
WEIGHTS_FILE = "starter.safetensors"
_OWN_FILES = "It takes its own weights only, as `actionspace convert RUN` writes them of a run."


def load_starter(weights: Path | None = None, *, trained: bool = True, seed: int = 0) -> Encoder:
    """Return the starter encoder in eval mode, on the CPU.

    Args:
        weights: a file with other weights of the same network, such as a fine-tuning leaves; None =
            those of the package.
        trained: else the network has random weights.
        seed: of the random weights.

    Raises:
        WeightsError: the weight file is missing, damaged, or of another network.
    """
    import torch

    from actionspace.encoders.checkpoint import load_state, weights_hash
    from actionspace.encoders.encoder import Encoder
    from actionspace.encoders.fit import fit_state
    from actionspace.encoders.starter_net import StarterNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = StarterNet()
    digest = f"untrained-seed{seed}"
    if weights is not None:
        state = {name: value.float() for name, value in load_state(weights).items()}
        fit_state(net, state, what=f"{weights} into starter", hint=_OWN_FILES)
        digest = weights_hash(state)
    elif trained:
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
