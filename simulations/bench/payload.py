"""What a measured message carries: the block that it belongs to and when it was sent."""

import struct
import time

PAYLOAD_BYTES = 200
_HEAD = struct.Struct("<Iq")
_PADDING = bytes(PAYLOAD_BYTES - _HEAD.size)


def stamped(block: int) -> bytes:
    """A message of this block, sent now."""
    return _HEAD.pack(block, time.monotonic_ns()) + _PADDING


def read(payload: bytes) -> tuple[int, int]:
    """The block, and the nanosecond at which it was sent, on the clock that all processes of a machine share."""
    block, sent_ns = _HEAD.unpack_from(payload)
    return block, sent_ns
