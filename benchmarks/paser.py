r"""Does PASER's choice bring back what pruning took? Its loop, beside other choices of rows.

A model is pruned in two ways: Wanda, half of the weights, and one decoder layer less. From a pool
(all rows of a file but those held out and those that validate the learning rate) `tamis select`
chooses a share by each method, the pruned model is fine-tuned on each choice with LoRA, and what
counts is the loss of the held-out answers.

paser           signals forward, divergence, spectral and concepts; scorer and selector paser
ifd             as configs/ifd.yaml: best ratio below 1, under the original model
random          seeded draws; one training each, with the seed of the draw
full            the whole pool, shuffled, stopped at the same token count

All train on the same number of tokens, that of one pass over a mean random choice: shuffled rows,
from the start again where a choice has fewer, up to the row that would go over. Methods of `--once`
are trained on each of their rows once as well, and with `--no-graph` paser without its concept
graph. The learning rate is the one of a grid with which the first pruned model, trained on a
further random choice, has the lowest loss of the validating rows. Zero weights stay zero, see
`recovery`.

    python benchmarks/paser.py                                  # the embedded pool and model
    python benchmarks/paser.py --model DIR --data FILE --no-graph
    python benchmarks/paser.py --rows 90 --held 9 --validation 9 --calibration 8 --clusters 3 \
        --batch 2

What is done stays in --work, and another start with the same settings goes on. Writes
benchmarks/results/paser.json, or what --out names; for the embedded pool paser-quickstart.json. A
third of that pool is faulty rows, none of which is held out.
"""

import argparse
import json
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tamis.benchmarks import recovery
from tamis.benchmarks.forward import machine
from tamis.benchmarks.intervals import against, mean_of, per_row, seeds_interval
from tamis.benchmarks.measuring import ROOT, write
from tamis.benchmarks.targeted import read, save
from tamis.pipeline import run
from tamis.pipeline.config import Config
from tamis.pipeline.files import whole_file
from tamis.pipeline.fingerprint import canonical, key
from tamis.pipeline.logs import Reporter
from tamis.pipeline.prune import prune
from tamis.stages.ingest import ingest
from tamis.stages.source import Source

QUICKSTART = ROOT / "configs/quickstart"
POOL = QUICKSTART / "pool.jsonl"
PRUNED: dict[str, dict[str, Any]] = {"wanda": {"share": 0.5}, "layers": {"layers": 1}}
DRAWS, SEEDS = 5, 3
EXTRA = DRAWS  # seed of the random choice that finds the learning rate
ELSEWHERE = ("out", "work", "once", "no_graph")  # settings that change no case


@dataclass(frozen=True)
class Case:
    """One training.

    Attributes:
        pruned: how the model was.
        method: that chose the rows.
        chosen: the file of these rows.
        seed: of the training.
        once: each row once, instead of so many tokens.
    """

    pruned: str
    method: str
    chosen: Path
    seed: int
    once: bool = False

    @property
    def arm(self) -> str:
        """What is averaged over seeds."""
        return f"{self.method}, one epoch" if self.once else self.method


