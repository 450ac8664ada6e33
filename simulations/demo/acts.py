"""The acts of the demo, in order: each does something to real nodes and waits for what the mesh makes of it."""

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from simulations.demo.alarm_act import (
    ALARM,
    OPERATOR,
    TEXT,
    acknowledge,
    raise_alarm,
    state_within,
)
from simulations.demo.plant import Plant
from simulations.demo.scene import Scene
from simulations.lab.crew import RealNodes
from simulations.lab.scenarios import await_broker_of, kill_broker_of, kill_node, restart_node
from simulations.lab.stage import whole_since

FOUNDER, VICTIM, LAST = NODES = ("press-1", "press-2", "press-3")
READ_S = 4.5  # at the end of an act, for a person to look around; a quarter of it at its beginning
WITHIN_S = 45.0  # ten times what a slow machine needs: then something is really wrong


class Act(NamedTuple):
    """What a person reads, and what is done. False: the acts behind it would make no sense."""

    title: str
    text: str
    play: Callable[[Scene, Plant], Awaitable[bool]]


async def perform(scene: Scene, plant: Plant, read_s: float) -> None:
    """All acts, one after the other; the figures and the journal of the scene fill."""
    for number, act in enumerate(ACTS, start=1):
        title = f"{number}/{len(ACTS)}  {act.title}"
        scene.begin(title, act.text)
        scene.note(title, "act")
        scene.note(act.text, "aside")
        await scene.hold(read_s / 4)
        if not await act.play(scene, plant):
            break
        await scene.hold(read_s)
    scene.end_phase()


async def _found(scene: Scene, plant: Plant) -> bool:
    plant.found()
    scene.admitted(FOUNDER)
    _start(scene, plant, FOUNDER)
    lacking = await scene.until(
        lambda picture: "" if FOUNDER in picture.views else "it does not answer", WITHIN_S
    )
    if lacking:
        scene.judge.violate("L1", f"{FOUNDER} did not start within {WITHIN_S:.0f} s: {lacking}")
        return False
    scene.note(f"{FOUNDER} runs: node, broker, and a door for those who want to join")
    return True


async def _admit(scene: Scene, plant: Plant) -> bool:
    for node in (VICTIM, LAST):
        admission = await plant.admit(node)
        scene.admitted(node)
        how = "multicast DNS" if admission.by_multicast else "its address, as there is no multicast here"
        scene.note(f"{node} found {FOUNDER} by {how}", "good")
        scene.note(f"{node} is member {admission.members}; certificate for {admission.days} days", "good")
    return True


async def _form(scene: Scene, plant: Plant) -> bool:
    at = _measure(scene, "mesh_formed_s")
    for node in (VICTIM, LAST):
        _start(scene, plant, node)
    whole = whole_since(NODES, at)
    scene.figures.mesh_formed_s = await scene.measured(whole, at, WITHIN_S, "the mesh did not form")
    return _measured(scene, scene.figures.mesh_formed_s, "every pair is linked")


async def _kill(scene: Scene, plant: Plant) -> bool:
    _measure(scene, "detect_all_s")
    scene.note(f"kill -9 {scene.processes[VICTIM].pid}", "bad")
    deed = await kill_node(scene, VICTIM)
    found = await scene.measured(deed.noticed, deed.at, WITHIN_S, f"not all noticed that {VICTIM} is gone")
    scene.figures.detect_all_s = found
    return _measured(scene, found, f"both others know that {VICTIM} is gone")


async def _alarm(scene: Scene, plant: Plant) -> bool:
    await raise_alarm(plant.homes[FOUNDER])
    scene.note(f"{FOUNDER} raises the alarm {ALARM.partition('#')[2]}: {TEXT}", "bad")
    if not await _told(scene, plant, LAST, "unacknowledged"):
        return False
    await acknowledge(plant.homes[LAST])
    scene.note(f"{OPERATOR} acknowledges it on {LAST}")
    return await _told(scene, plant, FOUNDER, "acknowledged")


async def _recall(scene: Scene, plant: Plant) -> bool:
    return await _told(scene, plant, VICTIM, "acknowledged")


async def _told(scene: Scene, plant: Plant, node: str, state: str) -> bool:
    took_s = await state_within(plant.homes[node], state)
    if took_s is None:
        scene.judge.violate("L1", f"{node} never showed the alarm as {state}")
        return False
    scene.note(f"{node} shows it as {state}, {took_s * 1000:.0f} ms later", "good")
    return True


async def _restart(scene: Scene, plant: Plant) -> bool:
    _measure(scene, "heal_s")
    deed = await restart_node(scene, VICTIM)
    found = await scene.measured(deed.noticed, deed.at, WITHIN_S, "the mesh did not heal")
    scene.figures.heal_s = found
    return _measured(scene, found, "everybody is linked again")


async def _kill_broker(scene: Scene, plant: Plant) -> bool:
    victim = _busiest_broker(scene)
    scene.note(f"kill -9 {scene.processes[victim].broker_pid()}, the broker of {victim}", "bad")
    deed = await kill_broker_of(scene, victim)
    if await scene.measured(deed.noticed, deed.at, WITHIN_S, "nobody noticed") is None:
        return False
    mended = await await_broker_of(scene, victim)
    found = await scene.measured(mended.noticed, deed.at, WITHIN_S, f"{victim} got no new broker")
    return _measured(scene, found, f"{victim} has a new broker, every pair is linked")


def _start(scene: Scene, plant: Plant, node: str) -> None:
    scene.start(node)
    scene.watch(node, RealNodes().socket(plant.homes[node]))


def _measure(scene: Scene, figure: str) -> float:
    at = time.monotonic()
    scene.measuring = (figure, at)
    return at


def _measured(scene: Scene, figure: float | None, what: str) -> bool:
    scene.measuring = None
    if figure is None:
        scene.note(scene.judge.violations[-1].detail, "bad")
        return False
    scene.note(f"{what} after {figure:.1f} s", "good")
    return True


def _busiest_broker(scene: Scene) -> str:
    """Whose broker carries most links: it is missed most."""
    hosted = {
        node: sum(peer.link == "hosted" for peer in view.peers.values())
        for node, view in scene.picture.views.items()
    }
    return max(NODES, key=lambda node: hosted.get(node, 0))


ACTS = (
    Act(
        "press-1 founds a site",
        "It makes the site's root of trust and starts: a process with an MQTT broker of its own. "
        "As a steward it may admit others.",
        _found,
    ),
    Act(
        "press-2 and press-3 join",
        "Each gets a one-time token, finds press-1 on the network, makes its keys where it stands, "
        "and is given a certificate.",
        _admit,
    ),
    Act(
        "All three run and link",
        "They find each other and link, every pair, over mutual TLS. No one of them is a server "
        "that the others depend on.",
        _form,
    ),
    Act(
        "press-2's process is killed",
        "No goodbye, and its broker dies with it. The others miss its heartbeat, ask each other, and agree.",
        _kill,
    ),
    Act(
        "An alarm while one of them is away",
        "It is raised on one node, shown on the other at once, acknowledged there. No server in between, "
        "and it is on their disks.",
        _alarm,
    ),
    Act(
        "press-2 comes back",
        "It is started again from its own folder. Nobody has to be told: they find each other and link.",
        _restart,
    ),
    Act(
        "press-2 knows what it missed",
        "The alarm that was raised while it was down, and who acknowledged it: fetched from its peers.",
        _recall,
    ),
    Act(
        "One broker is killed, its node lives on",
        "The links over it break. They are made again the other way round, or over the new broker that "
        "its node starts.",
        _kill_broker,
    ),
)
