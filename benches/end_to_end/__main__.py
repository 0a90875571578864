"""The end-to-end benchmark; started by scripts/bench.sh, which makes the server. docs/performance.md explains it."""
import argparse
import json
import os
import platform
import sys
from datetime import datetime, timezone

import psycopg

import report
from bars import bars
from contenders import contenders
from embedded import CHANGED, UNCHANGED, Embedded
from floor import bare_rewrite
from harm import measure_harm
from measurement import ChildFailed, measure
from patients import NotRotated
from server import Server
from tool import Tool

SCALES = (100_000, 3_000_000)
SCALED = ("run-2", "verify", "plan")
EXTRAS = ("harm", "sqlite")


class Bench:
    """What every contender needs to know."""

    def __init__(self, rows):
        self.rows = rows
        self.failed = {}
        self.programs = os.environ["BENCH_PROGRAMS"]
        self.node_modules = os.environ["BENCH_NODE_MODULES"]
        self.scratch = os.environ["BENCH_SCRATCH"]
        self.python = sys.executable
        self.server = Server(os.environ["BENCH_URL"], os.environ["BENCH_DATA"])
        self.tool = Tool(os.environ["BENCH_BINARY"], self.scratch)


def main():
    options = arguments()
    bench = Bench(options.rows)
    chosen = [c for c in contenders() if wanted(options, c.name)]
    if not os.path.isdir(os.path.join(bench.node_modules, "pg")):
        say("there is no npm: the Node script is left out")
        chosen = [c for c in chosen if c.name != "peer-node"]

    document = {"rows": options.rows, "fields_per_row": 10, "rounds": options.rounds, "started_at": now(), **surroundings(bench)}
    document["contenders"] = compare(bench, chosen, options.rounds, wanted(options, "harm"), document)
    if wanted(options, "sqlite"):
        document["contenders"] |= sqlite(bench, options.rounds)
    if options.scale:
        document["scale"] = {str(rows): at_scale(bench, rows, options.rounds) for rows in SCALES}
    document |= {"failed": bench.failed, "ended_at": now()}

    show(document)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rounded(document), file, indent=1)
            file.write("\n")
    return 1 if bench.failed else 0


def arguments():
    names = [c.name for c in contenders()] + list(EXTRAS)
    parser = argparse.ArgumentParser(
        prog="scripts/bench.sh", description="Measures reencrypt against the database's own rewrite.",
        epilog="names for --only: " + ", ".join(names))
    parser.add_argument("--rows", type=int, default=300_000, help="rows of the table (default 300000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default 3)")
    parser.add_argument("--only", type=lambda text: text.split(","), metavar="NAME,…", help="names or their beginnings")
    parser.add_argument("--scale", action="store_true", help="also run, verify and plan on 100,000 and 3,000,000 rows")
    parser.add_argument("--json", metavar="FILE", help="a file for everything that was measured")
    options = parser.parse_args()
    if options.rows < 1000 or options.rounds < 1:
        parser.error("at least 1000 rows and one round")
    for name in options.only or []:
        if not any(known.startswith(name) for known in names):
            parser.error(f"nothing is named {name}")
    return options


def wanted(options, name):
    return options.only is None or any(name.startswith(beginning) for beginning in options.only)


def compare(bench, chosen, rounds, with_harm=False, document=None):
    """Every round measures each contender once, so that what disturbs the machine for long disturbs all of them alike."""
    templates = prepare(bench, chosen, with_harm)
    measured = {contender.name: [] for contender in chosen}
    harm = []
    for round_ in range(1, rounds + 1):
        for contender in [c for c in chosen if c.name in measured]:
            try:
                result = measure_once(bench, contender)
            except (ChildFailed, NotRotated, psycopg.Error) as error:
                # The others still count; this one is left out of the table, and the exit code says so.
                say(f"round {round_}, {contender.about} FAILED: {error}")
                bench.failed[contender.name] = str(error)
                del measured[contender.name]
                continue
            measured[contender.name].append(result)
            say(f"round {round_}, {contender.about}: {result['rows_per_second']:,.0f} rows/s")
        if with_harm:
            harm.append(measure_harm(bench.server, bench.tool, bench.rows, bench.scratch, bench.programs))
            say(f"round {round_}, point updates beside a run, p99: "
                + ", ".join(f"{name} {entry['p99_ms']:.1f} ms" for name, entry in harm[-1].items()))
    for database in ["work", *templates]:
        bench.server.drop(database)
    if harm:
        document["harm"] = report.harm_summary(harm)
    return {c.name: report.summary(c.about, measured[c.name], c.floor, measured.get(c.floor)) for c in chosen if c.name in measured}


