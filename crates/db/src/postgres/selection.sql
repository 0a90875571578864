-- one key column: largest key
SELECT t."id" FROM ONLY "public"."Patient" AS t ORDER BY t."id" DESC LIMIT 1;

-- one key column: first batch
SELECT t."id", t."firstName", t."raw", t.xmin, t.ctid FROM ONLY "public"."Patient" AS t WHERE t."id" OPERATOR(pg_catalog.<=) $1::pg_catalog.int4 ORDER BY t."id" LIMIT $2::pg_catalog.int8;

-- one key column: next batch
SELECT t."id", t."firstName", t."raw", t.xmin, t.ctid FROM ONLY "public"."Patient" AS t WHERE t."id" OPERATOR(pg_catalog.>) $1::pg_catalog.int4 AND t."id" OPERATOR(pg_catalog.<=) $2::pg_catalog.int4 ORDER BY t."id" LIMIT $3::pg_catalog.int8;

-- one key column: end of the first chunk
SELECT q.k0 FROM (SELECT t."id" AS k0 FROM ONLY "public"."Patient" AS t WHERE t."id" OPERATOR(pg_catalog.<=) $1::pg_catalog.int4 ORDER BY t."id" LIMIT $2::pg_catalog.int8) AS q ORDER BY q.k0 DESC LIMIT 1;

-- one key column: end of the next chunk
SELECT q.k0 FROM (SELECT t."id" AS k0 FROM ONLY "public"."Patient" AS t WHERE t."id" OPERATOR(pg_catalog.>) $1::pg_catalog.int4 AND t."id" OPERATOR(pg_catalog.<=) $2::pg_catalog.int4 ORDER BY t."id" LIMIT $3::pg_catalog.int8) AS q ORDER BY q.k0 DESC LIMIT 1;

-- one key column: rows by key
SELECT t."id", t."firstName", t."raw", t.xmin, t.ctid FROM ONLY "public"."Patient" AS t JOIN (SELECT pg_catalog.unnest($1::pg_catalog.int4[]) AS k0) AS u ON t."id" OPERATOR(pg_catalog.=) u.k0;

-- one key column: rows by key, locked
SELECT t."id", t."firstName", t."raw", t.xmin, t.ctid FROM ONLY "public"."Patient" AS t JOIN (SELECT pg_catalog.unnest($1::pg_catalog.int4[]) AS k0) AS u ON t."id" OPERATOR(pg_catalog.=) u.k0 FOR NO KEY UPDATE OF t;

-- one key column: compare and set
WITH hit AS (UPDATE ONLY "public"."Patient" AS t SET "firstName" = COALESCE(u.v0, t."firstName"), "raw" = COALESCE(u.v1, t."raw") FROM (SELECT pg_catalog.unnest($1::pg_catalog.int4[]) AS k0, pg_catalog.unnest($2::pg_catalog.text[]) AS v0, pg_catalog.unnest($3::pg_catalog.bytea[]) AS v1, pg_catalog.unnest($4::pg_catalog.xid[]) AS x, pg_catalog.unnest($5::pg_catalog.int4[]) AS n) AS u WHERE t."id" OPERATOR(pg_catalog.=) u.k0 AND t.xmin OPERATOR(pg_catalog.=) u.x RETURNING u.n) SELECT pg_catalog.array_agg(n) FROM hit;

-- one key column: compare and set, a new value everywhere, and a rider
WITH hit AS (UPDATE ONLY "public"."Patient" AS t SET "firstName" = u.v0, "raw" = u.v1 FROM (SELECT pg_catalog.unnest($1::pg_catalog.int4[]) AS k0, pg_catalog.unnest($2::pg_catalog.text[]) AS v0, pg_catalog.unnest($3::pg_catalog.bytea[]) AS v1, pg_catalog.unnest($4::pg_catalog.xid[]) AS x, pg_catalog.unnest($5::pg_catalog.int4[]) AS n) AS u WHERE t."id" OPERATOR(pg_catalog.=) u.k0 AND t.xmin OPERATOR(pg_catalog.=) u.x RETURNING u.n), rider AS (SELECT 1) SELECT pg_catalog.array_agg(n), (SELECT pg_catalog.count(*) FROM rider) FROM hit;

-- one key column: keys for people
SELECT pg_catalog.concat_ws(', ', u.k0::pg_catalog.text) FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.int4[])) WITH ORDINALITY AS u(k0, n) ORDER BY u.n;

