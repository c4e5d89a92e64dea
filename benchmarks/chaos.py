"""Death at random moments: does a run that is killed and started again end with the same bytes?

A run on the embedded pool is killed with SIGKILL at seeded moments, each drawn from the duration of
a run that nothing happened to: its driver or one of its workers, up to three times in a row. A dead
driver leaves its workers and Ray's processes to die by themselves, while the next start is on its
way already. Then it is let be. Ledger and curated dataset must be those of the undisturbed run, to
the byte, whichever engine and however many workers made them.

    python benchmarks/chaos.py                      # 20 deaths of each engine: make chaos
    python benchmarks/chaos.py --points 2 --rows 200

Writes benchmarks/results/chaos.json, or what --out names. Times are not its subject.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
MOST_DEATHS = 3
PART_ROWS = 64


def command(folder: Path, engine: str, rows: int) -> list[str]:
    """The command of a run in a folder."""
    words = [sys.executable, "-m", "tamis", "select", "quickstart", "--limit", str(rows)]
    words += ["--engine", engine, "--set", f"part_rows={PART_ROWS}"]
    words += ["--set", "engine.workers=2"] if engine == "ray" else []
    return [*words, "--out", str(folder / "runs"), "--store", str(folder / "store")]


def start(folder: Path, engine: str, rows: int) -> subprocess.Popen[bytes]:
    """Start a run; what it says goes to a file."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(
            command(folder, engine, rows), stdout=said, stderr=said, env=environment, cwd=folder
        )


def parents() -> dict[int, tuple[int, str]]:
    """Parent and command line of every process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # gone meanwhile
            continue
        found[int(entry.name)] = int(fields[1]), words
    return found


def below(process: int) -> Iterator[tuple[int, str]]:
    """All that a process has started, directly or not, with their command lines."""
    every = parents()
    waiting = [process]
    while waiting:
        parent = waiting.pop()
        children = [number for number, (own, _) in every.items() if own == parent]
        waiting += children
        yield from ((child, every[child][1]) for child in children)


def strike(run: subprocess.Popen[bytes], victim: str) -> str:
    """Kill the driver, or one of its workers that computes; return which it was."""
    workers = [number for number, words in below(run.pid) if words.startswith("ray::Worker")]
    if victim == "worker" and workers:
        try:
            os.kill(sorted(workers)[0], signal.SIGKILL)
        except ProcessLookupError:
            return "nobody"
        return "worker"
    run.kill()
    run.wait()
    return "driver"


def digest(folder: Path) -> str:
    """Hash of ledger and curated dataset."""
    run, checksum = folder / "runs" / "quickstart", hashlib.sha256()
    for path in [run / "ledger.parquet", *sorted((run / "curated").rglob("*"))]:
        if path.is_file():
            checksum.update(str(path.relative_to(run)).encode() + path.read_bytes())
    return checksum.hexdigest()


def point(folder: Path, engine: str, rows: int, usual_s: float, seed: int) -> dict[str, Any]:
    """One run that dies up to three times, and what came of it."""
    chance, deaths = random.Random(seed), []
    for _ in range(chance.randint(1, MOST_DEATHS)):
        victim = chance.choice(("driver", "worker")) if engine == "ray" else "driver"
        after = chance.random() * usual_s
        run = start(folder, engine, rows)
        try:
            run.wait(timeout=after)
            break  # it was done before
        except subprocess.TimeoutExpired:
            there = sum(path.is_file() for path in (folder / "store").rglob("*"))
            deaths.append({"after_s": round(after, 2), "files": there, "who": strike(run, victim)})
        if run.poll() is None:
            run.wait()
    run = start(folder, engine, rows)
    code = run.wait()
    left = [path.name for path in (folder / "runs").rglob("*.partial")]
    return {"seed": seed, "deaths": deaths, "exit": code, "bytes": digest(folder), "left": left}


def main() -> int:
    """Kill, resume, compare and write."""
    parser = argparse.ArgumentParser(description="Death at random moments.")
    parser.add_argument("--points", type=int, default=20, help="of each engine")
    parser.add_argument("--rows", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engines", nargs="+", default=["local", "ray"])
    parser.add_argument("--out", type=Path, default=RESULTS / "chaos.json")
    said = parser.parse_args()
    record: dict[str, Any] = {"rows": said.rows, "part_rows": PART_ROWS, "engines": {}}
    with tempfile.TemporaryDirectory() as name:
        expected = ""
        for engine in said.engines:
            folder, began = Path(name) / engine, time.monotonic()
            if code := start(folder, engine, said.rows).wait():
                raise SystemExit(
                    f"the undisturbed run ended with {code}: see its words\n"
                    + (folder / "said.txt").read_text()
                )
            usual_s = time.monotonic() - began
            expected = expected or digest(folder)
            points = [{"seed": -1, "deaths": [], "exit": 0, "bytes": digest(folder), "left": []}]
            for number in range(said.points):
                own = Path(name) / f"{engine}-{number}"
                points.append(point(own, engine, said.rows, usual_s, said.seed + number))
                print(engine, points[-1], flush=True)
                shutil.rmtree(own)
            for one in points:
                one["same"] = one.pop("bytes") == expected
            record["engines"][engine] = {"usual_s": round(usual_s, 1), "points": points}
    every = [one for found in record["engines"].values() for one in found["points"]]
    record["deaths"] = sum(len(one["deaths"]) for one in every)
    record["all_the_same"] = all(one["same"] and one["exit"] == 0 for one in every)
    said.out.parent.mkdir(parents=True, exist_ok=True)
    said.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{record['deaths']} deaths, all the same: {record['all_the_same']}; {said.out}")
    return 0 if record["all_the_same"] else 1


if __name__ == "__main__":
    sys.exit(main())
