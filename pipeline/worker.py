"""A worker of the Ray engine: holds one stage at a time and computes parts with it.

Where a stage has a GPU, a worker gets its next part while it computes one: it is read and turned
into tokens meanwhile.
"""

import os
import socket
import threading
import traceback
from dataclasses import dataclass

from ..errors import TamisError
from ..stages.base import Stage
from .task import Receipt, Task, compute, limit_threads, no_exit, read


@dataclass(frozen=True)
class Ready:
    """A worker that has set its stage up.

    Attributes:
        name: its machine and process.
    """

    name: str


class Worker:
    """A Ray actor."""

    def __init__(self, root: str, threads: int) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one thread per worker means one
        self.root, self.threads = root, threads
        self.folder = ""
        self.stage: Stage | None = None
        self.turn = threading.Lock()

    def begin(self, folder: str, stage: Stage) -> Ready | TamisError | OSError | str:
        """Set a stage up, such as by loading its model; return what went wrong if something did.

        Args:
            folder: of the step, which names it.
            stage: its stage.
        """
        with self.turn:
            try:
                if folder != self.folder:
                    self.stage = None  # free the memory of the stage before
                    limit_threads(stage, self.threads)
                    with no_exit():
                        stage.setup()
                    self.folder, self.stage = folder, stage
                return Ready(f"process {os.getpid()} on {socket.gethostname()}")
            except (TamisError, OSError) as error:
                return portable(error)
            except Exception:  # anything else is reported with its traceback, and ends the run
                return traceback.format_exc()

    def compute(self, task: Task) -> Receipt | TamisError | OSError | str:
        """Return a receipt, or what went wrong."""
        try:
            assert self.stage is not None
            assert task.folder == self.folder, f"{task.folder} is not what was set up last"
            with no_exit():
                rows = read(self.stage, task, self.root)
                with self.turn:
                    return compute(self.stage, task, self.root, rows)
        except (TamisError, OSError) as error:
            return portable(error)
        except Exception:  # anything else is reported with its traceback, and ends the run
            return traceback.format_exc()


def portable(error: TamisError | OSError) -> TamisError | OSError:
    """An error that can be made again elsewhere: those of libraries and users often cannot."""
    if isinstance(error, TamisError) or type(error).__module__ == "builtins":
        return error
    return OSError(error.errno, error.strerror) if error.errno else OSError(str(error))
