"""The yardstick: a plain aiomqtt publish and receive over a node's own broker, as little as MQTT allows.

It uses the same listeners and the same TLS as the nodes' own link: the publisher is a second client on the private
socket of the broker's owner, the receiver a further member of the site that runs no node.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt

from mesh.ids import NodeId
from mesh.io.tls import TlsSource
from mesh.topics import Topics
from mesh.wire import Endpoint
from node.home import Home

KEEPALIVE_S = 10  # as the nodes' sessions
PROTOCOL = aiomqtt.ProtocolVersion.V5


class BarePath:
    """From the owner of a broker to a member that has no node."""

    def __init__(self, member: Path, owner: NodeId, broker: Endpoint) -> None:
        self._home = Home(member)
        keys = self._home.load_keys()
        self._member = keys.identity.node
        self._topic = Topics(keys.root.site).to(self._member, owner)
        self._broker = broker

    @asynccontextmanager
    async def sender(self, owner_socket: Path) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
        """A function that publishes; for the process that may use the owner's socket."""
        async with aiomqtt.Client(
            str(owner_socket),
            port=1,  # a Unix socket has none, and aiomqtt asks for one all the same
            transport="unix",
            identifier="bench-bare",
            protocol=PROTOCOL,
            keepalive=KEEPALIVE_S,
        ) as client:

            async def publish(payload: bytes) -> None:
                await client.publish(self._topic, payload)

            yield publish

    @asynccontextmanager
    async def receiver(self, arrived: Callable[[bytes], None]) -> AsyncIterator[None]:
        """Hands over what arrives while the block runs."""
        async with aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            identifier=self._member,
            protocol=PROTOCOL,
            keepalive=KEEPALIVE_S,
            tls_context=TlsSource(self._home.tls, self._home.site_root).context(),
        ) as client:
            await client.subscribe(self._topic)
            receiving = asyncio.create_task(_receive(client, arrived), name="bare-receiver")
            try:
                yield
            finally:
                receiving.cancel()
                await asyncio.wait([receiving])


async def _receive(client: aiomqtt.Client, arrived: Callable[[bytes], None]) -> None:
    async for message in client.messages:
        assert isinstance(message.payload, bytes)
        arrived(message.payload)
