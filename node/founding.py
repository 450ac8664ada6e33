"""A new site, and members provisioned by hand on the machine of a steward: no network is needed for either."""

from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.ids import NodeId, is_node_name, short_of
from mesh.roster import TABLE as ROSTER_TABLE
from mesh.roster import Roster
from mesh.state import Keys
from mesh.trust import BACKDATE_MS, LEAF_DAYS, Authority, Identity, Root, make_authority, make_root
from node.errors import FieldmeshError
from node.exits import Exit
from node.home import Home
from node.pem import key_in, new_key, public_half
from node.settling import Belongings, abandon, entry_of, require_vacant, settle
from node.store import Store


def found_site(
    home_path: Path, site: str, name: str, now_ms: int, *, certificate_days: float = LEAF_DAYS, **config: Any
) -> Keys:
    """Makes a site's root and its first node, a steward, in this empty home. `config`: keys of config.toml."""
    home = Home(home_path)
    require_vacant(home)
    for each in (site, name):
        require_name(each)
    root_key, identity_key, tls_key, authority_key = (new_key() for _ in range(4))
    root = Root(make_root(root_key, site, now_ms, serial()))
    identity = Identity(identity_key)
    certificate = make_authority(root_key, root, identity.node, public_half(authority_key), now_ms, serial())
    authority = Authority(authority_key, certificate)
    chain = authority.issue_leaf(
        identity.node, name, public_half(tls_key), now_ms, serial(), certificate_days
    )
    belongings = Belongings(
        root,
        identity_key,
        tls_key,
        chain,
        certificate,
        authority_key,
        root_key,
        config=_config(certificate_days, config),
    )
    _settle_or_leave_nothing(home, belongings)
    return home.load_keys()


def admit(
    steward_path: Path,
    home_path: Path,
    name: str,
    now_ms: int,
    *,
    as_steward: bool = False,
    certificate_days: float = LEAF_DAYS,
    **config: Any,
) -> Keys:
    """Makes a further member of the site in this empty home, by a steward that is not running."""
    home, steward_home = Home(home_path), Home(steward_path)
    require_vacant(home)
    require_name(name)
    steward = steward_home.load_keys()
    authority = authority_of(steward)
    with Store(steward_home.database) as store:
        roster = Roster(steward.root, store.load().get(ROSTER_TABLE))
        identity_key, tls_key, steward_key = new_key(), new_key(), new_key()
        identity = Identity(identity_key)
        _require_free(roster, name, identity.node)
        chain = authority.issue_leaf(
            identity.node, name, public_half(tls_key), now_ms, serial(), certificate_days
        )
        certificate = b""
        if as_steward:
            certificate = certify_steward(
                steward_home, steward.root, identity.node, public_half(steward_key), now_ms
            )
            chain = own_chain(
                Authority(steward_key, certificate),
                steward.root,
                chain,
                public_half(tls_key),
                certificate_days,
            )
        belongings = Belongings(
            steward.root,
            identity_key,
            tls_key,
            chain,
            certificate,
            steward_key if as_steward else None,
            entries=roster.entries(),
            config=_config(certificate_days, config),
        )
        _settle_or_leave_nothing(home, belongings)
        store.write(roster.merge([entry_of(chain, identity.public)]).writes)
    return home.load_keys()


def authority_of(keys: Keys) -> Authority:
    """The steward's power to issue, or FieldmeshError."""
    if keys.authority is None:
        raise FieldmeshError(
            "this node is not a steward: it cannot admit others",
            "run this on a steward; fieldmesh peers shows who is one",
            Exit.NOT_A_STEWARD,
        )
    return keys.authority


def certify_steward(home: Home, root: Root, node: NodeId, steward_public: bytes, now_ms: int) -> bytes:
    """The certificate that makes a node a steward, signed with the root key, or FieldmeshError without it."""
    return make_authority(root_key_of(home), root, node, steward_public, now_ms, serial())


def root_key_of(home: Home) -> Ed25519PrivateKey:
    """The site's root key, if it lies in this home, or FieldmeshError."""
    try:
        return key_in(home.root_key.read_bytes())
    except FileNotFoundError:
        raise FieldmeshError(
            f"the site's root key is not in {home.root_key}, and only it can make another steward",
            "bring it back from its safe place for this one step, then take it away again",
            Exit.NOT_A_STEWARD,
        ) from None
    except (OSError, ValueError) as error:
        raise FieldmeshError(
            f"{home.root_key} cannot be used: {error}", "restore it from its safe place", Exit.CONFIGURATION
        ) from None


def own_chain(
    authority: Authority, root: Root, chain: tuple[bytes, ...], tls_public: bytes, days: float
) -> tuple[bytes, ...]:
    """A new steward's certificate under its own authority, dated to supersede the one it was admitted with."""
    member = root.verify_chain(chain)
    now_ms = member.not_before_ms + BACKDATE_MS + 1000
    return authority.issue_leaf(member.node, member.name, tls_public, now_ms, serial(), days)


def require_name(name: str) -> None:
    """FieldmeshError unless this may be the name of a node or a site."""
    if not is_node_name(name):
        raise FieldmeshError(
            f"{name!r} cannot be a name",
            "use at most 40 lower-case letters, digits and inner hyphens",
            Exit.USAGE,
        )


def serial() -> int:
    return x509.random_serial_number()


def _settle_or_leave_nothing(home: Home, belongings: Belongings) -> None:
    try:
        settle(home, belongings)
    except FieldmeshError:
        abandon(home)
        raise


def _require_free(roster: Roster, name: str, node: NodeId) -> None:
    holder = roster.find(name)
    if holder is not None:
        raise FieldmeshError(f"the name {name} belongs to {holder}", "choose another one", Exit.NAME_TAKEN)
    if roster.by_short(short_of(node)) is not None:
        raise FieldmeshError("another node has an id that is too much like the new one", "run this again")


def _config(certificate_days: float, config: dict[str, Any]) -> dict[str, Any]:
    return config if certificate_days == LEAF_DAYS else {"certificate_days": certificate_days, **config}
