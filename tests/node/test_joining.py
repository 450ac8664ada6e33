"""Joining a site for real over loopback: what works, what is refused and how it is said, and what an attacker gets."""

import asyncio
import contextlib
import ssl
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
import structlog

from mesh.events import Counted, MemberAdmitted
from mesh.ids import NodeId, SiteId
from mesh.io.stewards import JoinEndpoint
from mesh.peerbook import TABLE as ENDPOINT_TABLE
from mesh.roster import TABLE as ROSTER_TABLE
from mesh.roster import Roster
from mesh.trust import Identity
from mesh.wire import Endpoint
from node import join_client, join_server
from node.errors import FieldmeshError
from node.exits import Exit
from node.files import write_file
from node.founding import admit, serial
from node.home import Home
from node.join_client import join
from node.joining import (
    LENGTH_BYTES,
    MESSAGE_BYTES_MAX,
    Introduction,
    JoinRequest,
    Knowledge,
    MalformedError,
    knowledge_parts,
    length_of,
    pack,
    request_of,
    unpack,
)
from node.pem import key_in
from node.pending import Pending
from node.store import Store
from node.token_book import TokenBook
from node.tokens import Token
from tests.node.a_site import Site, wall_ms

io = pytest.mark.io


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.found(tmp_path / "steward")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "joiner")


async def refused(
    home: Home, token: Token, name: str = "second", timeout_s: float = 0.2, **more: object
) -> FieldmeshError:
    """The error that this join ends with; no home is left behind."""
    with pytest.raises(FieldmeshError) as caught:
        await join(home, token, name, timeout_s=timeout_s, **more)  # type: ignore[arg-type]  # each test passes its own
    return caught.value


# ---------------------------------------------------------------- what works


@io
async def test_a_joiner_becomes_a_member_and_knows_who_else_is(site: Site, home: Home) -> None:
    async with site.open():
        joined = await join(home, site.token(), "second")
    keys = home.load_keys()
    member = keys.root.verify_chain(keys.chain, wall_ms())
    assert (member.name, member.node, member.is_steward) == ("second", keys.identity.node, False)
    assert member.steward == site.keys.identity.node
    assert (joined.site_name, joined.members) == ("plant", 2)
    with Store(home.database) as store:
        roster = Roster(keys.root, store.load()[ROSTER_TABLE])
    assert roster.members() == tuple(sorted([site.keys.identity.node, keys.identity.node]))
    assert roster.digest == site.roster.digest
    assert [each.identity for each in site.admitted] == [keys.identity.public]


@io
async def test_every_private_key_is_readable_by_its_owner_only(site: Site, home: Home) -> None:
    async with site.open():
        await join(home, site.token(for_steward=True), "second")
    for each in (home, site.home):
        assert stat.S_IMODE(each.path.stat().st_mode) == 0o700
        for file in [*(each.path / "keys").iterdir(), each.database]:
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert not home.unfinished.exists()
    assert not home.root_key.exists()


@io
async def test_a_joiner_is_told_where_the_others_listen(site: Site, home: Home, tmp_path: Path) -> None:
    third = NodeId("c" * 26)
    ends = (Endpoint("10.0.0.7", 8883),)
    site.endpoints = [(site.keys.identity.node, ends), (third, ends)]
    async with site.open():
        await join(home, site.token(), "second")
    with Store(home.database) as store:
        book = store.load()[ENDPOINT_TABLE]
    assert book == {site.keys.identity.node: msgspec.msgpack.encode(ends)}, (
        "strangers are not told apart from members"
    )


@io
async def test_a_steward_token_makes_a_steward_whose_own_tokens_work(
    site: Site, home: Home, tmp_path: Path
) -> None:
    async with site.open():
        joined = await join(home, site.token(for_steward=True), "second")
    keys = home.load_keys()
    assert joined.is_steward and keys.authority is not None
    assert keys.root.verify_chain(keys.chain).is_steward
    second = Site(home, keys, Roster(keys.root))
    async with second.open():
        await join(Home(tmp_path / "third"), second.token(), "third")
    chain = Home(tmp_path / "third").load_keys().chain
    assert site.keys.root.verify_chain(chain).steward == keys.identity.node


