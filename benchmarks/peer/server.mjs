// The peer: node-oidc-provider set up for RFC 8705 as its documentation has it, in-memory adapter, one process.
//
//   node server.mjs SCENARIO_FOLDER      prints its port, then runs
//
// The same client, certificate and token lifetime as the other servers of the comparison. It does not introspect JWT
// access tokens, so its introspection is of opaque ones (resource https://opaque.example).
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { Provider } from 'oidc-provider';

const [folder, clientId, subject, scope, lifetime] = process.argv.slice(2);
const read = (name) => readFileSync(`${folder}/${name}`);
const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const server = createServer({
  key: read('server/tls.key'), cert: read('server/tls.crt'), ca: read('client/ca.crt'),
  requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2',
});
server.keepAliveTimeout = 600_000;
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  server.on('request', provider(`https://127.0.0.1:${port}`).callback());
  console.log(`listening on 127.0.0.1:${port}`);
});
process.on('SIGTERM', () => process.exit(0));

function provider(issuer) {
  const resource = { scope, audience: 'https://api.example', accessTokenTTL: Number(lifetime), accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
  const opaque = { ...resource, audience: 'https://opaque.example', accessTokenFormat: 'opaque', jwt: undefined };
  const made = new Provider(issuer, {
    jwks: { keys: [{ ...key.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: '1' }] },
    clientAuthMethods: ['tls_client_auth'],
    clientDefaults: { id_token_signed_response_alg: 'ES256', grant_types: [], response_types: [] },
    scopes: [scope],
    clients: [{
      client_id: clientId, scope, grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
      token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_san_uri: subject,
      tls_client_certificate_bound_access_tokens: true, id_token_signed_response_alg: 'ES256',
    }],
    ttl: { ClientCredentials: Number(lifetime) },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      mTLS: {
        enabled: true, certificateBoundAccessTokens: true, tlsClientAuth: true,
        getCertificate: (ctx) => ctx.socket.getPeerX509Certificate(),
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) =>
          property === 'tls_client_auth_san_uri'
          && (ctx.socket.getPeerX509Certificate().subjectAltName ?? '').split(', ').includes(`URI:${expected}`),
      },
      resourceIndicators: {
        enabled: true, defaultResource: () => 'https://api.example', useGrantedResource: () => true,
        getResourceServerInfo: (ctx, asked) => (asked === 'https://opaque.example' ? opaque : resource),
      },
    },
  });
  made.on('server_error', (ctx, error) => console.error(error));
  made.on('grant.error', (ctx, error) => console.error(error.message, error.error_detail));
  return made;
}
