"""`fieldmesh config`: check, show and start a node's configuration file."""

from pathlib import Path

import click

from node.cli.output import emit, home_option, json_option


@click.group()
def config() -> None:
    """Check or show a node's configuration, or print a commented template."""


@config.command()
@home_option
@json_option
def validate(home: Path, as_json: bool) -> None:
    """Check the node's configuration file and the environment's overrides."""
    from node.config import load

    file = home / "config.toml"
    load(file)
    emit({"valid": True, "file": str(file)}, as_json, f"{file}: ok")


@config.command()
@json_option
def template(as_json: bool) -> None:
    """Print a configuration file with every key, its meaning and its default."""
    from node.config_template import template as text

    emit({"template": text()}, as_json, lambda: click.echo(text(), nl=False))


@config.command()
@home_option
@json_option
def show(home: Path, as_json: bool) -> None:
    """Show every value in force and what set it: the file, a variable, or the default."""
    import json

    import msgspec

    from node.config import KEYS, load_effective

    effective = load_effective(home / "config.toml")
    values = msgspec.to_builtins(effective.config)
    rows = {
        f"{section}.{key}": {
            "value": values[section][key],
            "from": effective.origins.get(f"{section}.{key}", "default"),
        }
        for section, keys in KEYS.items()
        for key in keys
    }
    lines = [
        f"{name:32} {json.dumps(row['value'], ensure_ascii=False):24} {row['from']}"
        for name, row in rows.items()
    ]
    emit({"config": rows}, as_json, "\n".join(lines))
