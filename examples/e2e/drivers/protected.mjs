// An MCP server that wants OAuth, and the authorization server that it relies on, made
// with oidc-provider. Both are real: tokens are opaque, end, are renewed with refresh
// tokens of one use each, and are revoked; a refresh token that comes a second time
// revokes all that was granted with it.
//
//   node protected.mjs PORT PORT
//
// The first port is the MCP server's (/mcp, with sessions), the second the authorization
// server's, which lets clients register and signs in whoever asks as "ada", or as whom
// the browser's header X-Account names. The client robot, whose secret is "robot-secret", has
// tokens of its own.
//
// The tool whoami wants the scope mcp, as everything does, and says whose token it was
// called with; publish wants the scope write. GET /control at the first port says what
// has happened so far; POST /control changes what is in `how`, by its keys, and does:
//   {"forget": "access"}  all access tokens are void from now on, though nobody said so
//   {"forget": "grants"}  as an administrator does who takes back what was granted
//   {"replay": true}      somebody else uses a refresh token that has been used
import { createServer } from "node:http";
import { randomUUID } from "node:crypto";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import Provider from "oidc-provider";

const [port, issuerPort] = process.argv.slice(2).map(Number);
const origin = `http://127.0.0.1:${port}`;
const resource = `${origin}/mcp`;
const issuer = `http://127.0.0.1:${issuerPort}`;

const how = {
  lifetime: 600, // of access tokens, in seconds, as whoever gets one is told; none ends before it is forgotten
  status: 0, // what the token endpoint answers with, 0 for what it should
  hold: false, // whether the token endpoint waits before it answers
  issuer, // what the metadata says
  iss: "", // what redirects say instead of the truth
};
const seen = {
  registered: 0,
  asked: [], // the scopes of each authorization request
  granted: {}, // grant type -> successes
  refused: {}, // error of the token endpoint -> times
  revoked: 0, // requests to revoke a token
  held: 0, // token requests that wait
  resources: [], // all that were named at the token endpoint
  alive: 0, // access tokens that are valid
  secrets: [], // whatever may be in no log
};
const used = []; // requests with a refresh token that has been used
const waiting = []; // what lets a token request that waits go on

const provider = new Provider(issuer, {
  clients: [{ client_id: "robot", client_secret: "robot-secret", grant_types: ["client_credentials"], redirect_uris: [], response_types: [] }],
  clientDefaults: { grant_types: ["authorization_code", "refresh_token"] },
  cookies: { keys: [randomUUID()] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
  scopes: ["mcp", "write", "offline_access"],
  issueRefreshToken: (_, client) => client.grantTypeAllowed("refresh_token"),
  rotateRefreshToken: true,
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    registration: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => false, // each request has to name it
      getResourceServerInfo: (ctx, named) => {
        if (named !== resource) throw new Error(`there is no ${named}`);
        return { scope: "mcp write", audience: named, accessTokenTTL: 600, accessTokenFormat: "opaque" };
      },
    },
  },
});
// Whoever asks is granted what is asked for.
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith("/interaction/")) {
    await next();
    if (ctx.body?.expires_in) ctx.body.expires_in = how.lifetime;
    return;
  }
  const { params, prompt } = await provider.interactionDetails(ctx.req, ctx.res);
  const accountId = ctx.get("x-account") || "ada";
  if (prompt.name === "login") {
    await provider.interactionFinished(ctx.req, ctx.res, { login: { accountId } });
  } else {
    const grant = new provider.Grant({ accountId, clientId: params.client_id });
    grant.addResourceScope(params.resource, params.scope ?? "");
    grant.addOIDCScope(params.scope ?? "");
    grants.add(await grant.save());
    await provider.interactionFinished(ctx.req, ctx.res, { consent: { grantId: [...grants].at(-1) } });
  }
  ctx.respond = false;
});
const grants = new Set();
const tokens = new Set(); // access tokens that nobody has forgotten
for (const kind of ["access_token", "client_credentials"]) provider.on(`${kind}.saved`, (t) => tokens.add(t));
const find = async (value) => (await provider.AccessToken.find(value)) ?? (await provider.ClientCredentials.find(value));
provider.on("registration_create.success", (ctx, client) => {
  seen.registered++;
  seen.secrets.push(client.clientSecret, ctx.body.registration_access_token);
});
provider.on("grant.success", (ctx) => {
  const { grant_type: type, refresh_token: old, resource: named, code, code_verifier: verifier } = ctx.oidc.params;
  seen.granted[type] = (seen.granted[type] ?? 0) + 1;
  seen.resources.push(named);
  seen.secrets.push(ctx.body.access_token, ctx.body.refresh_token, code, verifier);
  if (old) used.push({ refresh_token: old, client_id: ctx.oidc.client.clientId, authorization: ctx.get("authorization") });
});
provider.on("grant.error", (_, e) => void (seen.refused[e.error] = (seen.refused[e.error] ?? 0) + 1));
for (const of of ["authorization.error", "server_error"]) provider.on(of, (_, e) => console.error(of, e.message, e.error_description));

