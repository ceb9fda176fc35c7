"""Counts the test cases of a Meson test run: prints "PASSED FAILED".

Criterion programs report their own cases; any other program counts as one. A program that ended
badly counts as one failure even where its own report shows none."""

import json
import re
import sys

SYNTHESIS = re.compile(
    r"Synthesis: Tested: \D*(\d+)\D* \| Passing: \D*(\d+)\D* \| Failing: \D*(\d+)\D* \| Crashing: \D*(\d+)"
)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def main():
    passed = failed = 0
    with open(sys.argv[1], encoding="utf-8") as log:
        for line in log:
            test = json.loads(line)
            text = COLOUR.sub("", test.get("stdout", "") + test.get("stderr", ""))
            good = test["result"] in ("OK", "EXPECTEDFAIL")
            if test["result"] == "SKIP":
                continue
            cases = SYNTHESIS.findall(text)
            if not cases:
                passed += good
                failed += not good
                continue
            passed += sum(int(case[1]) for case in cases)
            bad = sum(int(case[2]) + int(case[3]) for case in cases)
            failed += bad if bad or good else 1
    print(passed, failed)


main()
