"""Puts the results of bench/peers/run together: a table, the ratios, and all of it as JSON.

    summary.py ABOUT RESULTS [JSON]

RESULTS holds SHAPE.ROUND.SYSTEM.json, one file a run; ABOUT holds lines "name=text".
"""

import json
import os
import platform
import statistics
import sys

SYSTEMS = ["giro", "postgresql", "redis"]
FIGURES = [
    ("transfers/s", lambda run: run["transfers_per_second"]),
    ("p50 us", lambda run: run["latency_us"]["p50"]),
    ("p99 us", lambda run: run["latency_us"]["p99"]),
    ("p99.9 us", lambda run: run["latency_us"]["p999"]),
    ("client cpu ns/transfer", lambda run: run["client_cpu_ns_per_transfer"]),
    ("machine busy before, %", lambda run: run["busy_before_percent"]),
]


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def read_runs(directory):
    """{shape: {system: [run of round 1, run of round 2, ...]}}"""
    runs = {}
    for name in sorted(os.listdir(directory), key=lambda name: int(name.split(".")[1])):
        shape, _, system, _ = name.split(".")
        with open(os.path.join(directory, name), encoding="utf-8") as file:
            runs.setdefault(shape, {}).setdefault(system, []).append(json.load(file))
    return runs


def ratios(systems):
    """How many times Giro's rate is each peer's, round by round: a round shares its minute."""
    result = {}
    for peer in SYSTEMS[1:]:
        if peer in systems and "giro" in systems:
            result[f"giro/{peer}"] = spread(
                [
                    ours["transfers_per_second"] / theirs["transfers_per_second"]
                    for ours, theirs in zip(systems["giro"], systems[peer])
                ]
            )
    return result


def device(systems):
    """What the disk did beside the runs, probed before each run of Giro."""
    probes = [run["device"] for run in systems.get("giro", []) if run.get("device")]
    if not probes:
        return None
    return {
        figure: spread([probe[figure] for probe in probes])
            for figure in ("synced_4k_us_p50", "synced_4k_us_p99", "synced_1m_bytes_per_second")
    }


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def show(label, values):
    cells = "".join(f"{number(values[key]):>15}" for key in ("min", "median", "max"))
    print(f"  {label:<36}{cells}")


def show_shape(shape, systems, summary):
    print(f"\n{shape:<38}{'min':>15}{'median':>15}{'max':>15}")
    for system in SYSTEMS:
        for figure, _ in FIGURES if system in systems else []:
            show(f"{system} {figure}", summary["systems"][system][figure])
    for ratio, values in summary["ratios"].items():
        show(f"{ratio} (rates)", values)
    if summary["device"] is not None:
        for figure, values in summary["device"].items():
            show(f"device {figure}", values)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        about = dict(line.rstrip("\n").split("=", 1) for line in file)
    about["kernel"] = platform.release()
    about["cpu_count"] = os.cpu_count()
    for name, text in about.items():
        print(f"{name}: {text}")
    report = {"about": about, "shapes": {}}
    for shape, systems in sorted(read_runs(sys.argv[2]).items(), reverse=True):
        summary = {
            "systems": {
                system: {name: spread([figure(run) for run in runs]) for name, figure in FIGURES}
                for system, runs in systems.items()
            },
            "ratios": ratios(systems),
            "device": device(systems),
        }
        show_shape(shape, systems, summary)
        report["shapes"][shape] = {**summary, "runs": systems}
    if len(sys.argv) > 3:
        with open(sys.argv[3], "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()
