"""Frames: the messages between rmspec and the process of a subject, over a socket of their own.

A frame says what it is, which request it belongs to, how long it is and what its bytes add up to. So bytes that something
else in the process wrote to the socket are noticed, and never taken for a reply.
"""

from __future__ import annotations

import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from rmspec.oracles.errors import ProtocolBroken

_HEAD = struct.Struct("!4sBIQI")
_MAGIC = b"\x93rms"
_CHUNK = 1 << 24


class Kind(IntEnum):
    """The kind of a frame: a question, a sign of life, an answer, or an error in place of one."""

    REQUEST = 1
    BEAT = 2
    REPLY = 3
    ERROR = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, and the ``number`` of the request."""

    kind: Kind
    number: int
    payload: memoryview


def send(channel: socket.socket, kind: Kind, number: int, payload: bytes = b"") -> None:
    """Send one frame. Raises ``OSError`` if nobody is at the other end."""
    channel.sendall(_HEAD.pack(_MAGIC, kind, number, len(payload), zlib.crc32(payload)) + payload)


def receive(channel: socket.socket, wait: Callable[[], None] = lambda: None, longest: int = 1 << 63) -> Frame | None:
    """The next frame; ``None`` at the end of the stream. ``wait`` is called before each read, and may raise.

    Raises ``ProtocolBroken`` for what is no frame, or one of more than ``longest`` bytes.
    """
    head = _read(channel, _HEAD.size, wait)
    if not head:
        return None
    if len(head) == _HEAD.size:
        magic, kind, number, length, checksum = _HEAD.unpack(head)
        if magic == _MAGIC and kind in Kind.__members__.values() and length <= longest:
            payload = _read(channel, length, wait)
            if len(payload) == length and zlib.crc32(payload) == checksum:
                return Frame(Kind(kind), number, memoryview(payload).toreadonly())
    raise ProtocolBroken(
        "something in its process wrote to a connection of rmspec",
        f"what came begins with {bytes(head[:16])!r}",
        "write to no descriptor that the optimizer has not opened",
    )


def _read(channel: socket.socket, size: int, wait: Callable[[], None]) -> bytearray:
    """So many bytes, or fewer at the end of the stream: a length without the bytes takes no memory."""
    data = bytearray()
    while len(data) < size:
        wait()
        chunk = channel.recv(min(size - len(data), _CHUNK))
        if not chunk:
            break
        data += chunk
    return data
