"""Downloads against a local server: resume, hashes, refusals, breaking connections."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from actionspace.encoders import download as module
from actionspace.encoders import weights
from actionspace.encoders.download import download
from actionspace.errors import UsageError, WeightsError

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; the fields say how it misbehaves."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.break_after: list[int] = []  # bytes sent before hanging up, per request
        self.failures: list[int] = []  # status codes answered first
        self.ranges = True
        self.requests: list[str | None] = []
        self.served_from: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/w.pth"

    def handle_error(self, *args: Any) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        s = self.server
        wanted = self.headers.get("Range")
        s.requests.append(wanted)
        if s.failures:
            self.send_error(s.failures.pop(0))
            return
        tag = f'"{hashlib.md5(s.content).hexdigest()}"'
        start = 0
        if s.ranges and wanted and self.headers.get("If-Range") == tag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(s.content):
                self.send_error(416)
                return
        s.served_from.append(start)
        self.send_response(206 if start else 200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(s.content) - start))
        self.end_headers()
        body = s.content[start:]
        if s.break_after:
            body = body[: s.break_after.pop(0)]
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as s:
        thread = threading.Thread(target=s.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield s
        s.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 1 << 16)


def _alone(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_whole_file_once(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "w.pth"
    assert download(server.url, target, sha256=SHA, wait=0) == target
    assert target.read_bytes() == CONTENT
    assert _alone(target.parent) == ["w.pth"]
    download(server.url, target)
    assert len(server.requests) == 1


def test_resumes_where_it_broke_off(server: Server, tmp_path: Path) -> None:
    server.break_after = [400_000]
    target = download(server.url, tmp_path / "w.pth", sha256=SHA, wait=0)
    assert target.read_bytes() == CONTENT
    assert server.requests[0] is None
    assert server.served_from == [0, 400_000]


def test_a_later_call_resumes(server: Server, tmp_path: Path) -> None:
    server.break_after = [300_000]
    with pytest.raises(WeightsError, match=r"broke off after 300000 of 1048576"):
        download(server.url, tmp_path / "w.pth", tries=1)
    assert not (tmp_path / "w.pth").exists()
    assert download(server.url, tmp_path / "w.pth", tries=1).read_bytes() == CONTENT
    assert server.served_from == [0, 300_000]


def test_does_not_join_halves_of_different_files(server: Server, tmp_path: Path) -> None:
    server.break_after = [300_000]
    with pytest.raises(WeightsError):
        download(server.url, tmp_path / "w.pth", tries=1)
    server.content = CONTENT[::-1]
    assert download(server.url, tmp_path / "w.pth", wait=0).read_bytes() == CONTENT[::-1]


def test_starts_again_when_the_server_cannot_resume(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.break_after = [300_000]
    assert download(server.url, tmp_path / "w.pth", wait=0).read_bytes() == CONTENT


def test_starts_again_when_the_partial_file_is_too_long(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "w.pth.part"
    part.write_bytes(CONTENT + b"more")
    (tmp_path / "w.pth.part.etag").write_text(f'"{hashlib.md5(CONTENT).hexdigest()}"')
    assert download(server.url, tmp_path / "w.pth", wait=0).read_bytes() == CONTENT


def test_wrong_hash_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"has SHA-256 {SHA}, expected abcd1234"):
        download(server.url, tmp_path / "w.pth", sha256="abcd1234")
    assert _alone(tmp_path) == []
    assert download(server.url, tmp_path / "w.pth", sha256=SHA[:8].upper()).exists()


def test_missing_address_is_not_retried(server: Server, tmp_path: Path) -> None:
    server.failures = [404] * 5
    with pytest.raises(WeightsError, match="404") as e:
        download(server.url, tmp_path / "w.pth", mirror="http://example.org/w")
    assert len(server.requests) == 1
    for part in (server.url, "http://example.org/w", str(tmp_path / "w.pth"), "starter"):
        assert part in str(e.value)


def test_passing_failures_are_retried(server: Server, tmp_path: Path) -> None:
    server.failures = [503, 500]
    assert download(server.url, tmp_path / "w.pth", wait=0).read_bytes() == CONTENT
    server.failures = [503] * 9
    with pytest.raises(WeightsError, match=r"503.*\(2 tries\)"):
        download(server.url, tmp_path / "v.pth", tries=2, wait=0)


def test_no_network(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"Cannot download http://127\.0\.0\.1:9/w"):
        download("http://127.0.0.1:9/w", tmp_path / "w.pth", tries=2, wait=0)


def test_disk_full_is_said(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_copy", full)
    with pytest.raises(WeightsError, match=r"Cannot write.*No space left.*resumes"):
        download(server.url, tmp_path / "w.pth")


def test_split_lists_and_names(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(weights.SPLIT_LISTS, "chimpbehave_train.txt", server.url)
    got = weights.download_split_list("chimpbehave_train.txt", tmp_path)
    assert got.name == "chimpbehave_train.txt" and got.read_bytes() == CONTENT
    with pytest.raises(UsageError, match=r"Did you mean 'chimpbehave_val\.txt'"):
        weights.download_split_list("chimpbehave_vall.txt", tmp_path)


def test_published_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ACTIONSPACE_CACHE", str(tmp_path))
    infos = weights.list_weights()
    assert len({i.name for i in infos}) == len(infos)
    assert len({e.filename for e in weights.WEIGHTS}) == len(infos)
    assert all(i.url.startswith("https://") and i.licence for i in infos)
    assert all(i.status.startswith("to download (about ") for i in infos)
    assert [i.name for i in weights.list_weights("uas_*k7*")] == ["uas_chimpbehave_k700"]
    assert len(weights.find_weights("uas_mammalnet_k400").labels) == 12

    entry = weights.find_weights("swin3d_b_k400")
    path = weights.weights_path(entry)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"put here by hand")
    assert weights.obtain("swin3d_b_k400") == path
    assert "unverified" in caplog.text
    assert weights.list_weights("swin3d_b_k400")[0].status == "cached (0 MB)"

    known = weights.weights_path(weights.find_weights("swin3d_t_k400_tv"))
    known.write_bytes(b"altered")
    with pytest.raises(WeightsError, match="expected 7615ae03"):
        weights.obtain("swin3d_t_k400_tv")
    with pytest.raises(UsageError, match="Did you mean 'swin3d_b_k400'"):
        weights.obtain("swin3d_b_k40")
    with pytest.raises(WeightsError, match="does not exist"):
        weights.obtain("runs/w.pth")
