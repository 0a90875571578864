"""One measurement: what a piece of work cost on both sides, and what it left behind."""
import os
import resource
import subprocess
import threading
import time

from server import TICKS, session, sizes, updates


def measure(server, database, work, *, writes):
    """Runs `work`, which returns at least `rows` and `seconds`, and adds what the server spent meanwhile.

    Work in this process has its client CPU counted here; a child process brings its own.
    """
    with session(server, database) as connection:
        table_before, indexes_before = sizes(connection)
    lsn_before, cpu_before, own_before = server.lsn(), server.cpu_seconds(), own_cpu_seconds()
    busy_before, began = busy_seconds(), time.monotonic()
    result = work()
    busy_after, ended = busy_seconds(), time.monotonic()
    cpu_after, own_after, lsn_after = server.cpu_seconds(), own_cpu_seconds(), server.lsn()
    rows = result["rows"]
    result.setdefault("client_cpu_s", own_after - own_before)
    strangers = busy_after - busy_before - (cpu_after - cpu_before) - result["client_cpu_s"]
    result |= {
        # What neither side took: another process on the machine, or the host of a virtual one.
        "others_share": max(0.0, strangers / (os.cpu_count() * (ended - began))),
        "rows_per_second": result.pop("rows_per_second", None) or rows / result["seconds"],
        "rows_per_second_whole": rows / result["seconds"],
        "client_cpu_us_per_row": 1e6 * result.pop("client_cpu_s") / rows,
        "server_cpu_us_per_row": 1e6 * (cpu_after - cpu_before) / rows,
        "wal_bytes_per_row": server.wal_bytes(lsn_before, lsn_after) / rows,
    }
    result["fields_per_second"] = 10 * result["rows_per_second"]
    if writes:
        with session(server, database) as connection:
            updated, hot = updates(connection, rows)
            table_after, indexes_after = sizes(connection)
        result |= {
            "hot_share": hot / max(updated, 1),
            "updates_per_row": updated / rows,
            "index_entries_per_row": server.index_records(lsn_before, lsn_after) / rows,
            "table_growth": table_after / table_before - 1,
            "index_growth": indexes_after / indexes_before - 1,
        }
    return result


def own_cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def busy_seconds():
    """CPU time of everything on this machine that was not idle, and what a host took from it."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


class ChildFailed(Exception):
    """A contender ended as it should not."""


def run_child(command, *, environment=None, folder=None, one_core=False, codes=(0,), discard=False):
    """Runs a program to its end: wall time, CPU, peak resident memory, and what it printed."""
    began = time.monotonic()
    child = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if discard else subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=(lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})) if one_core else None,
    )
    peak = PeakMemory(child.pid)
    texts = {}
    readers = [threading.Thread(target=lambda n, f: texts.__setitem__(n, f.read()), args=(name, file))
               for name, file in (("out", child.stdout), ("error", child.stderr)) if file]
    for reader in readers:
        reader.start()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    for reader in readers:
        reader.join()
    if child.returncode not in codes:
        raise ChildFailed(f"{os.path.basename(command[0])} ended with {child.returncode}: "
                          + (texts["error"] + texts.get("out", b"")).decode(errors="replace")[-2000:])
    return {"seconds": seconds, "client_cpu_s": usage.ru_utime + usage.ru_stime, "peak_rss_bytes": peak.end(),
            "out": texts.get("out", b"").decode(), "code": child.returncode}


class PeakMemory:
    """Follows a process's high-water mark. (That of wait4 includes what the parent had when it forked.)"""

    def __init__(self, process):
        self.file, self.bytes, self.ended = f"/proc/{process}/status", 0, threading.Event()
        self.thread = threading.Thread(target=self.follow)
        self.thread.start()

    def follow(self):
        while not self.ended.wait(0.02):
            try:
                with open(self.file, encoding="utf-8") as file:
                    for line in file:
                        if line.startswith("VmHWM:"):
                            self.bytes = max(self.bytes, int(line.split()[1]) * 1024)
            except (FileNotFoundError, ProcessLookupError):
                return

    def end(self):
        self.ended.set()
        self.thread.join()
        return self.bytes