def prepare(bench, chosen, with_harm):
    """Makes the templates that are needed. The finished one was rotated by the tool itself, and packed again."""
    server = bench.server
    reads = any(not contender.writes for contender in chosen)
    variants = {contender.variant for contender in chosen if contender.writes}
    if reads or with_harm:
        variants.add("plain")
    for variant in sorted(variants):
        say(f"seeding {bench.rows:,} rows, {variant}")
        server.make_template(f"seed_{variant}", variant, bench.rows)
    if reads:
        server.restore("finished", "seed_plain")
        bench.tool.run(server.url_of("finished"))
        with server.connect("finished") as connection:
            connection.execute('VACUUM FULL "Patient"')
    if variants:
        # Once without looking: the first to write would have to create the WAL files that the others find there.
        server.restore("work", f"seed_{max(variants)}")
        bare_rewrite(server, "work", bench.rows, 2)
    return [f"seed_{variant}" for variant in variants] + ["finished"] * reads


def measure_once(bench, contender):
    if contender.writes:
        database = "work"
        bench.server.restore(database, f"seed_{contender.variant}")
    else:
        database = "finished"
        bench.server.ready(database)
    result = measure(bench.server, database, lambda: contender.work(bench, database), writes=contender.writes)
    if contender.check:
        contender.check(bench, database, contender, result)
    return result


def sqlite(bench, rounds):
    say("seeding SQLite")
    embedded = Embedded(bench.scratch)
    measured = {"sqlite-floor": [], "sqlite-changed": [], "sqlite-run": []}
    for round_ in range(1, rounds + 1):
        measured["sqlite-floor"].append(embedded.bare_rewrite(UNCHANGED))
        measured["sqlite-changed"].append(embedded.bare_rewrite(CHANGED))
        measured["sqlite-run"].append(embedded.run(bench.tool))
        say(f"round {round_}, SQLite: " + ", ".join(f"{n} {m[-1]['rows_per_second']:,.0f} rows/s" for n, m in measured.items()))
    about = {
        "sqlite-floor": "SQLite: bare UPDATE that changes nothing",
        "sqlite-changed": "SQLite: bare UPDATE that changes every value",
        "sqlite-run": "SQLite: reencrypt run",
    }
    floor = "sqlite-changed"
    return {
        name: report.summary(about[name], rounds_, *((floor, measured[floor]) if name == "sqlite-run" else ()))
        for name, rounds_ in measured.items()
    }


def at_scale(bench, rows, rounds):
    say(f"the growth of cost: {rows:,} rows")
    bench.rows = rows
    return compare(bench, [c for c in contenders() if c.name in SCALED], rounds)


def surroundings(bench):
    """What the figures hang on. No paths, no names of machines or people."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "reencrypt": bench.tool.version,
        "postgresql": bench.server.version,
        "settings": bench.server.settings(),
        "machine": {"cpu": model, "cores": os.cpu_count(), "memory_bytes": memory, "kernel": platform.release()},
        "python": {"version": platform.python_version(), "psycopg": psycopg.__version__},
    }


def show(document):
    results = document["contenders"]
    if results:
        print(report.table(results))
    if "harm" in document:
        print("\n" + report.harm_table(document["harm"]))
    for rows, scaled in document.get("scale", {}).items():
        print(f"\n{int(rows):,} rows\n\n" + report.table(scaled))
    if met := bars(document):
        print("\n" + met)
    if warning := report.disturbance(document):
        print("\n" + warning)


def rounded(value):
    """Six digits are more than any of this is good for."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: rounded(member) for name, member in value.items()}
    return [rounded(member) for member in value] if isinstance(value, list) else value


def now():
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
