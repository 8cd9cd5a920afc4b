"""Threads that wait for servers, and a task that does not wait for them once its time is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any


@contextmanager
def threads(size: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads. At the end all that was begun is waited for. After an error nothing else is begun.

    They have the caller's context variables, so that their lines of the log name the run.

    A time-out of Airflow is a `BaseException` in the main thread, and ends the wait. The pool's own `with` would go on
    waiting for every thread, each of which may wait for a server that says a byte now and then.
    """
    pool = ThreadPoolExecutor(size, initializer=_adopt, initargs=(copy_context(),))
    try:
        yield pool
        pool.shutdown()
    except Exception:
        # What runs already may write: it has to end before the caller clears up.
        pool.shutdown(cancel_futures=True)
        raise
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def in_parallel(function: Callable[[Any], Any], arguments: Iterable[Any], size: int) -> list[Any]:
    """The results of a function for each argument, several at a time, in order.

    If one fails, no other is begun. Those that run already are waited for, so that none writes after the failure.
    """
    with threads(size) as pool:
        futures = [pool.submit(function, argument) for argument in arguments]
        wait(futures, return_when=FIRST_EXCEPTION)
        pool.shutdown(cancel_futures=True)
        # They begin in their order, so one that was cancelled stands behind the one that failed.
        return [future.result() for future in futures]


def _adopt(context: Context) -> None:
    for variable, value in context.items():
        variable.set(value)