-- two key columns: largest key
SELECT t."tenant", t."no" FROM ONLY "public"."Patient" AS t ORDER BY t."tenant" DESC, t."no" DESC LIMIT 1;

-- two key columns: first batch
SELECT t."tenant", t."no", t."firstName", t."raw", t.xmin, t.ctid FROM ONLY "public"."Patient" AS t WHERE (t."tenant", t."no") OPERATOR(pg_catalog.<=) ($1::pg_catalog.uuid, $2::pg_catalog.varchar) ORDER BY t."tenant", t."no" LIMIT $3::pg_catalog.int8;

-- two key columns: next batch
SELECT t."tenant", t."no", t."firstName", t."raw", t.xmin, t.ctid FROM ONLY "public"."Patient" AS t WHERE (t."tenant", t."no") OPERATOR(pg_catalog.>) ($1::pg_catalog.uuid, $2::pg_catalog.varchar) AND (t."tenant", t."no") OPERATOR(pg_catalog.<=) ($3::pg_catalog.uuid, $4::pg_catalog.varchar) ORDER BY t."tenant", t."no" LIMIT $5::pg_catalog.int8;

-- two key columns: end of the first chunk
SELECT q.k0, q.k1 FROM (SELECT t."tenant" AS k0, t."no" AS k1 FROM ONLY "public"."Patient" AS t WHERE (t."tenant", t."no") OPERATOR(pg_catalog.<=) ($1::pg_catalog.uuid, $2::pg_catalog.varchar) ORDER BY t."tenant", t."no" LIMIT $3::pg_catalog.int8) AS q ORDER BY q.k0 DESC, q.k1 DESC LIMIT 1;

-- two key columns: end of the next chunk
SELECT q.k0, q.k1 FROM (SELECT t."tenant" AS k0, t."no" AS k1 FROM ONLY "public"."Patient" AS t WHERE (t."tenant", t."no") OPERATOR(pg_catalog.>) ($1::pg_catalog.uuid, $2::pg_catalog.varchar) AND (t."tenant", t."no") OPERATOR(pg_catalog.<=) ($3::pg_catalog.uuid, $4::pg_catalog.varchar) ORDER BY t."tenant", t."no" LIMIT $5::pg_catalog.int8) AS q ORDER BY q.k0 DESC, q.k1 DESC LIMIT 1;

-- two key columns: rows by key
SELECT t."tenant", t."no", t."firstName", t."raw", t.xmin, t.ctid FROM ONLY "public"."Patient" AS t JOIN (SELECT pg_catalog.unnest($1::pg_catalog.uuid[]) AS k0, pg_catalog.unnest($2::pg_catalog.varchar[]) AS k1) AS u ON t."tenant" OPERATOR(pg_catalog.=) u.k0 AND t."no" OPERATOR(pg_catalog.=) u.k1;

-- two key columns: rows by key, locked
SELECT t."tenant", t."no", t."firstName", t."raw", t.xmin, t.ctid FROM ONLY "public"."Patient" AS t JOIN (SELECT pg_catalog.unnest($1::pg_catalog.uuid[]) AS k0, pg_catalog.unnest($2::pg_catalog.varchar[]) AS k1) AS u ON t."tenant" OPERATOR(pg_catalog.=) u.k0 AND t."no" OPERATOR(pg_catalog.=) u.k1 FOR NO KEY UPDATE OF t;

-- two key columns: compare and set
WITH hit AS (UPDATE ONLY "public"."Patient" AS t SET "firstName" = COALESCE(u.v0, t."firstName"), "raw" = COALESCE(u.v1, t."raw") FROM (SELECT pg_catalog.unnest($1::pg_catalog.uuid[]) AS k0, pg_catalog.unnest($2::pg_catalog.varchar[]) AS k1, pg_catalog.unnest($3::pg_catalog.text[]) AS v0, pg_catalog.unnest($4::pg_catalog.bytea[]) AS v1, pg_catalog.unnest($5::pg_catalog.xid[]) AS x, pg_catalog.unnest($6::pg_catalog.int4[]) AS n) AS u WHERE t."tenant" OPERATOR(pg_catalog.=) u.k0 AND t."no" OPERATOR(pg_catalog.=) u.k1 AND t.xmin OPERATOR(pg_catalog.=) u.x RETURNING u.n) SELECT pg_catalog.array_agg(n) FROM hit;

