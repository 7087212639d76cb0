"""Resumable, verified downloads into a cache folder."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from actionspace.errors import WeightsError
from actionspace.paths import sha256_file, write_text
from actionspace.progress import bar

CHUNK = 1 << 20
_LASTING = {400, 401, 403, 404, 405, 410, 451}


@dataclass(frozen=True)
class _Interrupted(Exception):
    """A transfer that may succeed when tried again from where it stopped."""

    reason: str


def download(
    url: str,
    target: Path,
    *,
    sha256: str = "",
    mirror: str = "",
    tries: int = 3,
    wait: float = 1.0,
    timeout: float = 30.0,
) -> Path:
    """Download ``url`` to ``target`` unless it is already there, and return ``target``.

    The bytes go to ``target`` + ``.part``, which a later call resumes (HTTP Range, guarded by
    the server's entity tag); the file appears under its name only when whole.

    Args:
        url: an http(s) address.
        target: the file to make.
        sha256: what the file must hash to, whole or its first digits; empty = not checked.
        mirror: a second address, named in the message if the first one fails.
        tries: attempts in all when the transfer breaks.
        wait: seconds before the second attempt; doubled each time.
        timeout: seconds of silence after which an attempt counts as broken.

    Raises:
        WeightsError: no network, the address does not exist, the transfer keeps breaking, the
            hash is wrong, or the disk is full; the message says what to fetch and where to
            put it.
    """
    if target.exists():
        return target
    part = target.with_name(target.name + ".part")
    reason = ""
    for attempt in range(tries):
        if attempt:
            time.sleep(wait * 2 ** (attempt - 1))
        try:
            _transfer(url, part, timeout)
            break
        except urllib.error.HTTPError as e:
            reason = f"the server answered {e.code} {e.reason}"
            if e.code in _LASTING:
                raise WeightsError(_by_hand(url, mirror, target, reason)) from e
        except (_Interrupted, urllib.error.URLError, http.client.HTTPException, TimeoutError) as e:
            reason = str(getattr(e, "reason", "") or e or type(e).__name__)
        except ConnectionError as e:
            reason = str(e)
        except OSError as e:
            raise WeightsError(
                f"Cannot write {part}: {e.strerror or e}. Free space there, or set "
                f"ACTIONSPACE_CACHE to another folder, and run again; it resumes."
            ) from e
    else:
        raise WeightsError(_by_hand(url, mirror, target, f"{reason} ({tries} tries)"))
    try:
        verify_hash(part, sha256, url)
    except WeightsError:
        _tag_file(part).unlink(missing_ok=True)
        raise
    part.replace(target)
    _tag_file(part).unlink(missing_ok=True)
    return target


def _transfer(url: str, part: Path, timeout: float) -> None:
    """Append what is missing of ``url`` to ``part``."""
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    tag = _tag_file(part).read_text(encoding="utf-8") if _tag_file(part).exists() else ""
    headers = {"User-Agent": "actionspace"}
    if have and tag:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag}
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=timeout
        )
    except urllib.error.HTTPError as e:
        if e.code != 416:
            raise
        part.unlink(missing_ok=True)  # Longer than the file: another file, start again.
        raise _Interrupted("the partial file did not belong to this address") from e
    with response:
        resumed = response.status == 206
        have = have if resumed else 0
        write_text(_tag_file(part), response.headers.get("ETag") or "")
        length = response.headers.get("Content-Length")
        total = have + int(length) if length is not None else None
        with part.open("ab" if resumed else "wb") as out:
            _copy(response, out, have, total, what=url.rsplit("/", 1)[1])
    got = part.stat().st_size
    if total is not None and got != total:
        raise _Interrupted(f"the transfer broke off after {got} of {total} bytes")


def _copy(source: Any, out: IO[bytes], have: int, total: int | None, what: str) -> None:
    size = None if total is None else -(-total // CHUNK)
    with bar(total=size, what=f"Downloading {what}", unit="MiB") as shown:
        shown.update(have // CHUNK)
        while block := source.read(CHUNK):
            out.write(block)
            shown.update(1)


def verify_hash(path: Path, sha256: str, url: str) -> None:
    """Delete ``path`` and raise unless its SHA-256 begins with ``sha256`` (empty: no check).

    Raises:
        WeightsError: the hash differs.
    """
    if not sha256:
        return
    found = sha256_file(path)
    if not found.startswith(sha256.lower()):
        path.unlink()
        raise WeightsError(
            f"{path.name} from {url} has SHA-256 {found}, expected {sha256}…: it was altered or "
            f"damaged on the way and has been deleted. Run again; if it happens again, do not "
            f"use that address."
        )


def _tag_file(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _by_hand(url: str, mirror: str, target: Path, reason: str) -> str:
    also = f" (or {mirror})" if mirror else ""
    return (
        f"Cannot download {url}: {reason}. Without a network, download that address{also} on "
        f"another machine and put the file here: {target} (or pass the file itself as "
        f"weights=FILE). Encoder 'starter' needs no download."
    )
