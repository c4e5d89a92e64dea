"""What several commands have in common: their arguments and options."""

from typing import Annotated

import typer

ConfigFile = Annotated[
    str, typer.Argument(metavar="CONFIG", help="A YAML file, or the name of one that comes along.")
]
Data = Annotated[
    list[str] | None, typer.Option(help="File, folder, glob or hub id, in place of `data`.")
]
Model = Annotated[str | None, typer.Option(help="Folder or hub id, for every signal with a model.")]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Read only the first so many records of each data entry.")
]
BudgetText = Annotated[str | None, typer.Option(help="5%, 0.05 or 1000 (rows).")]
Out = Annotated[str | None, typer.Option(help="Folder of the runs.")]
StoreFolder = Annotated[str | None, typer.Option(help="Folder of the computed columns.")]
EngineKind = Annotated[str | None, typer.Option(help="ray or local.")]
Dtype = Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16.")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Override any value.")
]
AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="Run code that the config names (`use: ./mine.py`).")
]
MaxHours = Annotated[
    float | None, typer.Option(help="Stop when all starts of the run have taken so many hours.")
]
MaxCost = Annotated[
    float | None, typer.Option(help="Stop when these hours have cost so much, at --price.")
]
Price = Annotated[float | None, typer.Option(help="Per hour, in any currency.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Remove a run of the same name instead of numbering.")
]