@io
async def test_an_admitted_stewards_own_certificate_supersedes_the_one_it_was_admitted_with(
    site: Site, home: Home
) -> None:
    async with site.open():
        await join(home, site.token(for_steward=True), "second")
    with Store(home.database) as store:
        roster = Roster(site.keys.root, store.load()[ROSTER_TABLE])
    site.roster.merge(roster.entries())
    assert site.roster.stewards() == sorted([site.keys.identity.node, home.load_keys().identity.node])


@io
async def test_multicast_finds_the_steward_of_the_token_among_others(site: Site, home: Home) -> None:
    async def find(wanted: SiteId, timeout_s: float) -> AsyncIterator[JoinEndpoint]:
        assert wanted == site.keys.root.site
        yield JoinEndpoint("127.0.0.1", 9, NodeId("b" * 26), "other", wanted)
        yield JoinEndpoint("127.0.0.1", site.port, site.keys.identity.node, "first", wanted)

    async with site.open():
        joined = await join(home, site.token(seeds=()), "second", find=find)
    assert joined.name == "second"


@io
async def test_a_steward_that_starts_late_is_still_found(site: Site, home: Home) -> None:
    async with site.open():
        token = site.token()
    joining = asyncio.create_task(join(home, token, "second", timeout_s=10))
    await asyncio.sleep(0)  # so that it has begun
    async with site.open():
        assert (await joining).name == "second"


@io
async def test_a_renewed_certificate_is_shown_to_the_next_joiner(
    site: Site, home: Home, tmp_path: Path
) -> None:
    async with site.open():
        await join(home, site.token(), "second")
        authority, node = site.keys.authority, site.keys.identity.node
        assert authority is not None
        chain = authority.issue_leaf(node, "first", site.keys.tls_public, wall_ms(), serial(), 30)
        site.home.install_chain(chain)
        leaf, _, _, writer = await _introduced(site)
        writer.close()
        assert leaf == chain[0]
        await join(Home(tmp_path / "third"), site.token(), "third")


# ---------------------------------------------------------------- what is refused, and how it is said


@io
async def test_a_wrong_secret_is_refused(site: Site, home: Home) -> None:
    async with site.open():
        token = site.token()
        forged = Token(
            token.fingerprint, token.steward, token.token_id, bytes(16), token.expires_ms, False, token.seeds
        )
        error = await refused(home, forged)
    assert error.exit_code == Exit.TOKEN_WRONG
    assert "does not know this token" in error.message
    assert site.counters == ["join-token-wrong"]
    assert not home.path.exists()


@io
async def test_a_used_token_names_who_used_it(site: Site, home: Home, tmp_path: Path) -> None:
    async with site.open():
        token = site.token()
        joined = await join(home, token, "second")
        error = await refused(Home(tmp_path / "third"), token, "third")
    assert error.exit_code == Exit.TOKEN_USED
    assert f"second ({joined.node}) joined with it" in error.message
    assert not (tmp_path / "third").exists()


@io
async def test_a_token_expires_by_the_stewards_clock(site: Site, home: Home) -> None:
    async with site.open():
        token = site.token(ttl_s=60)
        site.ahead_ms = 120_000
        error = await refused(home, token)
    assert error.exit_code == Exit.TOKEN_EXPIRED
    assert "the steward's clock shows" in error.message
    assert not home.path.exists()


async def test_a_plainly_expired_token_is_called_so_when_no_steward_answers(site: Site, home: Home) -> None:
    token = site.token(ttl_s=-60, seeds=())
    error = await refused(home, token)
    assert error.exit_code == Exit.TOKEN_EXPIRED
    assert "this machine's clock shows" in error.message


@io
async def test_a_revoked_token_is_refused(site: Site, home: Home) -> None:
    async with site.open():
        token = site.token()
        TokenBook(site.home.database).revoke(token.name[:6], wall_ms())
        error = await refused(home, token)
    assert error.exit_code == Exit.TOKEN_WRONG
    assert "revoked" in error.message


@io
async def test_an_absent_steward_is_not_found_and_the_places_tried_are_named(site: Site, home: Home) -> None:
    async with site.open():
        token = site.token()
    error = await refused(home, token)
    assert error.exit_code == Exit.STEWARD_NOT_FOUND
    assert f"{site.door} refused the connection" in error.message
    assert "--seed" in error.cure
    assert not home.path.exists()


