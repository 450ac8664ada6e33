import pytest

from mesh.batches import batches


@pytest.mark.parametrize(
    ("sizes", "cut"),
    [
        ([], []),
        ([1], [[1]]),
        ([4, 4, 2], [[4, 4, 2]]),
        ([4, 4, 3], [[4, 4], [3]]),
        ([11, 1], [[11], [1]]),
        ([1, 11, 1], [[1], [11], [1]]),
        ([1, 1, 1, 1, 1], [[1, 1, 1, 1], [1]]),
    ],
)
def test_batches_are_as_full_as_ten_bytes_and_four_things_allow(
    sizes: list[int], cut: list[list[int]]
) -> None:
    assert [list(each) for each in batches(sizes, lambda size: size, bytes_max=10, count_max=4)] == cut
