from dataclasses import dataclass

import msgspec
import pytest

from mesh.greeting import PENDING_MAX, PENDING_S, Dialling, Greeter, GreetingError
from mesh.ids import NodeId
from mesh.state import Keys
from mesh.wire import Card, Confirm, Hello, Welcome
from tests.mesh.site import WALL_MS, days_after, make_site, reissued

SITE = make_site(3)
HOST, DIALLER, THIRD = SITE.keys
OTHER = make_site(2, label="elsewhere")


def card_of(keys: Keys, boot: int = 5) -> Card:
    return Card(keys.root.site, keys.identity.node, 1, boot, 0, keys.identity.public, keys.chain)


@dataclass
class Greeting:
    """A whole honest greeting, taken apart by the tests."""

    host: Greeter
    dialler: Greeter
    dialling: Dialling
    welcome: Welcome
    confirm: Confirm


def hello_of(keys: Keys, nonce: bytes = b"d" * 16, **changes: object) -> Hello:
    return msgspec.structs.replace(Hello(1, 1, nonce, card_of(keys)), **changes)


def welcome_by(
    greeter: Greeter, hello: Hello, sender: Keys = DIALLER, nonce: bytes = b"h" * 16, now: float = 0.0
) -> Welcome:
    return greeter.welcome(sender.identity.node, hello, card_of(HOST), nonce, WALL_MS, now)


def greeting() -> Greeting:
    host, dialler = Greeter(HOST.identity, SITE.root), Greeter(DIALLER.identity, SITE.root)
    dialling = Dialling(HOST.identity.node, hello_of(DIALLER), 0.0, 0.3)
    welcome = welcome_by(host, dialling.hello)
    return Greeting(host, dialler, dialling, welcome, dialler.confirm(dialling, welcome, WALL_MS))


def code_of(refused: pytest.ExceptionInfo[GreetingError]) -> str:
    return refused.value.code


# ---------------------------------------------------------------- the honest greeting


def test_three_messages_prove_the_dialler_to_the_host_and_the_host_to_the_dialler() -> None:
    g = greeting()
    assert (g.welcome.version, g.welcome.echo, g.welcome.nonce) == (1, b"d" * 16, b"h" * 16)
    assert g.confirm.echo == b"h" * 16
    assert g.host.confirmed(DIALLER.identity.node, g.confirm, 0.0) == card_of(DIALLER)
    assert g.host.pending == 0


def test_a_confirm_counts_once() -> None:
    g = greeting()
    g.host.confirmed(DIALLER.identity.node, g.confirm, 0.0)
    assert g.host.confirmed(DIALLER.identity.node, g.confirm, 0.0) is None


def test_the_same_hello_gets_the_same_welcome() -> None:
    g = greeting()
    assert welcome_by(g.host, g.dialling.hello, nonce=b"x" * 16) == g.welcome
    assert g.host.confirmed(DIALLER.identity.node, g.confirm, 0.0) is not None


def test_a_new_hello_takes_the_place_of_the_old_one() -> None:
    g = greeting()
    welcome_by(g.host, hello_of(DIALLER, nonce=b"D" * 16), nonce=b"H" * 16)
    assert g.host.pending == 1
    with pytest.raises(GreetingError) as refused:
        g.host.confirmed(DIALLER.identity.node, g.confirm, 0.0)
    assert code_of(refused) == "greeting-replayed"


def test_a_replayed_hello_has_no_confirm() -> None:
    """Whoever replays a hello cannot sign the host's new nonce."""
    g = greeting()
    g.host.confirmed(DIALLER.identity.node, g.confirm, 0.0)
    welcome_by(g.host, g.dialling.hello, nonce=b"new nonce 16 by.")
    with pytest.raises(GreetingError) as refused:
        g.host.confirmed(DIALLER.identity.node, g.confirm, 0.0)
    assert code_of(refused) == "greeting-replayed"


# ---------------------------------------------------------------- hellos that are refused


def card(**changes: object) -> Hello:
    return hello_of(DIALLER, card=msgspec.structs.replace(card_of(DIALLER), **changes))


EXPIRED = reissued(HOST, DIALLER, "b", days_after(-40))
EARLY = reissued(HOST, DIALLER, "b", days_after(2))

BAD_HELLOS: list[tuple[str, Hello, str]] = [
    ("for another site", card(site="elsewhere"), "other-site"),
    ("with a card of somebody else", card(node=THIRD.identity.node), "origin-forged"),
    ("with a key that is not that name's", card(identity=THIRD.identity.public), "origin-forged"),
    ("with somebody else's certificate", card(chain=THIRD.chain), "origin-forged"),
    ("wholly somebody else's", hello_of(THIRD), "origin-forged"),
    ("with a chain of another root", card(chain=OTHER.keys[1].chain), "wrong-root"),
    ("with no chain", card(chain=()), "bad-chain"),
    ("with three certificates", card(chain=(*DIALLER.chain, DIALLER.chain[1])), "bad-chain"),
    ("with an expired chain", card(chain=EXPIRED.chain), "certificate-expired"),
    ("with a chain that is not valid yet", card(chain=EARLY.chain), "certificate-early"),
    ("with junk for a chain", card(chain=(b"leaf", b"authority")), "bad-certificate"),
    ("of versions that have ended", hello_of(DIALLER, version_oldest=0, version_newest=0), "version-unknown"),
    ("of versions to come", hello_of(DIALLER, version_oldest=2, version_newest=9), "version-unknown"),
    ("of no version", hello_of(DIALLER, version_oldest=9, version_newest=1), "version-unknown"),
]