class Loop:
    """The files of one run of the benchmark, each made once."""

    def __init__(self, said: argparse.Namespace) -> None:
        self.said, self.work = said, said.work
        self.model = {"model": said.model, "template": said.template}
        self.pool = self.work / "pool.jsonl"
        self.chosen: dict[str, Path] = {}
        self.runs: dict[str, dict[str, Any]] = {}

    def split(self) -> dict[str, int]:
        """Write pool, held-out and validating rows, none with a copy in another; return sizes."""
        said = self.said
        source = Source(name="rows", path=said.data)
        parts = ingest([(source, "")], part_rows=1024, max_chars=recovery.MAX_CHARS)
        places: dict[str, list[int]] = {}
        for part in parts:
            for row in part.rows:
                at = part.first + row["position"]
                places.setdefault(row["sample_id"], []).append(at)
        order = random.Random(said.seed).sample(sorted(places), len(places))[: said.rows]
        rows, sizes = read(said.data), dict[str, int]()
        column, _, value = (said.where or "").partition("=")
        fit = [one for one in order if not column or rows[places[one][0]].get(column) == value]
        kept = fit[: said.held + said.validation]
        groups = {"held": kept[: said.held], "validation": kept[said.held :]}
        groups["pool"] = list(dict.fromkeys([*kept, *order]))[len(kept) :]
        for name, ids in groups.items():
            copies = None if name == "pool" else 1
            own = sorted(place for one in ids for place in places[one][:copies])
            save(self.work / f"{name}.jsonl", [rows[place] for place in own])
            sizes[name] = len(own)
        return sizes

    def pruned(self, method: str) -> str:
        """Prune the model; Wanda looks at rows of the pool."""
        out = self.work / method
        if not out.exists():
            said, how = self.said, dict(PRUNED[method])
            if method == "wanda":
                how |= {"data": str(self.pool), "rows": said.calibration}
            prune(said.model, out, method, template=said.template, seed=said.seed, **how)
        return str(out)

    def select(self, name: str, blocks: dict[str, Any]) -> Path:
        """Choose rows as `tamis select` does; return the file of the curated dataset."""
        if name in self.chosen:
            return self.chosen[name]
        config = {
            "name": name.replace(" ", "_"),
            "seed": self.said.seed,
            "data": [{"name": "pool", "path": str(self.pool)}],
            "budget": {"fraction": self.said.share},
            "engine": {"kind": "local", "workers": 1, "threads": 1},
            "store": str(self.work / "store"),
            "out": str(self.work / "runs"),
        }
        result = run.select(Config.model_validate(config | blocks), Reporter())
        self.chosen[name] = chosen = Path(str(result.folder.path)) / "curated/train.jsonl"
        tokens, answers = recovery.lengths_of(
            self.said.model, self.said.template, recovery.conversations(chosen)
        )
        self.runs[name] = {
            "rows": result.manifest["rows_kept"],
            "budget": result.manifest["budget"]["limit"],
            "tokens": tokens,
            "answer_tokens": answers,
            "ends": result.manifest["ends"],
        }
        return chosen

    def choices(self, pruned: str) -> Iterator[Case]:
        """Yield the trainings of a pruned model."""
        for seed in range(DRAWS):
            yield Case(pruned, "random", self.random(seed), seed)
        found = {
            "paser": self.select(f"{pruned} paser", self.paser(pruned)),
            "ifd": self.select("ifd", self.ifd()),
        }
        arms = [(method, chosen, False) for method, chosen in found.items()]
        arms.append(("full", self.pool, False))
        arms += [(method, found[method], True) for method in self.said.once]
        if self.said.no_graph:
            bare = self.select(f"{pruned} paser no graph", self.paser(pruned, None))
            arms.append(("paser, no graph", bare, False))
        for method, chosen, once in arms:
            yield from (Case(pruned, method, chosen, seed, once) for seed in range(SEEDS))

    def paser(self, pruned: str, concepts: str | None = "concepts") -> dict[str, Any]:
        """The config of PASER, without data."""
        signals = {
            "base": {"use": "forward"} | self.model,
            "divergence": {"use": "divergence", "other": self.pruned(pruned)} | self.model,
            "clusters": {"use": "spectral", "of": "base.embedding", "k": self.said.clusters},
        }
        if concepts is not None:
            signals |= {"concepts": {"use": "concepts"}}
        return {
            "signals": signals,
            "scorers": {"paser": {"use": "paser"}},
            "selector": {"use": "paser", "concepts": concepts},
        }

    def ifd(self) -> dict[str, Any]:
        """The config of IFD, without data."""
        base = {"use": "forward", "tokenisation": "official"} | self.model
        return {
            "signals": {"base": base},
            "scorers": {"ifd": {"use": "ifd", "signal": "base", "mode": "superfiltering"}},
            "selector": [
                {"use": "threshold", "by": "ifd.score", "below": 1.0},
                {"use": "top_k", "by": "ifd.score"},
            ],
        }

    def random(self, seed: int) -> Path:
        """Choose at random."""
        return self.select(f"random {seed}", {"selector": {"use": "random"}, "seed": seed})

    def trained(self, case: Case, rate: float, tokens: int, held: str) -> dict[str, Any]:
        """Train a case and measure the held-out answers; what is there is read."""
        said = self.said
        name = f"{case.pruned}-{case.arm}-{case.seed}-{rate:g}-{held}".replace(" ", "_")
        path = self.work / "cases" / f"{name}.json"
        if path.exists():
            return dict(json.loads(path.read_text()))
        began = time.perf_counter()
        tuned = self.work / "cases" / name
        shutil.rmtree(tuned, ignore_errors=True)  # of a start that broke off
        how = recovery.Recipe(rate, said.rank, said.batch, case.seed)
        rows, limit = recovery.conversations(case.chosen), None if case.once else tokens
        found = recovery.tune(self.pruned(case.pruned), said.template, rows, limit, how, tuned)
        found |= self.measured(str(tuned), held)
        found |= {"seconds": round(time.perf_counter() - began, 1)}
        shutil.rmtree(tuned)
        with whole_file(path) as partial:
            partial.write_text(json.dumps(found))
        print(f"{name}: {mean_of(found):.4f} after {found['tokens']:,} tokens", flush=True)
        return found

    def measured(self, model: str, held: str) -> dict[str, Any]:
        """Losses of the rows of a file under a model."""
        rows = recovery.conversations(self.work / f"{held}.jsonl")
        sums, counts = recovery.losses(model, self.said.template, rows)
        zeros = round(recovery.zero_share(model), 6)
        return {"zero_share": zeros, "sums": sums.tolist(), "counts": counts.tolist()}

    def untuned(self, name: str, model: str) -> dict[str, Any]:
        """Losses of the held-out rows without any tuning."""
        path = self.work / "cases" / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(self.measured(model, "held")))
        return dict(json.loads(path.read_text()))

    def rate(self, tokens: int) -> tuple[float, dict[str, float]]:
        """The learning rate with the lowest loss of the validating rows, and the loss of each."""
        case = Case(next(iter(PRUNED)), "random", self.random(EXTRA), EXTRA)
        found: dict[str, float] = {}
        for rate in self.said.learning_rates:
            found[f"{rate:g}"] = mean_of(self.trained(case, rate, tokens, "validation"))
        best = min(found, key=lambda rate: found[rate])
        return float(best), {rate: round(loss, 4) for rate, loss in found.items()}

    def result(self, pruned: str, rate: float, tokens: int) -> dict[str, Any]:
        """Everything about one pruned model."""
        arms: dict[str, list[dict[str, Any]]] = {}
        for case in self.choices(pruned):
            arms.setdefault(case.arm, []).append(self.trained(case, rate, tokens, "held"))
        bare = self.untuned(pruned, self.pruned(pruned))
        lines = [line_of("no tuning", [bare], arms["random"])]
        lines += [line_of(arm, found, arms["random"]) for arm, found in arms.items()]
        print(f"\n{pruned}")
        for line in lines:
            print(f"  {line['method']:18} {line['loss']:.4f}  {line.get('against_random', '')}")
        return {"pruned": pruned, "methods": lines}


