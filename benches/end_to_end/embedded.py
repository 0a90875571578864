"""SQLite: the tool against one bare transaction on the same file."""
import os
import shutil
import sqlite3
import time

from measurement import ChildFailed
from patients import COLUMNS, HASHES, blocks, create_indexes, create_table

ROWS = 50_000

# SQLite compares a cell of equal size before it overwrites it, and writes no page where nothing differs: `c || ''` reads and writes
# nothing. What a rewrite costs shows the other one, which turns each value by one character.
UNCHANGED = "{0} || ''"
CHANGED = "substr({0}, 2) || substr({0}, 1, 1)"


class Embedded:
    """A database file and its untouched copy."""

    def __init__(self, scratch):
        self.seed, self.file = os.path.join(scratch, "seed.db"), os.path.join(scratch, "work.db")
        names = ["id", "clinicId", *COLUMNS, *HASHES, "gender", "createdAt", "updatedAt"]
        insert = f"""INSERT INTO "Patient" ({', '.join(f'"{n}"' for n in names)}) VALUES ({', '.join('?' * len(names))})"""
        connection = sqlite3.connect(self.seed)
        connection.execute(create_table(postgres=False).replace('"id" integer PRIMARY KEY', '"id" INTEGER PRIMARY KEY'))
        for block in blocks(ROWS, "plain"):
            connection.executemany(insert, (line.split("\t") for line in block.splitlines()))
        for statement in create_indexes("plain"):
            connection.execute(statement)
        connection.commit()
        connection.close()

    def restore(self):
        shutil.copyfile(self.seed, self.file)
        os.sync()

    def bare_rewrite(self, expression):
        """One transaction that gives every encrypted column the value of `expression`."""
        self.restore()
        columns = ", ".join(f'"{column}" = ' + expression.format(f'"{column}"') for column in COLUMNS)
        began = time.monotonic()
        connection = sqlite3.connect(self.file)
        connection.execute(f'UPDATE "Patient" SET {columns}')
        connection.commit()
        connection.close()
        return entry(time.monotonic() - began)

    def run(self, tool):
        self.restore()
        result = tool.run(f"sqlite:{self.file}")
        if result["rotated"] != 10 * ROWS:
            raise ChildFailed(f"{result['rotated']} values rotated of {10 * ROWS}")
        return result | entry(result["seconds"], result["rows_per_second"])


def entry(seconds, rate=None):
    return {"rows": ROWS, "seconds": seconds, "rows_per_second": rate or ROWS / seconds, "rows_per_second_whole": ROWS / seconds,
            "fields_per_second": 10 * (rate or ROWS / seconds)}