@io
@pytest.mark.parametrize(("ahead_ms", "way"), [(400_000, "behind"), (-86_400_000, "ahead of")])
async def test_a_clock_far_off_is_told_with_both_clocks_and_which_way(
    site: Site, home: Home, ahead_ms: int, way: str
) -> None:
    async with site.open():
        token = site.token(ttl_s=2 * 86_400)
        site.ahead_ms = ahead_ms
        error = await refused(home, token)
    assert error.exit_code == Exit.CLOCK_OFF
    assert f"{way} the steward's" in error.message
    assert error.message.count("UTC") == 2
    assert site.admitted == []
    assert not home.path.exists()


@io
async def test_a_steward_that_distrusts_its_clock_admits_nobody(site: Site, home: Home) -> None:
    async with site.open():
        token = site.token()
        site.clock_trusted = False
        error = await refused(home, token)
    assert error.exit_code == Exit.CLOCK_OFF
    assert "does not trust its own clock" in error.message
    assert not home.path.exists()


@io
async def test_a_steward_that_takes_no_part_says_why_and_does_not_blame_its_clock(
    site: Site, home: Home
) -> None:
    async with site.open():
        site.halted = "this node has left the site"
        error = await refused(home, site.token())
    assert error.exit_code == Exit.TEMPORARY
    assert error.message == (
        "the steward of this token takes no part in its site and admits nobody: this node has left the site"
    )
    assert "fieldmesh check" in error.cure


@io
async def test_a_taken_name_names_its_holder_and_suggests_another(site: Site, home: Home) -> None:
    async with site.open():
        token = site.token()
        error = await refused(home, token, "first")
        assert error.exit_code == Exit.NAME_TAKEN
        assert site.keys.identity.node in error.message
        assert "--name first-2" in error.cure
        assert not home.path.exists()
        assert (await join(home, token, "first-2")).name == "first-2", "the token is still good"


@io
async def test_two_joiners_who_want_one_name_at_once_do_not_both_get_it(site: Site, tmp_path: Path) -> None:
    site.taken = lambda name, short: None  # type: ignore[method-assign]  # a roster that lags behind
    async with site.open():
        tokens = [site.token(), site.token()]
        ends = await asyncio.gather(
            *(join(Home(tmp_path / f"j{n}"), token, "second") for n, token in enumerate(tokens)),
            return_exceptions=True,
        )
    assert sorted(type(each).__name__ for each in ends) == ["Joined", "RefusedError"]


@io
async def test_another_root_than_the_tokens_is_a_mismatch(site: Site, home: Home, tmp_path: Path) -> None:
    other = Site.found(tmp_path / "other", "elsewhere")
    async with other.open():
        error = await refused(home, site.token(seeds=[other.door]))
    assert error.exit_code == Exit.ROOT_MISMATCH
    assert site.keys.root.fingerprint.hex()[:16] in error.message
    assert other.keys.root.fingerprint.hex()[:16] in error.message
    assert not home.path.exists()


@io
async def test_another_steward_of_the_site_cannot_redeem_the_token(
    site: Site, home: Home, tmp_path: Path
) -> None:
    keys = admit(site.home.path, tmp_path / "second", "second", wall_ms(), as_steward=True)
    second = Site(Home(tmp_path / "second"), keys, Roster(keys.root))
    async with second.open():
        error = await refused(home, site.token(seeds=[second.door]))
        await _until(lambda: second.counters == ["join-cut-short"])  # it was told nothing
    assert error.exit_code == Exit.STEWARD_NOT_FOUND
    assert f"second ({keys.identity.node})" in error.message


@io
async def test_a_steward_token_without_the_root_key_says_where_it_is_missing(site: Site, home: Home) -> None:
    async with site.open():
        token = site.token(for_steward=True)
        key = site.home.root_key.read_bytes()
        site.home.root_key.unlink()
        error = await refused(home, token)
        assert error.exit_code == Exit.NOT_A_STEWARD
        assert "root key" in error.message
        write_file(site.home.root_key, key)
        assert (await join(home, token, "second")).is_steward


@io
async def test_a_home_that_has_a_node_refuses_another(site: Site, home: Home) -> None:
    async with site.open():
        await join(home, site.token(), "second")
        before = home.tls.read_bytes()
        error = await refused(home, site.token(), "third")
    assert error.exit_code == Exit.ALREADY_MEMBER
    assert home.tls.read_bytes() == before