-- two key columns: compare and set, a new value everywhere, and a rider
WITH hit AS (UPDATE ONLY "public"."Patient" AS t SET "firstName" = u.v0, "raw" = u.v1 FROM (SELECT pg_catalog.unnest($1::pg_catalog.uuid[]) AS k0, pg_catalog.unnest($2::pg_catalog.varchar[]) AS k1, pg_catalog.unnest($3::pg_catalog.text[]) AS v0, pg_catalog.unnest($4::pg_catalog.bytea[]) AS v1, pg_catalog.unnest($5::pg_catalog.xid[]) AS x, pg_catalog.unnest($6::pg_catalog.int4[]) AS n) AS u WHERE t."tenant" OPERATOR(pg_catalog.=) u.k0 AND t."no" OPERATOR(pg_catalog.=) u.k1 AND t.xmin OPERATOR(pg_catalog.=) u.x RETURNING u.n), rider AS (SELECT 1) SELECT pg_catalog.array_agg(n), (SELECT pg_catalog.count(*) FROM rider) FROM hit;

-- two key columns: keys for people
SELECT pg_catalog.concat_ws(', ', u.k0::pg_catalog.text, u.k1::pg_catalog.text) FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.uuid[]), pg_catalog.unnest($2::pg_catalog.varchar[])) WITH ORDINALITY AS u(k0, k1, n) ORDER BY u.n;

-- a key of an extension's type: largest key
SELECT t."email"::pg_catalog.text FROM ONLY "public"."Patient" AS t ORDER BY t."email" DESC LIMIT 1;

-- a key of an extension's type: first batch
SELECT t."email"::pg_catalog.text, t."firstName", t."raw", t.xmin, t.ctid FROM ONLY "public"."Patient" AS t WHERE t."email" OPERATOR("ext".<=) $1::pg_catalog.text::ext.citext ORDER BY t."email" LIMIT $2::pg_catalog.int8;

-- a key of an extension's type: next batch
SELECT t."email"::pg_catalog.text, t."firstName", t."raw", t.xmin, t.ctid FROM ONLY "public"."Patient" AS t WHERE t."email" OPERATOR("ext".>) $1::pg_catalog.text::ext.citext AND t."email" OPERATOR("ext".<=) $2::pg_catalog.text::ext.citext ORDER BY t."email" LIMIT $3::pg_catalog.int8;

-- a key of an extension's type: end of the first chunk
SELECT q.k0::pg_catalog.text FROM (SELECT t."email" AS k0 FROM ONLY "public"."Patient" AS t WHERE t."email" OPERATOR("ext".<=) $1::pg_catalog.text::ext.citext ORDER BY t."email" LIMIT $2::pg_catalog.int8) AS q ORDER BY q.k0 DESC LIMIT 1;

-- a key of an extension's type: end of the next chunk
SELECT q.k0::pg_catalog.text FROM (SELECT t."email" AS k0 FROM ONLY "public"."Patient" AS t WHERE t."email" OPERATOR("ext".>) $1::pg_catalog.text::ext.citext AND t."email" OPERATOR("ext".<=) $2::pg_catalog.text::ext.citext ORDER BY t."email" LIMIT $3::pg_catalog.int8) AS q ORDER BY q.k0 DESC LIMIT 1;

-- a key of an extension's type: rows by key
SELECT t."email"::pg_catalog.text, t."firstName", t."raw", t.xmin, t.ctid FROM ONLY "public"."Patient" AS t JOIN (SELECT pg_catalog.unnest($1::pg_catalog.text[])::ext.citext AS k0) AS u ON t."email" OPERATOR("ext".=) u.k0;

-- a key of an extension's type: rows by key, locked
SELECT t."email"::pg_catalog.text, t."firstName", t."raw", t.xmin, t.ctid FROM ONLY "public"."Patient" AS t JOIN (SELECT pg_catalog.unnest($1::pg_catalog.text[])::ext.citext AS k0) AS u ON t."email" OPERATOR("ext".=) u.k0 FOR NO KEY UPDATE OF t;

-- a key of an extension's type: compare and set
WITH hit AS (UPDATE ONLY "public"."Patient" AS t SET "firstName" = COALESCE(u.v0, t."firstName"), "raw" = COALESCE(u.v1, t."raw") FROM (SELECT pg_catalog.unnest($1::pg_catalog.text[])::ext.citext AS k0, pg_catalog.unnest($2::pg_catalog.text[]) AS v0, pg_catalog.unnest($3::pg_catalog.bytea[]) AS v1, pg_catalog.unnest($4::pg_catalog.xid[]) AS x, pg_catalog.unnest($5::pg_catalog.int4[]) AS n) AS u WHERE t."email" OPERATOR("ext".=) u.k0 AND t.xmin OPERATOR(pg_catalog.=) u.x RETURNING u.n) SELECT pg_catalog.array_agg(n) FROM hit;

