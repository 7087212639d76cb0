"""What this machine has, what it lacks, and what follows: in words."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from pathlib import Path

from actionspace import __version__
from actionspace.paths import cache_dir

DECODERS = ("h264", "hevc", "av1", "vp9", "mpeg4", "gif")
ENCODERS = ("libx264",)
OPTIONAL = {
    "h5py": "reading feature files in HDF5 (.h5)",
}


def diagnose() -> dict[str, str]:
    """Return one line of text per subject: versions, devices, codecs, cache, what is missing."""
    missing: list[str] = []
    facts = {
        "actionspace": __version__,
        "python": f"{platform.python_version()} on {platform.platform()}",
        "torch": _torch(missing),
        "devices": _devices(),
        "video": _video(missing),
        "packages": _packages(),
        "cache": _cache(missing),
        "starter": _starter(missing),
        "optional": _optional(),
    }
    facts["missing"] = "; ".join(missing) if missing else "nothing that the first steps need"
    return facts


def _torch(missing: list[str]) -> str:
    try:
        import torch
    except (ImportError, OSError) as e:
        missing.append(f"torch does not import ({e}); install it with `pip install torch`")
        return "does not import"
    build = f"CUDA {torch.version.cuda} build" if torch.version.cuda else "CPU build"
    return f"{torch.__version__}, {build}, {torch.get_num_threads()} threads"


def _devices() -> str:
    try:
        import torch
    except (ImportError, OSError):
        return "unknown without torch"
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        bf16 = "with" if torch.cuda.is_bf16_supported() else "without"
        return f"{', '.join(names)} ({bf16} bf16)"
    if torch.backends.mps.is_available():
        return "Apple GPU present; encoders run on the CPU here (untested on this GPU)"
    return f"CPU only, {os.cpu_count()} cores: a small encoder is practical, a large one is slow"


def _video(missing: list[str]) -> str:
    try:
        import av
    except (ImportError, OSError) as e:
        missing.append(f"PyAV does not import ({e}); install it with `pip install av`")
        return "PyAV does not import"
    lacking = [f"decoding {c}" for c in DECODERS if not _has_codec(c, "r")]
    lacking += [f"encoding with {c}" for c in ENCODERS if not _has_codec(c, "w")]
    missing.extend(lacking)
    version = ".".join(map(str, av.library_versions["libavcodec"]))
    codecs = "lacks " + ", ".join(lacking) if lacking else f"decodes {', '.join(DECODERS)}"
    return f"PyAV {av.__version__} with its own FFmpeg (libavcodec {version}), {codecs}"


def _has_codec(name: str, mode: str) -> bool:
    import av

    try:
        av.Codec(name, mode)  # type: ignore[arg-type]
    except (ValueError, LookupError, av.FFmpegError):
        return False
    return True


def _packages() -> str:
    names = ("numpy", "pandas", "pyarrow", "safetensors", "scikit-learn", "matplotlib")
    found = []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} is missing")
    return ", ".join(found)


def _cache(missing: list[str]) -> str:
    place = cache_dir()
    parent = next(p for p in (place, *place.parents) if p.exists())
    if not os.access(parent, os.W_OK):
        missing.append(f"{place} is not writable; set ACTIONSPACE_CACHE to a folder that is")
    free = shutil.disk_usage(parent).free / 1e9
    used = sum(f.stat().st_size for f in place.rglob("*") if f.is_file()) / 1e6
    return f"{place} ({used:.0f} MB used, {free:.0f} GB free; ACTIONSPACE_CACHE moves it)"


def _starter(missing: list[str]) -> str:
    weights = Path(__file__).parent / "encoders" / "data" / "starter.safetensors"
    if not weights.is_file():
        missing.append("the starter encoder's weights; reinstall the package")
        return "missing"
    return f"inside the package, {weights.stat().st_size / 1e6:.1f} MB, needs no network"


def _optional() -> str:
    lines = []
    for name, use in OPTIONAL.items():
        state = "there" if importlib.util.find_spec(name) else "not installed"
        lines.append(f"{name} ({use}): {state}")
    return "; ".join(lines)