@pytest.mark.parametrize(
    ("hello", "code"), [each[1:] for each in BAD_HELLOS], ids=[each[0] for each in BAD_HELLOS]
)
def test_a_bad_hello_is_refused_by_name_and_leaves_nothing_pending(hello: Hello, code: str) -> None:
    host = Greeter(HOST.identity, SITE.root)
    with pytest.raises(GreetingError) as refused:
        welcome_by(host, hello)
    assert code_of(refused) == code
    assert host.pending == 0


def test_a_newer_peer_is_spoken_to_in_our_version() -> None:
    welcome = welcome_by(
        Greeter(HOST.identity, SITE.root), hello_of(DIALLER, version_oldest=1, version_newest=7)
    )
    assert welcome.version == 1


def test_greetings_that_are_never_confirmed_are_bounded_and_forgotten() -> None:
    host = Greeter(HOST.identity, SITE.root)
    filled = welcome_by(host, hello_of(DIALLER))
    for place in range(PENDING_MAX - 1):
        host._pending[NodeId(f"peer-{place}")] = host._pending[DIALLER.identity.node]
    with pytest.raises(GreetingError) as refused:
        welcome_by(host, hello_of(THIRD), THIRD)
    assert code_of(refused) == "greetings-full"
    assert welcome_by(host, hello_of(DIALLER), now=1.0) == filled
    welcome_by(host, hello_of(THIRD), THIRD, now=PENDING_S)
    assert host.pending == 1


# ---------------------------------------------------------------- welcomes that are refused


def welcome(**changes: object) -> Welcome:
    return msgspec.structs.replace(greeting().welcome, **changes)


BAD_WELCOMES: list[tuple[str, Welcome, str]] = [
    ("that answers another hello", welcome(echo=b"x" * 16), "greeting-replayed"),
    ("in a version to come", welcome(version=2), "version-unknown"),
    ("in no version", welcome(version=0), "version-unknown"),
    ("with another nonce", welcome(nonce=b"x" * 16), "greeting-forged"),
    ("without a signature", welcome(signature=b""), "greeting-forged"),
    ("with somebody else's signature", welcome(signature=THIRD.identity.sign(b"x")), "greeting-forged"),
    ("of somebody else", welcome(card=card_of(THIRD)), "origin-forged"),
    ("of another boot than was signed", welcome(card=card_of(HOST, boot=6)), "greeting-forged"),
    (
        "with another site's chain",
        welcome(card=msgspec.structs.replace(card_of(HOST), chain=OTHER.keys[0].chain)),
        "wrong-root",
    ),
    ("for another site", welcome(card=msgspec.structs.replace(card_of(HOST), site="x")), "other-site"),
]


@pytest.mark.parametrize(
    ("bad", "code"), [each[1:] for each in BAD_WELCOMES], ids=[each[0] for each in BAD_WELCOMES]
)
def test_a_bad_welcome_is_refused_by_name(bad: Welcome, code: str) -> None:
    g = greeting()
    with pytest.raises(GreetingError) as refused:
        g.dialler.confirm(g.dialling, bad, WALL_MS)
    assert code_of(refused) == code


def test_a_host_whose_certificate_has_expired_is_refused() -> None:
    g = greeting()
    with pytest.raises(GreetingError) as refused:
        g.dialler.confirm(g.dialling, g.welcome, days_after(31))
    assert code_of(refused) == "certificate-expired"


def test_a_welcome_for_one_hello_cannot_be_used_for_another_with_the_same_nonce() -> None:
    """The signature covers the whole hello, not only its nonce."""
    g = greeting()
    hello = msgspec.structs.replace(g.dialling.hello, card=card_of(DIALLER, boot=6))
    with pytest.raises(GreetingError) as refused:
        g.dialler.confirm(Dialling(HOST.identity.node, hello, 0.0, 0.3), g.welcome, WALL_MS)
    assert code_of(refused) == "greeting-forged"


# ---------------------------------------------------------------- confirms that are refused


def test_a_confirm_without_a_hello_confirms_nothing() -> None:
    g = greeting()
    assert Greeter(HOST.identity, SITE.root).confirmed(DIALLER.identity.node, g.confirm, 0.0) is None
    assert g.host.confirmed(THIRD.identity.node, g.confirm, 0.0) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"echo": b"x" * 16}, "greeting-replayed"),
        ({"signature": b""}, "greeting-forged"),
        ({"signature": bytes(64)}, "greeting-forged"),
    ],
)
def test_a_bad_confirm_is_refused_and_the_good_one_still_counts(changes: dict[str, bytes], code: str) -> None:
    g = greeting()
    with pytest.raises(GreetingError) as refused:
        g.host.confirmed(DIALLER.identity.node, msgspec.structs.replace(g.confirm, **changes), 0.0)
    assert code_of(refused) == code
    assert g.host.confirmed(DIALLER.identity.node, g.confirm, 0.0) == card_of(DIALLER)


def test_the_hosts_own_signature_is_no_confirm() -> None:
    """The two signatures are over different words, so that neither can stand for the other."""
    g = greeting()
    with pytest.raises(GreetingError):
        g.host.confirmed(
            DIALLER.identity.node, msgspec.structs.replace(g.confirm, signature=g.welcome.signature), 0.0
        )


def test_a_confirm_that_comes_after_its_greetings_time_confirms_nothing() -> None:
    g = greeting()
    assert g.host.confirmed(DIALLER.identity.node, g.confirm, PENDING_S) is None
    assert g.host.pending == 0


def test_the_same_hello_after_its_time_is_answered_afresh() -> None:
    g = greeting()
    again = welcome_by(g.host, g.dialling.hello, nonce=b"x" * 16, now=PENDING_S)
    assert again.nonce == b"x" * 16
