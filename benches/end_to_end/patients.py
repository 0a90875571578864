"""The table that is measured: patients as the platform stores them, and its variants."""
import base64
import hashlib
import hmac
import os
import random
from concurrent.futures import ProcessPoolExecutor

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7

COLUMNS = ["firstName", "lastName", "email", "phone", "dob", "address1", "address2", "city", "state", "zip"]
HASHES = ["emailHash", "dobHash"]
OLD_KEY = hashlib.sha256(b"the benchmark's old key").digest()
NEW_KEY = hashlib.sha256(b"the benchmark's new key").digest()

# The variants. In `plain` and `cbc` none of the three indexes is on a column that a rotation changes, in `hashed` two are.
INDEXES = {
    "plain": ["clinicId", "createdAt"],
    "cbc": ["clinicId", "createdAt"],
    "hashed": HASHES,
}

TABLE = """
CREATE TABLE "Patient" (
    "id" integer PRIMARY KEY,
    "clinicId" integer NOT NULL,
    {encrypted},
    "emailHash" text,
    "dobHash" text,
    "gender" text NOT NULL,
    "createdAt" {timestamp} NOT NULL,
    "updatedAt" {timestamp} NOT NULL
)"""

FIRST = ["Zoë", "Søren", "José", "Mary Ann", "Łukasz", "Nguyễn", "Siobhán", "Wei", "Aaliyah", "Mateo"]
LAST = ["O'Brien", "Müller", "García-López", "Smith", "Çelik", "van der Berg", "Li", "Ivanova", "Okonkwo", "Haddad"]
STREETS = ["Bayshore Blvd", "Rue de l’Église", "Main St", "W Kennedy Blvd", "Old Mill Rd", "Avenida Juárez"]
CITIES = ["Tampa", "Saint Paul", "Coeur d’Alene", "Boise", "Añasco", "New York", "Jacksonville"]
STATES = ["FL", "MN", "ID", "TX", "PR", "NY"]


def create_table(postgres):
    """The table's statement, for PostgreSQL or SQLite."""
    encrypted = ",\n    ".join(f'"{column}" text NOT NULL' for column in COLUMNS)
    return TABLE.format(encrypted=encrypted, timestamp="timestamp(3)" if postgres else "text")


def create_indexes(variant):
    return [f'CREATE INDEX "Patient_{column}_idx" ON "Patient" ("{column}")' for column in INDEXES[variant]]


def plaintexts(number):
    """What patient `number` has in the ten columns: always the same person."""
    dice = random.Random(number)
    return [
        dice.choice(FIRST),
        dice.choice(LAST),
        f"patient.{number}@example.com",
        f"813{dice.randrange(10**7):07}",
        f"{dice.randrange(1930, 2010)}-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}",
        f"{dice.randrange(1, 9999)} {dice.choice(STREETS)}",
        f"Apt {dice.randrange(1, 400)}",
        dice.choice(CITIES),
        dice.choice(STATES),
        f"{dice.randrange(10**5):05}",
    ]


def rows(first, last, variant):
    """Patients `first` to `last - 1` as lines of COPY's text format, under the old key. No value needs escaping there."""
    seal = cbc_sealer(OLD_KEY) if variant == "cbc" else gcm_sealer(OLD_KEY)
    blind = blind_index(OLD_KEY)
    lines = []
    for number in range(first, last):
        person = plaintexts(number)
        stamp = f"2024-{1 + number % 12:02}-{1 + number % 28:02} {number % 24:02}:{number % 60:02}:{number % 59:02}.{number % 1000:03}"
        values = [str(number), str(number % 40)]
        values += [seal(value.encode()) for value in person]
        values += [blind(person[2].lower()), blind(person[4]), "unspecified", stamp, stamp]
        lines.append("\t".join(values))
    return "\n".join(lines) + "\n"


def blocks(count, variant):
    """All rows in key order, as blocks of lines, made by as many processes as there are cores."""
    step = 5_000
    starts = range(1, count + 1, step)
    with ProcessPoolExecutor() as pool:
        # Not all at once: what is made ahead stands in memory.
        ahead = 4 * (os.cpu_count() or 1)
        waiting = []
        for start in starts:
            waiting.append(pool.submit(rows, start, min(start + step, count + 1), variant))
            if len(waiting) > ahead:
                yield waiting.pop(0).result()
        for block in waiting:
            yield block.result()


def gcm_sealer(key):
    """`base64(iv):base64(tag):base64(ciphertext)`, AES-256-GCM with an IV of 16 bytes."""
    cipher, encode = AESGCM(key), base64.b64encode

    def seal(plaintext):
        iv = os.urandom(16)
        sealed = cipher.encrypt(iv, plaintext, None)
        return (encode(iv) + b":" + encode(sealed[-16:]) + b":" + encode(sealed[:-16])).decode()

    return seal


def cbc_sealer(key):
    """`base64(iv):base64(ciphertext)`, AES-256-CBC: what pgcrypto can read and write."""

    def seal(plaintext):
        iv, padder = os.urandom(16), PKCS7(128).padder()
        encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        sealed = encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()
        return (base64.b64encode(iv) + b":" + base64.b64encode(sealed)).decode()

    return seal


def open_gcm(value, key):
    iv, tag, body = (base64.b64decode(part) for part in value.split(":"))
    return AESGCM(key).decrypt(iv, body + tag, None).decode()


def open_cbc(value, key):
    iv, body = (base64.b64decode(part) for part in value.split(":"))
    decryptor, unpadder = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor(), PKCS7(128).unpadder()
    padded = decryptor.update(body) + decryptor.finalize()
    return (unpadder.update(padded) + unpadder.finalize()).decode()


def blind_index(key):
    """The platform's keyed hash of a normalised plaintext."""
    subkey = hmac.digest(key, b"patient-dedup-v1", "sha256")
    return lambda text: hmac.new(subkey, text.encode(), hashlib.sha256).hexdigest()


class NotRotated(Exception):
    """A contender did not do its work."""


def check_rotated(connection, count, variant):
    """Fails unless about 500 patients, the first and the last included, read as they should under the new key, whoever rotated them."""
    opens, blind = (open_cbc if variant == "cbc" else open_gcm), blind_index(NEW_KEY)
    columns = ", ".join(f'"{column}"' for column in COLUMNS + HASHES)
    sample = sorted({1, count, *range(1, count + 1, max(1, count // 500))})
    for number, *values in connection.execute(f'SELECT "id", {columns} FROM "Patient" WHERE "id" = ANY(%s)', [sample]):
        person = plaintexts(number)
        if [opens(value, NEW_KEY) for value in values[:10]] != person:
            raise NotRotated(f"patient {number} is not what it was")
        if variant == "hashed" and values[10:] != [blind(person[2].lower()), blind(person[4])]:
            raise NotRotated(f"the hashes of patient {number} are not those of the new key")