-- a key of an extension's type: compare and set, a new value everywhere, and a rider
WITH hit AS (UPDATE ONLY "public"."Patient" AS t SET "firstName" = u.v0, "raw" = u.v1 FROM (SELECT pg_catalog.unnest($1::pg_catalog.text[])::ext.citext AS k0, pg_catalog.unnest($2::pg_catalog.text[]) AS v0, pg_catalog.unnest($3::pg_catalog.bytea[]) AS v1, pg_catalog.unnest($4::pg_catalog.xid[]) AS x, pg_catalog.unnest($5::pg_catalog.int4[]) AS n) AS u WHERE t."email" OPERATOR("ext".=) u.k0 AND t.xmin OPERATOR(pg_catalog.=) u.x RETURNING u.n), rider AS (SELECT 1) SELECT pg_catalog.array_agg(n), (SELECT pg_catalog.count(*) FROM rider) FROM hit;

-- a key of an extension's type: keys for people
SELECT pg_catalog.concat_ws(', ', u.k0::pg_catalog.text) FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[])) WITH ORDINALITY AS u(k0, n) ORDER BY u.n;

-- key columns with operators in different schemas: largest key
SELECT t."tenant", t."email"::pg_catalog.text, t."mood"::pg_catalog.text FROM ONLY "public"."Patient" AS t ORDER BY t."tenant" DESC, t."email" DESC, t."mood" DESC LIMIT 1;

-- key columns with operators in different schemas: first batch
SELECT t."tenant", t."email"::pg_catalog.text, t."mood"::pg_catalog.text, t."code"::pg_catalog.text, t."doc"::pg_catalog.text, t."version"::pg_catalog.text, t.xmin, t.ctid FROM ONLY "public"."Patient" AS t WHERE (t."tenant" OPERATOR(pg_catalog.<=) $1::pg_catalog.int4 AND (t."tenant" OPERATOR(pg_catalog.<) $1::pg_catalog.int4 OR (t."email" OPERATOR("ext".<=) $2::pg_catalog.text::ext.citext AND (t."email" OPERATOR("ext".<) $2::pg_catalog.text::ext.citext OR t."mood" OPERATOR(pg_catalog.<=) $3::pg_catalog.text::public."Mood")))) ORDER BY t."tenant", t."email", t."mood" LIMIT $4::pg_catalog.int8;

-- key columns with operators in different schemas: next batch
SELECT t."tenant", t."email"::pg_catalog.text, t."mood"::pg_catalog.text, t."code"::pg_catalog.text, t."doc"::pg_catalog.text, t."version"::pg_catalog.text, t.xmin, t.ctid FROM ONLY "public"."Patient" AS t WHERE (t."tenant" OPERATOR(pg_catalog.>=) $1::pg_catalog.int4 AND (t."tenant" OPERATOR(pg_catalog.>) $1::pg_catalog.int4 OR (t."email" OPERATOR("ext".>=) $2::pg_catalog.text::ext.citext AND (t."email" OPERATOR("ext".>) $2::pg_catalog.text::ext.citext OR t."mood" OPERATOR(pg_catalog.>) $3::pg_catalog.text::public."Mood")))) AND (t."tenant" OPERATOR(pg_catalog.<=) $4::pg_catalog.int4 AND (t."tenant" OPERATOR(pg_catalog.<) $4::pg_catalog.int4 OR (t."email" OPERATOR("ext".<=) $5::pg_catalog.text::ext.citext AND (t."email" OPERATOR("ext".<) $5::pg_catalog.text::ext.citext OR t."mood" OPERATOR(pg_catalog.<=) $6::pg_catalog.text::public."Mood")))) ORDER BY t."tenant", t."email", t."mood" LIMIT $7::pg_catalog.int8;

