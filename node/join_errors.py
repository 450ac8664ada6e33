"""Why a join failed, as a person gets to read it: each cause has its own words, and its own exit code."""

import datetime as dt
import hashlib

from mesh.trust import Member
from node.errors import FieldmeshError
from node.exits import Exit
from node.tokens import Token

ASK_FOR_ANOTHER = "ask for a new token: on the steward, fieldmesh token create"


class JoinError(FieldmeshError):
    """A join that did not come about; keys that an earlier attempt has left stay good."""


class WrongMachineError(JoinError):
    """Whoever answered is not the steward of our token. The right one may be elsewhere."""


class CutShortError(JoinError):
    """The conversation broke off. The same may work in a moment."""


class RefusedError(JoinError):
    """The steward of our token has decided: these keys will not get a certificate with it."""


def wrong_root(token: Token, root: bytes) -> WrongMachineError:
    return WrongMachineError(
        "the machine that answered is not of the site that this token is for: it shows a root certificate with "
        f"fingerprint {_fingerprint(hashlib.sha256(root).digest())}, the token says {_fingerprint(token.fingerprint)}",
        "nothing secret was sent. Check the address in --seed; if it is right, somebody may be posing as the steward",
        Exit.ROOT_MISMATCH,
    )


def not_the_steward(token: Token, reached: Member | None, reason: str = "") -> WrongMachineError:
    if reached is not None:
        what = f"the machine that answered is {reached.name} ({reached.node}), but this token"
        what += f" was issued by another steward of the site, {token.steward}"
        return WrongMachineError(
            what, "point --seed at that steward, or create a token on this one", Exit.STEWARD_NOT_FOUND
        )
    if reason.startswith("certificate-"):
        what = f"the steward's own certificate is out of date ({reason})"
        return WrongMachineError(what, "start the steward and let it renew its certificate", Exit.TEMPORARY)
    return WrongMachineError(
        f"the machine that answered cannot prove that it is a steward of the token's site ({reason})",
        "nothing secret was sent. Check the address in --seed; if it is right, somebody may be posing as the steward",
        Exit.ROOT_MISMATCH,
    )


def clock_off(ours_ms: int, theirs_ms: int) -> JoinError:
    way = "ahead of" if ours_ms > theirs_ms else "behind"
    return JoinError(
        f"this machine's clock shows {_date(ours_ms)}, the steward's {_date(theirs_ms)}: ours is "
        f"{_span(abs(ours_ms - theirs_ms))} {way} the steward's, and 5 min is the most that works",
        "set the clock that is wrong (timedatectl shows this one's), then run the same command again",
        Exit.CLOCK_OFF,
    )


def distrusted_clock(theirs_ms: int) -> JoinError:
    return JoinError(
        f"the steward does not trust its own clock, which shows {_date(theirs_ms)}, and so issues no certificates",
        "set the steward's clock (on the steward: timedatectl, fieldmesh check), then run the same command again",
        Exit.CLOCK_OFF,
    )


def wrong_version(oldest: int, newest: int) -> JoinError:
    return JoinError(
        f"the steward speaks versions {oldest} to {newest} of the joining protocol, which this release does not",
        "install the same release of fieldmesh on both",
    )


def expired(token: Token, ours_ms: int) -> JoinError:
    return JoinError(
        f"this token expired at {_date(token.expires_ms)} (this machine's clock shows {_date(ours_ms)})",
        ASK_FOR_ANOTHER,
        Exit.TOKEN_EXPIRED,
    )


def not_found(token: Token, tried: list[str], timeout_s: float) -> JoinError:
    where = "; ".join(tried) if tried else "multicast DNS showed no steward of this site"
    return JoinError(
        f"the steward of this token ({token.steward}) was not found within {timeout_s:g} s: {where}",
        "check that fieldmesh runs on the steward and that its join port (8884) is open, then name its address:\n"
        "fieldmesh join TOKEN --seed HOST:8884",
        Exit.STEWARD_NOT_FOUND,
    )


def cut_short(detail: str, was_asked: bool) -> CutShortError:
    again = "run the same command again"
    if was_asked:
        again += ": the token may have been used up, but this home will be given the same answer"
    else:
        again += (
            "; is the port in --seed the steward's join port (8884 unless set otherwise), not its broker's?"
        )
    return CutShortError(f"the conversation with the steward broke off: {detail}", again, Exit.TEMPORARY)


