"""`python -m benchmarks`: measure, print the table, say what was missed.

Exit codes: 0 all that is required was reached; 1 something was not, or a run failed; 130
interrupted. Nothing is left behind.
"""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from benchmarks import processes, table
from benchmarks.bench import PARTS, POSSIBLE, Bench, Plan, Results, lines
from benchmarks.interpreter import interpreter
from benchmarks.llm import FakeLLM
from benchmarks.runs import RunFailed


def main() -> int:
    """Run what the command line asks for."""
    plan = _plan()
    processes.adopt_orphans()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with tempfile.TemporaryDirectory(prefix="prefmill-bench-") as folder, FakeLLM() as llm:
            results = Bench(plan, Path(folder), llm).run()
    except RunFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return report(results, plan)


def report(results: Results, plan: Plan) -> int:
    """Print all tables; 1 if a required figure was missed."""
    figures = lines(results, plan)
    print(f"\n{table.figures(figures)}\n\n{_conditions(results, plan)}\n")
    _tell_throughput(results)
    _tell_latency(results)
    for rows in plan.memory_rows:
        for run in results.runs.get(f"memory {rows}", ()):
            print(
                f"Memory at {rows:,} rows: peak {run.memory.peak:.0f} MB ({table.memory(run)}), "
                f"median {run.memory.median:.0f} MB."
            )
    for found in results.profiles:
        print(f"\n{table.profile(found)}")
    missed = [figure.name for figure in figures if figure.missed]
    missed += [f"{part} (a run failed)" for part in results.failed]
    print("\nmissed: " + "; ".join(missed) if missed else "\nall that is required was reached")
    return int(bool(missed))


def _conditions(results: Results, plan: Plan) -> str:
    busy = "" if results.load < 0.5 else ": the machine was busy, and every figure suffers"
    before, after = results.reference
    return (
        f"{os.cpu_count()} cores; load average before the first run {results.load:.1f}{busy}. "
        f"Reference work: {before:.0f} ms CPU before, {after:.0f} ms after. By hand: "
        f"{plan.by_hand_rows:,} rows.\n{interpreter()}"
    )


def _tell_throughput(results: Results) -> None:
    for run in results.runs.get("throughput", ()):
        before, within = sum(run.start_cpu.values()), sum(run.cpu.values())
        print(f"Where the CPU goes, first call to last verdict:\n\n{table.cpu(run)}\n")
        print(
            f"CPU before the first call {before:.1f} s; after the last verdict (dataset, stopping) "
            f"{run.whole_cpu_s - before - within:.1f} s. The whole command took {run.whole_s:.1f} s"
            f" ({run.rows / run.whole_s:,.0f} rows/s from command to dataset). The LLM server used "
            f"{1000 * run.asked.server_cpu / run.rows / 3:.3f} ms CPU a call."
        )
    bare = results.runs.get("throughput bare", ())
    if bare:
        spent = " and ".join(f"{run.cpu_ms_per_row:.2f}" for run in bare)
        rates = " and ".join(f"{run.rows_per_s:,.0f}" for run in bare)
        print(
            f"aiohttp alone, nothing kept, right before and right after: {rates} rows/s, {spent} "
            "ms CPU a row. Where the two differ, so did the machine."
        )
    for run in results.runs.get("throughput by hand, aiohttp", ()):
        print(
            f"The script with the SDK's aiohttp transport in place of httpx: {run.rows_per_s:,.0f} "
            f"rows/s, {run.cpu_ms_per_row:.1f} ms CPU a row."
        )


def _tell_latency(results: Results) -> None:
    for name in ("latency", "latency by hand"):
        for run in results.runs.get(name, ()):
            print(
                f"At 500 ms ({name}): {run.rows_per_s:.1f} of {POSSIBLE:.1f} rows/s; at most "
                f"{run.asked.peak} calls were in flight."
            )


def _plan() -> Plan:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, default=Plan.rows, help="at no latency")
    parser.add_argument("--by-hand-rows", type=int, default=Plan.by_hand_rows)
    parser.add_argument("--latency-rows", type=int, default=Plan.latency_rows)
    parser.add_argument(
        "--memory-rows", type=int, nargs="+", default=list(Plan.memory_rows), metavar="N"
    )
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--no-by-hand", action="store_true", help="prefmill alone")
    parser.add_argument("--profile-seconds", type=int, default=Plan.profile_s)
    given = parser.parse_args()
    return Plan(
        parts=tuple(given.only),
        rows=given.rows,
        by_hand_rows=given.by_hand_rows,
        latency_rows=given.latency_rows,
        memory_rows=tuple(given.memory_rows),
        profile_s=given.profile_seconds,
        by_hand=not given.no_by_hand,
    )


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
