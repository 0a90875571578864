-- The checkpoint store. Its rows are written in the transaction of the data that they speak of, so that a kill at any moment leaves both or neither.
--
-- run         one rotation. state: running, paused, interrupted, awaiting_cutover, finished, failed, abandoned. plan is the plan's JSON,
--             plan_id its id; pass the pass that is being walked (0 before the first); sweep_base the pass after which sweeps are counted;
--             paused_at_ms is set while a pause is asked for. At most one run is unfinished.
-- pass        one walk over everything; seen and rotated are summed when it ends; retried is how many
--             values stood in quarantine until then although they could be read.
-- walk        one leaf of one table in one pass: its largest key when the pass began, and how far it is cut into chunks.
-- chunk       a half-open range of row keys (after_key, upto_key]. cursor_key is the last key whose row is settled, pending the keys before it that are not.
--             owner, fence and lease_until_ms say who works on it; seq counts its committed batches; counts is a JSON array, one entry a slot.
--             window_key is the end of a window that is being written in waves, in no order of keys: until it is written whole the cursor stays before it.
-- wave        one committed transaction of a chunk's open window: the marks of the rows that it accounted for, 8 bytes each, a keyed hash of the row key whose
--             key does not stand here. Its chunk's row is compared and set in the same transaction; gone when the window is written.
-- quarantine  a value left alone. pass is the last pass that saw it.
-- acceptance  a person's acceptance of exactly so many values of a table, column and class.
-- event       what happened in a run, numbered. (The audit chain will add its hash here and its head to chunk.)
-- nonces      how often a key may have sealed: reserved in blocks before they are used, so that a kill loses some and never counts too few. key is the
--             fingerprint of the key that the cipher has, after the format's derivation. Runs add to it, and none takes from it.
-- worker      a process that works, or worked, on a run; why it waits and since when, and how it writes.
--
-- Times are milliseconds since 1970 by the database's clock. Row keys stand here because a walk needs them; they are as protected as the tables that they are keys of.
-- No key, no plaintext and no ciphertext is ever written here.

CREATE TABLE reencrypt_run (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    plan TEXT NOT NULL,
    environment TEXT NOT NULL,
    pass INTEGER NOT NULL DEFAULT 0,
    sweep_base INTEGER NOT NULL DEFAULT 1,
    sweeps_max INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    finished_ms INTEGER,
    last_old_ms INTEGER,
    paused_at_ms INTEGER,
    paused_until_ms INTEGER,
    pause_reason TEXT,
    failure TEXT,
    tool_version TEXT NOT NULL
);
CREATE UNIQUE INDEX reencrypt_run_one_unfinished ON reencrypt_run ((1)) WHERE state NOT IN ('finished', 'abandoned');

CREATE TABLE reencrypt_pass (
    run_id TEXT NOT NULL REFERENCES reencrypt_run (id),
    pass INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    finished_ms INTEGER,
    seen INTEGER NOT NULL DEFAULT 0,
    rotated INTEGER NOT NULL DEFAULT 0,
    retried INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, pass)
);

CREATE TABLE reencrypt_walk (
    run_id TEXT NOT NULL REFERENCES reencrypt_run (id),
    pass INTEGER NOT NULL,
    table_no INTEGER NOT NULL,
    leaf TEXT NOT NULL,
    upto_key BLOB NOT NULL,
    frontier_key BLOB,
    chunks INTEGER NOT NULL DEFAULT 0,
    carved INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, pass, table_no, leaf)
);

CREATE TABLE reencrypt_chunk (
    id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES reencrypt_run (id),
    pass INTEGER NOT NULL,
    table_no INTEGER NOT NULL,
    leaf TEXT NOT NULL,
    after_key BLOB,
    upto_key BLOB NOT NULL,
    cursor_key BLOB,
    window_key BLOB,
    pending BLOB NOT NULL DEFAULT x'',
    counts TEXT NOT NULL DEFAULT '[]',
    rows_settled INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    seq INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    owner TEXT,
    lease_until_ms INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX reencrypt_chunk_of_pass ON reencrypt_chunk (run_id, pass, table_no);

CREATE TABLE reencrypt_wave (
    chunk_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    marks BLOB NOT NULL,
    PRIMARY KEY (chunk_id, seq)
);

CREATE TABLE reencrypt_quarantine (
    run_id TEXT NOT NULL REFERENCES reencrypt_run (id),
    table_no INTEGER NOT NULL,
    leaf TEXT NOT NULL,
    column_name TEXT NOT NULL,
    row_key BLOB NOT NULL,
    class TEXT NOT NULL,
    pass INTEGER NOT NULL,
    PRIMARY KEY (run_id, table_no, leaf, column_name, row_key)
);

CREATE TABLE reencrypt_acceptance (
    table_name TEXT NOT NULL,
    column_name TEXT NOT NULL,
    class TEXT NOT NULL,
    accepted INTEGER NOT NULL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (table_name, column_name, class)
);

CREATE TABLE reencrypt_event (
    run_id TEXT NOT NULL REFERENCES reencrypt_run (id),
    n INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (run_id, n)
);

CREATE TABLE reencrypt_worker (
    run_id TEXT NOT NULL REFERENCES reencrypt_run (id),
    owner TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL,
    waiting TEXT,
    waiting_since_ms INTEGER,
    gives_way INTEGER NOT NULL DEFAULT 0,
    snapshot_held INTEGER NOT NULL DEFAULT 0,
    rows_per_second_max INTEGER,
    PRIMARY KEY (run_id, owner)
);

CREATE TABLE reencrypt_nonces (
    key TEXT PRIMARY KEY NOT NULL,
    reserved INTEGER NOT NULL
);
