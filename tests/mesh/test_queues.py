"""What waits for a socket: order within a class, order of classes, and who gives way."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from mesh.events import Traffic
from mesh.queues import DROP_ORDER, ClassQueue, Queued

CONTROL, ALARM, STATE, MEMORY, BULK = Traffic


def queued(traffic: Traffic, data: bytes) -> Queued:
    return Queued(traffic, "a/topic", data)


def filled(bytes_max: int, messages_max: int, *items: Queued) -> tuple[ClassQueue, int]:
    queue = ClassQueue(bytes_max, messages_max)
    return queue, sum(queue.push(item) for item in items)


def emptied(queue: ClassQueue) -> list[tuple[Traffic, bytes]]:
    items = []
    while (item := queue.pop()) is not None:
        items.append((item.traffic, item.data))
    return items


def test_an_empty_queue_gives_nothing() -> None:
    assert ClassQueue(10, 10).pop() is None


def test_the_urgent_leaves_first_and_a_class_keeps_its_order() -> None:
    queue, dropped = filled(
        *(100, 10),
        *(queued(BULK, b"1"), queued(STATE, b"2"), queued(CONTROL, b"3"), queued(STATE, b"4")),
        *(queued(ALARM, b"5"), queued(MEMORY, b"6"), queued(CONTROL, b"7")),
    )
    assert dropped == 0
    assert emptied(queue) == [
        (CONTROL, b"3"),
        (CONTROL, b"7"),
        (ALARM, b"5"),
        (STATE, b"2"),
        (STATE, b"4"),
        (MEMORY, b"6"),
        (BULK, b"1"),
    ]


def test_the_oldest_state_gives_way_first() -> None:
    queue, dropped = filled(
        100, 3, queued(STATE, b"old"), queued(STATE, b"new"), queued(BULK, b"b"), queued(CONTROL, b"c")
    )
    assert dropped == 1
    assert emptied(queue) == [(CONTROL, b"c"), (STATE, b"new"), (BULK, b"b")]


def test_memories_give_way_before_bulk_and_bulk_before_alarms() -> None:
    queue, dropped = filled(
        *(100, 2),
        *(queued(BULK, b"b"), queued(MEMORY, b"m"), queued(ALARM, b"a1"), queued(ALARM, b"a2")),
    )
    assert dropped == 2
    assert emptied(queue) == [(ALARM, b"a1"), (ALARM, b"a2")]


def test_bulk_pushed_into_a_queue_full_of_control_is_itself_dropped() -> None:
    queue, dropped = filled(100, 2, queued(CONTROL, b"1"), queued(CONTROL, b"2"), queued(BULK, b"3"))
    assert dropped == 1
    assert emptied(queue) == [(CONTROL, b"1"), (CONTROL, b"2")]


def test_control_that_overflows_by_itself_loses_its_oldest() -> None:
    queue, dropped = filled(4, 10, *(queued(CONTROL, data) for data in (b"11", b"22", b"33")))
    assert dropped == 1
    assert emptied(queue) == [(CONTROL, b"22"), (CONTROL, b"33")]


def test_a_message_above_the_bound_is_dropped_alone() -> None:
    queue, dropped = filled(4, 10, queued(STATE, b"1234"), queued(CONTROL, b"12345"))
    assert dropped == 1
    assert emptied(queue) == [(STATE, b"1234")]


actions = st.one_of(st.tuples(st.sampled_from(Traffic), st.integers(0, 12)), st.none())


@given(st.lists(actions, max_size=120), st.integers(1, 40), st.integers(1, 8))
def test_any_sequence_keeps_bounds_order_and_precedence(
    steps: list[tuple[Traffic, int] | None], bytes_max: int, messages_max: int
) -> None:
    """Against a deliberately dumb model: one list per class."""
    queue, model = ClassQueue(bytes_max, messages_max), Model(bytes_max, messages_max)
    for number, step in enumerate(steps):
        if step is None:
            popped = queue.pop()
            assert (popped.data if popped else None) == model.pop()
        else:
            data = number.to_bytes(2, "big") + bytes(step[1])
            assert queue.push(queued(step[0], data)) == model.push(step[0], data)
        assert (len(queue), queue.bytes_waiting) == (model.messages, model.bytes_waiting)
        assert queue.bytes_waiting <= bytes_max and len(queue) <= messages_max


class Model:
    """What ClassQueue promises, said slowly; it also checks that nobody is dropped before lesser classes."""

    def __init__(self, bytes_max: int, messages_max: int) -> None:
        self._bytes_max, self._messages_max = bytes_max, messages_max
        self._waiting: dict[Traffic, deque[bytes]] = {traffic: deque() for traffic in Traffic}

    @property
    def messages(self) -> int:
        return sum(len(each) for each in self._waiting.values())

    @property
    def bytes_waiting(self) -> int:
        return sum(len(data) for each in self._waiting.values() for data in each)

    def push(self, traffic: Traffic, data: bytes) -> int:
        if len(data) > self._bytes_max:
            return 1
        self._waiting[traffic].append(data)
        before = self.messages
        while self.bytes_waiting > self._bytes_max or self.messages > self._messages_max:
            victim = next(each for each in DROP_ORDER if self._waiting[each])
            assert victim not in (CONTROL, ALARM) or not any(
                self._waiting[each] for each in (STATE, MEMORY, BULK)
            )
            self._waiting[victim].popleft()
        return before - self.messages

    def pop(self) -> bytes | None:
        for traffic in sorted(Traffic):
            if self._waiting[traffic]:
                return self._waiting[traffic].popleft()
        return None
