"""Saving while the power fails or the disk is full: there is the old file or the new one, whole, and nothing else."""

import builtins
import errno
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import optimlab
from checkpoints import GOLDEN
from optimlab import files

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(GOLDEN.parents[1]), "OMP_NUM_THREADS": "1"}


def run(code, *arguments):
    code = textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="without fork there is no quick way to kill 200 processes")
def test_200_kills_lose_nothing(tmp_path):
    """Each child saves numbers that grow, and tells each one that is saved; the file never holds an older one."""
    code = """
        import os, random, signal, sys, time
        import numpy as np
        import optimlab

        path = sys.argv[1]
        draw = random.Random(0)
        optimlab.save({"i": 0, "numbers": np.zeros(20_000)}, path)
        last, lefts = 0, 0
        for kill in range(200):
            reading, writing = os.pipe()
            child = os.fork()
            if not child:
                i = last
                while True:
                    i += 1
                    optimlab.save({"i": i, "numbers": np.full(20_000, i, float)}, path)
                    os.write(writing, i.to_bytes(8, "little"))
            os.close(writing)
            time.sleep(draw.uniform(0.0005, 0.02))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            told = b""
            while part := os.read(reading, 1 << 20):
                told += part
            os.close(reading)
            found = optimlab.load(path)
            assert (found["numbers"] == found["i"]).all(), "a mixture"
            assert found["i"] >= max(last, int.from_bytes(told[-8:], "little")), "a save was lost"
            last = found["i"]
            lefts += len(os.listdir(os.path.dirname(path))) > 1
        optimlab.save("end", path)
        print(last, lefts, os.listdir(os.path.dirname(path)))
    """
    saves, lefts, names = run(code, tmp_path / "x").split(maxsplit=2)
    assert int(saves) > 20 and int(lefts) > 0  # the kills did come between saves and within them
    assert names.strip() == "['x']"  # what the killed left behind was swept away


VALUE = {"a": np.arange(300_000.0), "b": [optimlab.ones(3), "text"]}  # 2.4 MB: several writes


class Failing:
    """Stands for the system: counts the calls that touch the disk, and lets one of them fail."""

    def __init__(self, monkeypatch, at, code):
        self.calls, self.at, self.code = [], at, code
        for module, name in ((os, "fsync"), (os, "replace"), (os, "chmod"), (os, "listdir")):
            monkeypatch.setattr(module, name, self.wrapped(name, getattr(module, name)))
        monkeypatch.setattr(files, "open", self.open, raising=False)

    def wrapped(self, name, function):
        def call(*args, **kwargs):
            self.calls.append(name)
            if len(self.calls) == self.at:
                raise self.code if isinstance(self.code, BaseException) else OSError(self.code, os.strerror(self.code))
            return function(*args, **kwargs)

        return call

    def open(self, *args):
        file = self.wrapped("open", builtins.open)(*args)
        system = self

        class File:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

            def __getattr__(self, name):
                member = getattr(file, name)
                return system.wrapped(name, member) if name in ("write", "flush", "seek") else member

        return File()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT, KeyboardInterrupt(), MemoryError()], ids=str)
def test_a_failure_at_every_call(tmp_path, code):
    path = tmp_path / "x"
    optimlab.save("old", path)
    before = path.read_bytes()
    at, calls = 0, None
    while calls is None or at < len(calls):
        at += 1
        with pytest.MonkeyPatch.context() as patch:
            system = Failing(patch, at, code)
            try:
                optimlab.save(VALUE, path)
                calls = system.calls
                break
            except BaseException as error:
                kind = type(code) if isinstance(code, BaseException) else OSError
                assert isinstance(error, kind), error
                failed = system.calls
        if (
            failed.count("replace") and failed[-1] != "replace"
        ):  # the new file is in place, its name perhaps not on disk
            assert optimlab.load(path)["b"][1] == "text"
            path.write_bytes(before)
        else:
            assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["x"]
    # first the numbers are on disk, then the name changes, then the name is on disk
    assert calls[:2] == ["listdir", "open"] and calls.count("write") >= 5
    assert calls[-5:] == ["flush", "fsync", "chmod", "replace", "fsync"]


def test_the_error_says_that_nothing_is_lost(tmp_path, monkeypatch):
    Failing(monkeypatch, 3, errno.ENOSPC)
    with pytest.raises(OSError, match=r"No space left on device; nothing was written, .* as it was: '.*x'") as caught:
        optimlab.save(VALUE, tmp_path / "x")
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the size of files")
def test_a_disk_that_is_really_full(tmp_path):
    """The system itself refuses at every size: a limit on the size of files, not a stand-in for it."""
    code = """
        import os, resource, signal, sys
        import numpy as np
        import optimlab

        path = sys.argv[1]
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        optimlab.save("old", path)
        value = {"a": np.arange(5000.0), "b": "text"}
        refused = 0
        for limit in range(0, 60_000, 500):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            try:
                optimlab.save(value, path)
            except OSError as error:
                refused += 1
                assert "nothing was written" in str(error) and optimlab.load(path) == "old"
            else:
                assert optimlab.load(path)["b"] == "text"
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                optimlab.save("old", path)
            assert os.listdir(os.path.dirname(path)) == ["x"]
        print(refused)
    """
    assert 75 <= int(run(code, tmp_path / "x")) <= 85  # the file takes 40 kB and its header


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_device():
    with pytest.raises(OSError, match="No space left"):
        optimlab.save(VALUE, "/dev/full")


def test_what_a_save_has_left_behind(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = f".optimlab-{int(dead.stdout)}-0a-0.tmp"
    former = f".optimlab-{os.getpid()}-0a-0.tmp"  # of a process that had this one's number
    others = {f".optimlab-{os.getpid()}-{files.RUN}-0.tmp", ".optimlab-x.tmp", f".optimlab-{os.getppid()}-0a-0.tmp"}
    for name in {left, former} | others:
        (tmp_path / name).touch()
    optimlab.save(1, tmp_path / "x")
    assert set(os.listdir(tmp_path)) == others | {"x"}


def test_threads_that_save_to_one_path(tmp_path):
    def work(i):
        for _ in range(20):
            optimlab.save([i] * 100, tmp_path / "x")
            assert len(set(optimlab.load(tmp_path / "x"))) == 1

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.listdir(tmp_path) == ["x"] and optimlab.load(tmp_path / "x")[0] in range(4)


def test_training_goes_on_while_a_thread_saves(tmp_path):
    """The digest is that of the bytes written, whatever another thread does to the array meanwhile."""
    numbers = np.zeros(1_000_000)
    stop = threading.Event()

    def train():
        while not stop.is_set():
            numbers[:] += 1

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(5):
            optimlab.save({"numbers": numbers}, tmp_path / "x")
            optimlab.load(tmp_path / "x")
    finally:
        stop.set()
        thread.join()
