import datetime as dt

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from mesh.ids import NodeId
from mesh.trust import (
    AUTHORITIES_MAX,
    AUTHORITY_DAYS,
    DAY_MS,
    Authority,
    Identity,
    Member,
    Removal,
    Root,
    TrustError,
    make_authority,
    make_root,
    public_of,
    verify,
)
from tests.mesh.site import WALL_MS, days_after, key_of, make_site, make_steward, public_bytes, reissued

SITE = make_site(4, stewards=2)
STEWARD, MEMBER = SITE.keys[0], SITE.keys[3]
AUTHORITY = STEWARD.authority
assert AUTHORITY is not None
ISSUER: Authority = AUTHORITY
OTHER_SITE = make_site(2, label="elsewhere")


def reason_of(refused: pytest.ExceptionInfo[TrustError]) -> str:
    return refused.value.reason


# ---------------------------------------------------------------- chains


def test_a_chain_proves_a_member_its_name_its_steward_and_its_dates() -> None:
    assert SITE.root.verify_chain(MEMBER.chain, WALL_MS) == Member(
        node=MEMBER.identity.node,
        name="d",
        steward=STEWARD.identity.node,
        is_steward=False,
        not_before_ms=WALL_MS - 60_000,
        not_after_ms=WALL_MS + 30 * DAY_MS,
    )


def test_a_steward_is_who_has_an_authority_of_its_own() -> None:
    assert SITE.root.verify_chain(STEWARD.chain).is_steward
    own = reissued(SITE.keys[1], SITE.keys[1], "b", WALL_MS)
    assert SITE.root.verify_chain(own.chain).is_steward


@pytest.mark.parametrize(
    ("days", "reason"),
    [
        (-1.0, "certificate-early"),
        (-0.001, "certificate-early"),
        (30.001, "certificate-expired"),
        (9999.0, "certificate-expired"),
    ],
)
def test_a_chain_counts_only_between_its_dates(days: float, reason: str) -> None:
    with pytest.raises(TrustError) as refused:
        SITE.root.verify_chain(MEMBER.chain, days_after(days))
    assert reason_of(refused) == reason


def test_a_new_certificate_is_backdated_a_minute_for_slow_clocks() -> None:
    assert SITE.root.verify_chain(MEMBER.chain, WALL_MS - 60_000).name == "d"
    with pytest.raises(TrustError):
        SITE.root.verify_chain(MEMBER.chain, WALL_MS - 61_000)


def test_without_a_date_the_dates_are_not_looked_at() -> None:
    expired = reissued(STEWARD, MEMBER, "d", WALL_MS, days=1.0)
    assert SITE.root.verify_chain(expired.chain).name == "d"


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_chain_is_two_certificates(count: int) -> None:
    chain = (MEMBER.chain * 2)[:count]
    with pytest.raises(TrustError) as refused:
        SITE.root.verify_chain(chain)
    assert reason_of(refused) == "bad-chain"


def test_a_chain_of_another_root_is_refused() -> None:
    with pytest.raises(TrustError) as refused:
        SITE.root.verify_chain(OTHER_SITE.keys[1].chain)
    assert reason_of(refused) == "wrong-root"


def test_a_leaf_of_another_root_under_our_authority_is_refused() -> None:
    with pytest.raises(TrustError) as refused:
        SITE.root.verify_chain((OTHER_SITE.keys[1].chain[0], MEMBER.chain[1]))
    assert reason_of(refused) == "wrong-root"


def test_a_leaf_under_the_other_stewards_authority_is_refused() -> None:
    other = SITE.keys[1].authority
    assert other is not None
    with pytest.raises(TrustError) as refused:
        SITE.root.verify_chain((MEMBER.chain[0], other.certificate))
    assert reason_of(refused) == "wrong-root"


