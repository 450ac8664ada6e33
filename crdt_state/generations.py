"""Generations: documents built anew without their history and what is done with, and how everybody follows.

A builder says in a signed header what it had seen (the context) and what it has kept (a digest). Who holds that too
makes the same form from it, byte for byte; who does not fetches it. `verdicts` decides on what the new content lacks.
"""

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from crdt_state.building import Building
from crdt_state.context import Context
from crdt_state.document import Document
from crdt_state.form import PEN_BITS, form_from
from crdt_state.headers import KIND, Header, digest_of, header_of
from crdt_state.holdings import Holdings
from crdt_state.item import Change
from crdt_state.library import Birth
from crdt_state.quarantine import Quarantine
from crdt_state.record import Dot, Record, RecordError, Register
from crdt_state.state import WorldState
from crdt_state.verdicts import Case, Judge, Verdict, kept_of, things_of
from mesh.ids import NodeId
from mesh.now import Now
from mesh.world_config import WorldConfig

LOOK_EVERY_S = 1.0
WANT_EVERY_S = 4.0  # a content that did not come is wanted again, of somebody else perhaps
ALONE_AFTER_S = 15.0  # nobody has the new generation's content: its builder is gone
SURE_AFTER_S = (
    20.0  # of being among peers: by then peers have told us of writes of our own that we have forgotten
)
FOLLOWED_MAX = 4  # generations of one document ...
FOLLOWED_WITHIN_S = 60.0  # ... in this time: a member that builds without end must not take everybody's
BLAMED_S = 3600.0  # a builder that left out what is open is named for so long


@dataclass(frozen=True, slots=True)
class Fetching:
    """How a document's content is fetched."""

    want: Callable[[str], None]  # of whoever is here
    is_running: Callable[[str], bool]


@dataclass(slots=True)
class _Following:
    """A header whose content must be fetched."""

    header: Header
    before: dict[str, Record]
    context: Context
    base: bytes
    since: float
    want_at: float
    is_fetched: bool = False


