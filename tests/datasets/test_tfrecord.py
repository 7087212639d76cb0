"""TFRecords without TensorFlow: checksums, records, examples, damage."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.datasets import tfrecord
from actionspace.datasets.tfrecord import crc32c, masked_crc32c, parse_example, read_records
from actionspace.errors import DataError
from tests.datasets.framewise_layouts import example, write_records


def test_checksums_are_the_known_ones() -> None:
    # RFC 3720, B.4, and what the header of an empty record of TensorFlow holds
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert masked_crc32c(bytes(8)) == 0x07980329


@pytest.mark.parametrize("more", [0, 1, 3, 1023, 5000])
def test_long_checksums_are_the_short_ones(more: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(k * k % 251 for k in range(4 * tfrecord._LANES + more))
    fast = crc32c(data)
    monkeypatch.setattr(tfrecord, "_LANES", len(data))
    assert crc32c(data) == fast


@settings(max_examples=50)
@given(
    st.dictionaries(
        st.text(min_size=1),
        st.one_of(
            st.lists(st.binary(), min_size=1),
            st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1),
            st.lists(st.floats(width=32, allow_nan=False), min_size=1),
        ),
    ),
    st.dictionaries(st.text(), st.lists(st.lists(st.integers(-5, 300), max_size=4))),
)
def test_examples_come_back(features: dict, lists: dict) -> None:
    read = parse_example(example(features, lists))
    assert read.features == features and read.lists == lists
    assert parse_example(example(features)).lists == {}


def test_unpacked_numbers_are_read() -> None:
    # field 3 (whole numbers), field 1 with wire type 0, twice: what older writers do
    feature = bytes([3 << 3 | 2, 4, 1 << 3, 5, 1 << 3, 6])
    entry = bytes([1 << 3 | 2, 1]) + b"a" + bytes([2 << 3 | 2, len(feature)]) + feature
    features = bytes([1 << 3 | 2, len(entry)]) + entry
    record = bytes([1 << 3 | 2, len(features)]) + features
    assert parse_example(record).features == {"a": [5, 6]}


def test_records_and_damage(tmp_path: Path) -> None:
    records = [b"", b"one", bytes(range(256)) * 50]
    path = write_records(tmp_path / "a.tfrecord", records)
    assert list(read_records(path)) == records
    raw = path.read_bytes()
    for cut in (5, 15, len(raw) - 3):
        path.write_bytes(raw[:cut])
        with pytest.raises(DataError, match=r"record \d: the file ends inside it"):
            list(read_records(path))
    for place in (0, 9, 30, len(raw) - 1):
        damaged = bytearray(raw)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="checksum is wrong"):
            list(read_records(path))


@pytest.mark.parametrize("record", [b"\xff" * 9, b"\x0a\x7f", b"\x0a\x02\x0a\x00", b"\x0b\x00"])
def test_what_is_no_example_is_refused(record: bytes) -> None:
    with pytest.raises(DataError, match=r"a.tfrecord, record 3 is no tf\.train\.Example"):
        parse_example(record, "a.tfrecord, record 3")
