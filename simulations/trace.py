"""Everything that happened in a run, as one hash and, when asked for, as readable lines."""

import hashlib
import struct
from typing import TextIO

from mesh.events import Event, FrameReceived, News
from mesh.wire import Message, Refuse, WireError, decode

_STAMP = struct.Struct("<dHHB")


class Trace:
    """SHA-256 over every delivered event with its bytes, and over every fault, with their virtual times."""

    def __init__(self, log: TextIO | None = None) -> None:
        self._hash = hashlib.sha256()
        self._log = log

    def event(self, at_s: float, host: int, event: Event) -> None:
        if isinstance(event, FrameReceived):
            stamp = _STAMP.pack(at_s, host, min(event.link, 0xFFFF), event.door)
            self._hash.update(stamp + event.sender.encode() + event.data)
        else:
            self._hash.update(_STAMP.pack(at_s, host, 0, 255) + repr(event).encode())
        if self._log is not None:
            self._line(at_s, f"node {host:03}", _described(event))

    def note(self, at_s: float, kind: str, text: str) -> None:
        """A fault, or anything else that is neither an event nor bytes."""
        self._hash.update(_STAMP.pack(at_s, 0, 0, 254) + f"{kind} {text}".encode())
        if self._log is not None:
            self._line(at_s, kind, text)

    def news(self, at_s: float, host: int, news: News) -> None:
        """What a core reported."""
        self._hash.update(_STAMP.pack(at_s, host, 0, 253) + repr(news).encode())
        if self._log is not None:
            self._line(at_s, f"node {host:03}", f"  -> {news!r}")

    def digest(self) -> str:
        return self._hash.hexdigest()

    def _line(self, at_s: float, who: str, text: str) -> None:
        assert self._log is not None
        print(f"{at_s:14.6f}  {who:<9} {text}", file=self._log)


def _described(event: Event) -> str:
    if not isinstance(event, FrameReceived):
        return repr(event)
    where = "door" if event.door else f"link {event.link}"
    return f"{where} from {event.sender[:8]}: {frame_described(event.data)}"


def frame_described(data: bytes) -> str:
    """The names of a frame's messages and its size."""
    try:
        frame, _ = decode(data)
    except WireError as error:
        return f"{error.reason}, {len(data)} B"
    names = "+".join(_named(message) for message in frame.messages)
    return f"{names} #{frame.lane}.{frame.sequence}, {len(data)} B"


def _named(message: Message) -> str:
    return f"Refuse({message.code})" if isinstance(message, Refuse) else type(message).__name__
