// A client made with the official TypeScript SDK that does what it is told on
// stdin, one JSON object a line, and says what happened on stdout. Told a `mode`,
// it is made with the SDK's successor, which speaks 2026-07-28 too.
//
//   {"id":1,"do":"connect","url":"http://127.0.0.1:7777/mcp","capabilities":{},"answers":{}}
//   {"id":2,"do":"callTool","params":{"name":"echo"},"progress":true}
//   {"id":3,"do":"cancel","of":2}
//
// Each gets {"id":1,"result":...} or {"id":1,"error":{"code","message","data"}}.
// In between come {"event":"notification"|"request"|"progress"|"wire"|"closed"|"error",...}.
// What the server asks of the client is answered from connect's `answers`, by
// method; an answer {"$error":"text"} refuses, and {"$after":ms,"$answer":...} takes
// its time. With connect's `signIn` it signs in where it is asked to, and again when it
// needs more scopes.
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import * as next from "@modelcontextprotocol/client";
import { StdioClientTransport as NextStdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { SignIn } from "./signin.mjs";

const say = (o) => process.stdout.write(JSON.stringify(o) + "\n");
const running = new Map(); // id of a command -> AbortController
const listening = new Map(); // id of a command -> subscription
let client;
let transport;
let answers = {};
let signIn; // undefined where nobody does
let mode; // of version negotiation; undefined with the SDK that has none

// What the two generations of the SDK do not have in common.
const sdk = {
  get Stdio() {
    return mode ? NextStdioClientTransport : StdioClientTransport;
  },
  get HTTP() {
    return mode ? next.StreamableHTTPClientTransport : StreamableHTTPClientTransport;
  },
  client(info, options) {
    return mode ? new next.Client(info, { ...options, versionNegotiation: { mode } }) : new Client(info, options);
  },
  answers(method, schema) {
    client.setRequestHandler(mode ? method : schema, answer(method));
  },
  callTool(params, options) {
    return mode ? client.callTool(params, options) : client.callTool(params, undefined, options);
  },
};

function open({ url, sse, command, args, env, headers }) {
  if (command) return new sdk.Stdio({ command, args, env, stderr: "inherit" });
  if (sse) return new SSEClientTransport(new URL(url));
  return new sdk.HTTP(new URL(url), {
    authProvider: signIn,
    requestInit: { headers },
    // A restarted gateway is back within a second or two; do not give up before.
    reconnectionOptions: { initialReconnectionDelay: 100, maxReconnectionDelay: 500, reconnectionDelayGrowFactor: 1.5, maxRetries: 60 },
  });
}

function answer(method) {
  return async (request, extra) => {
    say({ event: "request", method, params: request.params, requestId: extra.requestId });
    const a = answers[method];
    if (a?.$error) throw new Error(a.$error);
    if (!a?.$after) return a;
    await pause(a.$after);
    return a.$answer;
  };
}

const special = {
  async connect({ capabilities = {}, answers: a = {}, name = "e2e", mode: m, signIn: auth, ...where }) {
    answers = a;
    mode = m;
    signIn = auth ? new SignIn() : undefined;
    client = sdk.client({ name, version: "1.0.0" }, { capabilities });
    if (capabilities.roots) sdk.answers("roots/list", ListRootsRequestSchema);
    if (capabilities.sampling) sdk.answers("sampling/createMessage", CreateMessageRequestSchema);
    if (capabilities.elicitation) sdk.answers("elicitation/create", ElicitRequestSchema);
    client.fallbackNotificationHandler = async ({ method, params }) => say({ event: "notification", method, params });
    client.onclose = () => say({ event: "closed" });
    client.onerror = (e) => say({ event: "error", message: String(e.message ?? e) });
    await signedIn(async () => {
      transport = open(where);
      await client.connect(transport);
    });
    // What arrives, in its order on the wire: the SDK drops progress that it reads
    // in one go with the answer.
    const deliver = transport.onmessage;
    transport.onmessage = (m, extra) => {
      if (m.method === "notifications/progress") say({ event: "wire", method: m.method, params: m.params });
      if (m.method === undefined) say({ event: "wire", method: "answer", params: { id: m.id } });
      deliver(m, extra);
    };
    return this.state();
  },
  state() {
    return {
      session: transport.sessionId,
      protocol: mode ? client.getNegotiatedProtocolVersion() : (transport.protocolVersion ?? transport._protocolVersion),
      server: client.getServerVersion(),
      capabilities: client.getServerCapabilities(),
      instructions: client.getInstructions(),
      asked: signIn?.asked,
    };
  },
  cancel({ of }) {
    running.get(of)?.abort("cancelled by the test");
    return {};
  },
  // Opens a stream of changes, as 2026-07-28 has it; says how it ended.
  async listen({ id, params }) {
    const subscription = await client.listen(params);
    listening.set(id, subscription);
    subscription.closed.then((how) => say({ event: "unlistened", method: how, of: id }));
    return subscription.honoredFilter;
  },
  async unlisten({ of }) {
    await listening.get(of).close();
    return {};
  },
  // Follows nextCursor to the end, as a careful client does.
  async listAll({ method, key }) {
    const items = [];
    let cursor;
    let pages = 0;
    do {
      const page = await client[method](cursor === undefined ? undefined : { cursor });
      items.push(...page[key]);
      cursor = page.nextCursor;
      pages++;
    } while (cursor !== undefined);
    return { items, pages };
  },
  async terminate() {
    await transport.terminateSession?.();
    return {};
  },
  async close() {
    await client.close();
    return {};
  },
};

function signedIn(act) {
  return signIn ? signIn.during(act, (params) => transport.finishAuth(mode ? params : params.get("code"))) : act();
}

async function run(command) {
  const { id, do: verb, params, progress, timeout = 60_000 } = command;
  if (special[verb]) return special[verb](command);
  const options = { timeout, resetTimeoutOnProgress: true };
  const controller = new AbortController();
  options.signal = controller.signal;
  running.set(id, controller);
  if (progress) options.onprogress = (p) => say({ event: "progress", of: id, params: p });
  try {
    if (verb === "callTool") return await signedIn(() => sdk.callTool(params, options));
    if (verb === "ping") return await client.ping(options);
    if (verb === "sendRootsListChanged") return (await client.sendRootsListChanged()) ?? {};
    return await client[verb](params, options);
  } finally {
    running.delete(id);
  }
}

createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const command = JSON.parse(line);
    try {
      say({ id: command.id, result: (await run(command)) ?? {} });
    } catch (e) {
      // The SDK's own errors have words for codes.
      const code = Number.isInteger(e.code) ? e.code : 0;
      say({ id: command.id, error: { code, message: `${code ? "" : (e.code ?? "")} ${e.message ?? e}`.trim(), data: e.data } });
    }
  })
  .on("close", async () => {
    await client?.close().catch(() => {});
    process.exit(0);
  });
