"""The lock of the device: in the order of arrival, and never kept by a thread that was interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from bmretriever_integrations.encoder.fair_lock import FairLock


def test_threads_are_served_in_the_order_in_which_they_came():
    lock, order, threads = FairLock(), [], []

    def work(number: int) -> None:
        arrived.set()
        lock.run(lambda: order.append(number))

    def start_all() -> None:
        nonlocal arrived
        for number in range(8):
            arrived = threading.Event()
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            assert arrived.wait(10)
            time.sleep(0.02)  # from arriving to standing in line

    arrived = threading.Event()
    lock.run(start_all)
    for thread in threads:
        thread.join(10)
    assert order == list(range(8))


def test_an_error_inside_frees_it():
    lock = FairLock()
    with pytest.raises(KeyError):
        lock.run(lambda: {}["nothing"])
    entered = threading.Event()
    threading.Thread(target=lock.run, args=(entered.set,)).start()
    assert entered.wait(10)


INTERRUPTED = """
import signal, threading, os
from bmretriever_integrations.encoder.fair_lock import FairLock
lock, stop = FairLock(), threading.Event()

def others():
    while not stop.is_set():
        lock.run(int)

threads = [threading.Thread(target=others, daemon=True) for _ in range(2)]
[thread.start() for thread in threads]
armed = False

def ring(*_):
    global armed
    if armed:
        armed = False
        raise KeyboardInterrupt

signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0007)
for _ in range(300):
    try:
        armed = True
        while True:
            lock.run(int)
    except KeyboardInterrupt:
        pass
signal.setitimer(signal.ITIMER_REAL, 0)
stop.set()
for thread in threads:
    thread.join(20)
print("free" if not any(thread.is_alive() for thread in threads) else "held by nobody")
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers on this system")
def test_three_hundred_interruptions_at_any_step_do_not_leak_it():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "free", done.stderr
