#!/usr/bin/env python3
"""Makes the corpus in the tree anew: tests/fuzz/corpus.py BUILD [TARGET...]

Samples of the targets, what the tree has, and what run.sh found, minimised with -merge=1 of libFuzzer;
of those the few that reach the most edges of the code, within FILES_MAX and BYTES_MAX a target. Files
whose names have no hash, which somebody wrote by hand or which were found as defects, are kept."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

FILES_MAX = 12
BYTES_MAX = 4 << 10
HASHED = re.compile(r"[0-9a-f]{40}")


def edges_of(control):
    """File name -> set of edges, from the control file of a merge."""
    lines = control.read_text().splitlines()
    names = lines[2 : 2 + int(lines[0])]
    edges = {}
    for line in lines[2 + int(lines[0]) :]:
        words = line.split()
        if words[0] == "COV":
            edges.setdefault(names[int(words[1])], set()).update(words[2:])
    return edges


def pick(edges, kept):
    """The files that reach the most edges that none before them reaches."""
    chosen = []
    reached = set()
    size = 0
    for name in kept:
        reached |= edges.get(name, set())
    while len(chosen) + len(kept) < FILES_MAX:
        fits = [n for n in edges if size + os.path.getsize(n) <= BYTES_MAX and n not in kept]
        best = max(fits, key=lambda n: len(edges[n] - reached), default=None)
        if best is None or not edges[best] - reached:
            break
        chosen.append(best)
        reached |= edges[best]
        size += os.path.getsize(best)
    return chosen


def corpus_make(build, target):
    tree = pathlib.Path(__file__).parent / "corpus" / target
    program = build / "tests/fuzz" / f"fuzz_{target}"
    found = build / "fuzz" / target / "corpus"
    tree.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        samples, merged, control = scratch / "samples", scratch / "merged", scratch / "control"
        samples.mkdir()
        merged.mkdir()
        environment = dict(os.environ, GIRO_TEST_DIR=str(scratch), ASAN_OPTIONS="detect_leaks=0")
        subprocess.run([program, "-runs=0"], capture_output=True, check=False,
                       env=dict(environment, GIRO_FUZZ_SAMPLES=str(samples)))
        for sample in samples.iterdir():
            (tree / sample.name).write_bytes(sample.read_bytes())
        inputs = [tree] + ([found] if found.is_dir() else [])
        subprocess.run([program, "-merge=1", "-use_counters=0", f"-merge_control_file={control}",
                        merged, *inputs], capture_output=True, check=True, env=environment)
        edges = edges_of(control)
        kept = [str(f) for f in tree.iterdir() if not HASHED.fullmatch(f.name)]
        for name in pick(edges, kept):
            path = pathlib.Path(name)
            (tree / path.name).write_bytes(path.read_bytes())
            kept.append(str(tree / path.name))
        for path in list(tree.iterdir()):
            if str(path) not in kept:
                path.unlink()
    size = sum(f.stat().st_size for f in tree.iterdir())
    print(f"{target}: {len(list(tree.iterdir()))} files, {size} bytes")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    build = pathlib.Path(sys.argv[1]).resolve()
    programs = sorted((build / "tests/fuzz").glob("fuzz_*"))
    names = sys.argv[2:] or [p.name[5:] for p in programs if p.is_file()]
    for target in names:
        corpus_make(build, target)


if __name__ == "__main__":
    main()