class Generations:
    """Follows new generations of this node's documents, and has them built."""

    def __init__(
        self,
        state: WorldState,
        holdings: Holdings,
        quarantine: Quarantine,
        config: WorldConfig,
        fetching: Fetching,
    ) -> None:
        self._state = state
        self._fetching = fetching
        self._holdings = holdings
        self._quarantine = quarantine
        self._config = config
        self._building = Building(state, holdings, config)
        self._following: dict[str, _Following] = {}
        self._followed_at: dict[str, deque[float]] = {}
        self._late: dict[str, None] = {}  # documents of which too many generations have come
        self._blamed: dict[NodeId, float] = {}  # builders who left out what is open, when last
        self._look_at = float("-inf")
        self._sure_at = float("inf")

    # -- time

    def start(self, now: Now) -> None:
        self._sure_at = now.mono + SURE_AFTER_S
        for item in self._state.view.items(KIND):
            header = header_of(self._state, item.name)
            for dot in self._own_dots(header) if header else ():
                self._state.know_own(dot)
        self.follow_headers([document.name for document in self._state.library.documents()], now)

    def tick(self, now: Now) -> None:
        """Look at the next document whose turn it is, and after what does not come."""
        if now.mono < self._look_at:
            return
        self._look_at = now.mono + LOOK_EVERY_S
        if not self._state.fabric.links.peers():
            self._sure_at = now.mono + SURE_AFTER_S
        for name in list(self._following):
            self._look_after(name, now)
        late, self._late = self._late, {}
        self.follow_headers(list(late), now)
        if not self._state.fabric.halted:
            self._building.look(now)

    def wake_at(self) -> float:
        return self._look_at

    def is_following(self, name: str | None = None) -> bool:
        """Whether the content of this document, or of any, is waited for."""
        return name in self._following if name is not None else bool(self._following)

    def blamed(self, now: Now) -> list[NodeId]:
        """Builders that have left out, of late, what is open."""
        for node, at in list(self._blamed.items()):
            if now.mono - at >= BLAMED_S:
                del self._blamed[node]
        return sorted(self._blamed)

    def birth_of(self, name: str) -> Birth:
        """How a document that is not there yet begins."""
        header = header_of(self._state, name)
        return Birth(header.mark, header.context, header.body.dropped) if header else Birth()

    # -- following

    def follow_headers(self, names: list[str], now: Now) -> None:
        """These documents' headers have changed, or we have just come up."""
        for name in names:
            header, document = header_of(self._state, name), self._state.library.get(name)
            if header is not None:
                self._compare_own(header)
                if document is not None and document.mark == header.mark:
                    document.context.join(self._believed(header))
            if document is None or document.mark == (header.mark if header else b""):
                continue
            if not self._may_follow(name, now):
                self._late[name] = None
            elif header is not None:
                self._follow(document, header, now)
            else:
                self._go_back(document)

    def fetched(self, document: Document, now: Now) -> bool:
        """A peer has given us all that it has of this document; whether that was what we waited for."""
        following = self._following.get(document.name)
        if following is None:
            return False
        following.is_fetched = True
        self._finish(document.name, now)
        return True

    def _may_follow(self, name: str, now: Now) -> bool:
        times = self._followed_at.setdefault(name, deque(maxlen=FOLLOWED_MAX))
        if len(times) == FOLLOWED_MAX and now.mono - times[0] < FOLLOWED_WITHIN_S:
            return False
        times.append(now.mono)
        return True

    def _compare_own(self, header: Header) -> None:
        """The builder had seen writes of ours; perhaps some that we have forgotten."""
        for dot in self._own_dots(header):
            self._state.compare_own(dot)

    def _own_dots(self, header: Header) -> list[Dot]:
        return [dot for dot in header.context.dots() if dot.author == self._state.fabric.me]

    def _follow(self, document: Document, header: Header, now: Now) -> None:
        """Begin the new generation: at once when we hold its content, else with a form to be fetched."""
        former = self._following.pop(document.name, None)
        base = former.base if former else document.mark
        following = _Following(
            header, dict(document.records), document.seen.copy(), base, now.mono, now.mono + WANT_EVERY_S
        )
        kept = kept_of(document.records.values(), header, self._state.kinds, self._config.retention_scale)
        self._state.library.changed()
        if digest_of(kept).hex() == header.body.digest:
            document.is_whole = True
            document.restart(header.mark, self._state.library.new_pen(), _base_form(header, kept))
            content = {record.key: record for record in kept}
            self._settle(document, following, content, self._verdicts(document, following, content), now)
            return
        document.restart(header.mark, self._state.library.new_pen())
        document.is_whole = False
        self._following[document.name] = following
        if header.body.dropped:  # its content is known: nothing
            following.is_fetched = True
            self._finish(document.name, now)
        else:
            self._fetching.want(document.name)

    def _go_back(self, document: Document) -> None:
        """The only header is gone, with its author: what we hold is all there is."""
        self._following.pop(document.name, None)
        document.is_whole = True
        document.restart(b"", self._state.library.new_pen())
        self._state.library.changed()
        self._state.save_generation(document)

    def _look_after(self, name: str, now: Now) -> None:
        """A content that is waited for: ask again, or do without."""
        following = self._following[name]
        if following.is_fetched or self._is_alone(following, now):
            self._finish(name, now)
        elif now.mono >= following.want_at and not self._fetching.is_running(name):
            following.want_at = now.mono + WANT_EVERY_S
            self._fetching.want(name)

    def _is_alone(self, following: _Following, now: Now) -> bool:
        """Whether nobody is left to wait for. A guest waits for any member that may know what became of things."""
        header, fabric = following.header, self._state.fabric
        if now.mono - following.since < ALONE_AFTER_S or self._fetching.is_running(header.document):
            return False
        if not self._is_guest(header):
            return True
        return not any(
            node != fabric.me and (header.counts(node) or node == header.record.author)
            for node in fabric.roster.members()
        )

    def _is_guest(self, header: Header) -> bool:
        return self._state.has_forgotten or not header.counts(self._state.fabric.me)

    def _finish(self, name: str, now: Now) -> None:
        following, document = self._following[name], self._state.library.get(name)
        if document is None or document.mark != following.header.mark:
            del self._following[name]
            return
        content = self._form_records(document) if following.is_fetched else {}
        verdicts = self._verdicts(document, following, content)
        if now.mono < self._sure_at and Verdict.PUT_BACK in verdicts.values():
            return  # we may have forgotten that these are gone
        del self._following[name]
        document.is_whole = True
        self._settle(document, following, content, verdicts, now)
        document.find_astray()

    def _verdicts(
        self, document: Document, following: _Following, content: dict[str, Record]
    ) -> dict[str, Verdict]:
        """On every record that we hold and the new content lacks, and on what we have written while waiting for it."""
        header, before = following.header, following.before
        is_guest = self._is_guest(header)
        seen = self._believed(header) if is_guest else header.context
        is_known = following.is_fetched or document.name not in self._following
        late = self._written_since(document, following, content, seen)
        lacking = [key for key in before if key not in content and document.records.get(key) is before[key]]
        if not lacking and not late:
            return {}
        living = things_of(record for key, record in content.items() if key not in late)
        living |= things_of(before[key] for key in lacking if document.is_drawn(key))
        case = Case(header, seen, is_guest, is_known)
        judge = Judge(case, self._state.kinds, self._config.retention_scale)
        decided = [*lacking, *sorted(late)]
        return judge.decide(document.records, content.values(), decided, living, before.values())

    def _written_since(
        self, document: Document, following: _Following, content: dict[str, Record], seen: Context
    ) -> set[str]:
        """What we have written while the content was on its way."""
        return {
            key
            for key, record in document.records.items()
            if record.author == self._state.fabric.me
            and key in content
            and following.before.get(key) is not record
            and not seen.covers(record.dot)
        }

    def _believed(self, header: Header) -> Context:
        """What the builder had seen; nothing of ours when it claims to have seen what we have not written yet."""
        me, fabric = self._state.fabric.me, self._state.fabric
        if header.context.last_of(me) <= (fabric.birth.incarnation, self._state.seq):
            return header.context
        return header.context.of(lambda author: author != me)

    def _settle(
        self,
        document: Document,
        following: _Following,
        content: dict[str, Record],
        verdicts: dict[str, Verdict],
        now: Now,
    ) -> None:
        """Carry out the verdicts, and let go again of what we had let go."""
        for key, verdict in verdicts.items():
            self._carry_out(document, key, verdict, now)
        put_back = [key for key, verdict in verdicts.items() if verdict is Verdict.PUT_BACK]
        if put_back:
            self._blame(document, following.header, put_back, now)
        if following.base.hex() != following.header.body.base:
            self._delete_again(following, content, now)
        document.context.join(self._believed(following.header))
        self._state.library.changed()
        self._state.save_generation(document)
        if not document.records:
            self._building.forget(document.name)
            self._holdings.forget(document.name)
            self._followed_at.pop(document.name, None)
        self._state.fabric.count("generation-followed")

    def _carry_out(self, document: Document, key: str, verdict: Verdict, now: Now) -> None:
        """What is kept is held, and astray until it is drawn."""
        record = document.records[key]
        if verdict is Verdict.PUT_ASIDE:
            self._quarantine.put(
                record, f"{document.name} was built anew without it while this node was away", now
            )
        if verdict in (Verdict.PUT_ASIDE, Verdict.DROPPED):
            if document.is_drawn(key):  # we wrote it a moment ago: everybody may have it
                self._write([Change(record.register, None)], now)
            else:
                self._state.hide(document, key)
                document.astray.pop(key, None)

    def _blame(self, document: Document, header: Header, keys: list[str], now: Now) -> None:
        builder, example = header.record.author, document.records[keys[0]].register
        if builder != self._state.fabric.me:
            self._blamed[builder] = now.mono
            detail = f"left out {len(keys)} records that are open, such as {example}"
            self._state.trouble("generation-omits", document.name, builder, detail)

    def _delete_again(self, following: _Following, content: dict[str, Record], now: Now) -> None:
        """What we had seen and let go, and the other side had not: it stays gone unless somebody has written since."""
        state = self._state
        if state.fabric.halted or state.is_damaged or state.has_forgotten:
            return  # what we do not hold we may have lost
        held = {record.register for record in following.before.values()}
        covers = following.context.covers
        reborn = things_of(record for record in content.values() if not covers(record.dot))
        by_register: dict[Register, list[Record]] = {}
        for record in content.values():
            by_register.setdefault(record.register, []).append(record)
        gone = (
            register
            for register, records in sorted(by_register.items())
            if register not in held
            and register[:2] not in reborn
            and all(covers(record.dot) for record in records)
        )
        alive = [register for register in gone if state.view.versions(register).value() is not None]
        self._write([Change(register, None) for register in alive], now)

    def _write(self, changes: list[Change], now: Now) -> None:
        try:
            self._state.write(changes, now)
        except RecordError as error:
            self._state.fabric.count(error.reason)

    def _form_records(self, document: Document) -> dict[str, Record]:
        return {key: document.records[key] for key in document.records if key not in document.astray}


def _base_form(header: Header, kept: list[Record]) -> bytes:
    """The same bytes at everybody who holds the same content: nothing needs to travel."""
    seed = hashlib.blake2b(header.mark + bytes.fromhex(header.body.digest), digest_size=8).digest()
    return form_from(kept, int.from_bytes(seed, "big") >> (64 - PEN_BITS) | 1)