def line_of(
    method: str, found: list[dict[str, Any]], others: list[dict[str, Any]]
) -> dict[str, Any]:
    """What a method gives, with intervals of 95 %, and beside the random choices."""
    line: dict[str, Any] = {"method": method, "loss": round(np.mean([*map(mean_of, found)]), 5)}
    line["row_loss"] = round(float(np.mean([per_row(one).mean() for one in found])), 5)
    line["zero_share"] = found[0]["zero_share"]
    if "tokens" in found[0]:
        names = ("rows", "distinct_rows", "tokens", "answer_tokens", "steps", "seconds")
        line |= {name: round(float(np.mean([one[name] for one in found]))) for name in names}
    if len(found) > 1:
        line |= {"seeds": [round(mean_of(one), 5) for one in found]}
        line |= {"over_seeds": seeds_interval(found)}
    if found is not others:
        line["against_random"] = against(found, others)
    return line


def main() -> None:
    """Run the loop and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(QUICKSTART / "model"))
    parser.add_argument("--data", default=str(POOL))
    parser.add_argument("--template", default="none")
    parser.add_argument("--rows", type=int, help="distinct rows in all; by default every one")
    parser.add_argument("--held", type=int, default=1000)
    parser.add_argument("--validation", type=int, default=250)
    parser.add_argument("--where", help="COLUMN=VALUE of the rows that may be held out")
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--clusters", type=int, default=10)
    parser.add_argument("--calibration", type=int, default=128, help="rows that Wanda looks at")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[1e-3, 3e-3, 1e-2])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--once", nargs="*", default=["paser", "ifd"], choices=["paser", "ifd"])
    parser.add_argument("--no-graph", action="store_true")
    parser.add_argument("--work", type=Path, default=ROOT / "runs/bench-paser")
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    embedded = Path(said.data).samefile(POOL)
    said.where = said.where or ("fault=none" if embedded else None)
    settings = {name: value for name, value in vars(said).items() if name not in ELSEWHERE}
    said.work = said.work / key(canonical(settings))
    (said.work / "cases").mkdir(parents=True, exist_ok=True)
    loop = Loop(said)
    sizes = loop.split()
    whole, _ = recovery.lengths_of(said.model, said.template, recovery.conversations(loop.pool))
    tokens = round(said.share * whole)
    print(f"{sizes}, {whole:,} tokens; trained on {tokens:,}", flush=True)
    whole_model = loop.untuned("original", said.model)
    original = {"loss": round(mean_of(whole_model), 5)}
    original |= {"row_loss": round(float(per_row(whole_model).mean()), 5)}
    rate, grid = loop.rate(tokens)
    results = [loop.result(pruned, rate, tokens) for pruned in PRUNED]
    settings |= {"model": Path(said.model).name, "data": Path(said.data).name}
    write(
        "paser-quickstart" if embedded else "paser",
        said.out,
        {"device": "cpu, one thread", "versions": machine(), "settings": settings}
        | {"rows": sizes, "pool_tokens": whole, "tokens": tokens}
        | {"learning_rate": rate, "validation": grid, "original": original}
        | {"selections": loop.runs, "results": results},
    )


if __name__ == "__main__":
    main()