async def test_a_folder_with_something_else_in_it_is_left_alone(site: Site, home: Home) -> None:
    home.path.mkdir()
    (home.path / "holiday.jpg").write_bytes(b"beach")
    error = await refused(home, site.token())
    assert error.exit_code == Exit.ALREADY_MEMBER
    assert [each.name for each in home.path.iterdir()] == ["holiday.jpg"]


async def test_a_bad_configuration_is_noticed_before_the_token_is_used(site: Site, home: Home) -> None:
    error = await refused(home, site.token(), config={"port": 8884})
    assert error.exit_code == Exit.CONFIGURATION
    assert not home.path.exists()


async def test_a_bad_name_is_noticed_before_anybody_is_asked(site: Site, home: Home) -> None:
    error = await refused(home, site.token(), "Press Line 4")
    assert error.exit_code == Exit.USAGE


@io
async def test_somebody_who_guesses_secrets_is_soon_refused_unheard(site: Site, home: Home) -> None:
    async with site.open():
        token = site.token()
        forged = Token(
            token.fingerprint, token.steward, token.token_id, bytes(16), token.expires_ms, False, token.seeds
        )
        for _ in range(10):
            assert (await refused(home, forged)).exit_code == Exit.TOKEN_WRONG
        error = await refused(home, token)
    assert error.exit_code == Exit.TEMPORARY
    assert "too many" in error.message
    assert site.counters[-1] == "join-too-many-attempts"
    assert site.admitted == []


# ---------------------------------------------------------------- broken off


@io
async def test_an_answer_that_was_lost_is_given_again_to_the_same_home(site: Site, home: Home) -> None:
    async with site.open():
        token = site.token()
        async with _relay(site, answers=1) as relay:  # the introduction passes, the admission does not
            error = await refused(home, token, seeds=[relay])
            assert error.exit_code == Exit.TEMPORARY
            assert "same answer" in error.cure
        assert not home.is_settled
        assert len({each.identity for each in site.admitted}) == 1
        await join(home, token, "second")
    assert {each.identity for each in site.admitted} == {home.load_keys().identity.public}
    assert {each.chain for each in site.admitted} == {home.load_keys().chain}


@io
async def test_a_lost_answer_can_be_had_even_after_the_token_has_expired(site: Site, home: Home) -> None:
    async with site.open():
        token = site.token(ttl_s=30)
        async with _relay(site, answers=1) as relay:
            await refused(home, token, seeds=[relay])
        site.ahead_ms = 60_000
        assert (await join(home, token, "second", wall_ms=site.now_ms)).name == "second"


@io
async def test_a_connection_cut_before_we_ask_is_temporary_and_leaves_nothing(site: Site, home: Home) -> None:
    async with site.open():
        token = site.token()
        async with _relay(site, answers=0) as relay:
            error = await refused(home, token, seeds=[relay])
    assert error.exit_code == Exit.TEMPORARY
    assert "broke off" in error.message
    assert not home.path.exists()


