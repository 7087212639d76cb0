"""Tiny models of transformers that know text, with a tokenizer made on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

WORDS = "a rat is washing its face grooming rearing climbing video photo of the in left right"
SPECIAL = {"<pad>": 0, "</s>": 1, "<unk>": 2, "<s>": 3}
TEXT: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 32,
    "max_position_embeddings": 20,
    "bos_token_id": SPECIAL["<s>"],
    "eos_token_id": SPECIAL["</s>"],
    "pad_token_id": SPECIAL["<pad>"],
}
VISION: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
TOKENIZER = {"clip": "CLIPTokenizer", "siglip": "SiglipTokenizer", "siglip2": "GemmaTokenizer"}


def make_tokenizer(folder: Path, kind: str, *, begin: bool) -> None:
    """Words of ``WORDS``, two marks; a text ends with ``</s>``, and may begin with ``<s>``."""
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordLevel

    words = [*WORDS.split(), ".", ","]
    vocabulary = SPECIAL | {word: i + len(SPECIAL) for i, word in enumerate(words)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if kind == "CLIPTokenizer":
        tokenizer.normalizer = normalizers.Lowercase()
    single = "<s> $A </s>" if begin else "$A </s>"
    marks = [(name, SPECIAL[name]) for name in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=marks)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    facts = {"tokenizer_class": kind, "pad_token": "<pad>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(facts), encoding="utf-8")


def make_model(folder: Path, kind: str, seed: int = 0) -> Any:
    """Write a whole model of random weights with its tokenizer; return it as transformers has it.

    ``kind`` is ``clip``, ``siglip``, ``siglip2`` (fixed size), ``naflex`` or ``videoprism``.
    """
    import transformers as t

    torch.manual_seed(seed)
    if kind == "clip":
        config: Any = t.CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=8)
        model: Any = t.CLIPModel(config)
    elif kind == "videoprism":
        video = {
            **{k: VISION[k] for k in ("hidden_size", "intermediate_size", "num_attention_heads")},
            **{"num_spatial_layers": 1, "num_temporal_layers": 1, "num_auxiliary_layers": 1},
            **{"image_size": 32, "num_frames": 4, "tubelet_size": [1, 8, 8]},
        }
        model = t.VideoPrismClipModel(t.VideoPrismConfig(text_config=TEXT, vision_config=video))
    else:
        text = TEXT | {"projection_size": 16}
        naflex = {k: v for k, v in VISION.items() if k != "image_size"} | {"num_patches": 16}
        if kind == "naflex":
            model = t.Siglip2Model(t.Siglip2Config(text_config=text, vision_config=naflex))
        else:
            model = t.SiglipModel(t.SiglipConfig(text_config=text, vision_config=VISION))
    for name, parameter in model.named_parameters():  # logits differ, and so do pictures
        with torch.no_grad():
            if name in ("logit_scale", "logit_bias"):
                parameter.fill_(1.5 if name == "logit_scale" else -2.0)
            else:
                parameter.add_(0.3 * torch.randn_like(parameter))
    model.eval().save_pretrained(folder)
    tokenizer = TOKENIZER.get({"naflex": "siglip2"}.get(kind, kind), "VideoPrismTokenizer")
    make_tokenizer(folder, tokenizer, begin=kind == "clip")
    return model
