"""Checkpoints of transformers' encoders on the Hugging Face hub. Data only; no torch.

Licences are those of the models' pages. Sizes and costs stand in :mod:`.hf_counts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from actionspace.encoders.hf_counts import COUNTS
from actionspace.encoders.hf_families import FAMILIES
from actionspace.encoders.spec import ClipSpec

Gate = Literal["", "non-commercial", "gated"]

_APACHE = "Apache-2.0"
_BY_NC = "CC-BY-NC-4.0"
_DINOV3 = "DINOv3 licence"
_CLIP = "MIT (of the code; weights not licensed apart)"


@dataclass(frozen=True)
class HFEntry:
    """A checkpoint.

    Attributes:
        name: what to ask for.
        repository: its name on the hub.
        model_type: its family, a key of :data:`.hf_families.FAMILIES`.
        config: what of its config differs from the defaults of the class.
        licence: of the weights.
        note: what it is.
        gate: ``non-commercial`` or ``gated`` where the licence must be accepted first.
        text: it shares a space with text.
        changes: what of its clip differs from the family's.
    """

    name: str
    repository: str
    model_type: str
    config: Mapping[str, Any]
    licence: str
    note: str
    gate: Gate = ""
    text: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def clip(self) -> ClipSpec:
        """The clip it is fed."""
        return replace(FAMILIES[self.model_type].clip, **self.changes)

    @property
    def dim(self) -> int:
        """Channels of its features."""
        return int(self.config.get("hidden_size", 768))

    @property
    def parameters(self) -> int:
        """Parameters of the part that encodes video or pictures."""
        return COUNTS[self.name][0]

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one clip (the literature's "FLOPs")."""
        return COUNTS[self.name][1]


def _vit(width: int, layers: int, heads: int, hidden: int | None = None) -> dict[str, Any]:
    """The shape of a ViT; ``hidden`` = channels inside its MLPs, where the config names them."""
    shape = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads}
    return shape if hidden is None else shape | {"intermediate_size": hidden}


_DATA = {"k400": "Kinetics-400", "k600": "Kinetics-600", "ssv2": "Something-Something-v2"}
_SMALL = _vit(384, 12, 6)
_LARGE = _vit(1024, 24, 16)
_GIANT = _vit(1536, 40, 24) | {"use_swiglu_ffn": True}
_LARGE_MLP = _vit(1024, 24, 16, 4096)
_SO400M = _vit(1152, 27, 16, 4304)


def _videomae(name: str, repository: str, shape: Mapping[str, Any], note: str) -> HFEntry:
    name, repository = f"videomae_{name}", f"MCG-NJU/videomae-{repository}"
    return HFEntry(name, repository, "videomae", shape, _BY_NC, note, "non-commercial")


def _videomae_files() -> tuple[HFEntry, ...]:
    k400, ssv2 = (f"fine-tuned on {_DATA[name]}" for name in ("k400", "ssv2"))
    return (
        _videomae("small_k400", "small-finetuned-kinetics", _vit(384, 12, 6, 1536), k400),
        _videomae("base_k400", "base-finetuned-kinetics", {}, k400),
        _videomae("large_k400", "large-finetuned-kinetics", _LARGE_MLP, k400),
        _videomae("huge_k400", "huge-finetuned-kinetics", _vit(1280, 32, 16, 5120), k400),
        _videomae("base_ssv2", "base-finetuned-ssv2", {}, ssv2),
        _videomae("base_pretrained", "base", {}, "self-supervised on Kinetics-400"),
    )


def _timesformer(name: str) -> HFEntry:
    return HFEntry(
        f"timesformer_base_{name}",
        f"facebook/timesformer-base-finetuned-{name}",
        "timesformer",
        {},
        _BY_NC,
        f"fine-tuned on {_DATA[name]}",
        "non-commercial",
    )