-- key columns with operators in different schemas: end of the first chunk
SELECT q.k0, q.k1::pg_catalog.text, q.k2::pg_catalog.text FROM (SELECT t."tenant" AS k0, t."email" AS k1, t."mood" AS k2 FROM ONLY "public"."Patient" AS t WHERE (t."tenant" OPERATOR(pg_catalog.<=) $1::pg_catalog.int4 AND (t."tenant" OPERATOR(pg_catalog.<) $1::pg_catalog.int4 OR (t."email" OPERATOR("ext".<=) $2::pg_catalog.text::ext.citext AND (t."email" OPERATOR("ext".<) $2::pg_catalog.text::ext.citext OR t."mood" OPERATOR(pg_catalog.<=) $3::pg_catalog.text::public."Mood")))) ORDER BY t."tenant", t."email", t."mood" LIMIT $4::pg_catalog.int8) AS q ORDER BY q.k0 DESC, q.k1 DESC, q.k2 DESC LIMIT 1;

-- key columns with operators in different schemas: end of the next chunk
SELECT q.k0, q.k1::pg_catalog.text, q.k2::pg_catalog.text FROM (SELECT t."tenant" AS k0, t."email" AS k1, t."mood" AS k2 FROM ONLY "public"."Patient" AS t WHERE (t."tenant" OPERATOR(pg_catalog.>=) $1::pg_catalog.int4 AND (t."tenant" OPERATOR(pg_catalog.>) $1::pg_catalog.int4 OR (t."email" OPERATOR("ext".>=) $2::pg_catalog.text::ext.citext AND (t."email" OPERATOR("ext".>) $2::pg_catalog.text::ext.citext OR t."mood" OPERATOR(pg_catalog.>) $3::pg_catalog.text::public."Mood")))) AND (t."tenant" OPERATOR(pg_catalog.<=) $4::pg_catalog.int4 AND (t."tenant" OPERATOR(pg_catalog.<) $4::pg_catalog.int4 OR (t."email" OPERATOR("ext".<=) $5::pg_catalog.text::ext.citext AND (t."email" OPERATOR("ext".<) $5::pg_catalog.text::ext.citext OR t."mood" OPERATOR(pg_catalog.<=) $6::pg_catalog.text::public."Mood")))) ORDER BY t."tenant", t."email", t."mood" LIMIT $7::pg_catalog.int8) AS q ORDER BY q.k0 DESC, q.k1 DESC, q.k2 DESC LIMIT 1;

-- key columns with operators in different schemas: rows by key
SELECT t."tenant", t."email"::pg_catalog.text, t."mood"::pg_catalog.text, t."code"::pg_catalog.text, t."doc"::pg_catalog.text, t."version"::pg_catalog.text, t.xmin, t.ctid FROM ONLY "public"."Patient" AS t JOIN (SELECT pg_catalog.unnest($1::pg_catalog.int4[]) AS k0, pg_catalog.unnest($2::pg_catalog.text[])::ext.citext AS k1, pg_catalog.unnest($3::pg_catalog.text[])::public."Mood" AS k2) AS u ON t."tenant" OPERATOR(pg_catalog.=) u.k0 AND t."email" OPERATOR("ext".=) u.k1 AND t."mood" OPERATOR(pg_catalog.=) u.k2;

-- key columns with operators in different schemas: rows by key, locked
SELECT t."tenant", t."email"::pg_catalog.text, t."mood"::pg_catalog.text, t."code"::pg_catalog.text, t."doc"::pg_catalog.text, t."version"::pg_catalog.text, t.xmin, t.ctid FROM ONLY "public"."Patient" AS t JOIN (SELECT pg_catalog.unnest($1::pg_catalog.int4[]) AS k0, pg_catalog.unnest($2::pg_catalog.text[])::ext.citext AS k1, pg_catalog.unnest($3::pg_catalog.text[])::public."Mood" AS k2) AS u ON t."tenant" OPERATOR(pg_catalog.=) u.k0 AND t."email" OPERATOR("ext".=) u.k1 AND t."mood" OPERATOR(pg_catalog.=) u.k2 FOR NO KEY UPDATE OF t;

-- key columns with operators in different schemas: compare and set
WITH hit AS (UPDATE ONLY "public"."Patient" AS t SET "code" = COALESCE(u.v0, t."code"), "doc" = COALESCE(u.v1::jsonb, t."doc"), "version" = COALESCE(u.v2::integer, t."version") FROM (SELECT pg_catalog.unnest($1::pg_catalog.int4[]) AS k0, pg_catalog.unnest($2::pg_catalog.text[])::ext.citext AS k1, pg_catalog.unnest($3::pg_catalog.text[])::public."Mood" AS k2, pg_catalog.unnest($4::pg_catalog.text[]) AS v0, pg_catalog.unnest($5::pg_catalog.text[]) AS v1, pg_catalog.unnest($6::pg_catalog.text[]) AS v2, pg_catalog.unnest($7::pg_catalog.xid[]) AS x, pg_catalog.unnest($8::pg_catalog.int4[]) AS n) AS u WHERE t."tenant" OPERATOR(pg_catalog.=) u.k0 AND t."email" OPERATOR("ext".=) u.k1 AND t."mood" OPERATOR(pg_catalog.=) u.k2 AND t.xmin OPERATOR(pg_catalog.=) u.x RETURNING u.n) SELECT pg_catalog.array_agg(n) FROM hit;

