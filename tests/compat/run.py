#!/usr/bin/env python3
"""TigerBeetle's official clients against a Giro server's compatible port.

Usage: run.py GIRO [--build FOLDER] [--only WORD,...] [--short] [--list]

Fetches each client from its package registry into FOLDER (by default compat-clients in the current
one), builds the programs of this folder, runs each of them against a fresh server, and adds up.
Parts whose tool chain is not there, or whose package cannot be fetched, are skipped and named.
--only runs the parts whose names contain one of the words, --short those that tools/check runs.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from server import Server  # pylint: disable=wrong-import-position

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MOVE = ROOT / "docs/compatibility/move.py"
CURRENT = "0.17.9"
SECONDS_MAX = 400
# What clients say while there is no server or it is slow, and go test of what it is doing.
NOISE = re.compile(r"(on_connect|on_recv|on_send): |slow request|^=== (RUN|PAUSE|CONT)")


class Skip(Exception):
    """The part cannot be set up here."""


def watch(process, server, over):
    end = time.monotonic() + SECONDS_MAX
    while not over.wait(0.5):
        if time.monotonic() > end or (server and server.process.poll() is not None):
            os.killpg(process.pid, signal.SIGKILL)
            return


class Run:
    def __init__(self, giro, build):
        self.giro = giro
        self.build = build
        self.passed = 0
        self.failed = []
        self.skipped = []

    # How parts are set up

    def tool(self, name):
        path = shutil.which(name)
        if not path:
            raise Skip(f"{name} is not installed")
        return path

    def fetch(self, command, **options):
        """Runs what fetches or builds something; failing to is a reason to skip."""
        result = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            timeout=SECONDS_MAX, **options)
        if result.returncode != 0:
            raise Skip(f"{' '.join(map(str, command[:3]))} fails: {result.stdout.strip()[-400:]}")

    def folder(self, name):
        path = self.build / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def copied(self, name):
        """The sources of a program, in the build folder."""
        path = self.build / name
        shutil.copytree(HERE / name, path, dirs_exist_ok=True)
        return path

    def python(self, version):
        """The environment in which Python finds the client of a version."""
        path = self.build / f"python-{version}"
        if not (path / "tigerbeetle").exists():
            self.fetch([sys.executable, "-m", "pip", "install", "-q", "--target", path,
                        f"tigerbeetle=={version}"])
        return os.environ | {"PYTHONPATH": f"{path}:{HERE / 'python'}", "PYTHONDONTWRITEBYTECODE": "1"}

    # How parts are run

    def program(self, name, command, server=None, passes=r"^ok ", fails=r"^FAILED ", **options):
        """Runs a program, shows what it says and counts its tests. Clients wait for ever: one that
        takes too long, or whose server has ended, is ended too."""
        passed = failed = 0
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True, **options)
        over = threading.Event()
        watcher = threading.Thread(target=watch, args=(process, server, over))
        watcher.start()
        try:
            for line in process.stdout:
                if not NOISE.search(line):
                    print("    " + line, end="", flush=True)
                passed += re.search(passes, line) is not None
                failed += re.search(fails, line) is not None
            status = process.wait()
        finally:
            over.set()
            watcher.join()
            process.kill()
            process.wait()
        if failed == 0 and (status != 0 or passed == 0):
            print(f"    FAILED  {name}: ended with status {status} after {passed} tests", flush=True)
            failed = 1
        self.passed += passed
        self.failed += [name] * failed

    def served(self, name, command, environment_of=None, **options):
        """Runs a program against a server of its own. The address is its last argument, or in its
        environment."""
        with tempfile.TemporaryDirectory(prefix="giro-compat-") as scratch:
            server = Server(self.giro, os.path.join(scratch, "one"))
            with server:
                if environment_of:
                    environment = environment_of(server.address)
                    self.program(name, command, server, env=environment, **options)
                else:
                    self.program(name, [*command, server.address], server, **options)
                if server.process.poll() is not None:
                    print(f"    FAILED  {name}: the server has ended", flush=True)
                    self.failed.append(name)
                elif (status := server.stop()) != 0:
                    print(f"    FAILED  {name}: the server ends with status {status}", flush=True)
                    self.failed.append(name)
            with open(server.log_path, encoding="utf-8") as log:
                for line in log:
                    if re.search("assert|sanitizer|runtime error", line, re.IGNORECASE):
                        print(f"    server: {line}", end="")

    # The parts

    def python_features(self, name, version):
        self.served(name, [sys.executable, HERE / "python/features.py"], env=self.python(version))

    def python_old(self, name, version):
        self.served(name, [sys.executable, HERE / "python/old.py"], env=self.python(version))

    def python_outages(self, name, version):
        environment = self.python(version)
        with tempfile.TemporaryDirectory(prefix="giro-compat-") as scratch:
            self.program(name, [sys.executable, HERE / "python/outages.py", self.giro, scratch],
                         env=environment)

    def python_move(self, name, version):
        environment = self.python(version)
        with tempfile.TemporaryDirectory(prefix="giro-compat-") as scratch:
            self.program(name, [sys.executable, HERE / "python/move_test.py", self.giro, scratch, MOVE],
                         env=environment)

    def node(self, name, _):
        node, npm = self.tool("node"), self.tool("npm")
        path = self.copied("node")
        self.fetch([npm, "install", "--no-package-lock", "--no-audit", "--no-fund"], cwd=path)
        self.served(name, [node, path / "features.js"])

    def node_own(self, name, version):
        """The tests that the package brings along."""
        node, npm = self.tool("node"), self.tool("npm")
        path = self.folder(f"node-{version}")
        self.fetch([npm, "install", "--prefix", path, "--no-package-lock", "--no-audit", "--no-fund",
                    f"tigerbeetle-node@{version}"])
        tests = path / "node_modules/tigerbeetle-node/dist/test.js"
        if not tests.exists():
            raise Skip("the package has no tests")
        self.served(name, [node, tests],
                    environment_of=lambda address: os.environ | {"TB_ADDRESS": address},
                    passes=": PASSED$", fails=": FAILED$")

    def go(self, name, _):
        go = self.tool("go")
        path = self.copied("go")
        self.fetch([go, "build", "-o", "compat", "."], cwd=path)
        self.served(name, [path / "compat"])

    def go_own(self, name, version):
        """The tests that the module brings along. They start a server by themselves, on port 3000:
        what they take for it is a script."""
        go = self.tool("go")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", 3000)) == 0:
                raise Skip("port 3000 is in use")
        top = self.folder(f"go-{version}")
        path = top / "a/b/c"
        shutil.rmtree(path, ignore_errors=True)
        module = f"github.com/tigerbeetle/tigerbeetle-go@v{version}"
        probe = self.folder(f"go-{version}/probe")
        (probe / "go.mod").write_text("module probe\n\ngo 1.17\n", encoding="utf-8")
        self.fetch([go, "mod", "download", module], cwd=probe)
        cache = subprocess.run([go, "env", "GOMODCACHE"], check=True, text=True,
                               stdout=subprocess.PIPE).stdout.strip()
        shutil.copytree(pathlib.Path(cache) / module, path)
        self.fetch(["chmod", "-R", "u+w", path])
        with tempfile.TemporaryDirectory(prefix="giro-compat-") as scratch:
            script = top / "tigerbeetle"
            script.write_text(
                "#!/bin/sh\n"
                "for file; do :; done\n"
                f"ledger={scratch}/$(basename \"$file\")\n"
                "case $1 in\n"
                f"format) exec '{self.giro}' format --data \"$ledger\" ;;\n"
                f"start) exec '{self.giro}' serve --data \"$ledger\" --listen 127.0.0.1:0 \\\n"
                "    --compat-listen 127.0.0.1:3000 --accounts-max 128k --transfers-max 2m ;;\n"
                "esac\n", encoding="utf-8")
            script.chmod(0o755)
            self.program(name, [go, "test", "-count=1", "-v", "-run", "TestClient|TestImportedFlag", "."],
                         passes="--- PASS", fails="--- FAIL", cwd=path)

    def rust(self, name, _):
        cargo = self.tool("cargo")
        path = self.copied("rust")
        self.fetch([cargo, "build", "--quiet", "-j", "1"], cwd=path)
        self.served(name, [path / "target/debug/compat"])

    def java(self, name, _):
        mvn, java, javac = self.tool("mvn"), self.tool("java"), self.tool("javac")
        path = self.copied("java")
        self.fetch([mvn, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"], cwd=path)
        jars = ":".join(map(str, (path / "lib").glob("*.jar")))
        self.fetch([javac, "-cp", jars, "-d", path / "classes", path / "src/main/java/Features.java"])
        self.served(name, [java, "-cp", f"{jars}:{path / 'classes'}", "Features"])


PARTS = [
    ("python-0.17.9", Run.python_features, CURRENT),
    ("python-0.17.0", Run.python_features, "0.17.0"),
    ("python-0.16.78", Run.python_old, "0.16.78"),
    ("python-0.16.50", Run.python_old, "0.16.50"),
    ("python-0.16.33", Run.python_old, "0.16.33"),
    ("python-0.16.16", Run.python_old, "0.16.16"),
    ("python-outages", Run.python_outages, CURRENT),
    ("python-move", Run.python_move, CURRENT),
    ("node", Run.node, CURRENT),
    ("node-own-0.17.9", Run.node_own, CURRENT),
    ("node-own-0.16.66", Run.node_own, "0.16.66"),
    ("node-own-0.16.29", Run.node_own, "0.16.29"),
    ("go", Run.go, CURRENT),
    ("go-own-0.17.9", Run.go_own, CURRENT),
    ("go-own-0.16.78", Run.go_own, "0.16.78"),
    ("rust", Run.rust, CURRENT),
    ("java-0.16.30", Run.java, "0.16.30"),
]


SHORT = ("python-0.17.9", "python-0.16.50", "python-0.16.16", "python-outages", "python-move", "node",
         "go")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("giro", nargs="?", help="the giro program")
    parser.add_argument("--build", default="compat-clients", help="where clients are fetched to")
    parser.add_argument("--only", help="parts whose names contain one of these words")
    parser.add_argument("--short", action="store_true", help="only what tools/check runs")
    parser.add_argument("--list", action="store_true", help="only name the parts")
    options = parser.parse_args()
    words = options.only.split(",") if options.only else [""]
    parts = [part for part in PARTS if any(word in part[0] for word in words)]
    if options.short:
        parts = [part for part in parts if part[0] in SHORT]
    if options.list or not options.giro:
        print("\n".join(name for name, _, _ in parts))
        return 0 if options.list else 2
    run = Run(os.path.realpath(options.giro), pathlib.Path(options.build).resolve())
    run.build.mkdir(parents=True, exist_ok=True)
    for name, part, version in parts:
        print(f"{name}:", flush=True)
        try:
            part(run, name, version)
        except Skip as reason:
            print(f"    skipped: {reason}", flush=True)
            run.skipped.append(name)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            print(f"    FAILED  {name}: {error}", flush=True)
            run.failed.append(name)
    if run.skipped:
        print(f"skipped: {', '.join(run.skipped)}")
    if run.failed:
        print(f"failed: {', '.join(dict.fromkeys(run.failed))}")
    print(f"{run.passed} passed, {len(run.failed)} failed")
    return 1 if run.failed else 0


sys.exit(main())
