"""How far off `tamis plan --measure` is: a forecast, then the run it is about, several times.

    python benchmarks/forecast.py --data alpaca-9k.json --model alpaca-5m [--config ifd] [--times 2]

Each time both use a fresh store. Wall time is that of a machine with other work on it, whose load
is written beside it; processor time moves less with that.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tamis.benchmarks.measuring import write


def main() -> None:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--config", default="ifd")
    parser.add_argument("--engine", default="local")
    parser.add_argument("--rows", type=int, nargs="+", default=[256])
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], dest="sets")
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    runs = [once(said, rows) for _ in range(said.times) for rows in said.rows]
    record = {
        "data": Path(said.data).name,
        "model": Path(said.model).name,
        "config": said.config,
        "engine": said.engine,
        "sets": said.sets,
        "cores": len(os.sched_getaffinity(0)),
        "off": "forecast / truth - 1",
        "runs": runs,
    }
    write("forecast", said.out, record)


def once(said: argparse.Namespace, rows: int) -> dict[str, Any]:
    """Forecast and run with a fresh store; return both, and the load of the machine."""
    with TemporaryDirectory(prefix="tamis-forecast-") as folder:
        common = [said.config, "--data", said.data, "--model", said.model]
        common += ["--engine", said.engine, "--store", f"{folder}/store", "--out", f"{folder}/runs"]
        common += [word for text in said.sets for word in ("--set", text)]
        loads = [os.getloadavg()[0]]
        measured_s = tamis("plan", *common, "--measure", "--rows", str(rows), "--json")
        loads.append(os.getloadavg()[0])
        run_s = tamis("select", *common)
        loads.append(os.getloadavg()[0])
        (manifest,) = Path(folder, "runs").glob("*/manifest.json")
        found = json.loads(manifest.read_text("utf-8"))
    shown = {
        "rows_of_sample": rows,
        "plan_s": round(measured_s, 1),
        "run_s": round(run_s, 1),
        "load_before_between_after": [round(load, 1) for load in loads],
        "forecast": found["forecast"],
    }
    print(json.dumps({n: v for n, v in shown.items() if n != "forecast"}))
    print(json.dumps({step["step"]: step["off"] for step in found["forecast"]["steps"]}))
    return shown


def tamis(*words: str) -> float:
    """Run a command of Tamis as a process of its own; return the seconds it took."""
    began = time.perf_counter()
    subprocess.run(
        [str(Path(sys.executable).with_name("tamis")), *words],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
