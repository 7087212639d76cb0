"""TFRecord files and the examples in them, read without TensorFlow.

A file is one record after another: length (8 bytes), checksum of the length (4), data, checksum of
the data (4), all little-endian; the checksum is CRC-32C, rotated and shifted so that a checksum of
data that holds checksums stays good ("masked"). The data is a protocol buffer, here
``tf.train.Example`` or ``tf.train.SequenceExample``:

- both: field 1, named features of the whole;
- a sequence too: field 2, named lists of features, one per frame;
- a feature: a list of byte strings (1), of float32 (2) or of int64 (3).
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actionspace.errors import DataError

Values = list[bytes] | list[float] | list[int]

#: Stretches of a record whose checksums are computed side by side.
_LANES = 1024
_POLYNOMIAL = 0x82F63B78


@dataclass(frozen=True)
class Example:
    """One record.

    Attributes:
        features: of the whole, by name.
        lists: per name, one feature for each step; empty for a ``tf.train.Example``.
    """

    features: dict[str, Values]
    lists: dict[str, list[Values]]


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the records of a file, one at a time in memory.

    Raises:
        DataError: the file ends in the middle of a record, or a checksum is wrong.
    """
    with path.open("rb") as file:
        number = 0
        while head := file.read(12):
            where = f"{path}, record {number}"
            if len(head) == 12:
                _check(head[:8], head[8:], where)
                length = struct.unpack("<Q", head[:8])[0]
                data, tail = file.read(length), file.read(4)
            if len(head) < 12 or len(data) < length or len(tail) < 4:
                raise DataError(f"{where}: the file ends inside it; download the file again.")
            _check(data, tail, where)
            yield data
            number += 1


def parse_example(record: bytes, where: str = "record") -> Example:
    """Return a record as an example.

    Raises:
        DataError: it is none; ``where`` is named.
    """
    features: dict[str, Values] = {}
    lists: dict[str, list[Values]] = {}
    try:
        for field, value in _fields(memoryview(record)):
            for _, entry in _fields(_part(value)):
                named = dict(_fields(_part(entry)))
                name, content = (
                    bytes(_part(named[1])).decode(),
                    _part(named.get(2, memoryview(b""))),
                )
                if field == 1:
                    features[name] = _values(content)
                elif field == 2:
                    lists[name] = [_values(_part(one)) for _, one in _fields(content)]
    except (KeyError, IndexError, ValueError, TypeError, struct.error) as e:
        raise DataError(f"{where} is no tf.train.Example or SequenceExample ({e}).") from e
    return Example(features, lists)


def _values(feature: memoryview) -> Values:
    for kind, content in _fields(feature):
        items = [value for number, value in _fields(_part(content)) if number == 1]
        if kind == 1:
            return [bytes(_part(item)) for item in items]
        if kind == 2:
            raw = b"".join(bytes(_part(item)) for item in items)
            return [float(v) for v in np.frombuffer(raw, "<f4")]
        if kind == 3:
            return [number for item in items for number in _whole_numbers(item)]
    return []


def _whole_numbers(item: int | memoryview) -> Iterator[int]:
    """Yield signed numbers, packed into one part or alone."""
    if isinstance(item, int):
        yield item - (1 << 64) * (item >= 1 << 63)
        return
    at = 0
    while at < len(item):
        number, at = _varint(item, at)
        yield number - (1 << 64) * (number >= 1 << 63)


def _fields(part: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the fields of a protocol buffer: number, and a whole number or bytes."""
    at = 0
    while at < len(part):
        key, at = _varint(part, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(part, at)
            yield key >> 3, value
            continue
        size, at = _varint(part, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
        if at + size > len(part):
            raise ValueError("a field is longer than its record")
        yield key >> 3, part[at : at + size]
        at += size


def _varint(part: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = part[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number & (1 << 64) - 1, at


def _part(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise TypeError("a number where bytes are expected")
    return value


def _check(data: bytes, checksum: bytes, where: str) -> None:
    if struct.pack("<I", masked_crc32c(data)) != checksum:
        raise DataError(f"{where}: the checksum is wrong; the file is damaged, download it again.")


def masked_crc32c(data: bytes) -> int:
    """Return the checksum of TFRecords."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of some bytes.

    Checksums are linear: stretches of equal length are taken side by side (zeros in front of the
    first change nothing) and then put together, each moved by as many zero bytes as follow it.
    """
    table = _table()
    if len(data) < 4 * _LANES:
        crc = 0xFFFFFFFF
        for byte in data:
            crc = int(table[(crc ^ byte) & 255]) ^ crc >> 8
        return crc ^ 0xFFFFFFFF
    length = -(-len(data) // _LANES)
    lanes = np.zeros(length * _LANES, np.uint8)
    lanes[-len(data) :] = np.frombuffer(data, np.uint8)
    lanes[-len(data) :][:4] ^= 255  # what the checksum starts with
    crcs = np.zeros(_LANES, np.uint32)
    for column in np.ascontiguousarray(lanes.reshape(_LANES, length).T):
        crcs = table[(crcs ^ column) & 255] ^ crcs >> 8
    moves = _moves(length)
    total = 0
    for crc in crcs.tolist():
        total = crc ^ int(np.bitwise_xor.reduce(moves[_ONES & total != 0]))
    return total ^ 0xFFFFFFFF


_ONES = np.uint32(1) << np.arange(32, dtype=np.uint32)


@functools.cache
def _table() -> np.ndarray:
    """Return the checksums of single bytes, uint32 ``[256]``."""
    crc: np.ndarray = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = crc >> 1 ^ np.uint32(_POLYNOMIAL) * (crc & 1)
    return crc


@functools.lru_cache(64)
def _moves(zeros: int) -> np.ndarray:
    """Return what becomes of each bit of a checksum, uint32 ``[32]``, when zero bytes follow."""
    table, bits = _table(), _ONES.copy()
    for _ in range(zeros):
        bits = table[bits & 255] ^ bits >> 8
    return bits
