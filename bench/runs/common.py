"""What the runs of this directory share: a server of their own, loads, and clean ends.

Every server is started by its own child process, ended by its own process id, and lives in a
temporary directory that is removed whatever happens, kill -9 of the script excepted.
"""
import argparse
import atexit
import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class Failed(Exception):
    """A run that cannot go on."""


def number(text):
    """A decimal number that may end in k, M or G."""
    units = {"k": 10**3, "M": 10**6, "G": 10**9}
    try:
        return int(text[:-1]) * units[text[-1]] if text[-1:] in units else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a number: {text}") from None


def options(description):
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="where Giro was built")
    parser.add_argument("--data", default=".", help="where the data directories go")
    return parser


def say(*words):
    print(*words, flush=True)


def progress(text):
    print(f"... {text}", file=sys.stderr, flush=True)


def space_check(path, needed):
    free = shutil.disk_usage(path).free
    if free < needed:
        raise Failed(f"{path} has {free / 1e9:.1f} GB free, and this run needs {needed / 1e9:.1f}")


def workplace(parent):
    """A temporary directory that is removed at the end, after signals too."""
    path = tempfile.mkdtemp(prefix="giro-runs-", dir=parent)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: sys.exit(1))
    return path


def caches_drop():
    """Empties the page cache. Returns whether it could."""
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
            file.write("3\n")
    except OSError:
        return False
    return True


def median(values):
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def spread(values, form="{:.0f}"):
    """Minimum, median and maximum as text."""
    return " / ".join(form.format(v) for v in (min(values), median(values), max(values)))


def memory_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def disk_bytes(path, suffix=""):
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                if name.endswith(suffix):
                    total += os.stat(os.path.join(folder, name)).st_blocks * 512
    return total


class Server:
    """A data directory and the server that it has from time to time."""

    def __init__(self, build, work, name, *serve):
        self.giro = os.path.join(build, "tools", "giro")
        self.data = os.path.join(work, name)
        self.log_path = os.path.join(work, name + ".log")
        self.serve = list(serve)
        self.process = None
        self.address = None
        self.said = []
        if not os.access(self.giro, os.X_OK):
            raise Failed(f"{self.giro} is not built")
        subprocess.run([self.giro, "format", "--data", self.data], check=True,
                       stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        atexit.register(self.kill)

    def start(self, timeout=3600):
        """Starts it. Returns the seconds until it listened."""
        with open(self.log_path, "w", encoding="utf-8") as log:
            begin = time.monotonic()
            self.process = subprocess.Popen(
                [self.giro, "serve", "--data", self.data, "--listen", "127.0.0.1:0", *self.serve],
                stdout=log, stderr=log)
        while time.monotonic() - begin < timeout:
            with open(self.log_path, encoding="utf-8") as log:
                text = log.read()
            if "listening on " in text and text.endswith("\n"):
                took = time.monotonic() - begin
                self.said = text.splitlines()
                self.address = text.split("listening on ")[1].split()[0].rstrip(",;")
                return took
            if self.process.poll() is not None:
                raise Failed(f"the server did not start:\n{text}")
            time.sleep(0.005)
        raise Failed("the server did not listen in time")

    def stop(self):
        """Ends it cleanly. Returns the seconds that it took."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=600)
        self.process = None
        if status != 0:
            with open(self.log_path, encoding="utf-8") as log:
                raise Failed(f"the server ended with {status}:\n{log.read()}")
        return time.monotonic() - begin

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def remove(self):
        self.kill()
        shutil.rmtree(self.data, ignore_errors=True)

    def shard_files(self, *suffixes):
        folder = os.path.join(self.data, "shard-0")
        return [os.path.join(folder, name) for name in sorted(os.listdir(folder))
                if name.endswith(suffixes)]


def bench(giro, *arguments, check=True):
    """Runs giro bench. Returns its JSON."""
    run = subprocess.run([giro, "bench", *map(str, arguments), "--json"], check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if run.returncode != 0 and check:
        raise Failed(f"giro bench {' '.join(map(str, arguments))}:\n{run.stderr}{run.stdout[-500:]}")
    return json.loads(run.stdout)


def cpu_seconds(pid):
    """Busy time of all cores, of one process, and of our children that have ended."""
    tick = os.sysconf("SC_CLK_TCK")
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ((user + nice + system + irq + softirq + steal) / tick,
            (int(fields[11]) + int(fields[12])) / tick, children.ru_utime + children.ru_stime)


def load(server, data, *arguments):
    """A load on a server of ours; giro bench does not know whose process that is, so what others
    used of the cores is found out here, over the whole of it."""
    begin = time.monotonic()
    before = cpu_seconds(server.process.pid)
    result = bench(server.giro, "--connect", server.address, "--data", data, *arguments)
    machine, ours, children = (b - a for a, b in zip(before, cpu_seconds(server.process.pid)))
    cores = (time.monotonic() - begin) * os.cpu_count()
    result["other_cpu_percent"] = max(0.0, 100 * (machine - ours - children) / cores)
    return result


def main(run):
    try:
        run()
    except (Failed, subprocess.CalledProcessError) as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
