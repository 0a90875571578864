"""The throw-away server: its databases, and what it has spent."""
import os
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg

from patients import COLUMNS, blocks, create_indexes, create_table

TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A PostgreSQL on this machine that nobody else uses."""

    def __init__(self, url, data):
        self.url = url
        with open(os.path.join(data, "postmaster.pid"), encoding="ascii") as file:
            self.postmaster = int(file.readline())
        self.admin = psycopg.connect(url, autocommit=True)
        self.admin.execute("CREATE EXTENSION pg_walinspect")
        self.version = self.admin.execute("SHOW server_version").fetchone()[0]

    def url_of(self, database):
        return urlsplit(self.url)._replace(path=f"/{database}").geturl()

    def connect(self, database, **options):
        return psycopg.connect(self.url_of(database), autocommit=True, **options)

    def settings(self):
        """What differs from the server's own defaults, and what the figures hang on."""
        changed = self.admin.execute(
            "SELECT name, current_setting(name) FROM pg_settings WHERE source = 'configuration file' ORDER BY name"
        ).fetchall()
        always = [(name, self.admin.execute(f"SHOW {name}").fetchone()[0]) for name in (
            "fsync", "synchronous_commit", "full_page_writes", "wal_level", "autovacuum", "checkpoint_timeout", "data_checksums")]
        private = {"listen_addresses", "unix_socket_directories"}
        return {name: value for name, value in changed + always if name not in private}

    def make_template(self, name, variant, count):
        """A database with the table in full pages, vacuumed and analyzed."""
        self.admin.execute(f'CREATE DATABASE "{name}"')
        with self.connect(name) as connection:
            connection.execute("CREATE EXTENSION pg_prewarm")
            if variant == "cbc":
                connection.execute("CREATE EXTENSION pgcrypto")
            connection.execute(create_table(postgres=True))
            with connection.cursor() as cursor, cursor.copy('COPY "Patient" FROM STDIN') as copy:
                for block in blocks(count, variant):
                    copy.write(block)
            for statement in create_indexes(variant):
                connection.execute(statement)
            connection.execute('VACUUM ANALYZE "Patient"')

    def restore(self, name, template):
        """Makes `name` a copy of `template`, file by file, in memory as far as it fits, and with a CHECKPOINT behind it."""
        strategy = " STRATEGY = FILE_COPY" if self.admin.info.server_version >= 150000 else ""
        self.drop(name)
        self.admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"{strategy}')
        self.ready(name)

    def ready(self, name):
        with self.connect(name) as connection:
            connection.execute('VACUUM ANALYZE "Patient"')
            connection.execute("""SELECT sum(pg_prewarm(oid)) FROM pg_class WHERE oid = '"Patient"'::regclass
                OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = '"Patient"'::regclass)""")
            connection.execute("CHECKPOINT")

    def drop(self, name):
        self.admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def cpu_seconds(self):
        """Of all server processes, those that ended included. Read again when one ended meanwhile, or it would count twice or not at all."""
        while True:
            before = stat(self.postmaster)
            ticks = sum(int(value) for value in before[11:15])
            for entry in os.listdir("/proc"):
                if entry.isdigit() and (fields := stat(entry)) and int(fields[1]) == self.postmaster:
                    ticks += sum(int(value) for value in fields[11:15])
            if stat(self.postmaster)[13:15] == before[13:15]:
                return ticks / TICKS

    def lsn(self):
        return self.admin.execute("SELECT pg_current_wal_flush_lsn()").fetchone()[0]

    def wal_bytes(self, after, upto):
        return int(self.admin.execute("SELECT %s::pg_lsn - %s::pg_lsn", [upto, after]).fetchone()[0])

    def index_records(self, after, upto):
        """How many entries were put into B-trees, all of the server's."""
        return int(self.admin.execute(
            """SELECT coalesce(sum(count), 0) FROM pg_get_wal_stats(%s, %s, true)
               WHERE "resource_manager/record_type" LIKE 'Btree/INSERT\\_%%'""", [after, upto]).fetchone()[0])


def stat(process):
    """The fields of /proc/PID/stat after the command: state, parent, …, and from 11 on utime, stime and those of ended children."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def sizes(connection):
    """Bytes of the table's own file and of its indexes."""
    return connection.execute("""SELECT pg_relation_size('"Patient"'), pg_indexes_size('"Patient"')""").fetchone()


def updates(connection, expected):
    """Updated rows of the table, and how many of them were HOT. Other sessions report with a delay of up to a second."""
    deadline = time.monotonic() + 3
    while True:
        connection.execute("SELECT pg_stat_clear_snapshot()")
        updated, hot = connection.execute(
            """SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = '"Patient"'::regclass""").fetchone()
        if updated >= expected or time.monotonic() > deadline:
            return updated, hot
        time.sleep(0.1)


@contextmanager
def session(server, database, **options):
    """A connection that is closed at the end, so that its statistics are reported."""
    connection = server.connect(database, **options)
    try:
        yield connection
    finally:
        connection.close()


def assignments(hashes=False):
    """`SET` of the bare rewrite: every column gets its own value, the hashes another one of the same kind."""
    same = [f'"{column}" = "{column}" || \'\'' for column in COLUMNS]
    return ", ".join(same + (['"emailHash" = reverse("emailHash")', '"dobHash" = reverse("dobHash")'] if hashes else []))
