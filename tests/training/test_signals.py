from __future__ import annotations

import os
import signal
import threading

import pytest

from actionspace.training.signals import StopRequest, stop_requested


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "name", "code"), [(15, "SIGTERM", 143), (2, "SIGINT", 130)])
def test_the_first_signal_is_only_noted(number: int, name: str, code: int) -> None:
    with stop_requested() as asked:
        assert (asked.signal, asked.name) == (None, "")
        send(number)
        assert (asked.signal, asked.name, asked.exit_code) == (number, name, code)


def test_a_second_sigint_does_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt), stop_requested():
        send(signal.SIGINT)
        send(signal.SIGINT)


def test_a_second_sigterm_changes_nothing() -> None:
    with stop_requested() as asked:
        send(signal.SIGINT)
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        assert asked.name == "SIGINT"


def test_handlers_are_restored_after_an_error_too() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(ValueError, match="boom"), stop_requested():
        assert signal.getsignal(signal.SIGTERM) is not before[0]
        raise ValueError("boom")
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before


def test_in_another_thread_nothing_is_asked_and_nothing_breaks() -> None:
    found: list[StopRequest] = []

    def work() -> None:
        with stop_requested() as asked:
            found.append(asked)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [one.signal for one in found] == [None]
    assert signal.getsignal(signal.SIGTERM) is before


def test_asked_by_another_process_the_exit_code_is_that_of_sigterm() -> None:
    assert StopRequest().exit_code == 143
