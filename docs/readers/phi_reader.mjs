// Reads values of the form base64(iv):base64(tag):base64(ciphertext), AES-256-GCM, under the new key or the old one.
// For the time of a rotation: keys are [new, old]. What opens under neither throws; no placeholder ever stands in for a value.
import { createDecipheriv, createHmac } from "node:crypto";

const bytesOf = (text, length) => {
  const bytes = Buffer.from(text, "base64");
  // Buffer.from skips what is no base64: the text must be what these bytes are written as.
  if (bytes.toString("base64") !== text || (length && bytes.length !== length)) throw new Error("the value is no ciphertext");
  return bytes;
};

// `keys`: 64 hex digits each, the new key first. NULL stays null; what was never encrypted is the caller's to know.
export function decrypt(stored, keys) {
  if (stored === null) return null;
  const parts = String(stored).split(":");
  if (parts.length !== 3) throw new Error("the value is no ciphertext");
  const [iv, tag, ciphertext] = [bytesOf(parts[0], 16), bytesOf(parts[1], 16), bytesOf(parts[2])];
  for (const key of keys) {
    const decipher = createDecipheriv("aes-256-gcm", Buffer.from(key, "hex"), iv, { authTagLength: 16 });
    decipher.setAuthTag(tag);
    const start = decipher.update(ciphertext);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat([start, decipher.final()]));
    } catch {
      // Not this key, or damaged: the next one says.
    }
  }
  throw new Error("the value opens under neither key");
}

// Keyed hashes to search by, one for each key: rows that are not rotated yet have the old one. WHERE "emailHash" = ANY($1)
export function searchHashes(normalized, keys) {
  return keys.map((key) => {
    const subkey = createHmac("sha256", Buffer.from(key, "hex")).update("patient-dedup-v1").digest();
    return createHmac("sha256", subkey).update(normalized, "utf8").digest("hex");
  });
}