def test_a_leaf_cannot_issue_certificates() -> None:
    """A member who signs with its TLS key, and sends its own leaf as the authority."""
    tls = key_of("plant tls 3")
    assert public_bytes(tls) == MEMBER.tls_public
    authority = Authority(tls, MEMBER.chain[0])
    forged = authority.issue_leaf(SITE.nodes[2], "c", MEMBER.tls_public, WALL_MS, 1)
    with pytest.raises(TrustError) as refused:
        SITE.root.verify_chain(forged)
    assert reason_of(refused) in ("wrong-root", "not-an-authority")


def test_an_authority_cannot_make_another_authority() -> None:
    key = key_of("sub authority")
    issuer_key = key_of(f"plant authority {STEWARD.identity.node}")
    pretended_root = Root(make_root(issuer_key, "plant", WALL_MS, 1))
    certificate = make_authority(
        issuer_key, pretended_root, MEMBER.identity.node, public_bytes(key), WALL_MS, 5
    )
    forged = Authority(key, certificate).issue_leaf(MEMBER.identity.node, "d", MEMBER.tls_public, WALL_MS, 6)
    with pytest.raises(TrustError) as refused:
        SITE.root.verify_chain(forged)
    assert reason_of(refused) == "wrong-root"


def test_an_authority_is_no_leaf() -> None:
    with pytest.raises(TrustError):
        SITE.root.verify_chain((MEMBER.chain[1], MEMBER.chain[1]))


def test_the_root_itself_is_no_authority() -> None:
    leaf = Authority(SITE.root_key, SITE.root.certificate)
    with pytest.raises((TrustError, x509.ExtensionNotFound)):
        SITE.root.verify_chain(leaf.issue_leaf(MEMBER.identity.node, "d", MEMBER.tls_public, WALL_MS, 1))


def test_every_single_byte_of_a_chain_matters() -> None:
    for which, certificate in enumerate(MEMBER.chain):
        for place in range(len(certificate)):
            changed = certificate[:place] + bytes((certificate[place] ^ 1,)) + certificate[place + 1 :]
            with pytest.raises(TrustError):
                SITE.root.verify_chain(
                    [changed if i == which else each for i, each in enumerate(MEMBER.chain)]
                )


@given(which=st.integers(0, 1), place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_any_changed_byte_of_a_chain_is_refused(which: int, place: int, flip: int) -> None:
    changed = bytearray(MEMBER.chain[which])
    changed[place % len(changed)] ^= flip
    chain = [bytes(changed) if i == which else each for i, each in enumerate(MEMBER.chain)]
    with pytest.raises(TrustError):
        SITE.root.verify_chain(chain)


@given(junk=st.binary(max_size=300))
def test_junk_is_no_certificate(junk: bytes) -> None:
    with pytest.raises(TrustError) as refused:
        SITE.root.verify_chain((junk, MEMBER.chain[1]))
    assert reason_of(refused) == "bad-certificate"


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("cut", [1, 20, 300])
def test_a_truncated_certificate_is_refused(which: int, cut: int) -> None:
    chain = list(MEMBER.chain)
    chain[which] = chain[which][:-cut]
    with pytest.raises(TrustError) as refused:
        SITE.root.verify_chain(chain)
    assert reason_of(refused) == "bad-certificate"


def test_a_certificate_of_more_than_4096_bytes_is_not_even_parsed() -> None:
    with pytest.raises(TrustError) as refused:
        SITE.root.verify_chain((MEMBER.chain[0] + bytes(4096), MEMBER.chain[1]))
    assert str(refused.value) == "bad-certificate: too large"


def test_keys_of_another_kind_are_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "plant")])
    begins = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(begins + dt.timedelta(days=900))
        .sign(key, SHA256())
    )
    with pytest.raises(TrustError) as refused:
        SITE.root.verify_chain((MEMBER.chain[0], certificate.public_bytes(Encoding.DER)))
    assert str(refused.value) == "bad-certificate: not an Ed25519 key"


@pytest.mark.parametrize(
    ("node", "name"), [("short", "ok"), (SITE.nodes[3], "Bad_Name"), (SITE.nodes[3], ""), ("#" * 26, "ok")]
)
def test_a_steward_signs_no_bad_name(node: str, name: str) -> None:
    with pytest.raises(TrustError) as refused:
        ISSUER.issue_leaf(NodeId(node), name, MEMBER.tls_public, WALL_MS, 1)
    assert reason_of(refused) == "bad-name"


