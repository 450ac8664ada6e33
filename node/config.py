"""A node's configuration: its keys, each with meaning, bounds and default; read strictly.

A value comes from HOME/config.toml, or from the variable FIELDMESH_<SECTION>_<KEY>, or is the default below.
"""

import difflib
import ipaddress
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, inspect

from mesh.wire import ENDPOINTS_MAX, Endpoint
from node.errors import FieldmeshError
from node.exits import Exit

FILE_BYTES_MAX = 65_536  # the commented template is under 6 kB
PROBLEMS_SHOWN_MAX = 20  # a screenful; the rest appears once these are mended
FOUND_CHARS_MAX = 80
PREFIX = "FIELDMESH_"

Port = Annotated[int, Meta(ge=1, le=65535)]
EndpointText = Annotated[str, Meta(max_length=255, extra={"allowed": "HOST:PORT"})]
UrlText = Annotated[
    str,
    Meta(max_length=255, extra={"allowed": "mqtts://HOST[:PORT], or mqtt://HOST[:PORT] on a trusted wire"}),
]
Name = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?)?$",  # mesh.ids.is_node_name, or empty
        extra={"allowed": "at most 40 lower-case letters, digits and inner hyphens"},
    ),
]
Path_ = Annotated[str, Meta(max_length=4096)]
InterfaceName = Annotated[str, Meta(min_length=1, max_length=15)]  # the kernel's own limit


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One [section] of the file."""


class NodeSection(Section, frozen=True, kw_only=True):
    """The node itself."""

    name: Annotated[Name, Meta(description="The name to ask for when joining; empty: the host's name.")] = ""
    log_format: Annotated[
        Literal["readable", "json"], Meta(description="Lines for people, or one JSON object a line.")
    ] = "readable"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least urgent lines to log.")
    ] = "info"


class FabricSection(Section, frozen=True, kw_only=True):
    """How this node is linked with the others."""

    mode: Annotated[
        Literal["own", "shared", "leaf"],
        Meta(
            description="own: run a broker here; leaf: only dial the others' brokers; "
            "shared: meet on the brokers listed below."
        ),
    ] = "own"
    bind: Annotated[
        str,
        Meta(
            description="The address our broker and steward listen on; empty: every interface.",
            extra={"allowed": "an IP address, or empty"},
        ),
    ] = ""
    port: Annotated[Port, Meta(description="TCP port of our broker.")] = 8883
    join_port: Annotated[
        int, Meta(ge=0, le=65535, description="TCP port at which a steward admits joiners; 0: any free one.")
    ] = 8884
    advertise: Annotated[
        tuple[EndpointText, ...],
        Meta(
            max_length=ENDPOINTS_MAX,
            description="Where else others can reach our broker (behind a NAT, say).",
        ),
    ] = ()
    seeds: Annotated[
        tuple[EndpointText, ...],
        Meta(max_length=256, description="Brokers of other nodes to try, for networks that lose multicast."),
    ] = ()
    brokers: Annotated[
        tuple[UrlText, ...],
        Meta(max_length=16, description="Mode shared: the MQTT 5 brokers, in order of preference."),
    ] = ()
    username: Annotated[
        str, Meta(max_length=255, description="Mode shared: our user name there, if it asks for one.")
    ] = ""
    password_file: Annotated[Path_, Meta(description="Mode shared: the file that holds the password.")] = ""
    ca_file: Annotated[
        Path_,
        Meta(
            description="Mode shared: the authority that signed the brokers' certificates; empty: the system's."
        ),
    ] = ""


class DiscoverySection(Section, frozen=True, kw_only=True):
    """How nodes on the same LAN find each other."""

    mdns: Annotated[bool, Meta(description="Announce this node and look for others by multicast DNS.")] = True
    interfaces: Annotated[
        tuple[InterfaceName, ...],
        Meta(max_length=64, description="Only these network interfaces; empty: every usable one."),
    ] = ()
    exclude: Annotated[
        tuple[InterfaceName, ...], Meta(max_length=64, description="Never these network interfaces.")
    ] = ()


class MembershipSection(Section, frozen=True, kw_only=True):
    """How soon silence is noticed. Use the same values on every node of a site."""

    beat_s: Annotated[
        float,
        Meta(ge=0.05, le=10, description="Between two heartbeats on a link.", extra={"unit": "seconds"}),
    ] = 0.5
    suspect_after_s: Annotated[
        float,
        Meta(ge=0.1, le=60, description="Of silence before a peer is suspected.", extra={"unit": "seconds"}),
    ] = 1.5
    unreachable_after_s: Annotated[
        float,
        Meta(
            ge=0.2,
            le=300,
            description="Of silence before a peer is called unreachable.",
            extra={"unit": "seconds"},
        ),
    ] = 2.0
    full_mesh_max: Annotated[
        int, Meta(ge=2, le=256, description="Up to how many nodes everybody links with everybody.")
    ] = 32
    overlay_degree: Annotated[
        int, Meta(ge=3, le=64, description="Above that, how many links a node keeps.")
    ] = 12


class BrokerSection(Section, frozen=True, kw_only=True):
    """Our own broker (mode own)."""

    binary: Annotated[Path_, Meta(description="The mosquitto to run; empty: the one on the PATH.")] = ""


class TrustSection(Section, frozen=True, kw_only=True):
    """Certificates. A steward's value counts for what it issues."""

    certificate_days: Annotated[
        float,
        Meta(
            ge=0.0005,  # under a minute renewal, looked for every half minute, would come too late
            le=3650,
            description="A certificate's life; it is renewed at two thirds. Longer than any outage of all stewards.",
            extra={"unit": "days"},
        ),
    ] = 30.0