def of_refusal(code: str, detail: str, holder: str, suggestion: str, name: str, theirs_ms: int) -> JoinError:
    """The steward's refusal in words."""
    if code == "name-taken":
        return _name_taken(name, holder, suggestion)
    if code == "token-expired":
        when = (
            _date(int(detail))
            if detail.isascii() and detail.isdigit() and len(detail) < 15
            else "some time ago"
        )
        said = f"this token expired at {when} (the steward's clock shows {_date(theirs_ms)})"
        return RefusedError(said, ASK_FOR_ANOTHER, Exit.TOKEN_EXPIRED)
    if code == "token-used":
        by = f": {_plain(detail)} ({_plain(holder)}) joined with it" if holder else ""
        return RefusedError(f"this token has been used already{by}", ASK_FOR_ANOTHER, Exit.TOKEN_USED)
    if code == "steward-halted":
        said = f"the steward of this token takes no part in its site and admits nobody: {_plain(detail)}"
        cure = "on that steward, fieldmesh check tells what cures it; or ask for a token of another steward"
        return JoinError(said, cure, Exit.TEMPORARY)
    if code in _PASSING:
        return JoinError(*_PASSING[code])
    if code in _REFUSALS:
        return RefusedError(*_REFUSALS[code])
    return RefusedError(
        f"the steward refused: {_plain(code)} {_plain(detail)}".rstrip(), "look at the steward's log"
    )


_PASSING = {  # these keys and this token may do later
    "root-key-absent": (
        "this token makes a steward, but the site's root key is not in the home of the steward that issued it",
        "put the root key back into keys/root.pem on that steward for as long as the join takes",
        Exit.NOT_A_STEWARD,
    ),
    "clock-distrusted": (
        "the steward does not trust its own clock and so issues no certificates",
        "set the steward's clock, then run the same command again",
        Exit.CLOCK_OFF,
    ),
    "too-many-attempts": (
        "the steward has seen too many wrong tokens from this address",
        "wait a minute, then run the same command again",
        Exit.TEMPORARY,
    ),
    "cannot-save": (
        "the steward could not save the admission (is its disk full?)",
        "mend the steward, then run the same command again",
        Exit.TEMPORARY,
    ),
}
_REFUSALS = {
    "token-wrong": (
        "the steward does not know this token: its secret is wrong, or it was issued long ago",
        ASK_FOR_ANOTHER,
        Exit.TOKEN_WRONG,
    ),
    "token-revoked": ("this token has been revoked on the steward", ASK_FOR_ANOTHER, Exit.TOKEN_WRONG),
    "bad-signature": (
        "the steward could not verify our signature: something between us has changed the conversation",
        "run the same command again",
        Exit.FAILURE,
    ),
    "bad-name": (
        "a node's name has at most 40 lower-case letters, digits and inner hyphens",
        "choose another one with --name",
        Exit.USAGE,
    ),
    "id-taken": (
        "another node has an id that is too much like ours",
        "run the same command again",
        Exit.FAILURE,
    ),
    "steward-key-missing": (
        "this token makes a steward, and our request had no key for one",
        "install the same release of fieldmesh on both",
        Exit.FAILURE,
    ),
    "malformed": (
        "the steward did not understand our request",
        "install the same release on both",
        Exit.FAILURE,
    ),
}


def _name_taken(name: str, holder: str, suggestion: str) -> RefusedError:
    cure = (
        f"choose another one, for example: --name {_plain(suggestion)}"
        if suggestion
        else "choose another --name"
    )
    cure += f"\nor, if {name} is gone for good, on the steward: fieldmesh member remove {name}"
    return RefusedError(f"the name {name} belongs to another node, {_plain(holder)}", cure, Exit.NAME_TAKEN)


def _plain(text: str) -> str:
    """Text from the network, without what could move a terminal's cursor."""
    return "".join(each for each in text if each.isprintable())[:200]


def _fingerprint(digest: bytes) -> str:
    return digest.hex()[:16] + "..."


def _date(ms: int) -> str:
    try:
        return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{ms} ms"


def _span(ms: int) -> str:
    seconds = ms // 1000
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
