// An authorization server made with oidc-provider, for tokens that MCP servers are
// given: it signs in whoever asks as "ada", grants what is asked for, and makes JWTs for
// the resource that is named (RFC 8707).
//
//   node issuer.mjs PORT
//
// Applications are the client app, which has no secret. The client ci has the secret
// "ci-secret"; tokens of the client brief, whose secret
// is "brief-secret", end after 2 seconds. POST /control/rotate gives it new keys,
// without the old ones; /control/down and /control/up have it answer with 500 or not.
import { createServer } from "node:http";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import Provider from "oidc-provider";

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;

function newKey() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "ES256" };
}

function make() {
  const provider = new Provider(issuer, {
    jwks: { keys: [newKey()] },
    clients: ["ci", "brief"].map((id) => ({
      client_id: id,
      client_secret: `${id}-secret`,
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: "client_secret_post",
    })).concat({
      client_id: "app",
      application_type: "native",
      redirect_uris: ["http://127.0.0.1:1/callback"],
      token_endpoint_auth_method: "none",
    }),
    clientDefaults: { id_token_signed_response_alg: "ES256" },
    enabledJWA: { idTokenSigningAlgValues: ["ES256"] },
    cookies: { keys: [randomUUID()] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource, client) => ({
          scope: "mcp write",
          audience: resource,
          accessTokenTTL: client.clientId === "brief" ? 2 : 600,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
  });
  // Whoever asks is ada, and is granted what is asked for.
  provider.use(async (ctx, next) => {
    if (!ctx.path.startsWith("/interaction/")) return next();
    const { params, prompt } = await provider.interactionDetails(ctx.req, ctx.res);
    if (prompt.name === "login") {
      await provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: "ada" } });
    } else {
      const grant = new provider.Grant({ accountId: "ada", clientId: params.client_id });
      grant.addOIDCScope("openid");
      grant.addResourceScope(params.resource, params.scope ?? "");
      await provider.interactionFinished(ctx.req, ctx.res, { consent: { grantId: await grant.save() } });
    }
    ctx.respond = false;
  });
  return provider.callback();
}

let serve = make();
let down = false;
createServer((req, res) => {
  const order = req.url.match(/^\/control\/(\w+)$/)?.[1];
  if (order === "rotate") serve = make();
  if (order === "down" || order === "up") down = order === "down";
  if (order || down) {
    res.statusCode = order ? 204 : 500;
    res.end();
    return;
  }
  serve(req, res);
}).listen(port, "127.0.0.1", () => console.log("listening on port", port));
