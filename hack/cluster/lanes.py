"""Work that runs beside the main thread, one piece after the other.

A lane has one thread on purpose: `go build` uses every core by itself, and the
disk takes one large image at a time.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import ParamSpec, Self

from hack.cluster.progress import Progress

P = ParamSpec("P")


class Lane:
    """One thread; a failure in it or in the body of its `with` stops both."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._futures: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def start(self, work: Callable[P, None], /, *args: P.args, **kwargs: P.kwargs) -> Future[None]:
        """Queue a piece of work; `.result()` waits for it and raises what it raised."""
        future = self._pool.submit(work, *args, **kwargs)
        self._futures.append(future)
        return future

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._progress.stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None:
            for future in self._futures:
                future.result()