const callback = provider.callback();
createServer(async (req, res) => {
  const url = new URL(req.url, issuer);
  if (url.pathname.startsWith("/.well-known/") && how.issuer !== issuer && !req.headers["x-truth"]) {
    const metadata = await fetch(`${issuer}/.well-known/openid-configuration`, { headers: { "x-truth": "1" } });
    return json(res, 200, { ...(await metadata.json()), issuer: how.issuer });
  }
  if (url.pathname === "/auth") seen.asked.push(url.searchParams.get("scope"));
  if (url.pathname.startsWith("/token/revocation")) seen.revoked++;
  if (url.pathname === "/token") {
    if (how.status) return json(res, how.status, { error: "server_error", error_description: "the database is down" });
    if (how.hold) {
      seen.held++;
      await new Promise((resolve) => waiting.push(resolve));
    }
  }
  const set = res.setHeader.bind(res);
  res.setHeader = (name, value) => {
    if (how.iss && name.toLowerCase() === "location" && value.includes("iss=")) {
      value = value.replace(/iss=[^&]*/, `iss=${encodeURIComponent(how.iss)}`);
    }
    return set(name, value);
  };
  callback(req, res);
}).listen(issuerPort, "127.0.0.1");

function json(res, status, body, headers) {
  res.writeHead(status, { "content-type": "application/json", ...headers });
  res.end(JSON.stringify(body));
}

async function read(req) {
  let text = "";
  for await (const chunk of req) text += chunk;
  return text ? JSON.parse(text) : undefined;
}

const tools = { whoami: "mcp", publish: "write" };
const sessions = new Map();

async function session() {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  const server = new Server({ name: "protected", version: "1.0.0" }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: Object.keys(tools).map((name) => ({ name, inputSchema: { type: "object" } })),
  }));
  server.setRequestHandler(CallToolRequestSchema, (_, { authInfo }) => ({ content: [{ type: "text", text: authInfo.extra.sub }] }));
  await server.connect(transport);
  return transport;
}

async function mcp(req, res) {
  const body = await read(req);
  const [scheme, value] = (req.headers.authorization ?? "").split(" ");
  const token = scheme === "Bearer" && value ? await find(value) : undefined;
  const challenge = `Bearer resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`;
  if (!token?.isValid || token.aud !== resource) {
    const error = value ? `, error="invalid_token"` : "";
    return json(res, 401, { error: "invalid_token" }, { "www-authenticate": `${challenge}, scope="mcp"${error}` });
  }
  const wanted = body?.method === "tools/call" ? tools[body.params.name] : "mcp";
  if (!token.scopes.has(wanted)) {
    return json(res, 403, { error: "insufficient_scope" }, { "www-authenticate": `${challenge}, error="insufficient_scope", scope="${wanted}"` });
  }
  const sub = token.accountId ?? token.clientId;
  const known = sessions.get(req.headers["mcp-session-id"]);
  if (!known && req.headers["mcp-session-id"]) return json(res, 404, { error: "no such session" });
  req.auth = { token: value, clientId: token.clientId, scopes: [...token.scopes], extra: { sub } };
  await (known ?? (await session())).handleRequest(req, res, body);
}

async function control(req, res) {
  let replayed;
  if (req.method === "POST") {
    const { forget, replay, ...changes } = await read(req);
    Object.assign(how, changes);
    if (!how.hold) for (const go of waiting.splice(0)) go();
    if (forget === "access") {
      for (const t of tokens) await t.destroy();
      tokens.clear();
    }
    if (forget === "grants") {
      for (const id of grants) {
        for (const kind of ["AccessToken", "RefreshToken", "AuthorizationCode"]) await provider[kind].revokeByGrantId(id);
        await (await provider.Grant.find(id))?.destroy();
      }
    }
    if (replay) {
      const { authorization, ...params } = used.at(-1);
      const answer = await fetch(`${issuer}/token`, {
        method: "POST",
        headers: { "content-type": "application/x-www-form-urlencoded", ...(authorization && { authorization }) },
        body: new URLSearchParams({ grant_type: "refresh_token", resource, ...params }),
      });
      replayed = await answer.json();
    }
  }
  seen.alive = 0;
  for (const t of tokens) if (await find(t.jti)) seen.alive++;
  json(res, 200, { ...seen, secrets: seen.secrets.filter(Boolean), replayed });
}

createServer((req, res) => {
  const path = new URL(req.url, origin).pathname;
  if (path === "/mcp") return mcp(req, res);
  if (path === "/control") return control(req, res);
  if (path === "/.well-known/oauth-protected-resource/mcp") {
    return json(res, 200, { resource, authorization_servers: [issuer], scopes_supported: ["mcp", "write"] });
  }
  json(res, 404, {});
}).listen(port, "127.0.0.1", () => console.log("listening on port", port));