class WorldSection(Section, frozen=True, kw_only=True):
    """The shared state of the plant. Use the same values on every node of a site."""

    absence_days: Annotated[
        float,
        Meta(
            ge=1,
            le=3650,
            description="A member that was not heard for longer no longer holds up the removal of what is done with; "
            "what it then brings back of such things waits in its quarantine.",
            extra={"unit": "days"},
        ),
    ] = 30.0


class ApiSection(Section, frozen=True, kw_only=True):
    """The local interface for browsers and other programs on this machine."""

    enabled: Annotated[bool, Meta(description="Serve it at all.")] = True
    listen: Annotated[
        str,
        Meta(
            description="The address it listens on; another than loopback shows the plant to that network.",
            extra={"allowed": "an IP address"},
        ),
    ] = "127.0.0.1"
    listen_port: Annotated[
        int,
        Meta(ge=0, le=65535, description="TCP port; 0: any free one (fieldmesh world live tells which)."),
    ] = 0
    origins: Annotated[
        tuple[Annotated[str, Meta(max_length=255, extra={"allowed": "https://HOST[:PORT]"})], ...],
        Meta(
            max_length=64,
            description="Web pages that may read, besides those of this machine (https://HOST).",
        ),
    ] = ()


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a person can set."""

    node: NodeSection = NodeSection()
    fabric: FabricSection = FabricSection()
    discovery: DiscoverySection = DiscoverySection()
    membership: MembershipSection = MembershipSection()
    broker: BrokerSection = BrokerSection()
    trust: TrustSection = TrustSection()
    world: WorldSection = WorldSection()
    api: ApiSection = ApiSection()


class Effective(NamedTuple):
    """A configuration, and for each `section.key` that is not the default, what set it."""

    config: Config
    origins: Mapping[str, str]


SECTIONS: Mapping[str, type[Section]] = {field.name: field.type for field in msgspec.structs.fields(Config)}
KEYS: Mapping[str, Mapping[str, msgspec.structs.FieldInfo]] = {
    name: {field.name: field for field in msgspec.structs.fields(section)}
    for name, section in SECTIONS.items()
}


def load(file: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in this file under this environment, or an error that names every problem."""
    return load_effective(file, environ).config


