// An authenticator app: RFC 6238 over RFC 4226, HMAC-SHA-1, six digits, 30 seconds.
import { createHmac } from "node:crypto";

/** The code that an app shows for a secret (RFC 4648 base32) at a time, in milliseconds. */
export function totp(secret, at = Date.now()) {
  let bits = "";
  for (const c of secret.replaceAll(/[\s=]/g, "").toUpperCase()) bits += "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(c).toString(2).padStart(5, "0");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30000)));
  const mac = createHmac("sha1", key).update(counter).digest();
  const from = mac[19] & 15;
  return String((mac.readUInt32BE(from) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}
