"""Upkeep: certificates renewed in time, expired ones shut out, the clock's floor raised, doubts about it told."""

from mesh.events import ClockDistrusted, Counted, InstallCertificate, Write
from mesh.ids import NodeId
from mesh.now import Now
from mesh.renewal import CHECK_S, Issuing, Renewal
from mesh.roster import MemberEntry, encode_entry
from mesh.roster_sync import RosterSync
from mesh.state import CLOCK_TABLE, FabricState
from mesh.trust import Member, TrustError, public_of
from mesh.wire import Renew, Renewed, RenewRefused

DATE_SLACK_S = 0.01  # past the date, not just before it
SERIAL_BITS = 120  # X.509 allows 159; any number that is never drawn twice will do


class Upkeep:
    """Looks after everything that has a date."""

    def __init__(self, state: FabricState, roster_sync: RosterSync) -> None:
        self._state = state
        self._roster_sync = roster_sync
        self._renewal = Renewal(state.random)
        self._issuing = Issuing(state.config.certificate_days)
        self._check_at = float("-inf")
        self._doubt: str | None = None
        self._expired: list[NodeId] | None = []  # None: everybody is let in while our clock is in doubt

    def tick(self, now: Now) -> None:
        if now.mono < self._check_at:
            return
        self._check_at = now.mono + min(CHECK_S, self._next_date_s(now))
        self._tell_doubt(now)
        self._raise_floor(now)
        if self._state.clock.doubt(now.wall_ms) is None:
            self._shut_out_expired(now)
            self._renew(now)
        else:
            self._expired = None

    def wake_at(self) -> float:
        return self._check_at

    def renew_now(self, now: Now) -> None:
        self._renewal.done()
        self._renewal.wanted = True
        self._check_at = now.mono

    def wanted_steward(self, now: Now) -> list[NodeId]:
        """Stewards that an overlay must link with because we need one."""
        member = self._state.own
        return (
            self._stewards()
            if self._renewal.is_due(member.not_before_ms, member.not_after_ms, now.wall_ms)
            else []
        )

    # -- the steward's side

    def asked(self, sender: NodeId, renew: Renew, now: Now) -> None:
        """A linked member wants its next certificate."""
        state, authority = self._state, self._state.keys.authority
        doubt = state.clock.doubt(now.wall_ms)
        if authority is None or doubt is not None or not state.roster.is_member(sender):
            why = "not a steward" if authority is None else doubt or "not a member"
            state.send(sender, RenewRefused(why))
            return
        if self._issuing.is_fresh(sender, now.mono):
            self._answer_again(sender, renew)
            return
        chain = self._issue(sender, state.roster.name(sender), renew.tls_public, now)
        identity = state.roster.identity(sender)
        assert identity is not None  # members have one
        self._roster_sync.merge((encode_entry(MemberEntry(chain, identity)),), None, now)
        self._issuing.issued(sender, now.mono)
        state.count("certificate-renewed", sender)
        state.send(sender, Renewed(chain))

    def _answer_again(self, sender: NodeId, renew: Renew) -> None:
        """What was issued just now is answer enough: every certificate is saved by, and told to, everybody."""
        chain = self._state.roster.chain(sender)
        is_same_key = public_of(chain[0]) == renew.tls_public
        self._state.send(sender, Renewed(chain) if is_same_key else RenewRefused("too soon"))

    # -- the member's side

    def renewed(self, sender: NodeId, renewed: Renewed, now: Now) -> None:
        """A steward's answer: install it if it is really for us and really newer."""
        state = self._state
        try:
            member = state.keys.root.verify_chain(renewed.chain, state.clock.mesh_ms(now.wall_ms))
            is_ours = member.node == state.me and public_of(renewed.chain[0]) == state.keys.tls_public
            is_newer = renewed.chain != state.chain and member.not_before_ms >= state.own.not_before_ms
            if not is_ours or not is_newer:
                raise TrustError("not-ours")
        except TrustError as error:
            state.count(f"renewal-{error.reason}", sender)
            self._renewal.ask_again()
            return
        state.add(InstallCertificate(renewed.chain))

    def refused(self, sender: NodeId, refused: RenewRefused, now: Now) -> None:
        self._state.count("renewal-refused", sender)
        self._renewal.ask_again()

    def installed(self, chain: tuple[bytes, ...], now: Now) -> None:
        """The new certificate is in service."""
        self._state.take_chain(chain)
        self._renewal.done()
        self._roster_sync.merge((self._state.own_entry(),), None, now)

    # -- parts

    def _renew(self, now: Now) -> None:
        state = self._state
        member = state.own
        if state.halted or not self._renewal.is_due(member.not_before_ms, member.not_after_ms, now.wall_ms):
            return
        if state.keys.authority is not None:
            state.add(InstallCertificate(self._issue(state.me, member.name, state.keys.tls_public, now)))
            return
        steward = self._renewal.ask(
            [each for each in self._stewards() if state.links.is_linked(each)], now.mono
        )
        if steward is not None:
            state.send(steward, Renew(state.keys.tls_public))
        self._check_at = now.mono + 1.0  # soon again: an answer may not come

    def _issue(self, node: NodeId, name: str, tls_public: bytes, now: Now) -> tuple[bytes, ...]:
        authority = self._state.keys.authority
        assert authority is not None
        serial = self._state.random.getrandbits(SERIAL_BITS) + 1
        days = self._state.config.certificate_days
        return authority.issue_leaf(node, name, tls_public, now.wall_ms, serial, days)

    def _shut_out_expired(self, now: Now) -> None:
        state = self._state
        at_ms = state.clock.mesh_ms(now.wall_ms)
        for peer in state.links.peers():
            if _is_past(state.roster.member(peer), at_ms):
                state.add(Counted("certificate-expired", peer))
                state.drop_peer(peer, "certificate-expired", now.mono)
        expired = [node for node in state.roster.members() if _is_past(state.roster.member(node), at_ms)]
        if expired != self._expired:
            self._expired = expired
            state.set_access(now)

    def _next_date_s(self, now: Now) -> float:
        """Until our renewal is due or a member's certificate ends, whichever comes first."""
        state = self._state
        members = [state.roster.member(node) for node in state.roster.members()]
        ends_ms = [
            each.not_after_ms - state.clock.mesh_ms(now.wall_ms) for each in members if each is not None
        ]
        due_ms = self._renewal.due_ms(state.own.not_before_ms, state.own.not_after_ms) - now.wall_ms
        coming = [ms for ms in (due_ms, *ends_ms) if ms >= 0]
        return min(coming, default=int(CHECK_S * 1000)) / 1000 + DATE_SLACK_S

    def _raise_floor(self, now: Now) -> None:
        """Time that a steward has signed has come; so has ours, when the peers' clocks agree with it."""
        state = self._state
        members = (state.roster.member(node) for node in state.roster.members())
        signed = [member.not_before_ms for member in members if member is not None]
        times = [each for each in signed if state.clock.is_believed(each, now.wall_ms)]
        times.append(state.own.not_before_ms)  # looked at when it was installed
        if state.clock.doubt(now.wall_ms) is None and state.links.peers():
            times.append(now.wall_ms)
        if state.clock.raise_floor(max(times)):
            state.persist((Write(CLOCK_TABLE, "floor", str(state.clock.floor_ms).encode()),))

    def _tell_doubt(self, now: Now) -> None:
        doubt = self._state.clock.doubt(now.wall_ms)
        if doubt is not None and doubt != self._doubt:
            self._state.add(ClockDistrusted(self._state.clock.offset_ms(), doubt))
        self._doubt = doubt

    def _stewards(self) -> list[NodeId]:
        return [each for each in self._state.roster.stewards() if each != self._state.me]


def _is_past(member: Member | None, at_ms: int) -> bool:
    return member is None or member.not_after_ms < at_ms
