"""The node's documents, as the live view shows them."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from crdt_state.document import Document
from crdt_state.library import Library
from mesh.events import News, RecordsChanged
from node.newsroom import Newsroom


class NodeDocuments:
    """Implements `node.live_follower.LiveDocuments` over a running core."""

    def __init__(self, library: Library, news: Newsroom) -> None:
        self._library = library
        self._news = news

    def names(self) -> Sequence[str]:
        return self._library.names()

    def mark(self, name: str) -> bytes | None:
        document = self._library.get(name)
        return document.mark if document else None

    def summary(self, name: str) -> bytes:
        return self._document(name).summary()

    def state(self, name: str, since: bytes) -> bytes:
        return self._document(name).delta_since(since)

    def subscribe(self, changed: Callable[[str], None]) -> Callable[[], None]:
        def listen(news: News) -> None:
            if isinstance(news, RecordsChanged):
                changed(news.document)

        listening = ExitStack()
        listening.enter_context(self._news.listening(listen))
        return listening.close

    def _document(self, name: str) -> Document:
        document = self._library.get(name)
        assert document is not None  # whoever asks has looked for its mark, between two events
        return document
