"""The text half of encoders against transformers' own models, with a tokenizer made here."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actionspace.encoders.create import create_encoder
from actionspace.encoders.text import TextEncoder
from actionspace.encoders.text_create import create_text_encoder, text_encoder_of, text_names
from actionspace.encoders.text_models import spelling
from actionspace.encoders.text_tokens import TextTokens
from actionspace.errors import ActionspaceError, UsageError, WeightsError
from actionspace.video.clips import ClipRequest, iter_clips
from actionspace.video.transform import FrameTransform
from tests.encoders.text_tiny import WORDS, make_model

KINDS = ("clip", "siglip", "siglip2", "naflex", "videoprism")
TEXTS = ["a rat washing its face", "grooming", "the photo of a rat is climbing in the video"]
RATS = Path(__file__).parents[2] / "src" / "actionspace" / "demo" / "data"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    folder = tmp_path_factory.mktemp("models")
    return {kind: (folder / kind, make_model(folder / kind, kind)) for kind in KINDS}


@pytest.fixture(scope="module")
def clips() -> torch.Tensor:
    """Four frames of each of three rats, uint8 ``[3, 4, 32, 32, 3]``."""
    transform = FrameTransform(short_side=32, mode="exact")
    found = []
    for video in sorted(RATS.glob("*/*.mp4"))[::8][:3]:
        (cut,) = iter_clips(video, [ClipRequest("x", np.arange(0, 16, 4))], transform)
        found.append(torch.from_numpy(cut.frames[:, :32, :32].copy()))
    return torch.stack(found)


def documented(folder: Path, kind: str, texts: list[str]) -> dict[str, torch.Tensor]:
    """What transformers' documentation feeds a model with."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    if kind == "clip":
        return dict(tokenizer(texts, padding=True, return_tensors="pt"))
    how = {"padding": "max_length", "max_length": 20, "padding_side": "right"}
    found = dict(tokenizer(texts, return_tensors="pt", truncation=True, **how))
    return found if kind == "videoprism" else {"input_ids": found["input_ids"]}


