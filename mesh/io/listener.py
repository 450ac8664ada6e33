"""From python-zeroconf's record updates to two words: an instance was heard, an instance is gone."""

from collections.abc import Callable

from zeroconf import RecordUpdate, RecordUpdateListener, Zeroconf
from zeroconf._dns import DNSAddress, DNSPointer, DNSService, DNSText

from mesh.io.advert import SERVICE_TYPE

_SUFFIX = "." + SERVICE_TYPE


class InstanceListener(RecordUpdateListener):
    """Calls `heard` for each instance that a packet speaks of, also when it says nothing new."""

    def __init__(self, heard: Callable[[str], None], gone: Callable[[str], None]) -> None:
        self._heard = heard
        self._gone = gone
        self._touched: dict[str, bool] = {}  # instance -> whether it is gone; lives for one packet

    def async_update_records(self, zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        for update in records:
            record = update.new
            if isinstance(record, DNSPointer):
                if record.name.lower() == SERVICE_TYPE:
                    self._touched[record.alias] = record.is_expired(now)
            elif isinstance(record, DNSService | DNSText):
                if record.name.lower().endswith(_SUFFIX) and not record.is_expired(now):
                    self._touched.setdefault(record.name, False)
            elif isinstance(record, DNSAddress) and (update.old is None or record.is_expired(now)):
                for service in zc.cache.async_entries_with_server(record.name):
                    if service.name.lower().endswith(_SUFFIX):
                        self._touched.setdefault(service.name, False)

    def async_update_records_complete(self) -> None:
        touched, self._touched = self._touched, {}
        for instance, is_gone in touched.items():
            (self._gone if is_gone else self._heard)(instance)
