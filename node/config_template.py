"""The commented configuration file: every key with its meaning, bounds and default."""

import json
from pathlib import Path
from typing import Any

from msgspec import inspect
from msgspec.structs import FieldInfo

from node.config import KEYS, SECTIONS, allowed, parse, variable_of
from node.errors import FieldmeshError
from node.exits import Exit
from node.files import write_file

CONFIG_FILE = 0o644  # it names a password file, never a password
HEADER = """\
# fieldmesh: the configuration of one node.
# A line like "# key = value" shows the default; remove the "# " to change it.
# Each key can also be set by an environment variable, this way: {example}
# Check the file with: fieldmesh config validate
"""


def template(**values: Any) -> str:
    """The file's text, with these keys set (`seeds=["10.0.0.7:8883"]`) and all others commented out."""
    unknown = values.keys() - {key for keys in KEYS.values() for key in keys}
    if unknown:
        raise TypeError(f"no such keys: {sorted(unknown)}")
    text = HEADER.format(example=f"{variable_of('fabric', 'port')}=8883")
    for section, keys in KEYS.items():
        text += f"\n\n# {SECTIONS[section].__doc__}\n[{section}]\n"
        for key, field in keys.items():
            line = f"{key} = {_toml(values.get(key, field.default))}"
            text += f"\n# {_meaning(field)}\n{'' if key in values else '# '}{line}\n"
    return text


def write_template(path: Path, **values: Any) -> None:
    """Writes that text to a new file, durably; an existing one is an error, never overwritten."""
    text = template(**values)
    parse(text.encode(), str(path), {})
    if path.exists():
        raise FieldmeshError(f"{path} is there already", "edit it, or move it away", Exit.ALREADY_MEMBER)
    try:
        write_file(path, text.encode(), CONFIG_FILE)
    except OSError as error:
        raise FieldmeshError(
            f"{path}: {error.strerror}", "check the folder's owner and the disk's free space", Exit.DISK
        ) from None


def _meaning(field: FieldInfo) -> str:
    info = inspect.type_info(field.type)
    assert isinstance(info, inspect.Metadata)  # a test sees to it that every key has a description
    text = str((info.extra_json_schema or {})["description"])
    unit = (info.extra or {}).get("unit", "")
    return f"{text} ({unit + '; ' if unit else ''}{allowed(field.type)})"


def _toml(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)