@io
async def test_a_join_that_dies_while_settling_in_can_be_run_again(
    site: Site, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site.open():
        token = site.token()
        with monkeypatch.context() as patched:
            patched.setattr("node.settling._write_rows", _die)
            with pytest.raises(_PowerCutError):
                await join(home, token, "second")
        assert not home.is_settled
        with pytest.raises(FieldmeshError):
            home.load_keys()
        await join(home, token, "second")
    assert home.load_keys().identity.public == site.admitted[0].identity
    assert not home.unfinished.exists()


@io
async def test_a_wrong_machine_does_not_cost_us_the_keys_of_a_join_under_way(
    site: Site, home: Home, tmp_path: Path
) -> None:
    other = Site.found(tmp_path / "other", "elsewhere")
    async with site.open(), other.open():
        token = site.token()
        async with _relay(site, answers=1) as relay:
            await refused(home, token, seeds=[relay])
        assert (await refused(home, token, seeds=[other.door])).exit_code == Exit.ROOT_MISMATCH
        assert (await join(home, token, "second")).node == Identity(key_in(home.identity.read_bytes())).node


@io
async def test_the_steward_persists_an_admission_before_it_tells_anybody(site: Site, home: Home) -> None:
    seen: list[str | None] = []
    deliver = site.deliver

    def spy(news: MemberAdmitted | Counted) -> None:
        row = TokenBook(site.home.database).rows()[0]
        seen.append(row.used_name if row.answer else None)
        deliver(news)

    site.deliver = spy  # type: ignore[method-assign]  # to look into the database at that moment
    async with site.open():
        await join(home, site.token(), "second")
    assert seen == ["second"]


@io
async def test_a_steward_that_cannot_save_refuses_for_now(
    site: Site, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from node.database import StoreError

    def full(*_: object) -> bool:
        raise StoreError("disk-full", "the disk is full", "")

    async with site.open():
        token = site.token()
        with monkeypatch.context() as patched:
            patched.setattr(TokenBook, "redeem", full)
            error = await refused(home, token)
        assert (error.exit_code, site.admitted) == (Exit.TEMPORARY, [])
        assert (await join(home, token, "second")).name == "second"


# ---------------------------------------------------------------- what an attacker gets


@io
async def test_a_man_in_the_middle_with_another_root_receives_nothing_after_the_handshake(
    site: Site, home: Home, tmp_path: Path
) -> None:
    other = Site.found(tmp_path / "other", "elsewhere")
    said = Introduction(1, 1, bytes(16), other.keys.chain[1], other.keys.root.certificate, wall_ms())
    received = await _impersonated(site, home, other.home, said)
    assert received == b""


@io
async def test_a_member_that_shows_the_real_stewards_certificates_receives_nothing(
    site: Site, home: Home, tmp_path: Path
) -> None:
    member = admit(site.home.path, tmp_path / "member", "member", wall_ms())
    said = Introduction(1, 1, bytes(16), site.keys.chain[1], site.keys.root.certificate, wall_ms())
    assert await _impersonated(site, home, Home(tmp_path / "member"), said) == b""
    assert member.identity.node != site.keys.identity.node


@io
async def test_an_imposter_with_the_true_root_but_a_certificate_of_its_own_receives_nothing(
    site: Site, home: Home, tmp_path: Path
) -> None:
    other = Site.found(tmp_path / "other", "elsewhere")
    said = Introduction(1, 1, bytes(16), other.keys.chain[1], site.keys.root.certificate, wall_ms())
    assert await _impersonated(site, home, other.home, said) == b""


@io
async def test_a_request_recorded_from_one_conversation_does_not_fit_another(site: Site, home: Home) -> None:
    async with site.open():
        token = site.token()
        with Pending(home, token) as pending:
            leaf, said, reader, writer = await _introduced(site)
            request = request_of(pending.applicant("second"), token, leaf, said, bytes(16))
            writer.transport.abort()
            leaf, said, reader, writer = await _introduced(site)
            writer.write(pack(request))
            answer = unpack(await reader.readexactly(length_of(await reader.readexactly(LENGTH_BYTES))))
            writer.transport.abort()
    assert "bad-signature" in str(answer)
    assert site.admitted == []


@io
@pytest.mark.parametrize(
    ("sent", "counter"),
    [
        (b"\xff\xff\xff\xff", "join-oversized"),
        (b"\0\0\0\0", "join-oversized"),
        (b"\0\0\0\x04junk", "join-malformed"),
        (pack(Knowledge(())), "join-malformed"),
        (b"\0\0", "join-cut-short"),
        (b"", "join-cut-short"),
    ],
)
async def test_rubbish_is_counted_and_the_next_joiner_is_served(
    site: Site, home: Home, sent: bytes, counter: str
) -> None:
    async with site.open():
        _, _, _, writer = await _introduced(site)
        writer.write(sent)
        writer.write_eof() if writer.can_write_eof() else writer.close()
        await _until(lambda: counter in site.counters)
        assert (await join(home, site.token(), "second")).name == "second"


@io
async def test_a_plain_connection_that_says_no_tls_is_counted(site: Site, home: Home) -> None:
    async with site.open():
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.read()
        writer.close()
        await _until(lambda: site.counters == ["join-tls-failed"])


@io
async def test_more_connections_than_the_bound_are_closed_and_silent_ones_time_out(
    site: Site, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join_server, "CONVERSATION_S", 0.5)
    async with site.open():
        silent = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(17)]
        await _until(lambda: "join-full" in site.counters)
        await _until(lambda: site.counters.count("join-timeout") == 16)
        for _, writer in silent:
            writer.close()
        assert (await join(home, site.token(), "second")).name == "second"


@io
async def test_nothing_secret_is_logged(site: Site, home: Home, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with structlog.testing.capture_logs() as logs:
        async with site.open():
            token = site.token(for_steward=True)
            await refused(home, token, "first")
            await join(home, token, "second")
    said = repr(logs) + caplog.text + repr(token) + repr(site.news) + repr(home.load_keys())
    assert "member-admitted" in said
    with Pending(Home(home.path.parent / "x"), token) as pending:
        leaf_request = JoinRequest(
            1, bytes(16), token.token_id, token.secret, "x", pending.applicant("x").identity.public, bytes(32)
        )
    said += repr(leaf_request) + str(leaf_request)
    secrets_ = [token.text(), token.secret.hex(), repr(token.secret), str(token.secret)]
    for each in (home.identity, home.tls, home.authority, site.home.root_key):
        pem = each.read_text()
        secrets_.append(pem.split("PRIVATE KEY-----\n")[1].split("\n")[0])
    assert [each for each in secrets_ if each in said] == []


# ---------------------------------------------------------------- pure parts


def test_a_big_roster_is_told_in_messages_that_fit() -> None:
    parts = knowledge_parts([bytes(1400)] * 1000, [(NodeId("a" * 26), (Endpoint("10.0.0.1", 1),))] * 1000)
    assert sum(len(part.entries) for part in parts) == 1000
    assert all(len(pack(part)) <= MESSAGE_BYTES_MAX + LENGTH_BYTES for part in parts)


def test_no_entries_at_all_still_make_one_message() -> None:
    assert knowledge_parts([], []) == [Knowledge(())]


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x90", b"\x91\x09", b"\x92\x02\x01", bytes(100), b"\x91" * 5000]
)
def test_bytes_that_are_no_message_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        unpack(data)


def test_a_request_shows_no_secret() -> None:
    request = JoinRequest(1, bytes(16), b"tokenid8", b"S" * 16, "second", bytes(32), bytes(32))
    assert "SSSS" not in f"{request} {request!r}"


# ---------------------------------------------------------------- helpers


class _PowerCutError(BaseException):
    pass


def _die(*_: object) -> None:
    raise _PowerCutError


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.01)


