"""Making the text half of an encoder: by name, from a folder, or for features that are there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.encoders import hf_create as hf
from actionspace.encoders.hf_files import CONFIG
from actionspace.encoders.hf_published import HF_ENTRIES, HFEntry
from actionspace.encoders.text_models import TEXT_FAMILIES
from actionspace.encoders.text_tokens import TextTokens
from actionspace.errors import UsageError, WeightsError, did_you_mean
from actionspace.paths import read_json

if TYPE_CHECKING:
    from actionspace.encoders.text import TextEncoder

_UNTRAINED = "untrained:"
_SIGHT = ("vision_model", "visual_projection", "video_model")


def text_names() -> list[str]:
    """Return the names of the encoders that know text."""
    return [entry.name for entry in HF_ENTRIES if entry.text]


def create_text_encoder(
    name: str,
    *,
    weights: str | Path | None = None,
    device: str = "cpu",
    accept_licence: bool = False,
) -> TextEncoder:
    """Make the text half of an encoder, in eval mode and float32, on ``device``.

    Args:
        name: one of :func:`text_names`, its repository, or a folder of transformers that holds the
            whole model and its tokenizer.
        weights: such a folder, in place of the one where the name's files lie.
        device: where it goes.
        accept_licence: accept the licence of a name's weights.

    Raises:
        UsageError: the encoder knows no text.
        WeightsError: files are missing, the tokenizer's among them, or do not fit.
    """
    from actionspace.encoders.checkpoint import weights_hash
    from actionspace.encoders.text import TextEncoder

    entry = require_text(name)
    folder = hf.checkpoint_folder(name, entry, False, weights, accept_licence)
    assert folder is not None
    config = hf.vision_config(entry, folder, {})
    family = hf.family_of(config.model_type, name)
    kind = str(read_json(folder / CONFIG)["model_type"])
    if kind not in TEXT_FAMILIES:
        raise UsageError(_speechless(name))
    tokens = TextTokens.load(folder)
    whole = hf.load_whole(folder, family)
    digest = weights_hash(hf.part_for(whole, config, family, "joint").state_dict())
    for part in _SIGHT:
        if hasattr(whole, part):
            delattr(whole, part)
    known = {k: v.detach() for k, v in whole.named_parameters(recurse=False)}
    scale = known["logit_scale"].exp() if "logit_scale" in known else TEXT_FAMILIES[kind].scale
    return TextEncoder(
        whole.to(device).eval(),
        tokens.cut(whole.config.text_config.max_position_embeddings),
        kind,
        name=name,
        scale=float(scale),
        bias=float(known["logit_bias"]) if "logit_bias" in known else None,
        weights_hash=digest,
    )


def text_encoder_of(
    about: Mapping[str, Any], *, weights: str | Path | None = None, device: str = "cpu"
) -> TextEncoder:
    """Make the text half of the encoder that features were made with.

    Args:
        about: a store's fingerprint, or an encoder's identity.
        weights: folder of the model, where the encoder was made from a folder or its files lie
            elsewhere than the name says.
        device: where it goes.

    Raises:
        UsageError: that encoder knows no text, or the features are not in the space of texts.
        WeightsError: files are missing, or other weights than the features were made with.
    """
    name = str(about.get("encoder") or "")
    if not name:
        raise UsageError(f"Nobody knows which encoder these features are of. {_known()}")
    if weights is not None and _entry(name) is None:
        name = str(weights)
    require_text(name)
    pool = (about.get("options") or {}).get("pool", "mean")
    if pool != "joint":
        raise UsageError(
            f"These features of '{name}' were made with pool={pool}, so they are not in the space "
            f"it shares with texts. Extract them again with pool=joint: actionspace extract "
            f"VIDEOS --encoder {name} encoder_options.pool=joint --out STORE."
        )
    found = create_text_encoder(name, weights=weights, device=device)
    if found.weights_hash != about.get("weights"):
        raise WeightsError(
            f"The features were made with the weights {about.get('weights')} of '{name}'; here are "
            f"{found.weights_hash}. Give the folder of the right ones as weights=."
        )
    return found


def _entry(name: str) -> HFEntry | None:
    return next((e for e in HF_ENTRIES if name in (e.name, e.repository)), None)


def require_text(name: str) -> HFEntry | None:
    """Return the entry of an encoder's name, ``None`` of a folder.

    Raises:
        UsageError: the encoder knows no text; the message names those that do.
    """
    entry = _entry(name)
    if entry is None and not hf.is_hf(name):
        raise UsageError(_speechless(name))
    if entry is not None and not entry.text:
        raise UsageError(_speechless(name))
    return entry


def _speechless(name: str) -> str:
    bare = name.removeprefix(_UNTRAINED)
    why = "has random weights, which know no text" if bare != name else "knows no text"
    known = f"{did_you_mean(bare, text_names())} {_known()}"
    return f"Encoder '{name}' {why}.{known} If it came from a folder, give that as weights=."


def _known() -> str:
    return f"Encoders with text: {', '.join(text_names())}."
