"""Who is measured: each contender's name, its table, its work and the floor that it is compared with."""
import json
import os
import shutil
from dataclasses import dataclass
from typing import Callable, Optional

import floor
from measurement import ChildFailed, run_child
from patients import NEW_KEY, OLD_KEY, check_rotated
from server import session

# The Node script takes minutes where the others take seconds; its rate does not change over the table.
NODE_ROWS_MAX = 20_000


@dataclass(frozen=True)
class Contender:
    """`work` gets the bench and the database's name, and returns at least `rows` and `seconds`; `check` looks at what it left behind."""

    name: str
    about: str
    work: Callable
    floor: Optional[str] = None
    variant: str = "plain"
    writes: bool = True
    check: Optional[Callable] = None


def contenders():
    """All that works on one table, in the order of a round."""
    found = []
    for n in (1, 2):
        found += [
            Contender(f"floor-{n}", f"bare UPDATE in key order, {conn(n)}",
                      lambda b, db, n=n: timed(b, floor.bare_rewrite(b.server, db, b.rows, n))),
            Contender(f"run-{n}", f"reencrypt run, {workers(n)}",
                      lambda b, db, n=n: b.tool.run(b.server.url_of(db), n), floor=f"floor-{n}", check=rotated),
            Contender(f"waves-{n}", f"bare UPDATE in wave order, {conn(n)}",
                      lambda b, db, n=n: timed(b, floor.wave_rewrite(b.server, db, b.rows, n)), floor=f"floor-{n}"),
            Contender(f"hash-floor-{n}", f"bare UPDATE, indexed hashes too, {conn(n)}",
                      lambda b, db, n=n: timed(b, floor.bare_rewrite(b.server, db, b.rows, n, hashes=True)), variant="hashed"),
            Contender(f"hash-run-{n}", f"reencrypt run, indexed hashes too, {workers(n)}",
                      lambda b, db, n=n: b.tool.run(b.server.url_of(db), n, "hashed"), floor=f"hash-floor-{n}",
                      variant="hashed", check=rotated),
        ]
    return found + [
        Contender("peer-node", "Node, pg, one UPDATE a row", node, floor="floor-1", check=rotated),
        Contender("peer-python", "Python, psycopg 3, pipelined", python, floor="floor-1", check=rotated),
        Contender("peer-pgcrypto", "pgcrypto in the database, AES-CBC", lambda b, db: timed(b, floor.pgcrypto(b.server, db, b.rows)), floor="floor-1",
                  variant="cbc", check=rotated),
        Contender("read-1", "bare binary read, 1 connection", bare_read, writes=False),
        Contender("verify-1", "reencrypt verify, 1 worker on 1 core",
                  lambda b, db: b.tool.verify(b.server.url_of(db), one_core=True), floor="read-1", writes=False),
        Contender("verify", "reencrypt verify, default",
                  lambda b, db: b.tool.verify(b.server.url_of(db)), floor="read-1", writes=False),
        Contender("rerun-1", "reencrypt run on finished data, 1 worker", lambda b, db: b.tool.run(b.server.url_of(db), 1), floor="verify-1",
                  writes=False, check=nothing_rotated),
        Contender("rerun", "reencrypt run on finished data, default", lambda b, db: b.tool.run(b.server.url_of(db)), floor="verify",
                  writes=False, check=nothing_rotated),
        Contender("plan", "reencrypt plan, default sample", lambda b, db: b.tool.plan(b.server.url_of(db)), writes=False),
    ]


def conn(n):
    return f"{n} connection" + "s" * (n > 1)


def workers(n):
    return f"{n} worker" + "s" * (n > 1)


def timed(bench, seconds):
    return {"rows": bench.rows, "seconds": seconds}


def rotated(bench, database, contender, result):
    """Every value counted where the contender counts, and a sample opened under the new key."""
    if result.get("rotated", 10 * result["rows"]) != 10 * result["rows"]:
        raise ChildFailed(f"{contender.name}: {result['rotated']} values rotated of {10 * result['rows']}")
    with session(bench.server, database) as connection:
        check_rotated(connection, result["rows"], contender.variant)


def nothing_rotated(bench, database, contender, result):
    if result["rotated"]:
        raise ChildFailed(f"{contender.name}: {result['rotated']} values rotated on finished data")


def bare_read(bench, database):
    child = run_child(floor.read_command(bench.server, database, bench.programs), discard=True)
    return {**without_text(child), "rows": bench.rows}


def node(bench, database):
    """The script is copied beside its packages, where Node looks for them."""
    script = os.path.join(os.path.dirname(bench.node_modules), "rotate.js")
    shutil.copyfile(os.path.join(PEERS, "rotate.js"), script)
    return peer(bench, database, ["node", script], min(bench.rows, NODE_ROWS_MAX))


def python(bench, database):
    return peer(bench, database, [bench.python, os.path.join(PEERS, "rotate.py")], bench.rows)


def peer(bench, database, command, rows):
    environment = {
        "DATABASE_URL": bench.server.url_of(database), "OLD_KEY": OLD_KEY.hex(), "NEW_KEY": NEW_KEY.hex(), "ROWS_MAX": str(rows)}
    child = run_child(command, environment=environment)
    own = json.loads(child["out"])
    if own["rows"] != rows:
        raise ChildFailed(f"{own['rows']} rows rotated of {rows}")
    return {**without_text(child), "rows": rows, "rows_per_second": rows / own["seconds"]}


def without_text(child):
    return {name: value for name, value in child.items() if name not in ("out", "code")}


PEERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers")