def test_a_site_has_a_host_label_for_a_name() -> None:
    with pytest.raises(TrustError) as refused:
        make_root(key_of("root"), "My Plant", WALL_MS, 1)
    assert reason_of(refused) == "bad-name"


def test_the_cache_of_verified_authorities_is_bounded() -> None:
    root = Root(SITE.root.certificate)
    for i in range(AUTHORITIES_MAX + 6):
        steward = make_steward(f"plant {i}", SITE.root_key, root, SITE.nodes[0])
        root.verify_authority(steward.certificate)
    assert len(root._authorities) <= AUTHORITIES_MAX


def test_an_authority_is_good_for_ten_years() -> None:
    authority = SITE.root.verify_authority(MEMBER.chain[1])
    assert authority.not_valid_after_utc - authority.not_valid_before_utc > dt.timedelta(days=AUTHORITY_DAYS)


def test_the_public_key_of_a_certificate_can_be_read() -> None:
    assert public_of(MEMBER.chain[0]) == MEMBER.tls_public


# ---------------------------------------------------------------- removals


def removal(reason: str = "stolen") -> Removal:
    assert AUTHORITY is not None
    return AUTHORITY.remove(MEMBER.identity.node, "d", reason, WALL_MS)


def test_a_stewards_removal_is_accepted() -> None:
    SITE.root.verify_removal(removal())


@pytest.mark.parametrize(
    "changes",
    [
        {"node": SITE.nodes[1]},
        {"name": "other"},
        {"reason": "bored"},
        {"at_ms": WALL_MS + 1},
        {"signature": b""},
        {"signature": bytes(64)},
        {"signature": bytes(63)},
    ],
)
def test_a_changed_removal_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(TrustError) as refused:
        SITE.root.verify_removal(msgspec.structs.replace(removal(), **changes))
    assert reason_of(refused) == "bad-signature"


def test_a_removal_under_another_stewards_authority_is_refused() -> None:
    other = SITE.keys[1].authority
    assert other is not None
    with pytest.raises(TrustError) as refused:
        SITE.root.verify_removal(msgspec.structs.replace(removal(), authority=other.certificate))
    assert reason_of(refused) == "bad-signature"


def test_a_removal_of_another_site_is_refused() -> None:
    other = OTHER_SITE.keys[0].authority
    assert other is not None
    with pytest.raises(TrustError) as refused:
        SITE.root.verify_removal(other.remove(MEMBER.identity.node, "d", "", WALL_MS))
    assert reason_of(refused) == "wrong-root"


def test_a_member_cannot_remove_with_its_own_certificate() -> None:
    authority = Authority(key_of("plant tls 3"), MEMBER.chain[0])
    with pytest.raises(TrustError):
        SITE.root.verify_removal(authority.remove(SITE.nodes[1], "b", "", WALL_MS))


def test_a_long_reason_is_cut() -> None:
    assert len(removal("x" * 1000).reason) == 200


# ---------------------------------------------------------------- identities


def test_what_an_identity_signs_can_be_verified() -> None:
    identity = Identity(key_of("someone"))
    signature = identity.sign(b"content")
    assert verify(identity.public, signature, b"content")
    assert not verify(identity.public, signature, b"other content")
    assert not verify(MEMBER.identity.public, signature, b"content")


@pytest.mark.parametrize(
    ("public", "signature"), [(b"", b""), (bytes(31), bytes(64)), (bytes(32), b""), (b"\xff" * 32, bytes(64))]
)
def test_malformed_keys_and_signatures_verify_nothing(public: bytes, signature: bytes) -> None:
    assert not verify(public, signature, b"content")


def test_no_key_shows_in_a_repr() -> None:
    assert repr(MEMBER.identity) == f"Identity({MEMBER.identity.node})"
    assert repr(AUTHORITY).startswith("Authority(")
    assert len(repr(AUTHORITY)) == len("Authority(") + 12 + 1
