// What most people write: Node with `pg` and node:crypto, 1,000 rows read at a time, one UPDATE a row, each its own transaction.
//
// No compare with what was read, no checkpoint, no check of what was written. ROWS_MAX rows at most; prints the rows and the
// seconds from connected to done.
const { Client } = require("pg");
const { createCipheriv, createDecipheriv, randomBytes } = require("node:crypto");

const COLUMNS = ["firstName", "lastName", "email", "phone", "dob", "address1", "address2", "city", "state", "zip"];
const BATCH = 1000;

const oldKey = Buffer.from(process.env.OLD_KEY, "hex");
const newKey = Buffer.from(process.env.NEW_KEY, "hex");

function rotate(value) {
  const [iv, tag, body] = value.split(":").map((part) => Buffer.from(part, "base64"));
  const decipher = createDecipheriv("aes-256-gcm", oldKey, iv);
  decipher.setAuthTag(tag);
  const plain = Buffer.concat([decipher.update(body), decipher.final()]);
  const freshIv = randomBytes(16);
  const cipher = createCipheriv("aes-256-gcm", newKey, freshIv);
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
  return [freshIv, cipher.getAuthTag(), sealed].map((part) => part.toString("base64")).join(":");
}

async function main() {
  const client = new Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  const columns = COLUMNS.map((c) => `"${c}"`).join(", ");
  const select = `SELECT id, ${columns} FROM "Patient" WHERE id > $1 ORDER BY id LIMIT $2`;
  const update = `UPDATE "Patient" SET ${COLUMNS.map((c, i) => `"${c}" = $${i + 2}`).join(", ")} WHERE id = $1`;
  const rowsMax = Number(process.env.ROWS_MAX);
  const began = performance.now();
  let done = 0;
  let last = 0;
  while (done < rowsMax) {
    const { rows } = await client.query(select, [last, Math.min(BATCH, rowsMax - done)]);
    if (rows.length === 0) break;
    for (const row of rows) {
      await client.query(update, [row.id, ...COLUMNS.map((c) => rotate(row[c]))]);
    }
    last = rows[rows.length - 1].id;
    done += rows.length;
  }
  console.log(JSON.stringify({ rows: done, seconds: (performance.now() - began) / 1000 }));
  await client.end();
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
