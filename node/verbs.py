"""What the command line may ask of a running node: one handler a verb, plain values back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from crdt_state.own_alarms import standing
from mesh.cast_sync import PAYLOAD_BYTES_MAX
from mesh.events import (
    CastRequested,
    ExamRequested,
    LeaveRequested,
    News,
    PeerReported,
    RemovalRequested,
    RenewalRequested,
)
from mesh.ids import NodeId
from mesh.now import Now
from mesh.wire import TOPIC_CHARS_MAX, Report
from node.app import NodeApp
from node.doctor import Examined, examine
from node.errors import FieldmeshError
from node.exits import Exit
from node.members import the_member
from node.release import RELEASE
from node.views import PeerView
from node.world_verbs import WorldVerbs

EXAM_WAIT_S = 1.5  # a linked peer answers in milliseconds; the silent ones are findings themselves
DONE_WAIT_S = 10.0
POLL_EVERY_S = 0.02
SPREAD_WAIT_S = 0.5  # for a goodbye to leave

Result = dict[str, Any]


class Verbs:
    """The handlers, over one running node."""

    def __init__(
        self,
        app: NodeApp,
        broker_state: Callable[[], Mapping[str, Any]],
        seen_by_mdns: Callable[[], list[NodeId]],
        stop: Callable[[], None],
    ) -> None:
        self._app = app
        self._broker_state = broker_state
        self._seen_by_mdns = seen_by_mdns
        self._stop = stop

    def handlers(self) -> dict[str, Callable[..., Any]]:
        return {
            "status": self.status,
            "peers": self.peers,
            "check": self.check,
            "member_remove": self.member_remove,
            "members": self.members,
            "renew": self.renew,
            "cast": self.cast,
            "leave": self.leave,
            "watch": self.watch,
            **WorldVerbs(self._app).handlers(),
        }

    async def status(self) -> Result:
        app = self._app
        view = app.core.view(app.now())
        return {
            "id": view.node,
            "name": view.name,
            "site": view.site_name,
            "site_id": view.site,
            "release": RELEASE,
            "incarnation": view.incarnation,
            "up_s": round(time.monotonic() - app.started_at, 1),
            "steward": view.is_steward,
            "mode": app.config.fabric.mode,
            "broker_up": view.broker_up,
            "broker": dict(self._broker_state()),
            "endpoints": list(view.endpoints),
            "apps_socket": str(app.home.run_dir() / "apps.sock") if app.config.fabric.mode == "own" else "",
            "isolated": view.isolated,
            "halted": view.halted,
            "clock_doubt": view.clock_doubt,
            "certificate_expires_ms": view.certificate_not_after_ms,
            "members": view.members,
            "here": view.here,
            "linked": view.linked,
            "stalls": app.core.state.hearing.stalls,
            "counters": self._counters(),
        }

    async def peers(self) -> Result:
        app = self._app
        now = app.now()
        view = app.core.view(now)
        return {
            "node": {
                "id": view.node,
                "name": view.name,
                "site": view.site_name,
                "incarnation": view.incarnation,
                "isolated": view.isolated,
                "halted": view.halted,
                "broker_up": view.broker_up,
                "mono": now.mono,
            },
            "peers": [_peer(each, now.mono) for each in app.core.peers(now)],
        }

    async def members(self) -> Result:
        roster = self._app.core.state.roster
        found = []
        for node in roster.members():
            member = roster.member(node)
            assert member is not None
            found.append(
                {
                    "id": node,
                    "name": member.name,
                    "steward": member.is_steward,
                    "admitted_by": roster.name(member.steward),
                    "certificate_expires_ms": member.not_after_ms,
                    "is_self": node == self._app.core.state.me,
                }
            )
        removed = [roster.removal(node) for node in roster.removed()]
        return {
            "members": found,
            "removed": [
                {"id": each.node, "name": each.name, "reason": each.reason, "at_ms": each.at_ms}
                for each in removed
                if each is not None
            ],
        }

    async def member_remove(self, member: str, reason: str = "removed by a steward") -> Result:
        state = self._app.core.state
        if state.keys.authority is None:
            raise FieldmeshError(
                "this node is not a steward, so it cannot remove members",
                "run the command on a steward: fieldmesh member list shows them",
                Exit.NOT_A_STEWARD,
            )
        self._require_part()
        node = the_member(state.roster, member)
        if node == state.me:
            raise FieldmeshError(
                "a steward cannot remove itself", "run the command on another steward", Exit.USAGE
            )
        name, told = state.roster.name(node), len(state.links.peers())
        self._app.deliver(RemovalRequested(node, reason))
        await self._until(lambda: state.roster.is_removed(node))
        if not await _poll(lambda: not self._app.keeping.held, DONE_WAIT_S):
            raise FieldmeshError(
                f"{name} is cut off wherever this node was heard, but its removal is not on this disk yet",
                "make room on the disk and leave the node running: it tries again every second",
                Exit.DISK,
            )
        return {"id": node, "name": name, "reason": reason, "told": told}

    async def renew(self) -> Result:
        self._require_part()
        self._require_issuer()
        state = self._app.core.state
        before = state.chain
        self._app.deliver(RenewalRequested())
        await self._until(lambda: state.chain != before)
        return {"certificate_expires_ms": state.own.not_after_ms}

    async def cast(self, topic: str, text: str) -> Result:
        self._require_part()
        payload = text.encode()
        if not 0 < len(topic) <= TOPIC_CHARS_MAX or len(payload) > PAYLOAD_BYTES_MAX:
            raise FieldmeshError(
                f"a cast has a topic of 1 to {TOPIC_CHARS_MAX} characters and at most {PAYLOAD_BYTES_MAX} bytes",
                "send less; what is large belongs into a replica",
                Exit.USAGE,
            )
        self._app.deliver(CastRequested(topic, payload))
        return {"links": len(self._app.core.state.links.peers())}

    async def leave(self) -> Result:
        told = len(self._app.core.state.links.peers())
        self._app.deliver(LeaveRequested())
        await asyncio.sleep(SPREAD_WAIT_S)
        self._stop()
        return {"told": told}

    async def check(self) -> Result:
        reports = await self._reports()
        app = self._app
        now = app.now()
        state = app.core.state
        peers = app.core.peers(now)
        findings = examine(
            Examined(
                node=app.core.view(now),
                peers=peers,
                reports=reports,
                seen_by_mdns=self._seen_by_mdns(),
                counters=dict(app.counters),
                wall_ms=now.wall_ms,
                mdns_on=app.config.discovery.mdns,
                broker_error=str(self._broker_state().get("last_error", "")),
                last_errors={
                    each.node: state.dialling.last_error(each.node) for each in peers if not each.linked
                },
                stray_errors={str(place): why for place, why in state.dialling.stray_errors().items()},
                mode=app.config.fabric.mode,
                overlay=state.is_overlay(),
                world_alarms=self._world_alarms(now),
            )
        )
        return {
            "healthy": not any(finding.level == "error" for finding in findings),
            "peers_asked": len(state.links.peers()),
            "peers_answered": len(reports),
            "findings": [
                {"code": f.code, "level": f.level, "what": f.what, "cure": f.cure} for f in findings
            ],
        }

    def _world_alarms(self, now: Now) -> dict[str, str]:
        """What stands against the shared state, and which members are proven to be there twice."""
        world, roster = self._app.core.world, self._app.core.state.roster
        found = standing(world.state, now)
        twice = sorted(roster.name(node) for node in world.equivocators() if roster.is_member(node))
        return {**found, "author-equivocates": ", ".join(twice)} if twice else found

    def watch(self) -> AsyncIterator[dict[str, Any]]:
        return self._app.news.watch()

    async def _reports(self) -> dict[NodeId, Report]:
        """Ask every linked peer; wait until all have answered, but not long."""
        reports: dict[NodeId, Report] = {}
        token = time.monotonic_ns()

        def listen(news: News) -> None:
            if isinstance(news, PeerReported) and news.report.token == token:
                reports[NodeId(news.report.node)] = news.report

        with self._app.news.listening(listen):
            expected = len(self._app.core.state.links.peers())
            self._app.deliver(ExamRequested(token))
            await _poll(lambda: len(reports) >= expected, EXAM_WAIT_S)
        return reports

    def _require_part(self) -> None:
        """FieldmeshError when this node has been told, or has found, to write nothing."""
        halted = self._app.core.state.halted
        if halted:
            raise FieldmeshError(f"this node takes no part: {halted}", "fieldmesh check tells what cures it")

    def _require_issuer(self) -> None:
        state = self._app.core.state
        if state.keys.authority is None and not any(map(state.links.is_linked, state.roster.stewards())):
            raise FieldmeshError(
                "no steward can be reached, and only stewards issue certificates",
                "start one, or connect it: fieldmesh peers marks them with a star",
                Exit.TEMPORARY,
            )

    async def _until(self, is_done: Callable[[], bool]) -> None:
        """Wait for the core to have done something, or say that it has not."""
        if not await _poll(is_done, DONE_WAIT_S):
            raise FieldmeshError(
                f"the node did not do it within {DONE_WAIT_S:g} s",
                "fieldmesh status and the node's log say why",
                Exit.TEMPORARY,
            )

    def _counters(self) -> dict[str, int]:
        """Totals by name; who caused them is in `check`."""
        totals: dict[str, int] = {}
        for (name, _), count in sorted(self._app.counters.items()):
            totals[name] = totals.get(name, 0) + count
        return totals


async def _poll(is_done: Callable[[], bool], wait_s: float) -> bool:
    """Look again and again, for a person who waits; whether it came true in time."""
    deadline = time.monotonic() + wait_s
    while not is_done():
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(POLL_EVERY_S)  # the core tells nobody of every change it makes
    return True


def _peer(view: PeerView, mono: float) -> Result:
    return {
        "id": view.node,
        "name": view.name,
        "state": view.state,
        "why": view.why,
        "since_s": round(mono - view.since, 3),
        "linked": view.linked,
        "link": view.link,
        "path": view.path,
        "rtt_ms": None if view.rtt_s is None else round(view.rtt_s * 1000, 3),
        "clock_offset_ms": None if view.clock_offset_ms is None else round(view.clock_offset_ms, 1),
        "certificate_expires_ms": view.certificate_not_after_ms,
        "steward": view.is_steward,
        "incarnation": view.incarnation,
        "release": view.release,
    }
