"""Two questions to a broker: does its loop turn, and would a peer accept its certificate?"""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

_CLIENT_ID = b"probe"
_CONNECT = (
    bytes((0x10, 13 + len(_CLIENT_ID), 0, 4))
    + b"MQTT"
    + bytes((5, 2, 0, 10, 0, 0, len(_CLIENT_ID)))
    + _CLIENT_ID
)
_DISCONNECT = b"\xe0\x00"


async def answers(socket: Path, timeout_s: float) -> bool:
    """Whether the broker greets an MQTT client on this Unix socket; a mere accept proves nothing."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(_CONNECT)
                head = await reader.readexactly(4)
                writer.write(_DISCONNECT)
            finally:
                writer.close()
            return head[0] == 0x20 and head[3] == 0
    except (OSError, EOFError, TimeoutError):
        return False


async def handshake_failure(
    host: str, port: int, certificate: Path, root: Path, timeout_s: float
) -> str | None:
    """Why a peer's TLS handshake with this port would fail, None if it would not.

    ConnectionRefusedError when nobody listens.
    """
    try:
        context = _peer_context(certificate, root)
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
    except ConnectionRefusedError:
        raise
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return error.strerror or str(error)
    return None


def _peer_context(certificate: Path, root: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # peers go by the node id in the certificate, not by an address
    context.load_verify_locations(root)
    context.load_cert_chain(certificate)
    return context
