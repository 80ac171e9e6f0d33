"""Subjects over the reference that do something to the process that they live in, or try to take it down."""

import atexit
import builtins
import contextlib
import ctypes
import locale
import math
import os
import resource
import signal
import sys
import tempfile
import threading
import time

import numpy as np

from rmspec.oracles.numpy.subject import ReferenceSubject


class Hostile(ReferenceSubject):
    """Does something at many programs from the third on."""

    def __init__(self, deed):
        super().__init__()
        self._deed = deed
        self._programs = 0

    def session(self, params):
        self._programs += 1
        if 2 < self._programs < 50:
            self._deed()
        return super().session(params)


class Once(Hostile):
    """Does it at the third program alone."""

    def session(self, params):
        if self._programs > 2:
            self._programs = 50
        return super().session(params)


def loops():
    while True:
        pass


def interrupts():
    raise KeyboardInterrupt


def writes_to_pipes():
    for number in range(3, 64):
        try:
            if os.readlink(f"/proc/self/fd/{number}").startswith(("pipe", "socket")):
                os.write(number, b"\x00\x10\x00\x00oops")
        except OSError:
            pass


def hangs_up():
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            os.close(number)


def forks():
    os.fork()


def leaves_a_child():
    if not os.fork():
        time.sleep(1000)


def dies_with_a_child():
    leaves_a_child()
    os._exit(3)


def uses_up_memory():
    resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
    np.ones(1 << 28)


def ends_late():
    if threading.active_count() == 1:
        atexit.register(loops)
        threading.Thread(target=time.sleep, args=(1000,), daemon=False).start()


def rounds_up():
    ctypes.CDLL("libm.so.6").fesetround(0x800)


def raises_numpy_errors():
    np.seterr(all="raise")


def patches_math():
    math.isnan = lambda value: True
    math.isfinite = lambda value: False


def patches_numpy():
    np.asarray = np.array = np.ascontiguousarray = lambda *arguments, **options: None


def patches_builtins():
    builtins.len = lambda value: 1 << 40


def changes_surroundings():
    os.chdir("/")
    os.environ.clear()
    sys.path.clear()
    locale.setlocale(locale.LC_ALL, "C")
    np.set_printoptions(precision=1)
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    sys.setrecursionlimit(60)


def stops():
    os.kill(os.getpid(), signal.SIGSTOP)


def floods():
    for _ in range(200):
        os.write(1, b"all work and no play\n" * 5000)
    os._exit(1)


def kills_its_parent():
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1000)


def stops_its_parent():
    os.kill(os.getppid(), signal.SIGSTOP)


def leaves_a_daemon():
    """Leave a process behind in a session of its own, orphaned, deaf, and without anything that is open here."""
    if not os.fork():
        os.setsid()
        if not os.fork():
            os.closerange(3, 1 << 12)
            ignores_signals()
        os._exit(0)
    os.wait()


def loops_beside_a_daemon():
    leaves_a_daemon()
    with open("ready", "w"):
        loops()


def dies_with_a_daemon():
    leaves_a_daemon()
    os._exit(5)


def ignores_signals():
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        time.sleep(100)


pieces = []


def takes_memory():
    """Take 128 MiB more, and keep them."""
    pieces.append(np.ones(1 << 24))
    time.sleep(0.06)


def child_takes_memory():
    """Start a process that takes more and more, in a session of its own, and go on."""
    if not pieces and not os.fork():
        os.setsid()
        for _ in range(30):
            takes_memory()
        time.sleep(1000)
    pieces.append(None)
    time.sleep(0.5)


def shares_memory():
    """Start processes that use together little more than this one alone."""
    takes_memory()
    for _ in range(6):
        if not os.fork():
            time.sleep(1000)


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError("no words")

    __repr__ = __str__


class Endless(Exception):
    def __str__(self):
        return "y" * 100_000_000


class Peculiar(BaseException):
    pass


def raises(error):
    raise error


def recurses():
    sys.setrecursionlimit(1 << 30)
    recurses()


def loses_its_folder():
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


def loses_its_streams():
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = None


def prints_for_ever():
    while True:
        os.write(1, b"all work and no play\n" * 5000)


def uses_up_descriptors():
    with contextlib.suppress(OSError):
        while True:
            os.dup(0)
    raise SystemExit("no descriptor is left")


loop = Hostile(loops)
interrupt = Hostile(interrupts)
pipes = Hostile(writes_to_pipes)
hangup = Hostile(hangs_up)
fork = Hostile(forks)
child = Hostile(leaves_a_child)
orphan = Hostile(dies_with_a_child)
memory = Hostile(uses_up_memory)
late = Hostile(ends_late)
rounding = Hostile(rounds_up)
numpy_errors = Hostile(raises_numpy_errors)
math_patch = Hostile(patches_math)
numpy_patch = Hostile(patches_numpy)
builtins_patch = Hostile(patches_builtins)
surroundings = Hostile(changes_surroundings)
segfault = Hostile(lambda: ctypes.string_at(0))
killed = Hostile(lambda: os.kill(os.getpid(), signal.SIGKILL))
leaves = Hostile(lambda: sys.exit(3))
ends = Hostile(lambda: os._exit(7))
stopped = Hostile(stops)
flood = Hostile(floods)
descriptors = Hostile(uses_up_descriptors)
parent = Hostile(kills_its_parent)
parent_stopped = Hostile(stops_its_parent)
daemon = Once(leaves_a_daemon)
daemon_loop = Hostile(loops_beside_a_daemon)
daemon_orphan = Hostile(dies_with_a_daemon)
deaf = Hostile(ignores_signals)
hungry = Hostile(takes_memory)
hungry_child = Hostile(child_takes_memory)
sharing = Once(shares_memory)
speechless = Hostile(lambda: raises(Speechless()))
endless = Hostile(lambda: raises(Endless()))
peculiar = Hostile(lambda: raises(Peculiar("odd")))
generator_exit = Hostile(lambda: raises(GeneratorExit()))
deep = Hostile(recurses)
folder = Once(loses_its_folder)
streams = Hostile(loses_its_streams)
printing = Hostile(prints_for_ever)
alarm = Hostile(lambda: (signal.setitimer(signal.ITIMER_REAL, 0.01), time.sleep(1)))
sound = ReferenceSubject()
