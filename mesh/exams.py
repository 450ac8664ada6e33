"""The doctor's rounds: how things look from every linked peer, asked and answered."""

from mesh.events import ExamRequested, PeerReported, Source
from mesh.ids import NodeId
from mesh.now import Now
from mesh.state import FabricState
from mesh.wire import Inquiry, PathNote, Report


class Exams:
    """Asks all linked peers, answers those that ask, and passes on what is reported."""

    def __init__(self, state: FabricState) -> None:
        self._state = state

    def request(self, request: ExamRequested, now: Now) -> None:
        self._state.send_all(Inquiry(request.token))

    def inquired(self, sender: NodeId, link: int, inquiry: Inquiry, now: Now) -> None:
        """Answer over the link it came by."""
        state = self._state
        paths = []
        for node, standing in sorted(state.membership.standings().items()):
            seen = state.book.seen_by(node, Source.MDNS)
            error = state.dialling.last_error(node)
            paths.append(PathNote(node, standing.state.value, state.hearing.hears(node), seen, error))
        report = Report(inquiry.token, state.me, state.broker_up, now.wall_ms, tuple(paths))
        state.send_over(link, sender, report)

    def reported(self, sender: NodeId, report: Report) -> None:
        """A peer speaks for itself only."""
        if report.node != sender:
            self._state.count("report-forged", sender)
            return
        self._state.add(PeerReported(report))