-- key columns with operators in different schemas: compare and set, a new value everywhere, and a rider
WITH hit AS (UPDATE ONLY "public"."Patient" AS t SET "code" = u.v0, "doc" = u.v1::jsonb, "version" = u.v2::integer FROM (SELECT pg_catalog.unnest($1::pg_catalog.int4[]) AS k0, pg_catalog.unnest($2::pg_catalog.text[])::ext.citext AS k1, pg_catalog.unnest($3::pg_catalog.text[])::public."Mood" AS k2, pg_catalog.unnest($4::pg_catalog.text[]) AS v0, pg_catalog.unnest($5::pg_catalog.text[]) AS v1, pg_catalog.unnest($6::pg_catalog.text[]) AS v2, pg_catalog.unnest($7::pg_catalog.xid[]) AS x, pg_catalog.unnest($8::pg_catalog.int4[]) AS n) AS u WHERE t."tenant" OPERATOR(pg_catalog.=) u.k0 AND t."email" OPERATOR("ext".=) u.k1 AND t."mood" OPERATOR(pg_catalog.=) u.k2 AND t.xmin OPERATOR(pg_catalog.=) u.x RETURNING u.n), rider AS (SELECT 1) SELECT pg_catalog.array_agg(n), (SELECT pg_catalog.count(*) FROM rider) FROM hit;

-- key columns with operators in different schemas: keys for people
SELECT pg_catalog.concat_ws(', ', u.k0::pg_catalog.text, u.k1::pg_catalog.text, u.k2::pg_catalog.text) FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.int4[]), pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.text[])) WITH ORDINALITY AS u(k0, k1, k2, n) ORDER BY u.n;

-- no key: a portion of the heap
SELECT t."firstName", t."raw", t.ctid FROM ONLY "public"."Patient" AS t WHERE t.ctid OPERATOR(pg_catalog.>) '(256,0)'::pg_catalog.tid AND t.ctid OPERATOR(pg_catalog.<) '(512,0)'::pg_catalog.tid LIMIT 500;

-- no key: rows of a portion written since
SELECT t."firstName", t."raw", t.ctid FROM ONLY "public"."Patient" AS t WHERE t.ctid OPERATOR(pg_catalog.>) '(511,17)'::pg_catalog.tid AND pg_catalog.age(t.xmin) OPERATOR(pg_catalog.<=) pg_catalog.age('7'::pg_catalog.xid) LIMIT 500;

-- no key: a sample of the whole
SELECT t."firstName", t."raw", t.xmin, t.ctid FROM ONLY "public"."Patient" AS t ORDER BY pg_catalog.hashtextextended(t.ctid::pg_catalog.text, 42) LIMIT 1000;

-- one key column: a sample of pages
SELECT t."id", t."firstName", t."raw", t.xmin, t.ctid FROM ONLY "public"."Patient" AS t TABLESAMPLE pg_catalog.system (0.040100) REPEATABLE (42) ORDER BY pg_catalog.hashtextextended(t.ctid::pg_catalog.text, 42) LIMIT 1000;

-- one key column: one of two slots is written
WITH hit AS (UPDATE ONLY "public"."Patient" AS t SET "raw" = COALESCE(u.v1, t."raw") FROM (SELECT pg_catalog.unnest($1::pg_catalog.int4[]) AS k0, pg_catalog.unnest($2::pg_catalog.bytea[]) AS v1, pg_catalog.unnest($3::pg_catalog.xid[]) AS x, pg_catalog.unnest($4::pg_catalog.int4[]) AS n) AS u WHERE t."id" OPERATOR(pg_catalog.=) u.k0 AND t.xmin OPERATOR(pg_catalog.=) u.x RETURNING u.n) SELECT pg_catalog.array_agg(n) FROM hit;

-- count
SELECT pg_catalog.count(*) FROM ONLY "public"."Patient" AS t;
