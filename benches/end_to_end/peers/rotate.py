"""What a careful person writes in Python: psycopg 3, cryptography, 1,000 rows a transaction, updates in one pipeline.

No compare with what was read, no checkpoint, no check of what was written. Prints the rows and the seconds from connected to done.
"""
import base64
import json
import os
import time

import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

COLUMNS = ["firstName", "lastName", "email", "phone", "dob", "address1", "address2", "city", "state", "zip"]
BATCH = 1000

old = AESGCM(bytes.fromhex(os.environ["OLD_KEY"]))
new = AESGCM(bytes.fromhex(os.environ["NEW_KEY"]))


def rotate(value):
    iv, tag, body = map(base64.b64decode, value.split(":"))
    plain = old.decrypt(iv, body + tag, None)
    iv = os.urandom(16)
    sealed = new.encrypt(iv, plain, None)
    return b":".join(map(base64.b64encode, (iv, sealed[-16:], sealed[:-16]))).decode()


select = 'SELECT id, {} FROM "Patient" WHERE id > %s ORDER BY id LIMIT %s'.format(", ".join(f'"{c}"' for c in COLUMNS))
update = 'UPDATE "Patient" SET {} WHERE id = %s'.format(", ".join(f'"{c}" = %s' for c in COLUMNS))

with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    began, done, last = time.monotonic(), 0, 0
    while rows := connection.execute(select, [last, BATCH]).fetchall():
        with connection.cursor() as cursor:
            cursor.executemany(update, [[*map(rotate, values), key] for key, *values in rows])
        connection.commit()
        last, done = rows[-1][0], done + len(rows)
    print(json.dumps({"rows": done, "seconds": time.monotonic() - began}))