@pytest.mark.parametrize("kind", KINDS)
def test_as_transformers_own_model(made: dict[str, Any], kind: str) -> None:
    folder, model = made[kind]
    texts = [f"{text}." for text in TEXTS] if kind == "videoprism" else TEXTS
    with torch.no_grad():
        theirs = model.get_text_features(**documented(folder, kind, texts)).pooler_output
    theirs = torch.nn.functional.normalize(theirs, dim=-1).numpy()
    encoder = create_text_encoder(str(folder))
    ours = encoder.encode(TEXTS)
    error = float(np.abs(ours - theirs).max())
    print(kind, error)
    assert ours.dtype == np.float32 and ours.shape == theirs.shape
    assert error < 1e-6
    assert np.abs(ours[0] - ours[1]).max() > 0.02
    np.testing.assert_allclose(encoder.encode(TEXTS, batch_size=1), ours, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_and_texts_meet(made: dict[str, Any], clips: torch.Tensor, kind: str) -> None:
    """What our two halves say of each other is what the whole model says, on frames of rats."""
    folder, model = made[kind]
    eyes = create_encoder(str(folder), pool="joint")
    text = text_encoder_of(eyes.identity, weights=folder)
    pixels = eyes.prepare(clips)  # [B, 3, T, H, W]
    words = documented(folder, kind, [f"{t}." for t in TEXTS] if kind == "videoprism" else TEXTS)
    with torch.no_grad():
        seen = eyes.forward_features(pixels)[..., 0, 0].transpose(1, 2)  # [B, T', D]
        seen = torch.nn.functional.normalize(seen.flatten(0, 1), dim=-1).numpy()
        if kind == "videoprism":
            out = model(pixel_values_videos=pixels.transpose(1, 2), **words)
            theirs = 100 * (out.video_embeds @ out.text_embeds.T).numpy()
        else:
            frames = pixels.transpose(1, 2).flatten(0, 1)
            theirs = model(**_pictures(frames, kind), **words).logits_per_image.numpy()
    ours = text.scale * seen @ text.encode(TEXTS).T + (text.bias or 0.0)
    error = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    print(kind, error)
    assert ours.shape == theirs.shape and np.ptp(theirs, axis=0).max() > 1e-3
    assert error < 1e-5


def _pictures(frames: torch.Tensor, kind: str) -> dict[str, torch.Tensor]:
    if kind != "naflex":
        return {"pixel_values": frames}
    n, p = len(frames), 8
    patches = frames.reshape(n, 3, 4, p, 4, p).permute(0, 2, 4, 3, 5, 1).reshape(n, 16, -1)
    return {
        "pixel_values": patches,
        "pixel_attention_mask": torch.ones(n, 16, dtype=torch.long),
        "spatial_shapes": torch.tensor([[4, 4]]).expand(n, 2),
    }


@pytest.mark.parametrize(
    ("kind", "tokenizer", "expected"),
    [
        ("clip", "CLIPTokenizer", "A Rat,  washing: its face!"),
        ("siglip", "SiglipTokenizer", "a rat washing its face"),
        ("siglip", "GemmaTokenizerFast", "a rat,  washing: its face!"),
        ("siglip2", "", "a rat,  washing: its face!"),
        ("videoprism", "VideoPrismTokenizer", "a rat washing its face."),
    ],
)
def test_spelling(kind: str, tokenizer: str, expected: str) -> None:
    assert spelling(kind, tokenizer)(" A Rat,  washing: its face! ") == expected


def test_long_and_empty_texts(made: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    encoder = create_text_encoder(str(made["siglip"][0]))
    with caplog.at_level(logging.WARNING):
        long = encoder.encode([f"{WORDS} {WORDS}"])
    assert "longer than the 20 tokens" in caplog.text
    np.testing.assert_array_equal(long, encoder.encode([f"{WORDS} {WORDS} a rat"]))
    for texts in (["grooming", " "], ["grooming", "?!"], [], "grooming"):
        with pytest.raises(UsageError, match=r"says nothing|in a list"):
            encoder.encode(texts)


def broken(folder: Path, tmp_path: Path, *lost: str, **written: str) -> str:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    for name in lost:
        (copy / name).unlink()
    for name, text in written.items():
        (copy / f"{name}.json").write_text(text, encoding="utf-8")
    return str(copy)


@pytest.mark.parametrize(
    ("lost", "written", "words"),
    [
        (["tokenizer.json"], {}, "has no tokenizer.*tokenizer.json and tokenizer_config.json"),
        (["tokenizer_config.json"], {}, "which token fills texts up"),
        ([], {"tokenizer": "{}"}, "tokenizer in .* is damaged"),
        ([], {"tokenizer_config": "["}, "tokenizer_config.json is damaged"),
        (["model.safetensors"], {}, "cannot be loaded|lacks"),
    ],
)
def test_files_that_are_missing(
    made: dict[str, Any], tmp_path: Path, lost: list[str], written: dict[str, str], words: str
) -> None:
    with pytest.raises(WeightsError, match=words):
        create_text_encoder(broken(made["siglip"][0], tmp_path, *lost, **written))


def test_encoders_without_text() -> None:
    assert "clip_vit_base_patch16" in text_names() and "dinov2_base" not in text_names()
    for name in (
        "starter",
        "dinov2_base",
        "untrained:clip_vit_base_patch16",
        "clip_vit_bas_patch16",
    ):
        with pytest.raises(UsageError, match=r"no text.*Encoders with text: .*siglip"):
            create_text_encoder(name)
    with pytest.raises(UsageError, match="Did you mean 'clip_vit_base_patch16'"):
        create_text_encoder("clip_vit_bas_patch16")


def test_folders_without_text(made: dict[str, Any], tmp_path: Path) -> None:
    _, model = made["siglip"]
    model.vision_model.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="knows no text"):
        create_text_encoder(str(tmp_path))


def test_features_are_asked_in_their_own_words(made: dict[str, Any], tmp_path: Path) -> None:
    folder, _ = made["clip"]
    about = create_encoder(str(folder), pool="joint").identity
    found = text_encoder_of(about, weights=folder)
    assert isinstance(found, TextEncoder) and found.weights_hash == about["weights"]
    make_model(tmp_path, "clip", seed=1)
    for wrong, weights, words in (
        (about | {"options": {}}, folder, "pool=mean.*Extract them again with pool=joint"),
        (about | {"encoder": "starter"}, None, "'starter' knows no text"),
        (about, None, "If it came from a folder"),
        (about | {"encoder": None}, None, "Nobody knows which encoder"),
        (about, tmp_path, "right ones as weights="),
    ):
        with pytest.raises(ActionspaceError, match=words):
            text_encoder_of(wrong, weights=weights)


def test_the_older_files_of_clip(tmp_path: Path) -> None:
    """``vocab.json`` and ``merges.txt`` give what CLIP's own tokenizer makes of them."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    names = [*letters, *(f"{c}</w>" for c in letters), "ra", "rat</w>"]
    names += ["<|startoftext|>", "<|endoftext|>"]
    (tmp_path / "vocab.json").write_text(json.dumps({n: i for i, n in enumerate(names)}), "utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\nr a\nra t</w>\n", "utf-8")
    facts = {"pad_token": {"content": "<|endoftext|>"}}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(facts), "utf-8")
    ours = TextTokens.load(tmp_path).cut(9)
    assert ours.kind == ""
    texts = ["A RAT is", "one that is much too long for it"]
    theirs = CLIPTokenizer.from_pretrained(tmp_path, local_files_only=True)
    how = {"padding": "max_length", "max_length": 9, "truncation": True, "return_tensors": "np"}
    for mine, name in zip(ours(texts), ("input_ids", "attention_mask"), strict=True):
        np.testing.assert_array_equal(mine, theirs(texts, **how)[name])
