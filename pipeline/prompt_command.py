"""`tamis prompt`: the prompts that ask for ratings, to be looked at and to be copied."""

from typing import Annotated

import typer

from ..stages.prompt import file_of, load_prompt, names


def prompt(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of a prompt.")] = None,
) -> None:
    """Print a prompt that asks for ratings, to save and edit; without a name, list them."""
    if name is not None:
        load_prompt(name)  # says what is wrong with it
        typer.echo(file_of(name).read_text("utf-8"), nl=False)
        return
    for known in names():
        found = load_prompt(known)
        scale = f"{found.scale[0]:g} to {found.scale[-1]:g}"
        asked = f"{len(found.criteria)} criteria, " if found.criteria else ""
        typer.echo(f"{known:22} {asked}{scale}; {found.source}")