def load_effective(file: Path, environ: Mapping[str, str] = os.environ) -> Effective:
    """As `load`, and what set each value."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise _error(
            [f"{file}: there is no configuration here"],
            "give the right --home; fieldmesh site init and fieldmesh join make one",
        ) from None
    except OSError as error:
        raise _error([f"{file}: {error.strerror}"], "check who may read this file and its folder") from None
    return parse(data, str(file), environ)


def parse(data: bytes, file: str, environ: Mapping[str, str]) -> Effective:
    """The configuration that these bytes of TOML and these variables describe; `file` is for messages."""
    problems: list[str] = []
    values: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    origins: dict[str, str] = {}
    settings = [*_in_file(_tables(data, file), file, problems), *_in_environment(environ, problems)]
    for setting in settings:
        try:
            values[setting.section][setting.key] = _converted(setting)
        except msgspec.ValidationError:
            problems.append(_refused(setting.where, setting.value, KEYS[setting.section][setting.key].type))
        origins[f"{setting.section}.{setting.key}"] = setting.origin
    if problems:
        raise _error(problems, mend(Path(file)))
    config = msgspec.convert(values, Config)
    problems += [f"{_place(file, origins, place)} {what}" for place, what in _contradictions(config)]
    if problems:
        raise _error(problems, mend(Path(file)))
    return Effective(config, origins)


def mend(file: Path) -> str:
    """What to do about a configuration that cannot be used."""
    return f"mend it, then: fieldmesh config validate --home {file.parent}"


def endpoint_of(text: str) -> Endpoint:
    """The endpoint that HOST:PORT (or [ADDRESS]:PORT) names, or ValueError."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    elif ":" in host:
        raise ValueError("an IPv6 address goes in brackets")
    if not (host and colon and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535) or set(
        host
    ) & set(" /@"):
        raise ValueError("not HOST:PORT")
    return Endpoint(host, int(port))


def variable_of(section: str, key: str) -> str:
    return f"{PREFIX}{section}_{key}".upper()


def allowed(kind: Any) -> str:
    """What a key of this type accepts, in words."""
    return _allowed(inspect.type_info(kind))


# ---------------------------------------------------------------- where values come from


class _Setting(NamedTuple):
    section: str
    key: str
    value: Any
    origin: str  # for `config show`
    where: str  # for messages


def _tables(data: bytes, file: str) -> dict[str, Any]:
    if len(data) > FILE_BYTES_MAX:
        raise _error([f"{file}: larger than {FILE_BYTES_MAX} bytes"], "is this the right file?")
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError:
        raise _error([f"{file}: not UTF-8 text"], "save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise _error(
            [f"{file}: not TOML: {error}"], "fieldmesh config template shows how it is written"
        ) from None
    except RecursionError:
        raise _error([f"{file}: not TOML: nested too deeply"], "fieldmesh config template shows it") from None


def _in_file(tables: dict[str, Any], file: str, problems: list[str]) -> Iterator[_Setting]:
    for section, table in tables.items():
        if section not in SECTIONS:
            problems.append(f"{file}: there is no section [{_cut(section)}]{_nearest(section, SECTIONS)}")
        elif not isinstance(table, dict):
            problems.append(f"{file}: {section} is {_shown(table)}; allowed: a section, [{section}]")
        else:
            for key, value in table.items():
                if key in KEYS[section]:
                    yield _Setting(section, key, value, "file", f"{file}: [{section}] {key}")
                else:
                    problems.append(
                        f"{file}: [{section}] has no key {_cut(key)}{_nearest(key, KEYS[section])}"
                    )


def _in_environment(environ: Mapping[str, str], problems: list[str]) -> Iterator[_Setting]:
    known = {variable_of(section, key): (section, key) for section, keys in KEYS.items() for key in keys}
    for variable in sorted(environ):
        if variable in known:
            section, key = known[variable]
            value = _of_text(environ[variable], KEYS[section][key].type)
            yield _Setting(section, key, value, variable, f"environment variable {variable}")
        elif _looks_like_ours(variable):
            problems.append(f"environment variable {variable} is not known{_nearest(variable, known)}")


def _looks_like_ours(variable: str) -> bool:
    """FIELDMESH_FABRIC_... and FIELDMESH_FABRC_..., but not FIELDMESH_HOME."""
    prefix, _, rest = variable.partition("_")
    section, _, key = rest.partition("_")
    return (
        f"{prefix}_" == PREFIX
        and bool(key)
        and bool(difflib.get_close_matches(section.lower(), SECTIONS, 1, 0.8))
    )


def _of_text(text: str, kind: Any) -> Any:
    if isinstance(_bare(inspect.type_info(kind)), inspect.VarTupleType):
        return [item.strip() for item in text.split(",") if item.strip()]
    return text