def _videoprism(name: str, large: bool, text: bool = False) -> HFEntry:
    config: dict[str, Any] = {"num_frames": 8 if large else 16}
    if large:
        config |= {"hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 4096}
        config |= {"num_spatial_layers": 24}
    frames, scale = ("f8", "large") if large else ("f16", "base")
    return HFEntry(
        name,
        f"google/videoprism-{'lvt-' if text else ''}{scale}-{frames}r288",
        "videoprism_vision_model",
        config,
        _APACHE,
        "video-text model; pool=joint is its shared space" if text else "self-supervised on video",
        text=text,
        changes={"frames": 8, "stride": 8} if large else {},
    )


def _dinov2(scale: str, shape: dict[str, Any], registers: bool) -> HFEntry:
    kind = "-with-registers" if registers else ""
    return HFEntry(
        f"dinov2_{scale}" + ("_reg" if registers else ""),
        f"facebook/dinov2{kind}-{scale}",
        "dinov2_with_registers" if registers else "dinov2",
        {"image_size": 518, "patch_size": 14} | shape,
        _APACHE,
        "self-supervised on pictures" + (", with registers" if registers else ""),
    )


def _dinov3(name: str, shape: dict[str, Any]) -> HFEntry:
    return HFEntry(
        f"dinov3_{name}",
        f"facebook/dinov3-{name}-pretrain-lvd1689m",
        "dinov3_vit",
        {"num_register_tokens": 4} | shape,
        _DINOV3,
        "self-supervised on pictures",
        "gated",
    )


_GATED_MLP: dict[str, Any] = {"use_gated_mlp": True, "hidden_act": "silu"}
_7B = _GATED_MLP | {"query_bias": False, "value_bias": False}


def _clip(name: str, config: dict[str, Any], **changes: Any) -> HFEntry:
    return HFEntry(
        f"clip_{name.replace('-', '_')}",
        f"openai/clip-{name}",
        "clip_vision_model",
        config,
        _CLIP,
        "picture-text model; pool=joint is its shared space",
        text=True,
        changes=changes,
    )


def _siglip(name: str, config: dict[str, Any], size: int, naflex: bool = False) -> HFEntry:
    kind = "siglip2_vision_model" if naflex else "siglip_vision_model"
    changes: dict[str, Any] = {"size": size, "short_side": size}
    if name.startswith("siglip2"):
        changes["resize"] = "pil_bilinear"
    return HFEntry(
        name.replace("-", "_"),
        f"google/{name}",
        kind,
        config if naflex else {"image_size": size} | config,
        _APACHE,
        "picture-text model; pool=joint is its shared space",
        text=True,
        changes=changes,
    )


_L14 = _LARGE_MLP | {"patch_size": 14, "projection_dim": 768}
_SO14 = _SO400M | {"patch_size": 14}

HF_ENTRIES: tuple[HFEntry, ...] = (
    *_videomae_files(),
    HFEntry(
        "vivit_b_16x2_k400",
        "google/vivit-b-16x2-kinetics400",
        "vivit",
        {},
        "MIT",
        "fine-tuned on Kinetics-400",
    ),
    *(_timesformer(name) for name in ("k400", "k600", "ssv2")),
    _videoprism("videoprism_base", large=False),
    _videoprism("videoprism_large", large=True),
    _videoprism("videoprism_lvt_base", large=False, text=True),
    _videoprism("videoprism_lvt_large", large=True, text=True),
    *(
        _dinov2(scale, shape, registers)
        for registers in (False, True)
        for scale, shape in (("small", _SMALL), ("base", {}), ("large", _LARGE), ("giant", _GIANT))
    ),
    _dinov3("vits16", _vit(384, 12, 6, 1536)),
    _dinov3("vits16plus", _vit(384, 12, 6, 1536) | _GATED_MLP),
    _dinov3("vitb16", _vit(768, 12, 12, 3072)),
    _dinov3("vitl16", _LARGE_MLP),
    _dinov3("vith16plus", _vit(1280, 32, 20, 5120) | _GATED_MLP),
    _dinov3("vit7b16", _vit(4096, 40, 32, 8192) | _7B),
    _clip("vit-base-patch32", {"patch_size": 32}),
    _clip("vit-base-patch16", {"patch_size": 16}),
    _clip("vit-large-patch14", _L14),
    _clip("vit-large-patch14-336", _L14 | {"image_size": 336}, size=336, short_side=336),
    _siglip("siglip-base-patch16-224", {}, 224),
    _siglip("siglip-so400m-patch14-384", _SO14, 384),
    _siglip("siglip2-base-patch16-224", {}, 224),
    _siglip("siglip2-large-patch16-256", _LARGE_MLP, 256),
    _siglip("siglip2-so400m-patch14-384", _SO14, 384),
    _siglip("siglip2-base-patch16-naflex", {}, 256, naflex=True),
    _siglip("siglip2-so400m-patch16-naflex", _SO400M, 256, naflex=True),
    HFEntry(
        "pe_video_large",
        "facebook/pe-av-large",
        "pe_video_encoder",
        {"hidden_size": 1792},
        _APACHE,
        "Perception Encoder, one token a frame; needs timm and torchvision",
    ),
)

HF_BY_NAME = {entry.name: entry for entry in HF_ENTRIES}
