"""What a rotation does to the application: latencies of a steady load of point updates, alone and beside a run."""
import glob
import os
import subprocess
import time

from measurement import ChildFailed
from report import quantile

UPDATES_PER_SECOND = 400
CLIENTS = 4
ALONE_S = 15
WARM_UP_S = 1
SLOW_ROWS_PER_SECOND = 10_000

SCRIPT = """\\set id random(1, :rows)
UPDATE "Patient" SET "updatedAt" = now() WHERE "id" = :id;
"""


class Load:
    """pgbench with a fixed rate: a latency counts from the moment at which the update was due, so that a stall is not hidden."""

    def __init__(self, server, database, rows, scratch, programs):
        self.folder = os.path.join(scratch, "load")
        os.makedirs(self.folder, exist_ok=True)
        for old in glob.glob(f"{self.folder}/*"):
            os.remove(old)
        script = os.path.join(self.folder, "update.sql")
        with open(script, "w", encoding="ascii") as file:
            file.write(SCRIPT)
        command = [f"{programs}/pgbench", "--no-vacuum", "--protocol=prepared", f"--file={script}", f"--define=rows={rows}",
                   f"--client={CLIENTS}", "--jobs=1", f"--rate={UPDATES_PER_SECOND}", "--time=3600", "--log", "--log-prefix=log",
                   server.url_of(database)]
        self.process = subprocess.Popen(
            command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(WARM_UP_S)

    def latencies_ms(self, began, ended):
        """Ends the load; what was done between the two moments, each with its latency."""
        time.sleep(WARM_UP_S)
        if self.process.poll() is not None:
            raise ChildFailed("pgbench ended early: " + self.process.stderr.read().decode(errors="replace")[-500:])
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        latencies = []
        for name in glob.glob(f"{self.folder}/log.*"):
            with open(name, encoding="ascii") as file:
                for line in file:
                    fields = line.split()
                    # client, transaction, latency in µs, script, seconds, µs, lag in µs; the last line may be cut off
                    if len(fields) == 7 and began <= int(fields[4]) + int(fields[5]) / 1e6 <= ended:
                        latencies.append(int(fields[2]) / 1000)
        return latencies


def measure_harm(server, tool, rows, scratch, programs):
    """One round: alone, beside a run with default settings, and beside one that is held to a rate."""
    round_ = {}
    for name, arguments in (
        ("alone", None),
        ("default", []),
        ("limited", ["--max-rows-per-second", str(SLOW_ROWS_PER_SECOND)]),
    ):
        server.restore("work", "seed_plain")
        load = Load(server, "work", rows, scratch, programs)
        try:
            began = time.time()
            if arguments is None:
                time.sleep(ALONE_S)
            else:
                result = tool.run(server.url_of("work"), arguments=arguments)
            latencies = sorted(load.latencies_ms(began, time.time() - WARM_UP_S))
        finally:
            if load.process.poll() is None:
                load.process.kill()
        round_[name] = {
            "updates": len(latencies),
            "p50_ms": quantile(latencies, 0.50),
            "p99_ms": quantile(latencies, 0.99),
            "max_ms": latencies[-1],
        }
        if arguments is not None:
            round_[name] |= {
                "seconds": result["seconds"],
                "rows_per_second": result["rows_per_second"],
                "rows_per_second_whole": result["rows"] / result["seconds"],
            }
    return round_
