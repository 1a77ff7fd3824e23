// A certified OpenID provider with a public client, as the published command line is one:
//   node server.mjs FOLDER-OF-NODE_MODULES PORT GENERATION
// Port 0 takes any. The keys are new at every start, and their ids bear the generation. Who logs in is `login_hint`; what is
// asked for is granted. Prints its port when it serves, and ends with its standard input.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, port, generation] = process.argv.slice(2);
const resolved = createRequire(`${folder}/`).resolve('oidc-provider');
const { Provider } = await import(pathToFileURL(resolved));

function key(kind, options, rest) {
  const jwk = generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' });
  return { ...jwk, ...rest, use: 'sig' };
}

function client(id, idTokenAlgorithm) {
  return {
    client_id: id,
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    redirect_uris: ['http://localhost:3009/callback'],
    id_token_signed_response_alg: idTokenAlgorithm,
  };
}

function claims(login) {
  const verified = !login.startsWith('unverified-');
  return { sub: `certified|${login}`, name: login, email: `${login}@example.org`, email_verified: verified };
}

function configuration() {
  return {
    clients: [client('daytona', 'RS256'), client('daytona-es', 'ES256')],
    jwks: {
      keys: [
        key('rsa', { modulusLength: 2048 }, { alg: 'RS256', kid: `rs-${generation}` }),
        key('ec', { namedCurve: 'P-256' }, { alg: 'ES256', kid: `es-${generation}` }),
      ],
    },
    cookies: { keys: ['only for tests'] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    ttl: { AccessToken: 3600, AuthorizationCode: 60, Grant: 3600, IdToken: 3600, Interaction: 600, RefreshToken: 3600, Session: 3600 },
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => claims(sub.replace('certified|', '')) }),
    // Clients of that kind name the API as `audience`, as Auth0 has it; the standard calls it `resource`.
    extraParams: ['audience'],
    extraTokenClaims: (_ctx, token) => claims(token.accountId.replace('certified|', '')),
    loadExistingGrant: async (ctx) => {
      const { accountId } = ctx.oidc.account;
      const grant = new ctx.oidc.provider.Grant({ accountId, clientId: ctx.oidc.client.clientId });
      grant.addOIDCScope('openid profile email offline_access');
      await grant.save();
      return grant;
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: (ctx, _client, oneOf) => oneOf ?? ctx.oidc.params?.audience,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource, client) => ({
          scope: '',
          audience: resource,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: client.idTokenSignedResponseAlg } },
        }),
      },
    },
  };
}

const server = createServer();
server.listen(Number(port), '127.0.0.1', () => {
  const bound = server.address().port;
  const provider = new Provider(`http://127.0.0.1:${bound}`, configuration());
  const serve = provider.callback();
  server.on('request', async (request, response) => {
    if (!request.url.startsWith('/interaction/')) {
      serve(request, response);
      return;
    }
    const { params } = await provider.interactionDetails(request, response);
    const login = { accountId: `certified|${params.login_hint}` };
    await provider.interactionFinished(request, response, { login, consent: {} });
  });
  console.log(bound);
});
process.stdin.on('end', () => process.exit(0)).resume();
