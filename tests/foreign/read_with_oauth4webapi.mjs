// Discovers an authorization server, gets a token over mutual TLS, introspects and revokes it, as oauth4webapi does it:
// a strict reader, which refuses whatever the specifications do not allow.
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import * as oauth from 'oauth4webapi';

const { issuer, clientId, ca, cert, key, algorithm } = JSON.parse(readFileSync(0, 'utf8'));

// fetch over node:https, with the client's certificate.
function mutual(url, options) {
  return new Promise((resolve, reject) => {
    const headers = Object.fromEntries(new Headers(options.headers));
    const asked = request(url, { method: options.method, headers, ca, cert, key }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => {
        const text = Buffer.concat(parts);
        resolve(new Response(text.length ? text : null, { status: answer.statusCode, headers: answer.headers }));
      });
    });
    asked.on('error', reject);
    asked.end(options.body === undefined ? undefined : String(options.body));
  });
}

const options = { [oauth.customFetch]: mutual };
const from = new URL(issuer);
const as = await oauth.processDiscoveryResponse(from, await oauth.discoveryRequest(from, { algorithm, ...options }));
const client = { client_id: clientId, use_mtls_endpoint_aliases: true };
const auth = oauth.TlsClientAuth();
const asked = await oauth.clientCredentialsGrantRequest(as, client, auth, new URLSearchParams({ scope: 'orders.read' }), options);
const token = await oauth.processClientCredentialsResponse(as, client, asked);
const seen = await oauth.introspectionRequest(as, client, auth, token.access_token, options);
const active = await oauth.processIntrospectionResponse(as, client, seen);
await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, token.access_token, options));
const again = await oauth.introspectionRequest(as, client, auth, token.access_token, options);
const inactive = await oauth.processIntrospectionResponse(as, client, again);
console.log(JSON.stringify({ issuer: as.issuer, token_type: token.token_type, active, inactive }));
