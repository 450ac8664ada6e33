"""How a folder becomes a node's home: an interruption leaves none, or one that can be begun again."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.events import Write
from mesh.ids import NodeId
from mesh.peerbook import TABLE as ENDPOINT_TABLE
from mesh.roster import MemberEntry, Roster, encode_entry
from mesh.trust import Identity, Root
from mesh.wire import Endpoint
from node.access import denied
from node.config import parse
from node.config_template import template, write_template
from node.errors import FieldmeshError
from node.exits import Exit
from node.files import make_private_folder, sync_folder, write_file
from node.home import Home
from node.pem import certificates_pem, key_pem
from node.store import Store

PUBLIC_FILE = 0o644
_START_OVER = """give another folder with --home
to start over: fieldmesh member remove NAME on a steward, stop the node, then rm -r {home}"""
MADE_HERE = "made-here"  # a mark: the home folder itself did not exist before


@dataclass(frozen=True, slots=True)
class Belongings:
    """What a new node's home holds."""

    root: Root
    identity_key: Ed25519PrivateKey = field(repr=False)
    tls_key: Ed25519PrivateKey = field(repr=False)
    chain: tuple[bytes, ...]
    authority: bytes = b""
    authority_key: Ed25519PrivateKey | None = field(default=None, repr=False)
    root_key: Ed25519PrivateKey | None = field(default=None, repr=False)
    entries: Sequence[bytes] = ()  # the roster so far
    endpoints: Sequence[tuple[str, tuple[Endpoint, ...]]] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


def require_vacant(home: Home) -> None:
    """FieldmeshError unless a node may be put here: nothing there, an empty folder, or an unfinished home."""
    if home.is_settled:
        raise FieldmeshError(
            f"{home.path} is already the home of a node",
            _START_OVER.format(home=home.path),
            Exit.ALREADY_MEMBER,
        )
    if home.path.is_dir() and (home.unfinished.is_dir() or not any(home.path.iterdir())):
        return
    if home.path.exists():
        raise FieldmeshError(
            f"{home.path} is not an empty folder", "give another --home, or empty it", Exit.ALREADY_MEMBER
        )


def require_config(home: Home, config: Mapping[str, Any]) -> None:
    """FieldmeshError unless config.toml may say this."""
    parse(template(**config).encode(), str(home.config), {})


def begin(home: Home) -> None:
    """Makes the folder that says: this home is unfinished. Idempotent."""
    with _disk_errors(home):
        is_new = not home.path.exists()
        make_private_folder(home.path)
        make_private_folder(home.unfinished)
        if is_new:
            write_file(home.unfinished / MADE_HERE, b"")


def settle(home: Home, belongings: Belongings) -> None:
    """Writes everything, the TLS key and its certificate last: with them, a node lives here."""
    begin(home)
    with _disk_errors(home):
        home.config.unlink(missing_ok=True)  # of an attempt that was cut short
        write_template(home.config, **belongings.config)
        for path, data, mode in _files(home, belongings):
            make_private_folder(path.parent)
            write_file(path, data, mode)
        _write_rows(home, belongings)
        write_file(home.tls, certificates_pem(*belongings.chain) + key_pem(belongings.tls_key))
        shutil.rmtree(home.unfinished)
        sync_folder(home.path)


def abandon(home: Home) -> None:
    """Removes what an unfinished attempt has left, and the folder if the attempt had made it. Idempotent."""
    if home.is_settled or not home.unfinished.is_dir():
        return
    with _disk_errors(home):
        is_ours = (home.unfinished / MADE_HERE).exists()
        for path in (home.site_root.parent, home.identity.parent, home.path / "run"):
            shutil.rmtree(path, ignore_errors=True)
        for path in (home.config, *home.path.glob("state.db*"), home.path / "incarnation"):
            path.unlink(missing_ok=True)
        shutil.rmtree(home.unfinished)
        if is_ours and not any(home.path.iterdir()):
            home.path.rmdir()


def entry_of(chain: tuple[bytes, ...], identity_public: bytes) -> bytes:
    return encode_entry(MemberEntry(chain, identity_public))


def _files(home: Home, belongings: Belongings) -> Iterator[tuple[Path, bytes, int]]:
    yield home.site_root, certificates_pem(belongings.root.certificate), PUBLIC_FILE
    yield home.identity, key_pem(belongings.identity_key), 0o600
    if belongings.authority_key is not None:
        pem = certificates_pem(belongings.authority) + key_pem(belongings.authority_key)
        yield home.authority, pem, 0o600
    if belongings.root_key is not None:
        yield home.root_key, key_pem(belongings.root_key), 0o600


def _write_rows(home: Home, belongings: Belongings) -> None:
    identity = Identity(belongings.identity_key)
    roster = Roster(belongings.root)
    writes = roster.merge([*belongings.entries, entry_of(belongings.chain, identity.public)]).writes
    known = {node: ends for node, ends in belongings.endpoints if roster.is_member(NodeId(node)) and ends}
    known.pop(identity.node, None)
    with Store(home.database) as store:
        store.write(
            [
                *writes,
                *(Write(ENDPOINT_TABLE, node, msgspec.msgpack.encode(ends)) for node, ends in known.items()),
            ]
        )


@contextmanager
def _disk_errors(home: Home) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise denied(Path(error.filename or home.path)) from None
    except OSError as error:
        raise FieldmeshError(
            f"{error.filename or home.path} cannot be written: {error.strerror}",
            "check the folder's owner and the disk's free space, then run the same command again",
            Exit.DISK,
        ) from None
