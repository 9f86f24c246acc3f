"""SIGTERM: no new slide begins, and the one in hand has its time."""

import os
import signal

import pytest

from stream.run.worker import GracefulStop


def test_it_says_stop_at_once_and_interrupts_after_its_time():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGALRM)
    with GracefulStop(drain_s=600) as ending:
        assert not ending.stop.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert ending.stop.is_set() and 500 < signal.getitimer(signal.ITIMER_REAL)[0] <= 600
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGALRM)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGALRM)) == before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_without_time_to_drain_it_interrupts_now():
    with pytest.raises(KeyboardInterrupt), GracefulStop(drain_s=0):
        os.kill(os.getpid(), signal.SIGTERM)
        signal.sigtimedwait([signal.SIGUSR1], 20)  # until the alarm


@pytest.mark.parametrize(("drain_s", "after_s"), [(0, 0.001), (5.0, 5.0)])
def test_the_alarm_is_set_to_the_time_that_is_left(monkeypatch, drain_s, after_s):
    """Of no time a little is left: an alarm after 0 s never comes."""
    asked = []
    monkeypatch.setattr(signal, "setitimer", lambda *about: asked.append(about))
    with GracefulStop(drain_s) as ending:
        ending._told()
    assert asked == [(signal.ITIMER_REAL, after_s), (signal.ITIMER_REAL, 0)]
