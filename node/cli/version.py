"""`fieldmesh version`: what to quote in a report."""

import platform

import click

from node.cli.output import emit, json_option


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Show the versions of fieldmesh, its protocol, Python and mosquitto."""
    from mesh.wire import VERSION
    from node.release import RELEASE

    found = {
        "version": RELEASE,
        "protocol": VERSION,
        "python": platform.python_version(),
        "mosquitto": _mosquitto_version(),
    }
    broker = found["mosquitto"] or "not found"
    emit(
        found,
        as_json,
        f"fieldmesh {RELEASE}, protocol {VERSION}, Python {found['python']}, mosquitto {broker}",
    )


def _mosquitto_version() -> str | None:
    import asyncio

    from mesh.io.broker_error import BrokerError
    from mesh.io.mosquitto import find_mosquitto

    try:
        return ".".join(map(str, asyncio.run(find_mosquitto(None)).version))
    except BrokerError:
        return None
