"""What nodes say of each other, in words for somebody who sees a mesh for the first time. Pure."""

from simulations.lab.picture import PeerView

UNHEARD = "not heard since"  # how a node that has just started explains why it calls somebody unreachable


def change_in_words(observer: str, was: PeerView, now: PeerView) -> str:
    """What the observer has just found out about a peer; empty when it is nothing new."""
    if was.state == now.state:
        return ""
    match now.state:
        case "suspect":
            return f"{observer} suspects {now.name}: {_first(now.why)}"
        case "broker-down":
            return f"{observer} knows that {now.name}'s broker is down"
        case "unreachable":
            return f"{observer} calls {now.name} unreachable: {_first(now.why)}"
        case "alive" if now.path.startswith("via "):
            return f"{observer} hears {now.name} through {now.path.removeprefix('via ')}"
        case "alive" if was.state in ("suspect", "broker-down"):
            return f"{observer} hears {now.name} again"
        case "alive":
            return ""  # the new link is news enough
    return f"{observer} sees that {now.name} is {now.state}"


def tone_of(peer: PeerView) -> str:
    """How good this news is."""
    return {"alive": "good", "unreachable": "bad"}.get(peer.state, "doubt")


def headline(peer: PeerView) -> str:
    """One peer in a word."""
    is_new = peer.state == "unreachable" and peer.why.startswith(UNHEARD)
    return "not heard yet" if is_new else peer.state


def detail(peer: PeerView) -> str:
    """How it is reached, and how fast it answers."""
    if peer.path == "none":
        return "no path"
    if not peer.linked:
        return f"{peer.path}, no link"
    time = "" if peer.rtt_ms is None or peer.state == "suspect" else f", {peer.rtt_ms:.1f} ms"
    return f"{peer.path}{time}"


def _first(why: str) -> str:
    """The reason without its particulars: a line must fit the screen."""
    return why.partition(";")[0]
