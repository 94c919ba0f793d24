"""The limit on the time that one call may take."""

import signal

import pytest

from tinyvision.check import runner


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs an interval timer")
def test_an_alarm_that_is_heard_as_the_block_ends_is_not_wound_up_again(monkeypatch):
    """The handler of before ends the process, unless it is somebody's."""
    set_timer = signal.setitimer

    def rings_at_the_end(which, seconds, *more):
        before = set_timer(which, seconds, *more)
        if seconds == 0:
            signal.getsignal(signal.SIGALRM)(signal.SIGALRM, None)
        return before

    monkeypatch.setattr(signal, "setitimer", rings_at_the_end)
    with runner.time_limit(5.0):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