async def _introduced(site: Site) -> tuple[bytes, Introduction, asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which the steward has introduced itself."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, ssl=join_client._context())
    leaf = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    said = unpack(await reader.readexactly(length_of(await reader.readexactly(LENGTH_BYTES))))
    assert isinstance(said, Introduction)
    return leaf, said, reader, writer


async def _impersonated(site: Site, home: Home, shown: Home, said: Introduction) -> bytes:
    """What a joiner sends to a machine that serves the certificate of `shown` and says `said`."""
    received = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(pack(said))
        with contextlib.suppress(OSError):
            while data := await reader.read(1000):
                received.extend(data)
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.tls)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        door = Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
        error = await refused(home, site.token(seeds=[door]))
    assert error.exit_code in (Exit.ROOT_MISMATCH, Exit.STEWARD_NOT_FOUND)
    assert not home.path.exists()
    return bytes(received)


@contextlib.asynccontextmanager
async def _relay(site: Site, answers: int) -> AsyncIterator[Endpoint]:
    """Passes on the handshake and so many of the steward's messages, then cuts the line."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_steward, from_us = reader, writer
        back, forth = await asyncio.open_connection("127.0.0.1", site.port)
        upward = asyncio.create_task(_pump(to_steward, forth))
        with contextlib.suppress(OSError, EOFError):
            await _records(back, from_us, site, answers)
        upward.cancel()
        for each in (forth, from_us):
            each.transport.abort()

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    async with server:
        yield Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)


async def _records(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, site: Site, answers: int
) -> None:
    """TLS records downward: all of the handshake; then, when answers are wanted, until somebody was admitted."""
    before, records = len(site.admitted), 0
    while True:
        header = await reader.readexactly(5)
        record = header + await reader.readexactly(int.from_bytes(header[3:], "big"))
        records += header[0] == 23
        if (answers == 0 and records > 1) or len(site.admitted) > before:
            return
        writer.write(record)
