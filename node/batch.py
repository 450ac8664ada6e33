"""A batch: some events in a row whose writes go to the disk in one transaction, before what depends on them is done."""

from collections.abc import Callable, Sequence

from mesh.events import Effect, Persist, Send, SendAll, Write, WriteDone
from node.keeping import Keeping

BYTES_MAX = 1 << 20  # to be written in one go: what waits for it is not kept long even by a slow card


class Batch:
    """Takes on the effects of one event after the other, then `finish`es; in order all the while.

    Until the first Persist effects are carried out at once; from there on they wait for the disk.
    """

    def __init__(
        self,
        keeping: Keeping,
        carry_out: Callable[[Effect], None],
        withhold: Callable[[Effect], None] = lambda _: None,
    ) -> None:
        self._keeping = keeping
        self._withhold = withhold  # takes acknowledgements that cannot be given yet
        self._carry_out = carry_out
        self._waiting: list[Sequence[Effect]] = []  # one sequence for each event
        self._writes: list[Write] = []
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        return self._bytes > BYTES_MAX

    def take_on(self, effects: Sequence[Effect]) -> None:
        """One event's effects."""
        for write in _writes_in(effects):
            self._writes.append(write)
            self._bytes += len(write.value or b"")
        at = 0 if self._waiting else _first_persist(effects)
        for effect in effects[:at]:
            self._pass_on(effect)
        if effects[at:]:
            self._waiting.append(effects[at:])

    async def finish(self) -> str:
        """Makes all writes durable, then carries out what waited. Why they are not durable, or empty."""
        if not self._waiting:
            return ""
        reason = await self._keeping.save(self._writes)
        for effects in self._waiting:
            self._pass_on_after(effects, is_durable=not reason)
        return reason

    def _pass_on_after(self, effects: Sequence[Effect], is_durable: bool) -> None:
        """One event's effects. Of an event whose rows are not on the disk nothing is sent.

        Another event of the batch may have been decided on the strength of those rows. It goes through, as it
        would from the next batch: the core is ahead of the disk for as long as rows are held, and must go on
        beating. Whoever hears of a row that we then forget holds it for us; and what it was signed as is never
        signed again, since every run has an incarnation of its own. Only an acknowledgement cannot be taken back.
        """
        is_told = True
        for effect in effects:
            if isinstance(effect, Persist):
                is_told = is_durable
            elif is_told or not isinstance(effect, Send | SendAll):
                self._pass_on(effect)

    def _pass_on(self, effect: Effect) -> None:
        """Nothing is acknowledged while anything at all is not on the disk."""
        if isinstance(effect, WriteDone) and self._keeping.held:
            self._withhold(effect)
        else:
            self._carry_out(effect)


def _writes_in(effects: Sequence[Effect]) -> list[Write]:
    return [write for effect in effects if isinstance(effect, Persist) for write in effect.writes]


def _first_persist(effects: Sequence[Effect]) -> int:
    return next((at for at, effect in enumerate(effects) if isinstance(effect, Persist)), len(effects))
