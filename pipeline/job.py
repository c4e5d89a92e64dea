"""What a submitted job starts with: the cluster must have this Tamis; then it is its command line.

This file is sent as it is and runs alone: `python job.py VERSION select config.yaml`.
"""

import importlib
import sys


def main() -> None:
    """Run the words after the version as a command of Tamis; exit as it does."""
    wanted, *words = sys.argv[1:]
    try:
        found = importlib.import_module("tamis").__version__
    except ModuleNotFoundError:
        found = "missing"
    if found != wanted:
        _refuse(
            f"Tamis {wanted} has submitted this, and on the cluster it is {found}; install "
            f"{wanted} there, or add --install"
        )
    sys.argv = ["tamis", *words]
    try:
        importlib.import_module("tamis.pipeline.cli").main()
    except ModuleNotFoundError as error:
        _refuse(f"Tamis needs {error.name}, and the cluster has none; install it, or add --install")


def _refuse(why: str) -> None:
    sys.stderr.write(f"error: {why}\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
