"""L1 and L6: once faults have ceased, every view is exact and traffic is back at the idle budget."""

from mesh.ids import NodeId
from simulations.host import Host, Process
from simulations.measure import Traffic, idle_budget
from simulations.watch import Watcher
from simulations.world import World


class ExactViews(Watcher):
    """L1: at the end each healthy member says of every other what is so; its news and its list agree."""

    def on_end(self) -> None:
        for observer in self.world.truth.members():
            assert observer.process is not None  # a member is a host with a process
            self._check_list(observer.process)
            for subject in self.world.hosts:
                self._check_view(observer.process, subject)

    def _check_view(self, process: Process, subject: Host) -> None:
        expected = self.world.truth.expected(process.host, subject)
        if expected is None:
            return
        if self.world.network.shape.loss > 0 and expected == {"alive"}:
            expected |= {"suspect"}  # a doubt in passing is no mistake while packets get lost
        state = process.views.get(subject.node, "unknown")
        if state not in expected:
            should = " or ".join(sorted(expected))
            self.world.violate(
                "L1", f"in the end {process.host.name} says {state} of {subject.name}, not {should}"
            )

    def _check_list(self, process: Process) -> None:
        now = process.host.now(process, self.world.clock.now_s)
        listed: dict[NodeId, str] = {peer.node: peer.state for peer in process.core.peers(now)}
        told = {node: state for node, state in process.views.items() if node in listed}
        if told != listed:
            self.world.violate("L1", f"{process.host.name} lists peers otherwise than it reported them")


class IdleTraffic(Watcher):
    """L6: in the settled window no more bytes leave a node than the idle budget allows."""

    def __init__(self, world: World, traffic: Traffic) -> None:
        super().__init__(world)
        self._traffic = traffic

    def on_end(self) -> None:
        spent, budget = self._traffic.bytes_per_node_s(), idle_budget(len(self.world.hosts))
        if spent > budget:
            self.world.violate(
                "L6", f"{spent:.0f} bytes/s a node in the settled window, the budget is {budget:.0f}"
            )
