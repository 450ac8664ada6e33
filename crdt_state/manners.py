"""Manners: a peer that keeps sending what no honest node sends is not listened to for a while.

What lag, an older release or another's fault can explain is no offence: strangers' and removed members' records,
older versions (two may mend at once), deltas that do not fit yet, a pen too many where others have used up the rest.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from mesh.ids import NodeId

OFFENCES_MAX = 20  # messages with offences ...
WITHIN_S = 60.0  # ... within so long: a node with one broken record would be asked for it less often
IGNORED_S = 10.0  # for the first time; twice as long each next time ...
IGNORED_MAX_S = 600.0  # ... up to this: a node that was mended is not shut out for a shift
FORGIVEN_AFTER_S = 3600.0  # without a further offence

OFFENCES = frozenset(
    (
        "delta-malformed",
        "delta-foreign",
        "delta-oversized",
        "record-malformed",
        "record-misplaced",
        "record-oversized",
        "record-forged",
    )
)
"""What an honest node neither writes nor passes on, for it would not have taken it itself."""

PUSHED_OFFENCES = OFFENCES | {"record-rubbed-out", "delta-pen-taken"}
"""What an honest node may carry in its form until it is mended, but does not push."""


@dataclass(slots=True)
class _Conduct:
    offences: list[float] = field(default_factory=list)  # when; the latest few
    ignored_until: float = float("-inf")
    ignored_s: float = IGNORED_S  # the next time
    last: float = float("-inf")


class Manners:
    """Owns the memory of who has offended; one entry for each member that ever did."""

    def __init__(self) -> None:
        self._conducts: dict[NodeId, _Conduct] = {}

    def blames(self, sender: NodeId, reasons: Iterable[str], now: float, is_pushed: bool = False) -> bool:
        """Take note of why something was refused; whether the sender is ignored from now on."""
        offences = PUSHED_OFFENCES if is_pushed else OFFENCES
        if offences.isdisjoint(reasons):
            return False
        conduct = self._conducts.setdefault(sender, _Conduct())
        if now - conduct.last > FORGIVEN_AFTER_S:
            conduct.ignored_s = IGNORED_S
        conduct.last = now
        conduct.offences = [*(at for at in conduct.offences if now - at < WITHIN_S), now]
        if len(conduct.offences) < OFFENCES_MAX:
            return False
        conduct.offences.clear()
        conduct.ignored_until = now + conduct.ignored_s
        conduct.ignored_s = min(conduct.ignored_s * 2, IGNORED_MAX_S)
        return True

    def is_ignored(self, sender: NodeId, now: float) -> bool:
        conduct = self._conducts.get(sender)
        return conduct is not None and now < conduct.ignored_until

    def ignored(self, now: float) -> list[NodeId]:
        """Everybody who is not listened to at the moment."""
        return sorted(sender for sender, conduct in self._conducts.items() if now < conduct.ignored_until)
