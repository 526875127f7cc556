"""Files that are replaced whole: after a crash or on a full disk there is the old file or the new one, never a part of one.

整体替换文件：无论断电还是磁盘写满，留下的不是旧文件就是新文件，绝不会是半个文件。
"""

import io
import itertools
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

RUN, COUNT = os.urandom(4).hex(), itertools.count()  # with the process id they name a temporary file


@contextmanager
def replacing(path: str) -> Iterator[io.BufferedWriter]:
    """A new file, open for writing, that takes the place of ``path`` when the block ends; after an error ``path`` is as before.

    Raises RuntimeError where the folder does not exist, OSError where the disk refuses.
    """
    path = os.path.realpath(path)  # a link stays a link
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {folder} does not exist.; make it first")
    temp = os.path.join(folder, f".optimlab-{os.getpid()}-{RUN}-{next(COUNT)}.tmp")
    try:
        _sweep(folder)
        with open(temp, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            os.chmod(temp, stat.S_IMODE(os.stat(path).st_mode))
        os.replace(temp, path)
    except BaseException as error:
        with suppress(OSError):  # the error itself is what matters, and the next one to write here sweeps again
            os.remove(temp)
        if isinstance(error, OSError):
            text = f"{error.strerror or error}; nothing was written, what stood there before is as it was"
            raise OSError(error.errno, text, path) from error
        raise
    if os.name == "posix":  # the new name must reach the disk too
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sweep(folder: str) -> None:
    """Remove the temporary files of processes that were killed."""
    for name in os.listdir(folder):
        found = re.fullmatch(r"\.optimlab-(\d{1,9})-(\w+)-\d+\.tmp", name)
        if found and not _is_alive(int(found[1]), found[2]):
            with suppress(OSError):  # someone else's, or just now removed by another process
                os.remove(os.path.join(folder, name))


def _is_alive(pid: int, run: str) -> bool:
    if pid == os.getpid():
        return run == RUN  # process ids come again, in containers always the same ones
    if os.name == "nt":  # there signal 0 would end the process, and a file that is open cannot be removed anyway
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
