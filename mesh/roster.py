"""Who is a member of the site, and how we know: entries that prove themselves, merged in any order.

The roster is a join-semilattice: per node the newest valid certificate chain, each steward's first removal of it,
and the departure with the highest incarnation. Two rosters that have seen the same entries are equal.
Which removals count is worked out from all of them: what a steward signed after its own removal is void.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from mesh.events import Write
from mesh.ids import NodeId, node_id_of, short_of
from mesh.trust import Identity, Member, Removal, Root, TrustError, verify
from mesh.wire import Chain, Count, Id, Key32, Signature

MEMBERS_MAX = 2048  # a site is hundreds of nodes; beyond this something is wrong and memory must stay bounded
OLDER_MAX = (
    4  # replaced certificates kept per node: as many renewals as an unnoticed removal of a steward may see
)
HASH_BYTES = 8
TABLE = "roster"


class MemberEntry(msgspec.Struct, frozen=True, array_like=True, tag="m"):
    """A node's certificate chain and the identity key that its id is the hash of."""

    chain: Chain
    identity: Key32


class RemovalEntry(msgspec.Struct, frozen=True, array_like=True, tag="r"):
    removal: Removal


class DepartureEntry(msgspec.Struct, frozen=True, array_like=True, tag="d"):
    """A node's own word that this incarnation of it has left."""

    node: Id
    incarnation: Count
    identity: Key32
    signature: Signature = b""

    def content(self) -> bytes:
        return b"fieldmesh departure\0" + msgspec.msgpack.encode((self.node, self.incarnation))


Entry = MemberEntry | RemovalEntry | DepartureEntry

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    return _encoder.encode(entry)


def departure(identity: Identity, incarnation: int) -> DepartureEntry:
    unsigned = DepartureEntry(identity.node, incarnation, identity.public)
    return msgspec.structs.replace(unsigned, signature=identity.sign(unsigned.content()))


@dataclass(frozen=True, slots=True)
class Merged:
    """What one merge did: rows to persist, nodes whose standing changed, and refusals by reason."""

    writes: tuple[Write, ...] = ()
    changed: tuple[NodeId, ...] = ()
    removed: tuple[NodeId, ...] = ()
    fresh: tuple[bytes, ...] = ()  # entries worth passing on
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Held:
    entry: MemberEntry
    member: Member


class Roster:
    """The merged entries of one site."""

    def __init__(self, root: Root, saved: Mapping[str, bytes] | None = None) -> None:
        self._root = root
        self._held: dict[NodeId, _Held] = {}
        self._signed: dict[NodeId, dict[NodeId, RemovalEntry]] = {}  # by steward and node, void or not
        self._removals: dict[NodeId, RemovalEntry] = {}  # those that count
        self._departures: dict[NodeId, DepartureEntry] = {}
        self._older: dict[NodeId, list[_Held]] = {}  # certificates that newer ones have replaced
        self._encoded: dict[str, bytes] = {}  # by table key, exactly what is persisted
        self._hashes: dict[bytes, str] = {}
        self._by_short: dict[bytes, NodeId] = {}
        self._digest = 0
        self._members: tuple[NodeId, ...] | None = None  # worked out when asked for
        self.damaged = self.merge((saved or {}).values()).refused

    # -- reading

    @property
    def digest(self) -> bytes:
        """Equal on two nodes exactly when their rosters are."""
        return self._digest.to_bytes(HASH_BYTES, "big")

    def members(self) -> tuple[NodeId, ...]:
        """Current members, sorted."""
        if self._members is None:
            self._members = tuple(sorted(node for node in self._held if node not in self._removals))
        return self._members

    def removed(self) -> tuple[NodeId, ...]:
        return tuple(sorted(self._removals))

    def is_member(self, node: NodeId) -> bool:
        return node in self._held and node not in self._removals

    def is_removed(self, node: NodeId) -> bool:
        return node in self._removals

    def member(self, node: NodeId) -> Member | None:
        held = self._held.get(node)
        return held.member if held else None

    def chain(self, node: NodeId) -> tuple[bytes, ...]:
        """The node's newest certificate that counts, or nothing."""
        held = self._held.get(node)
        return tuple(held.entry.chain) if held else ()

    def identity(self, node: NodeId) -> bytes | None:
        held = self._held.get(node)
        return held.entry.identity if held else None

    def name(self, node: NodeId) -> str:
        """The node's name, also after its removal; its id when nothing better is known."""
        held = self._held.get(node)
        if held is not None:
            return held.member.name
        gone = self._removals.get(node)
        return gone.removal.name if gone else node

    def find(self, name_or_id: str) -> NodeId | None:
        """The current member of this name or id."""
        for node in self.members():
            if name_or_id in (node, self._held[node].member.name):
                return node
        return None

    def left_at(self, node: NodeId) -> int:
        """The highest incarnation that has said goodbye, or -1."""
        gone = self._departures.get(node)
        return gone.incarnation if gone else -1

    def removal(self, node: NodeId) -> Removal | None:
        entry = self._removals.get(node)
        return entry.removal if entry else None

    def removal_entry(self, node: NodeId) -> bytes | None:
        entry = self._removals.get(node)
        return encode_entry(entry) if entry else None

    def entries(self) -> tuple[bytes, ...]:
        return tuple(self._encoded[key] for key in sorted(self._encoded))

    def by_short(self, short: bytes) -> NodeId | None:
        return self._by_short.get(short)

    def stewards(self) -> list[NodeId]:
        return [node for node in self.members() if self._held[node].member.is_steward]

    # -- anti-entropy

    def have(self) -> bytes:
        return b"".join(sorted(self._hashes))

    def lacking(self, have: bytes) -> tuple[bytes, ...]:
        """My entries that are not among those hashes."""
        theirs = {have[at : at + HASH_BYTES] for at in range(0, len(have), HASH_BYTES)}
        return tuple(self._encoded[key] for each, key in sorted(self._hashes.items()) if each not in theirs)

    def merge(self, entries: Iterable[bytes]) -> Merged:
        """Take what proves itself. Idempotent, in any order; what does not prove itself is named in `refused`."""
        merging = _Merging(self)
        for data in entries:
            merging.take(data)
        return merging.done()


