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

CREATE TABLE reencrypt.run (
    id text PRIMARY KEY,
    state text NOT NULL,
    plan_id text NOT NULL,
    plan text NOT NULL,
    environment text NOT NULL,
    pass bigint NOT NULL DEFAULT 0,
    sweep_base bigint NOT NULL DEFAULT 1,
    sweeps_max bigint NOT NULL,
    started_ms bigint NOT NULL,
    finished_ms bigint,
    last_old_ms bigint,
    paused_at_ms bigint,
    paused_until_ms bigint,
    pause_reason text,
    failure text,
    tool_version text NOT NULL
);
CREATE UNIQUE INDEX run_one_unfinished ON reencrypt.run ((1)) WHERE state NOT IN ('finished', 'abandoned');

CREATE TABLE reencrypt.pass (
    run_id text NOT NULL REFERENCES reencrypt.run (id),
    pass bigint NOT NULL,
    started_ms bigint NOT NULL,
    finished_ms bigint,
    seen bigint NOT NULL DEFAULT 0,
    rotated bigint NOT NULL DEFAULT 0,
    retried bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, pass)
);

CREATE TABLE reencrypt.walk (
    run_id text NOT NULL REFERENCES reencrypt.run (id),
    pass bigint NOT NULL,
    table_no bigint NOT NULL,
    leaf text NOT NULL,
    upto_key bytea NOT NULL,
    frontier_key bytea,
    chunks bigint NOT NULL DEFAULT 0,
    carved bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, pass, table_no, leaf)
);

CREATE TABLE reencrypt.chunk (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text NOT NULL REFERENCES reencrypt.run (id),
    pass bigint NOT NULL,
    table_no bigint NOT NULL,
    leaf text NOT NULL,
    after_key bytea,
    upto_key bytea NOT NULL,
    cursor_key bytea,
    window_key bytea,
    pending bytea NOT NULL DEFAULT '',
    counts text NOT NULL DEFAULT '[]',
    rows_settled bigint NOT NULL DEFAULT 0,
    done bigint NOT NULL DEFAULT 0,
    seq bigint NOT NULL DEFAULT 0,
    fence bigint NOT NULL DEFAULT 0,
    owner text,
    lease_until_ms bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE INDEX chunk_of_pass ON reencrypt.chunk (run_id, pass, table_no);

CREATE TABLE reencrypt.wave (
    chunk_id bigint NOT NULL,
    seq bigint NOT NULL,
    fence bigint NOT NULL,
    marks bytea NOT NULL,
    PRIMARY KEY (chunk_id, seq)
);
-- Hashes do not compress.
ALTER TABLE reencrypt.wave ALTER marks SET STORAGE EXTERNAL;

CREATE TABLE reencrypt.quarantine (
    run_id text NOT NULL REFERENCES reencrypt.run (id),
    table_no bigint NOT NULL,
    leaf text NOT NULL,
    column_name text NOT NULL,
    row_key bytea NOT NULL,
    class text NOT NULL,
    pass bigint NOT NULL,
    PRIMARY KEY (run_id, table_no, leaf, column_name, row_key)
);

CREATE TABLE reencrypt.acceptance (
    table_name text NOT NULL,
    column_name text NOT NULL,
    class text NOT NULL,
    accepted bigint NOT NULL,
    reason text NOT NULL,
    actor text NOT NULL,
    at_ms bigint NOT NULL,
    PRIMARY KEY (table_name, column_name, class)
);

CREATE TABLE reencrypt.event (
    run_id text NOT NULL REFERENCES reencrypt.run (id),
    n bigint NOT NULL,
    at_ms bigint NOT NULL,
    actor text NOT NULL,
    kind text NOT NULL,
    detail text NOT NULL,
    PRIMARY KEY (run_id, n)
);

CREATE TABLE reencrypt.worker (
    run_id text NOT NULL REFERENCES reencrypt.run (id),
    owner text NOT NULL,
    host text NOT NULL,
    pid bigint NOT NULL,
    started_ms bigint NOT NULL,
    seen_ms bigint NOT NULL,
    waiting text,
    waiting_since_ms bigint,
    gives_way bigint NOT NULL DEFAULT 0,
    snapshot_held bigint NOT NULL DEFAULT 0,
    rows_per_second_max bigint,
    PRIMARY KEY (run_id, owner)
);

CREATE TABLE reencrypt.nonces (
    key text PRIMARY KEY,
    reserved bigint NOT NULL
);
