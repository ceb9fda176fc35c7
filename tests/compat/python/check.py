"""What the Python programs of this folder share: a test is a function, its name is the claim."""
import faulthandler
import sys
import time
import traceback

tests = []


def test(function):
    tests.append(function)
    return function


def equal(actual, expected, what=""):
    if actual != expected:
        raise AssertionError(f"{what + ': ' if what else ''}{actual!r} instead of {expected!r}")


def true(condition, what):
    if not condition:
        raise AssertionError(what)


def until(condition, what, seconds=20):
    """Waits until condition() is true: for what the server does a little later."""
    end = time.monotonic() + seconds
    while not condition():
        true(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(0.05)


def run(title, *arguments, seconds=120):
    """Runs every test with the arguments; a call that never returns ends the program."""
    failed = 0
    for function in tests:
        faulthandler.dump_traceback_later(seconds, exit=True)
        try:
            function(*arguments)
            print(f"ok      {title}: {function.__name__}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"FAILED  {title}: {function.__name__}", flush=True)
            traceback.print_exc(file=sys.stdout)
    faulthandler.cancel_dump_traceback_later()
    print(f"{title}: {len(tests) - failed} passed, {failed} failed", flush=True)
    sys.exit(failed != 0)
