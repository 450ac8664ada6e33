"""Two processes with one identity: both say so, and the later one stops."""

from mesh.events import IdentityCloned, News
from simulations.host import Process
from simulations.watch import Watcher
from simulations.world import World


class ClonesAreNoticed(Watcher):
    """Every rival that runs at the end has said that its identity is in use twice; only the later one halted."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._said: dict[Process, None] = {}
        self._halted: dict[Process, None] = {}

    def on_news(self, process: Process, news: News) -> None:
        if not isinstance(news, IdentityCloned) or not news.ours:
            return
        self._said[process] = None
        if news.halted:
            self._halted[process] = None
        if not process.host.rival:
            self.world.violate(
                "CLONE", f"{process.host.name} wrongly believes that its identity is in use twice"
            )

    def on_end(self) -> None:
        rivals = [host.process for host in self.world.hosts if host.rival and host.process is not None]
        for process in rivals:
            if process not in self._said:
                self.world.violate("CLONE", f"{_described(process)} has not noticed its rival")
            is_later = any(other.incarnation < process.incarnation for other in rivals)
            if is_later != (process in self._halted):
                verb = "writes on" if is_later else "stopped, though it was first"
                self.world.violate("CLONE", f"{_described(process)} {verb}")


def _described(process: Process) -> str:
    return f"{process.host.name} on host {process.host.index}"
