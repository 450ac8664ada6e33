"""The messages of y-websocket, as far as a read-only follower needs them. Pure: bytes in, values out.

A message is a number (what kind), then for a sync message a second number (which step) and a length with as many
bytes; all numbers are lib0's variable-length ones, seven bits a byte, the lowest first.
"""

from dataclasses import dataclass

from crdt_state.varint import clocks_of

SYNC, AWARENESS = 0, 1  # what else a client may say (2 auth, 3 query awareness) has no answer here
STEP1, STEP2, UPDATE = 0, 1, 2
VARINT_BYTES_MAX = 8  # lib0 reads no number above 2**53 either

NO_UPDATE = b"\0\0"  # no structs, nothing deleted: what a stock client sends when it has nothing
HEARTBEAT = bytes([AWARENESS, 1, 0])  # the awareness of nobody: changes nothing, and counts as a sign of life


class MalformedMessageError(Exception):
    """These bytes are no message of the protocol."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Sync step 1: the sender has this, and wants the rest. Nothing in it is checked yet."""

    vector: bytes


@dataclass(frozen=True, slots=True)
class Offered:
    """Sync step 2, or an update: the sender wants the document to be changed."""

    update: bytes

    @property
    def is_empty(self) -> bool:
        return self.update == NO_UPDATE


@dataclass(frozen=True, slots=True)
class Passed:
    """Awareness and all else that a read-only document has no answer to."""


Message = Asked | Offered | Passed


def read_message(data: bytes) -> Message:
    """What a client says; MalformedMessageError when it says nothing that can be understood."""
    kind, at = _read_number(data, 0)
    if kind != SYNC:
        return Passed()
    step, at = _read_number(data, at)
    size, at = _read_number(data, at)
    if at + size != len(data):
        raise MalformedMessageError("the length does not fit the message")
    if step == STEP1:
        return Asked(data[at:])
    if step in (STEP2, UPDATE):
        return Offered(data[at:])
    raise MalformedMessageError("a step of synchronising that does not exist")


def step2_message(update: bytes) -> bytes:
    """The answer to a step 1: what its sender lacks."""
    return _sync_message(STEP2, update)


def update_message(update: bytes) -> bytes:
    """News, unasked."""
    return _sync_message(UPDATE, update)


def shared_part(theirs: bytes, ours: bytes) -> bytes | None:
    """The state vector `theirs`, written anew, when `ours` has all of it; None when they hold what we do not.

    What comes back names only clients and clocks of ours: it is safe to hand to native code.
    """
    try:
        claimed = clocks_of(theirs)
    except ValueError:
        raise MalformedMessageError("no state vector") from None
    held = clocks_of(ours)
    if any(clock > held.get(client, 0) for client, clock in claimed.items()):
        return None
    shared = [(client, clock) for client, clock in claimed.items() if clock]
    numbers = [len(shared), *(number for pair in shared for number in pair)]
    return b"".join(map(write_number, numbers))


def write_number(number: int) -> bytes:
    """lib0's writing of a whole number."""
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def _sync_message(step: int, update: bytes) -> bytes:
    return b"".join((bytes([SYNC, step]), write_number(len(update)), update))


def _read_number(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for place in range(VARINT_BYTES_MAX):
        if at + place >= len(data):
            raise MalformedMessageError("a message that ends too soon")
        byte = data[at + place]
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    raise MalformedMessageError("a number that does not end")
