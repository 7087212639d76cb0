"""Checkpoints of the published CARL code: which network the names, shapes and settings tell of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from actionspace.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

#: What data parallel training puts before every name.
_WRAPPER = "module."
_EMBEDDING = "embed.embedding_layer.weight"
_TRAINED = {"frozen": "frozen", "only_bn": "bn", "train_all": "all"}
#: Our options under the names that the original's settings have for them.
_SETTINGS = {
    "contexts": "DATA.NUM_CONTEXTS",
    "frames_per_batch": "MODEL.BASE_MODEL.FRAMES_PER_BATCH",
    "heads": "MODEL.EMBEDDER_MODEL.NUM_HEADS",
    "fc_dropout": "MODEL.EMBEDDER_MODEL.FC_DROPOUT_RATE",
    "dropout": "MODEL.EMBEDDER_MODEL.FC_DROPOUT_RATE",
    "train_frames": "TRAIN.NUM_FRAMES",
    "l2_normalize": "MODEL.L2_NORMALIZE",
}


def network_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return published weights under the names of our network, which are the published ones.

    Raises:
        WeightsError: they are not those of CARL.
    """
    named = {name.removeprefix(_WRAPPER): value for name, value in state.items()}
    if _EMBEDDING not in named:
        raise WeightsError(
            f"These are not the weights of CARL: there is no '{_EMBEDDING}'. They begin with "
            f"{', '.join(sorted({name.split('.')[0] for name in named})[:5])}."
        )
    return named


def told_options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the options of ``NetworkConfig`` that names and shapes of weights tell.

    Args:
        state: as of :func:`network_state`.
    """
    told: dict[str, Any] = {
        "input": "frames" if "backbone.0.weight" in state else "features",
        "layer": _layer(state),
        "embedder": _embedder(state),
        "fc": tuple(len(value) for value in _numbered(state, "embed.fc_layers", ndim=2)),
        "embedding_dim": len(state[_EMBEDDING]),
        "projection": "ssl_projection.net.0.weight" in state,
    }
    if told["projection"]:
        told["projection_dim"] = len(state["ssl_projection.net.0.weight"])
    if told["embedder"] == "conv":
        told["conv"] = [
            {"channels": value.shape[0], "kernel": value.shape[2]}
            for value in _numbered(state, "embed.conv_layers", ndim=5)
        ]
    if told["embedder"] == "transformer":
        inner = [state[name] for name in state if name.endswith("feed_forward.fc1.weight")]
        told |= {"hidden_dim": len(state["embed.video_emb.weight"]), "layers": len(inner)}
        told |= {"feed_forward_dim": len(inner[0])} if inner else {}
    return told


def classes_and_dim(state: Mapping[str, Tensor]) -> tuple[int, int]:
    """Return the classes of a network, 0 without a classifier, and the channels it embeds."""
    head = state.get("classifier.fc_layers.1.weight")
    for prefix, ndim in (("embed.conv_layers", 5), ("embed.fc_layers", 2)):
        if layers := _numbered(state, prefix, ndim=ndim):
            return 0 if head is None else len(head), layers[0].shape[1]
    first = state.get("embed.video_emb.weight", state[_EMBEDDING])
    return 0 if head is None else len(head), first.shape[1]


def noted_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of ``NetworkConfig`` that only the settings in a checkpoint tell.

    Args:
        settings: its ``cfg``, mappings within mappings.
    """
    noted = {option: _at(settings, name) for option, name in _SETTINGS.items()}
    noted["train_base"] = _TRAINED.get(str(_at(settings, "MODEL.TRAIN_BASE")))
    return {option: value for option, value in noted.items() if value is not None}


def time_paddings(settings: Mapping[str, Any]) -> list[int]:
    """Return the padding in time of the convolutions, empty where the settings do not tell."""
    layers = _at(settings, "MODEL.EMBEDDER_MODEL.CONV_LAYERS")
    return [int(padding) for _, _, padding in layers] if layers else []


def _layer(state: Mapping[str, Tensor]) -> int:
    if "res_finetune.0.0.conv1.weight" in state:
        return 2
    return 3 if any(name.startswith("res_finetune.") for name in state) else 4


def _embedder(state: Mapping[str, Tensor]) -> str:
    if "embed.video_emb.weight" in state:
        return "transformer"
    return "conv" if "embed.conv_layers.0.weight" in state else "vanilla"


def _numbered(state: Mapping[str, Tensor], prefix: str, ndim: int) -> list[Tensor]:
    """Return the weights of so many dimensions of a sequence of layers, in order."""
    found = {
        int(match[1]): value
        for name, value in state.items()
        if (match := re.fullmatch(re.escape(prefix) + r"\.(\d+)\.weight", name))
        and value.ndim == ndim
    }
    return [found[i] for i in sorted(found)]


def _at(settings: Mapping[str, Any], name: str) -> Any:
    value: Any = settings
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
