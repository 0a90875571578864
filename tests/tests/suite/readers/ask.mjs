import { readFileSync } from "node:fs";
const { decrypt, searchHashes } = await import(process.argv[2]);
const asked = JSON.parse(readFileSync(0, "utf8"));
const values = asked.values.map((value) => {
  try {
    return { opened: decrypt(value, asked.keys) };
  } catch (error) {
    return { raised: error.message };
  }
});
console.log(JSON.stringify({ values, hashes: searchHashes(asked.normalized, asked.keys) }));
