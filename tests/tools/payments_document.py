"""Proves that docs/payments.md shows the scripts of docs/payments and their outputs as they are.

A block of the document that shows a file follows a line such as

    <!-- payments/wallet.giro -->

With --update behind the root of the source tree the blocks are made equal to the files.
"""

import difflib
import pathlib
import re
import sys

SHOWN = re.compile(r"<!-- (payments/[\w.-]+) -->\n```\n(.*?)```\n", re.DOTALL)


def main():
    docs = pathlib.Path(sys.argv[1]) / "docs"
    document = docs / "payments.md"
    text = document.read_text()
    if sys.argv[2:] == ["--update"]:
        text = SHOWN.sub(
            lambda block: f"<!-- {block[1]} -->\n```\n{(docs / block[1]).read_text()}```\n", text
        )
        document.write_text(text)
    wrong = 0
    shown = SHOWN.findall(text)
    for name, block in shown:
        file = (docs / name).read_text()
        if file != block:
            wrong += 1
            sys.stdout.writelines(
                difflib.unified_diff(
                    file.splitlines(True), block.splitlines(True), name, "docs/payments.md"
                )
            )
    names = [name for name, _ in shown]
    files = [f"payments/{file.name}" for file in (docs / "payments").iterdir()]
    for name in sorted(set(files) | set(names)):
        if names.count(name) != 1 or name not in files:
            wrong += 1
            print(f"docs/payments.md shows {name} {names.count(name)} times")
    print(f"{len(names)} blocks, {wrong} wrong")
    return 0 if wrong == 0 and names else 1


sys.exit(main())
