"""`fieldmesh renew`: a new certificate now."""

from pathlib import Path

import click

from node.cli.output import emit, home_option, json_option
from node.cli.words import date
from node.control import call


@click.command()
@home_option
@json_option
def renew(home: Path, as_json: bool) -> None:
    """Get a new certificate from any steward now, without dropping a link. It happens by itself in time."""
    result = call(home, "renew", timeout_s=20)
    emit(result, as_json, f"the certificate is now good until {date(result['certificate_expires_ms'])}")
