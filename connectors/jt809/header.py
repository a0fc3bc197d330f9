"""The message header in its two forms, 22 bytes (2011) and 30 bytes (2019), and the cipher it announces."""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Literal, NamedTuple

import numpy as np

from schemas.errors import Reject

Edition = Literal["2011", "2019"]

FORM_2011 = Struct(">IIHI3sBI")
TIME = Struct(">Q")
FORM_2019_BYTES = FORM_2011.size + TIME.size
OUTSIDE = 4
"""Bytes MSG_LENGTH counts that are not in a packet: both flags and the CRC."""
CENTURY = range(946_684_800, 4_102_444_800)
"""Seconds of the years 2000 to 2099: what the time of a 2019 header lies in."""
WORD = 0xFFFFFFFF
STREAM_STEP, STREAM_KEPT = 64, 4096
"""Key streams are made in steps of so many bytes, and kept up to such a length."""


class Header(NamedTuple):
    """A parsed header; ``start`` is where the body begins, ``time`` (seconds UTC) is 0 in the form of 2011."""

    msg_length: int
    msg_sn: int
    msg_id: int
    msg_gnsscenterid: int
    version: bytes
    encrypt_flag: int
    encrypt_key: int
    edition: Edition
    time: int
    start: int


class Cipher(NamedTuple):
    """The three numbers a platform encrypts with (4.4.5): they belong to its access code."""

    m1: int
    ia1: int
    ic1: int

    def apply(self, body: bytes, key: int) -> bytes:
        """Encrypt or decrypt a body under the key of its header; both are the same."""
        make = _kept_stream if len(body) <= STREAM_KEPT else _stream
        stream = make(self, key, -(-len(body) // STREAM_STEP) * STREAM_STEP)[: len(body)]
        return (int.from_bytes(body) ^ int.from_bytes(stream)).to_bytes(len(body))


def _stream(cipher: Cipher, key: int, length: int) -> bytes:
    m1, ia1, ic1 = cipher.m1 or 1, cipher.ia1, cipher.ic1
    key = key or 1
    keys = [key := (ia1 * (key % m1) + ic1) & WORD for _ in range(length)]
    return (np.array(keys, np.uint32) >> 20).astype(np.uint8).tobytes()


_kept_stream = lru_cache(maxsize=256)(_stream)
"""Platforms change their key seldom or never: its stream is made once."""


def parse(packet: bytes, known: Edition | None = None) -> Header:
    """Read the header of an unescaped packet without CRC, and check the length it declares.

    ``known`` is the edition where it is settled. Otherwise the header tells: eight bytes behind the first 22 that are
    a time of this century make it one of 2019, for no body of 2011 begins with four zero bytes and such a number.
    """
    if len(packet) < FORM_2011.size:
        raise Reject("bad_frame", f"{len(packet)} bytes hold no header of {FORM_2011.size}")
    length, sn, msg_id, center, version, flag, key = FORM_2011.unpack_from(packet)
    if length != len(packet) + OUTSIDE:
        raise Reject("bad_length", f"MSG_LENGTH is {length}, the frame has {len(packet) + OUTSIDE} bytes")
    if known == "2011" or (known is None and not _has_time(packet)):
        return Header(length, sn, msg_id, center, version, flag, key, "2011", 0, FORM_2011.size)
    if len(packet) < FORM_2019_BYTES:
        raise Reject("bad_frame", f"{len(packet)} bytes hold no header of {FORM_2019_BYTES} (edition 2019)")
    (time,) = TIME.unpack_from(packet, FORM_2011.size)
    return Header(length, sn, msg_id, center, version, flag, key, "2019", time, FORM_2019_BYTES)


def _has_time(packet: bytes) -> bool:
    return len(packet) >= FORM_2019_BYTES and TIME.unpack_from(packet, FORM_2011.size)[0] in CENTURY


def build(
    msg_id: int,
    body: bytes,
    *,
    sn: int,
    center: int,
    edition: Edition,
    time: int = 0,
    version: bytes = b"\x01\0\0",
    cipher: Cipher | None = None,
    key: int = 0,
) -> bytes:
    """Give header and body; ``time`` is seconds UTC, a ``cipher`` encrypts the body under ``key``."""
    if cipher is not None:
        body = cipher.apply(body, key)
    tail = TIME.pack(time) if edition == "2019" else b""
    length = FORM_2011.size + len(tail) + len(body) + OUTSIDE
    return (
        FORM_2011.pack(
            length,
            sn & WORD,
            msg_id,
            center & WORD,
            version,
            cipher is not None,
            key,
        )
        + tail
        + body
    )
