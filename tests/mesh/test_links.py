from mesh.dialling import Attempt
from mesh.events import HOSTED
from mesh.greeting import Dialling
from mesh.ids import NodeId
from mesh.links import Dialled, Links
from mesh.wire import Card, Endpoint, Hello

SMALL, ME, LARGE = NodeId("a"), NodeId("m"), NodeId("z")


def dial(links: Links, peer: NodeId, is_up: bool = True) -> Dialled:
    dialled = links.begin(Attempt(Endpoint("h", 1), peer), 0.0)
    dialled.peer = peer
    if is_up:
        links.confirm(dialled)
    return dialled


def test_links_that_we_dial_are_numbered_from_one_and_no_number_comes_twice() -> None:
    links = Links(ME)
    first = dial(links, LARGE)
    links.end(first.link)
    assert [first.link, dial(links, LARGE).link, dial(links, SMALL).link] == [1, 2, 3]
    assert HOSTED == 0


def test_a_dial_is_no_link_before_its_greeting() -> None:
    links = Links(ME)
    dialled = dial(links, LARGE, is_up=False)
    assert not links.is_linked(LARGE)
    assert links.best(LARGE) is None
    assert links.with_peer(LARGE) == [dialled]
    assert links.all_dialled() == [dialled]
    assert links.get(dialled.link) is dialled
    assert len(links) == 1


def test_a_dialled_link_is_used_when_it_is_the_only_one() -> None:
    links = Links(ME)
    dialled = dial(links, LARGE)
    assert links.is_linked(LARGE)
    assert links.best(LARGE) == dialled.link
    assert links.routes() == ((LARGE, 1),)
    assert links.peers() == [LARGE]
    assert links.spare(LARGE) is None


def test_a_hosted_link_is_used_when_it_is_the_only_one() -> None:
    links = Links(ME)
    links.host(LARGE)
    assert links.is_hosted(LARGE)
    assert links.best(LARGE) == HOSTED
    assert links.routes() == ((LARGE, HOSTED),)
    assert links.spare(LARGE) is None


def test_of_two_links_the_smaller_ids_dial_is_kept() -> None:
    links = Links(ME)
    to_small, to_large = dial(links, SMALL), dial(links, LARGE)
    links.host(SMALL)
    links.host(LARGE)
    assert (links.best(SMALL), links.spare(SMALL)) == (HOSTED, to_small.link)
    assert (links.best(LARGE), links.spare(LARGE)) == (to_large.link, None)


def test_both_ends_choose_the_same_link() -> None:
    ours, theirs = Links(ME), Links(LARGE)
    dial(ours, LARGE)
    ours.host(LARGE)
    dial(theirs, ME)
    theirs.host(ME)
    assert ours.best(LARGE) != HOSTED
    assert theirs.best(ME) == HOSTED


def test_what_has_ended_is_gone_and_ending_it_again_is_nothing() -> None:
    links = Links(ME)
    dialled = dial(links, LARGE)
    assert links.end(dialled.link) is dialled
    assert links.end(dialled.link) is None
    assert not links.is_linked(LARGE)
    assert len(links) == 0


def test_the_end_of_an_older_link_leaves_the_newer_one_up() -> None:
    links = Links(ME)
    older, newer = dial(links, LARGE), dial(links, LARGE)
    links.end(older.link)
    assert links.best(LARGE) == newer.link


def test_hosted_links_end_one_by_one_or_all_at_once() -> None:
    links = Links(ME)
    for peer in (SMALL, LARGE):
        links.host(peer)
    assert links.unhost(SMALL)
    assert not links.unhost(SMALL)
    links.host(SMALL)
    assert links.unhost_all() == [LARGE, SMALL]
    assert links.peers() == []


def test_peers_and_routes_are_sorted() -> None:
    links = Links(ME)
    links.host(LARGE)
    dial(links, SMALL)
    assert links.peers() == [SMALL, LARGE]
    assert links.routes() == ((SMALL, 1), (LARGE, HOSTED))


def test_links_with_a_greeting_under_way_are_listed() -> None:
    links = Links(ME)
    dialled = dial(links, LARGE, is_up=False)
    assert links.greeting() == []
    card = Card("site", "node", 1, 1, 1, bytes(32), ())
    dialled.greeting = Dialling(LARGE, Hello(1, 1, bytes(16), card), 0.0, 0.3)
    assert links.greeting() == [dialled]


def test_whoever_watches_sees_each_change() -> None:
    links = Links(ME)
    seen = [links.changes]
    links.host(LARGE)
    seen.append(links.changes)
    dialled = dial(links, SMALL)
    seen.append(links.changes)
    links.end(dialled.link)
    seen.append(links.changes)
    links.unhost(LARGE)
    seen.append(links.changes)
    links.unhost_all()
    seen.append(links.changes)
    assert seen == sorted(set(seen))
