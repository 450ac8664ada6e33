"""The questions that discovery puts to the LAN.

python-zeroconf's own browser asks four times after its start and then only to refresh what it knows; nothing
makes it ask at once when a cable is back. So we ask ourselves. Its packet classes are exported from its root
only "for backwards compatibility", outside `__all__`: hence the imports from where they live.
"""

from collections.abc import Callable

from zeroconf import Zeroconf, current_time_millis
from zeroconf._dns import DNSPointer, DNSQuestion
from zeroconf._protocol.outgoing import DNSOutgoing

from mesh.io.advert import SERVICE_TYPE

PTR, TXT, INTERNET = 12, 16, 1
KNOWN_MAX = 512  # answers listed as known in one question: ten packets; beyond that let them be told again
_QUERY = 0


def ask_who_is_there(zc: Zeroconf, is_known: Callable[[DNSPointer], bool], unicast: bool) -> None:
    """Asks for all instances on every interface; those that `is_known` holds for need not answer.

    `unicast`: answers come at once and to us alone, but to one process only of several on a machine.
    """
    query = DNSOutgoing(_QUERY)
    question = DNSQuestion(SERVICE_TYPE, PTR, INTERNET)
    question.unicast = unicast
    query.add_question(question)
    now_ms = current_time_millis()
    for pointer in [pointer for pointer in _fresh_pointers(zc, now_ms) if is_known(pointer)][:KNOWN_MAX]:
        query.add_answer_at_time(pointer, now_ms)
    zc.async_send(query)


def ask_who_is(zc: Zeroconf, instance: str) -> None:
    """Asks whoever has this instance name to say so."""
    query = DNSOutgoing(_QUERY)
    query.add_question(DNSQuestion(instance, TXT, INTERNET))
    zc.async_send(query)


def _fresh_pointers(zc: Zeroconf, now_ms: float) -> list[DNSPointer]:
    """Those with at least half of their time left: a node listed as known does not renew its listing."""
    records = zc.cache.async_all_by_details(SERVICE_TYPE, PTR, INTERNET)
    return [each for each in records if isinstance(each, DNSPointer) and not each.is_stale(now_ms)]