def _converted(setting: _Setting) -> Any:
    kind = KEYS[setting.section][setting.key].type
    return msgspec.convert(setting.value, kind, strict=setting.origin == "file")


# ---------------------------------------------------------------- what one key's type cannot say


def _contradictions(config: Config) -> Iterator[tuple[str, str]]:
    fabric, membership = config.fabric, config.membership
    if fabric.bind and not _is_address(fabric.bind):
        yield "fabric.bind", f"is {_shown(fabric.bind)}; allowed: an IP address, or empty"
    for key in ("advertise", "seeds"):
        for text in getattr(fabric, key):
            if not _is_endpoint(text):
                yield f"fabric.{key}", f"has {_shown(text)}; allowed: HOST:PORT"
    for url in fabric.brokers:
        if not _is_broker_url(url):
            yield "fabric.brokers", f"has {_shown(url)}; allowed: mqtts://HOST[:PORT] or mqtt://HOST[:PORT]"
    if fabric.mode == "shared" and not fabric.brokers:
        yield "fabric.mode", 'is "shared" but brokers is empty; allowed: at least one broker'
    if fabric.join_port == fabric.port:
        yield "fabric.join_port", f"is {fabric.join_port}, the same as port; allowed: another one"
    waits = (membership.beat_s, membership.suspect_after_s, membership.unreachable_after_s)
    if not 2 * waits[0] < waits[1] < waits[2]:  # two missed beats are doubt; the answer to a probe needs time
        found = ", ".join(f"{wait:g}" for wait in waits)
        yield (
            "membership.beat_s",
            f"and suspect_after_s and unreachable_after_s are {found}; "
            "allowed: 2 * beat_s < suspect_after_s < unreachable_after_s",
        )


def _place(file: str, origins: Mapping[str, str], place: str) -> str:
    section, _, key = place.partition(".")
    origin = origins.get(place, "file")
    return f"{file}: [{section}] {key}" if origin == "file" else f"environment variable {origin}"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_endpoint(text: str) -> bool:
    try:
        endpoint_of(text)
    except ValueError:
        return False
    return True


def _is_broker_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return (
            url.scheme in ("mqtt", "mqtts")
            and bool(url.hostname)
            and (url.port is None or url.port > 0)
            and url.username is None
            and url.path in ("", "/")
        )
    except ValueError:
        return False


# ---------------------------------------------------------------- words


def _refused(where: str, value: Any, kind: Any) -> str:
    return f"{where} is {_shown(value)}; allowed: {allowed(kind)}"


def _allowed(info: inspect.Type) -> str:
    if isinstance(info, inspect.Metadata):
        return str((info.extra or {}).get("allowed") or _allowed(info.type))
    if isinstance(info, inspect.LiteralType):
        return ", ".join(json.dumps(value) for value in info.values)
    if isinstance(info, inspect.BoolType):
        return "true or false"
    if isinstance(info, inspect.IntType | inspect.FloatType):
        noun = "a whole number" if isinstance(info, inspect.IntType) else "a number"
        return f"{noun} from {info.ge} to {info.le}"
    if isinstance(info, inspect.VarTupleType):
        return f"a list of at most {info.max_length}, each {_allowed(info.item_type)}"
    if isinstance(info, inspect.StrType):
        return f"text of at most {info.max_length} characters"
    raise AssertionError(f"no words for {info}")


def _bare(info: inspect.Type) -> inspect.Type:
    return info.type if isinstance(info, inspect.Metadata) else info


def _nearest(word: str, options: Mapping[str, object]) -> str:
    match = difflib.get_close_matches(word, options, 1)
    return (
        f"; did you mean {match[0]}?"
        if match
        else f"; there are {', '.join(options)}"
        if len(options) < 12
        else ""
    )


def _shown(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False, default=str))


def _cut(text: str) -> str:
    return text if len(text) <= FOUND_CHARS_MAX else text[: FOUND_CHARS_MAX - 1] + "…"


def _error(problems: list[str], cure: str) -> FieldmeshError:
    shown = problems[:PROBLEMS_SHOWN_MAX]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    return FieldmeshError("\n".join(shown), cure, Exit.CONFIGURATION)
