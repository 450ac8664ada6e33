"""The scenarios: what is done to the nodes, when all of them have noticed, and how it is mended."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from simulations.lab.picture import (
    Pair,
    PeerView,
    Picture,
    is_detour,
    is_unreachable,
    is_whole,
    is_whole_and_direct,
    pairs_among,
    pairs_between,
)
from simulations.lab.process import kill
from simulations.lab.stage import Question, Stage, Troupe, whole_since

NOTICE_WITHIN_S = 30.0  # how long the lab waits for what the targets promise sooner

KILL_AFTER_S = 8.0  # behind a cut that everybody has noticed: there is something to lose


@dataclass(frozen=True, slots=True)
class Deed:
    """Something done to the nodes: the moment before it, what it was, and the question whether all have noticed."""

    at: float
    what: str
    noticed: Question


@dataclass(frozen=True, slots=True)
class Scenario:
    """Strikes, then mends. One that mends itself is measured from the strike.

    One that `writes` has people and machines at every node until it is mended; it is mended when all hold the same.
    """

    name: str
    summary: str
    nodes_min: int
    strike: Callable[[Stage], Awaitable[Deed]]
    mend: Callable[[Stage], Awaitable[Deed]]
    mends_itself: bool = False
    writes: bool = False
    meanwhile: Callable[[Stage], Awaitable[None]] | None = (
        None  # what else happens, once the strike was noticed
    )
    cut_s: float = 10.0  # how long it is mended after, at least, unless somebody says otherwise


async def _split(stage: Stage) -> Deed:
    middle = (len(stage.nodes) + 1) // 2
    left, right = stage.nodes[:middle], stage.nodes[middle:]
    pairs = pairs_between(left, right)
    stage.judge.apart(pairs)
    at = time.monotonic()
    stage.topology.split(right)
    what = f"the cables of {_list(right)} were moved to another switch"
    return Deed(at, what, _all(pairs, at, is_unreachable))


async def _kill_behind_the_cut(stage: Stage) -> None:
    """One node of the smaller side is killed while the site is split, and comes back to that side."""
    middle = (len(stage.nodes) + 1) // 2
    left, right = stage.nodes[:middle], stage.nodes[middle:]
    victim, split = right[-1], pairs_between(left, right)
    stage.begin("cut", "both sides go on")
    await stage.hold(KILL_AFTER_S)
    stage.begin("kill", "")
    killed = await kill_node(stage, victim, split)
    stage.timeline[-1].what = killed.what
    await stage.measured(
        killed.noticed, killed.at, NOTICE_WITHIN_S, f"not all have noticed that {victim} died"
    )
    stage.begin("restart", f"{victim} was started again in the same home, behind the cut")
    at = time.monotonic()
    stage.judge.apart(split)
    stage.start(victim)
    beside = _all(pairs_among(right), at, is_whole)
    await stage.measured(beside, at, NOTICE_WITHIN_S, f"{victim} did not come back to its side")
    stage.begin("cut", "both sides go on")


async def _unplug(stage: Stage) -> Deed:
    victim, others = stage.nodes[-1], stage.nodes[:-1]
    pairs = pairs_between([victim], others)
    stage.judge.apart(pairs)
    at = time.monotonic()
    stage.topology.unplug(victim)
    apart = _all(pairs, at, is_unreachable)
    return Deed(
        at, f"the cable of {victim} was pulled", lambda picture: apart(picture) or _isolated(picture, victim)
    )


async def _reconnect(stage: Stage) -> Deed:
    stage.judge.apart([])
    at = time.monotonic()
    stage.topology.heal()
    return Deed(at, "every cable is back in its place", whole_since(stage.nodes, at))


async def _mute(stage: Stage) -> Deed:
    speaker, listener = stage.nodes[:2]
    at = time.monotonic()
    stage.topology.mute(speaker, listener)
    what = f"nothing that {speaker} sends reaches {listener} any more; all else goes on"
    return Deed(at, what, _all(pairs_between([speaker], [listener]), at, is_detour))


async def _unmute(stage: Stage) -> Deed:
    at = time.monotonic()
    stage.topology.heal()
    return Deed(at, "the path works both ways again", _all(pairs_among(stage.nodes), at, is_whole_and_direct))


async def kill_node(stage: Troupe, victim: str, split: Sequence[Pair] = ()) -> Deed:
    """SIGKILL: no goodbye, and its broker must go with it. `split`: who is apart already."""
    others = [node for node in stage.nodes if node != victim]
    pairs = [(other, victim) for other in others]
    broker = stage.processes[victim].broker_pid()
    stage.judge.apart([*split, *pairs])
    at = time.monotonic()
    stage.kill(victim)
    await stage.await_broker_end(victim, broker)
    return Deed(at, f"{victim} was killed, and its broker with it", _all(pairs, at, is_unreachable))


async def restart_node(stage: Troupe, victim: str) -> Deed:
    """The same node again, from its own home."""
    stage.judge.apart([])
    at = time.monotonic()
    stage.start(victim)
    return Deed(at, f"{victim} was started again in the same home", whole_since(stage.nodes, at))


async def kill_broker_of(stage: Troupe, victim: str) -> Deed:
    """The broker alone is killed; the node lives on."""
    broker = stage.processes[victim].broker_pid()
    at = time.monotonic()
    if broker is None:
        stage.judge.violate("broker", f"{victim} runs no broker that could be killed")
        return Deed(at, f"{victim} has no broker", lambda _: "")
    kill(broker)
    pairs = pairs_among(stage.nodes)

    def noticed(picture: Picture) -> str:
        """Somebody shows it, or the node has a new one already."""
        shown = [said for pair in pairs if (said := picture.says(pair, at)) and not is_whole(said)]
        is_replaced = stage.processes[victim].broker_pid() not in (None, broker)
        return "" if shown or is_replaced else f"nobody shows that the broker of {victim} is gone"

    return Deed(at, f"the broker of {victim} was killed, {victim} itself lives on", noticed)


async def await_broker_of(stage: Troupe, victim: str) -> Deed:
    """Nothing is done: the node sees to its broker itself."""
    at = time.monotonic()
    whole = whole_since(stage.nodes, at)

    def mended(picture: Picture) -> str:
        if lacking := whole(picture):
            return lacking
        return "" if stage.processes[victim].broker_pid() else f"{victim} has started no new broker"

    return Deed(at, f"{victim} starts a new broker by itself", mended)


async def _kill(stage: Stage) -> Deed:
    return await kill_node(stage, stage.nodes[-1])


async def _restart(stage: Stage) -> Deed:
    return await restart_node(stage, stage.nodes[-1])


async def _kill_broker(stage: Stage) -> Deed:
    return await kill_broker_of(stage, stage.nodes[-1])


async def _await_broker(stage: Stage) -> Deed:
    return await await_broker_of(stage, stage.nodes[-1])


def _all(pairs: list[Pair], since: float, holds: Callable[[PeerView], bool]) -> Question:
    return lambda picture: picture.describe(picture.lacking(pairs, since, holds))


def _isolated(picture: Picture, node: str) -> str:
    view = picture.views.get(node)
    return "" if view is not None and view.isolated else f"{node} does not know that it is isolated"


def _list(nodes: tuple[str, ...]) -> str:
    return nodes[0] if len(nodes) == 1 else f"{', '.join(nodes[:-1])} and {nodes[-1]}"


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "halves", "the site splits in two; each half calls the other unreachable", 2, _split, _reconnect
        ),
        Scenario(
            "isolate-one", "one cable is pulled; that node knows it is isolated", 2, _unplug, _reconnect
        ),
        Scenario("one-way", "one node cannot send to one other; both go round by a third", 3, _mute, _unmute),
        Scenario("kill-one", "one node is killed with SIGKILL, and started again", 2, _kill, _restart),
        Scenario(
            "broker-kill",
            "one node's broker is killed; nobody is called unreachable for it",
            2,
            _kill_broker,
            _await_broker,
            mends_itself=True,
        ),
        Scenario(
            "partition-writes",
            "both sides of a split write everything, and one node is killed meanwhile; nothing is lost",
            4,
            _split,
            _reconnect,
            writes=True,
            meanwhile=_kill_behind_the_cut,
            cut_s=30.0,
        ),
    )
}
