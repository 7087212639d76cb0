"""The folder that holds a checkpoint of transformers: here, in Hugging Face's cache, or its hub."""

from __future__ import annotations

import json
from pathlib import Path

from actionspace.encoders.hf_pixels import FILES
from actionspace.errors import UsageError, WeightsError
from actionspace.paths import cache_dir

CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLED = "pytorch_model.bin"  # read with torch.load(weights_only=True)
_TOKENIZER = ["tokenizer*.json", "special_tokens_map.json", "vocab.json", "merges.txt"]
_PATTERNS = [CONFIG, *FILES, "model*.safetensors", _INDEX, *_TOKENIZER]


def models_folder(repository: str) -> Path:
    """Return where files put there by hand are looked for first, whether or not it is there."""
    return cache_dir() / "models" / repository.replace("/", "--")


def status(repository: str) -> str:
    """Say in a word whether a checkpoint is on this machine, without importing anything large."""
    if not missing_files(models_folder(repository)):
        return "in the models folder"
    return "in the Hugging Face cache" if _in_hub_cache(repository) else "to download"


def _in_hub_cache(repository: str) -> bool:
    import os

    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    snapshots = cache / f"models--{repository.replace('/', '--')}" / "snapshots"
    return any(not missing_files(folder) for folder in snapshots.glob("*"))


def find_folder(repository: str) -> Path:
    """Return a folder with the checkpoint's files, downloading them if need be.

    Raises:
        WeightsError: it is nowhere and cannot be downloaded; the message says which files to put
            where.
        UsageError: huggingface_hub is not installed.
    """
    own = models_folder(repository)
    if not missing_files(own):
        return own
    try:
        from huggingface_hub import snapshot_download
    except ImportError as e:
        raise UsageError("Checkpoints of transformers need `pip install transformers`.") from e
    try:
        folder = Path(
            snapshot_download(repository, allow_patterns=_PATTERNS, local_files_only=True)
        )
        if not missing_files(folder):
            return folder
    except Exception:  # nothing of it is there; what is wrong comes with the next call
        pass
    try:
        folder = Path(snapshot_download(repository, allow_patterns=_PATTERNS))
        if missing_files(folder) == [_WEIGHTS]:  # some repositories have but the older format
            folder = Path(snapshot_download(repository, allow_patterns=[*_PATTERNS, _PICKLED]))
    except Exception as e:
        raise WeightsError(_by_hand(repository, f"{type(e).__name__}: {_first_line(e)}")) from e
    if lacking := missing_files(folder):
        raise WeightsError(_by_hand(repository, f"{folder} lacks {', '.join(lacking)}"))
    return folder


def missing_files(folder: Path) -> list[str]:
    """Return the names of files that a folder lacks to be loaded."""
    lacking = [] if (folder / CONFIG).is_file() else [CONFIG]
    index = folder / _INDEX
    if index.is_file():
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, AttributeError):
            return [*lacking, _INDEX]
        return lacking + sorted(name for name in shards if not (folder / str(name)).is_file())
    if (folder / _WEIGHTS).is_file() or (folder / _PICKLED).is_file():
        return lacking
    return [*lacking, _WEIGHTS]


def _first_line(e: Exception) -> str:
    return (str(e).strip().splitlines() or [""])[0]


def _by_hand(repository: str, reason: str) -> str:
    page = f"https://huggingface.co/{repository}"
    return (
        f"Cannot get {repository} from the Hugging Face hub ({reason}). Without a network, fetch "
        f"{CONFIG}, {_WEIGHTS} (or its shards with {_INDEX}) and, where there is one, "
        f"{FILES[1]} or {FILES[0]} from {page} on another machine and put them into "
        f"{models_folder(repository)} (or pass the folder itself as weights=FOLDER). If the page "
        f"asks you to agree to terms, do so and log in with `hf auth login` first."
    )
