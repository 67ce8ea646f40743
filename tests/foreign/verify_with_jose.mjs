// Verifies the tokens of standard input with jose, as an API in JavaScript does: {issuer, keys, tokens} as JSON.
// Prints one JSON array: the client id of each token, or the code of jose's refusal.
import { createLocalJWKSet, jwtVerify } from "jose";
import { text } from "node:stream/consumers";

const { issuer, keys, tokens } = JSON.parse(await text(process.stdin));
const keySet = createLocalJWKSet({ keys });
const verified = tokens.map(async (token) => {
  try {
    return (await jwtVerify(token, keySet, { issuer, typ: "at+jwt" })).payload.client_id;
  } catch (error) {
    return error.code;
  }
});
console.log(JSON.stringify(await Promise.all(verified)));
