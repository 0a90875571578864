"""What the database does by itself: the bare rewrite in key order and in wave order, the bare read, and pgcrypto."""
import threading
import time

from patients import COLUMNS, NEW_KEY, OLD_KEY
from server import assignments, session

RANGE_ROWS = 5_000
WINDOW_ROWS = 27_000
WAVE_ROWS = 1_000

# The rewrite that a client of page waves cannot beat: no client, no cryptography, no checkpoint. The k-th row of each page of a
# window of keys, about 1,000 rows a transaction, joined on the row key so that the index fetch prunes the page.
WAVES = """
CREATE OR REPLACE PROCEDURE rewrite_in_waves(after integer, upto integer, wave_rows integer) LANGUAGE plpgsql AS $$
DECLARE wave record;
BEGIN
    FOR wave IN
        SELECT array_agg(id ORDER BY id) AS ids
        FROM (
            SELECT id, k, (row_number() OVER (PARTITION BY k ORDER BY id) - 1) / wave_rows AS part
            FROM (
                SELECT id, row_number() OVER (PARTITION BY (ctid::text::point)[0] ORDER BY id) AS k
                FROM "Patient" WHERE id > after AND id <= upto
            ) AS pages
        ) AS waves
        GROUP BY k, part ORDER BY k, part
    LOOP
        UPDATE "Patient" AS t SET {assignments} FROM unnest(wave.ids) AS u(id) WHERE t.id = u.id;
        COMMIT;
    END LOOP;
END $$"""

# AES-256-CBC: pgcrypto has no GCM. Nothing is authenticated, nothing is compared, and both keys stand in the statement.
PGCRYPTO = """
CREATE OR REPLACE FUNCTION rotated(value text, old_key bytea, new_key bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    iv bytea := gen_random_bytes(16);
    plain bytea := decrypt_iv(decode(split_part(value, ':', 2), 'base64'), old_key, decode(split_part(value, ':', 1), 'base64'), 'aes-cbc');
BEGIN
    RETURN encode(iv, 'base64') || ':' || encode(encrypt_iv(plain, new_key, iv, 'aes-cbc'), 'base64');
END $$"""


def bare_rewrite(server, database, count, connections, hashes=False):
    """The floor: `UPDATE … SET c = c || ''` in key ranges, each its own transaction. Returns seconds."""
    statement = f'UPDATE "Patient" SET {assignments(hashes)} WHERE "id" > %s AND "id" <= %s'
    return in_ranges(server, database, count, connections, RANGE_ROWS, lambda c, *bounds: c.execute(statement, bounds))


def wave_rewrite(server, database, count, connections):
    with session(server, database) as connection:
        connection.execute(WAVES.format(assignments=assignments()))
    statement = f"CALL rewrite_in_waves(%s, %s, {WAVE_ROWS})"
    # On small tables the planner would read the whole table for each wave.
    options = {"options": "-c enable_hashjoin=off -c enable_mergejoin=off"}
    return in_ranges(
        server, database, count, connections, WINDOW_ROWS, lambda c, *bounds: c.execute(statement, bounds), **options)


def pgcrypto(server, database, count):
    with session(server, database) as connection:
        connection.execute(PGCRYPTO)
    columns = ", ".join(f'"{c}" = rotated("{c}", %(old)s, %(new)s)' for c in COLUMNS)
    statement = f'UPDATE "Patient" SET {columns} WHERE "id" > %(after)s AND "id" <= %(upto)s'
    def rewrite(connection, after, upto):
        connection.execute(statement, {"old": OLD_KEY, "new": NEW_KEY, "after": after, "upto": upto})
    return in_ranges(server, database, count, 1, RANGE_ROWS, rewrite)


def in_ranges(server, database, count, connections, step, work, **options):
    """Lets each connection take the next range of keys until none is left; the clock runs from the first to the last."""
    ranges = iter([(start, min(start + step, count)) for start in range(0, count, step)])
    lock, failures = threading.Lock(), []
    barrier = threading.Barrier(connections + 1)

    def take():
        with lock:
            return next(ranges, None)

    def worker():
        try:
            with session(server, database, **options) as connection:
                barrier.wait()
                while bounds := take():
                    work(connection, *bounds)
                ended.append(time.monotonic())
        except BaseException as error:
            failures.append(error)
            barrier.abort()

    ended = []
    threads = [threading.Thread(target=worker) for _ in range(connections)]
    for thread in threads:
        thread.start()
    try:
        barrier.wait()
    except threading.BrokenBarrierError:
        pass
    began = time.monotonic()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return max(ended) - began


def read_command(server, database, programs):
    """The bare read: the ten columns in COPY's binary form, thrown away by psql."""
    columns = ", ".join(f'"{column}"' for column in COLUMNS)
    copy = f'COPY (SELECT {columns} FROM "Patient") TO STDOUT (FORMAT binary)'
    return [f"{programs}/psql", "-X", "-q", "-d", server.url_of(database), "-c", copy]
