"""A Giro server with a ledger of its own, for the programs of this folder."""
import ctypes
import os
import signal
import socket
import subprocess
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def end_with_parent():
    """In the server, before it begins: whatever becomes of the test, the server does not stay."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Server:
    """giro serve below a folder; the compatible port stays the same over restarts."""

    def __init__(self, giro, folder, port=None, arguments=()):
        self.giro = giro
        self.data = os.path.join(folder, "ledger")
        self.log_path = os.path.join(folder, "server.log")
        self.address = f"127.0.0.1:{port or free_port()}"
        self.arguments = list(arguments)
        self.process = None
        os.makedirs(folder)
        subprocess.run([giro, "format", "--data", self.data], check=True, stdout=subprocess.DEVNULL)

    def start(self):
        with open(self.log_path, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [self.giro, "serve", "--data", self.data, "--listen", "127.0.0.1:0",
                 "--compat-listen", self.address, "--accounts-max", "128k",
                 "--transfers-max", "2m", *self.arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                preexec_fn=end_with_parent)
        host, port = self.address.split(":")
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection((host, int(port)), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.stop()
                    with open(self.log_path, encoding="utf-8") as log:
                        raise RuntimeError(f"the server does not listen:\n{log.read()}") from None
                time.sleep(0.02)

    def end(self, how):
        """Sends a signal that ends the server and waits for it; returns the exit status."""
        self.process.send_signal(how)
        return self.process.wait(60)

    def kill(self):
        return self.end(signal.SIGKILL)

    def stop(self):
        return self.end(signal.SIGTERM) if self.process.poll() is None else self.process.returncode

    def pause(self, seconds):
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()
