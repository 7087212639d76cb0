"""The progress line: what it says, and that saying it costs next to nothing."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest
from tqdm import tqdm

from actionspace.training import line as module
from actionspace.training.line import Line


class Clock:
    """A clock that the test moves."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(module.time, "perf_counter", lambda: self.now)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch) -> Clock:
    return Clock(monkeypatch)


def terminal(monkeypatch) -> Terminal:
    """Put a terminal in the place of standard error (within a test: pytest resets it before)."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "120")
    return screen


def last(screen: io.StringIO) -> str:
    return screen.getvalue().rstrip("\n").split("\r")[-1].rstrip()


def test_what_it_says(monkeypatch, clock):
    screen = terminal(monkeypatch)
    line = Line(300, epochs=3)
    for i in range(150):
        clock.now += 0.5
        line.step(64, 0.1 * (i + 1))
    line.show({"loss": 1.23456, "cls": 9.0})
    clock.now += 0.5
    line.step(64, 0.1 * 151)
    # 64 samples in half a second, a tenth of which was waiting; 149 steps of half a second left.
    said = last(screen)
    assert said.startswith("epoch 2/3  loss 1.235  128 samples/s  data 20 %  ETA 1:14   50%|")
    for _ in range(149):
        clock.now += 0.01
        line.step(64, 15.1)
    line.close()
    assert last(screen).startswith("epoch 3/3  loss 1.235") and "100%|" in last(screen)
    assert "ETA 0:00" in last(screen)


def test_the_speed_is_that_of_late(monkeypatch, clock):
    screen = terminal(monkeypatch)
    line = Line(10_000, epochs=1)
    for seconds in (10.0, 0.1):
        for _ in range(1000):
            clock.now += seconds
            line.step(10, 0.0)
    assert "100 samples/s" in last(screen) or "99" in last(screen)
    line.close()


def test_pauses_are_no_part_of_the_speed_but_of_the_time_left(monkeypatch, clock):
    screen = terminal(monkeypatch)
    line = Line(400, epochs=4)
    for _ in range(100):
        clock.now += 1.0
        line.step(8, 0.0)
    with line.paused("evaluating"):
        assert last(screen).startswith("epoch 2/4  evaluating")
        clock.now += 50.0
    clock.now += 1.0
    line.step(8, 0.0)
    assert "8 samples/s" in last(screen)
    left = 299 * (1.0 + 50 / 101)
    minutes, seconds = divmod(round(left), 60)
    assert f"ETA {minutes}:{seconds:02d}" in last(screen)
    assert line.speeds() == pytest.approx({"samples_per_second": 8.0, "data_wait": 0.0})
    line.close()


def test_speeds_are_since_they_were_last_asked(clock):
    line = Line(100, epochs=1, show=False)
    assert line.speeds() == {}
    clock.now += 2.0
    line.step(64, 0.5)
    assert line.speeds() == pytest.approx({"samples_per_second": 32.0, "data_wait": 0.25})
    clock.now += 1.0
    line.step(64, 0.5)
    assert line.speeds() == pytest.approx({"samples_per_second": 64.0, "data_wait": 0.0})


def test_resumed(monkeypatch, clock):
    screen = terminal(monkeypatch)
    line = Line(300, initial=250, epochs=3)
    clock.now += 1.0
    line.step(4, 0.0)
    assert last(screen).startswith("epoch 3/3  4 samples/s  data 0 %  ETA 0:49   84%|")
    line.close()


def test_a_log_gets_a_line_now_and_then(monkeypatch, clock):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    line = Line(1000, epochs=10)
    for _ in range(600):
        clock.now += 0.1
        line.step(1, 0.0)
        with line.paused("evaluating"):
            pass
    lines = re.findall(r"epoch \d+/10", log.getvalue())
    assert 4 <= len(lines) <= 6  # a minute, a line every 15 seconds
    assert "evaluating" not in log.getvalue()
    line.close()


def test_hidden_it_writes_nothing(capfd):
    line = Line(10, epochs=1, show=False)
    line.step(1, 0.0)
    with line.paused("evaluating"):
        pass
    line.close()
    assert capfd.readouterr() == ("", "")


def test_a_step_costs_little():
    line = Line(10**6, epochs=1, show=False)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(1000):
            line.step(1, 0.0)
        best = min(best, (time.perf_counter() - began) / 1000)
    assert best < 5e-6


def test_a_bar_that_is_switched_off_is_no_error(monkeypatch):
    screen = terminal(monkeypatch)
    # What TQDM_DISABLE does; tqdm reads it when it is imported.
    monkeypatch.setattr(module, "bar", lambda **_: tqdm(disable=True))
    line = Line(3, epochs=1)
    for _ in range(3):
        line.step(2, 0.0)
    with line.paused("saving"):
        pass
    line.close()
    assert screen.getvalue() == ""
