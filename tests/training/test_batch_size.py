import pytest
import torch

from unmask.device.memory import is_out_of_memory
from unmask.errors import MediaError
from unmask.training.batch_size import find_batch_size

CPU = torch.device("cpu")


def _device_that_holds(most: int, seconds_a_clip: float = 0.0) -> object:
    def attempt(size: int) -> float:
        if size > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 1.0 + seconds_a_clip * size

    return attempt


@pytest.mark.parametrize(("holds", "found"), [(1, 1), (5, 4), (8, 8), (1000, 64)])
def test_grows_until_memory_or_the_limit(holds: int, found: int) -> None:
    assert find_batch_size(_device_that_holds(holds), CPU, most=64) == found  # type: ignore[arg-type]


def test_stops_where_a_larger_batch_brings_nothing_on_a_cpu() -> None:
    attempt = _device_that_holds(1000, seconds_a_clip=10.0)
    assert find_batch_size(attempt, CPU, most=64) <= 2  # type: ignore[arg-type]


def test_a_shortage_on_a_cpu_ends_the_search_and_other_errors_go_through() -> None:
    def attempt(size: int) -> float:
        if size > 2:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return 1.0

    assert find_batch_size(attempt, CPU, most=64) == 2

    def broken(size: int) -> float:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        find_batch_size(broken, CPU, most=64)


def test_not_even_one_clip_fits() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        find_batch_size(_device_that_holds(0), CPU, most=64)  # type: ignore[arg-type]


def test_which_errors_are_memory() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("x"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 GB"))
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    assert is_out_of_memory(RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"))
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
    assert not is_out_of_memory(MediaError("Cannot read out of memory.mp4.", code="media_format"))
