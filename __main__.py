"""`python -m tamis` is the command `tamis`."""

from .pipeline.cli import main

main()