class _Merging:
    """One merge in progress over a roster."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._writes: dict[str, bytes | None] = {}
        self._changed: list[NodeId] = []
        self._removed: list[NodeId] = []
        self._fresh: list[bytes] = []
        self._refused: list[str] = []
        self._members: list[MemberEntry] = []
        self._departed: list[DepartureEntry] = []

    def take(self, data: bytes) -> None:
        if _hash(data) in self._roster._hashes:
            return
        try:
            entry = _decoder.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            self._refused.append("roster-malformed")
            return
        if isinstance(entry, RemovalEntry):
            self._prove(entry)
        elif isinstance(entry, MemberEntry):
            self._members.append(entry)  # taken when all of this batch's removals are
        else:
            self._departed.append(
                entry
            )  # only a member can leave: taken when all of this batch's members are

    def done(self) -> Merged:
        self._settle_removals()
        for member in self._members:
            self._prove(member)
        for departed in self._departed:
            self._prove(departed)
        return Merged(
            tuple(Write(TABLE, key, value) for key, value in sorted(self._writes.items())),
            tuple(dict.fromkeys(self._changed)),
            tuple(self._removed),
            tuple(self._fresh),
            tuple(self._refused),
        )

    def _prove(self, entry: Entry) -> None:
        try:
            if isinstance(entry, MemberEntry):
                self._take_member(entry)
            elif isinstance(entry, RemovalEntry):
                self._take_removal(entry)
            else:
                self._take_departure(entry)
        except TrustError as error:
            self._refused.append(f"roster-{error.reason}")

    def _take_member(self, entry: MemberEntry) -> None:
        roster = self._roster
        member = roster._root.verify_chain(entry.chain)
        node = member.node
        if node_id_of(entry.identity) != node:
            raise TrustError("wrong-identity")
        if self._is_void(member):
            self._set_aside(_Held(entry, member))
            raise TrustError("removed-steward")
        held = roster._held.get(node)
        if held is not None and _rank(held) >= _rank(_Held(entry, member)):
            if held.entry != entry:
                self._set_aside(_Held(entry, member))
            return
        if held is None and len(roster._held) >= MEMBERS_MAX:
            raise TrustError("full")
        if roster._by_short.setdefault(short_of(node), node) != node:
            raise TrustError("short-name-twice")
        if held is not None:
            self._set_aside(held)
        roster._held[node] = _Held(entry, member)
        self._keep(f"m:{node}", entry)
        self._changed.append(node)

    def _take_removal(self, entry: RemovalEntry) -> None:
        node, steward = entry.removal.node, self._roster._root.verify_removal(entry.removal)
        signed = self._roster._signed.setdefault(steward, {})
        known = signed.get(node)
        if known is not None and _removal_rank(known) <= _removal_rank(entry):
            return
        if known is None and len(signed) >= MEMBERS_MAX:
            raise TrustError("full")  # for this steward alone: a stolen one must not use up the others' room
        signed[node] = entry
        self._keep(f"r:{node}:{steward}", entry)

    def _settle_removals(self) -> None:
        """Work out anew which removals count, and what follows for certificates."""
        roster, before = self._roster, self._roster._removals
        roster._removals = _counting(roster._signed)
        differing = [
            node
            for node in sorted({*before, *roster._removals})
            if before.get(node) != roster._removals.get(node)
        ]
        self._changed.extend(differing)
        self._removed.extend(node for node in differing if node not in before)
        if differing:
            roster._members = None
            self._choose_certificates(set(differing))

    def _take_departure(self, entry: DepartureEntry) -> None:
        roster, node = self._roster, NodeId(entry.node)
        if entry.incarnation <= roster.left_at(node):
            return
        if node_id_of(entry.identity) != node or not verify(entry.identity, entry.signature, entry.content()):
            raise TrustError("bad-signature")
        if node not in roster._held:
            raise TrustError("not-a-member")
        roster._departures[node] = entry
        self._keep(f"d:{node}", entry)
        self._changed.append(node)

    def _is_void(self, member: Member) -> bool:
        """A removed steward's certificates count only up to its removal, by their own date."""
        removal = self._roster.removal(member.steward)
        return removal is not None and member.not_before_ms > removal.at_ms

    def _choose_certificates(self, stewards: set[NodeId]) -> None:
        """These stewards' removals came, went or moved: whose certificates do that, too?"""
        roster = self._roster
        for node in sorted({*roster._held, *roster._older}):
            current = roster._held.get(node)
            known = [*roster._older.get(node, ()), *([current] if current else [])]
            if any(held.member.steward in stewards for held in known):
                self._choose_certificate(node, current, known)

    def _choose_certificate(self, node: NodeId, current: _Held | None, known: list[_Held]) -> None:
        """Put the newest certificate that counts into its place, or none."""
        best = max((held for held in known if not self._is_void(held.member)), key=_rank, default=None)
        if best is current:
            return
        if current is not None:
            self._set_aside(current)
        if best is None:
            self._drop_member(node)
        elif current is not None or self._has_room(node):
            self._roster._held[node] = best
            self._keep(f"m:{node}", best.entry)
        else:
            return
        self._changed.append(node)

    def _has_room(self, node: NodeId) -> bool:
        roster = self._roster
        return len(roster._held) < MEMBERS_MAX and roster._by_short.setdefault(short_of(node), node) == node

    def _drop_member(self, node: NodeId) -> None:
        del self._roster._held[node]
        self._roster._by_short.pop(short_of(node), None)
        self._forget(f"m:{node}")

    def _set_aside(self, held: _Held) -> None:
        """Keep a certificate that does not count now: a steward's removal, or its end, may change that."""
        node, aside = held.member.node, self._roster._older
        if node not in aside and len(aside) >= MEMBERS_MAX:
            return
        older = {_rank(each): each for each in (*aside.get(node, ()), held)}
        newest = sorted(older, key=lambda rank: (not self._is_void(older[rank].member), rank))[-OLDER_MAX:]
        aside[node] = [older[rank] for rank in newest]

    def _keep(self, key: str, entry: Entry) -> None:
        data = encode_entry(entry)
        self._roster._members = None
        self._forget(key)
        self._roster._encoded[key] = data
        self._roster._hashes[_hash(data)] = key
        self._roster._digest ^= int.from_bytes(_hash(data), "big")
        self._writes[key] = data
        self._fresh.append(data)

    def _forget(self, key: str) -> None:
        self._roster._members = None
        old = self._roster._encoded.pop(key, None)
        if old is not None:
            del self._roster._hashes[_hash(old)]
            self._roster._digest ^= int.from_bytes(_hash(old), "big")
        self._writes[key] = None


def _rank(held: _Held) -> tuple[int, tuple[bytes, ...]]:
    return (held.member.not_before_ms, tuple(held.entry.chain))


def _counting(signed: Mapping[NodeId, Mapping[NodeId, RemovalEntry]]) -> dict[NodeId, RemovalEntry]:
    """Per node the first removal that counts. In the order of their dates, so that no circle can void itself."""
    found: dict[NodeId, RemovalEntry] = {}
    every = ((steward, entry) for steward, removals in signed.items() for entry in removals.values())
    for steward, entry in sorted(every, key=lambda each: _removal_rank(each[1])):
        if steward not in found:
            found.setdefault(entry.removal.node, entry)
    return found


def _removal_rank(entry: RemovalEntry) -> tuple[int, bytes]:
    return (entry.removal.at_ms, entry.removal.signature)


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:HASH_BYTES]
