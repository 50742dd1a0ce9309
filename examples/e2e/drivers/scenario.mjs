// What the conformance suite runs as the client under test: the gateway in front
// of the scenario's server, whose URL is the last argument, and a real client in
// front of the gateway, which does what the scenario asks of a client. For the
// legacy revisions that is the TypeScript SDK, from 2026-07-28 on its successor;
// CLIENT_REVISION makes it another than the scenario's.
import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const revision = process.env.CLIENT_REVISION ?? process.env.MCP_CONFORMANCE_PROTOCOL_VERSION;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}");

// What the client says to the server's questions.
const answers = {
  "elicitation-sep1034-client-defaults": { action: "accept", content: {} },
  "sep-2322-client-request-state": { action: "accept", content: { confirmed: true } },
};
const answer = answers[scenario];
const capabilities = answer ? { elicitation: { form: { applyDefaults: true } } } : {};

const scenarios = {
  initialize: (c) => c.listTools(),
  async tools_call(c) {
    await c.listTools();
    await c.callTool({ name: "add_numbers", arguments: { a: 5, b: 3 } });
  },
  "elicitation-sep1034-client-defaults": (c) => c.callTool({ name: "test_client_elicitation_defaults", arguments: {} }),
  "sse-retry": (c) => c.callTool({ name: "test_reconnection", arguments: {} }),
  "request-metadata": (c) => c.listTools(),
  "json-schema-ref-no-deref": (c) => c.listTools(),
  async "json-schema-2020-12-preservation"(c) {
    const { tools } = await c.listTools();
    const { inputSchema } = tools.find((t) => t.name === "json_schema_2020_12_tool");
    await c.callTool({ name: "json_schema_echo", arguments: { schema: inputSchema } });
  },
  async "sep-2322-client-request-state"(c) {
    for (const what of ["echo_state", "no_state", "unrelated", "no_result_type"]) {
      await c.callTool({ name: `test_mrtr_${what}`, arguments: {} });
    }
  },
  async "http-standard-headers"(c) {
    const { tools } = await c.listTools();
    await c.callTool({ name: tools[0].name, arguments: {} });
    const { resources } = await c.listResources();
    await c.readResource({ uri: resources[0].uri });
    const { prompts } = await c.listPrompts();
    await c.getPrompt({ name: prompts[0].name, arguments: {} });
  },
  async "http-custom-headers"(c) {
    await c.listTools();
    for (const call of context.toolCalls) await c.callTool(call);
  },
  async "http-invalid-tool-headers"(c) {
    const { tools } = await c.listTools();
    for (const { name } of tools) await c.callTool({ name, arguments: { region: "us-west1" } });
  },
};

// Starts the gateway; returns it and its endpoint when the server behind it is up.
async function gateway(url) {
  const dir = mkdtempSync(join(process.env.HOME, "gw"));
  const config = join(dir, "interlock.json");
  writeFileSync(
    config,
    JSON.stringify({
      server: { listen: "127.0.0.1:0" },
      state_dir: dir,
      upstreams: { suite: { url, prefix: "", required: true } },
    }),
  );
  const child = spawn(process.env.INTERLOCK, ["serve", "-c", config], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = new Promise((resolve) => child.on("exit", resolve));
  let endpoint;
  for await (const line of createInterface({ input: child.stdout })) {
    console.log(line);
    endpoint ??= /^endpoint +(\S+)/.exec(line)?.[1];
    if (/^(\d+) of \1 servers? ready/.test(line)) break;
  }
  return {
    endpoint,
    stop() {
      child.kill();
      return exited;
    },
  };
}

async function connect(endpoint) {
  const info = { name: "e2e", version: "1.0.0" };
  if (revision >= "2026-07-28") {
    const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
    const client = new Client(info, { capabilities, versionNegotiation: { mode: { pin: revision } } });
    if (answer) client.setRequestHandler("elicitation/create", async () => answer);
    await client.connect(new StreamableHTTPClientTransport(new URL(endpoint)));
    return client;
  }
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const { ElicitRequestSchema } = await import("@modelcontextprotocol/sdk/types.js");
  const client = new Client(info, { capabilities });
  if (answer) client.setRequestHandler(ElicitRequestSchema, async () => answer);
  await client.connect(new StreamableHTTPClientTransport(new URL(endpoint)));
  return client;
}

const g = await gateway(process.argv.at(-1));
// The suite's own patience, which is 30 s, ends the shell around this process and
// not what the shell started.
setTimeout(async () => {
  console.error("gave up");
  await g.stop();
  process.exit(1);
}, 25_000).unref();
try {
  const client = await connect(g.endpoint);
  await scenarios[scenario](client);
  await client.close();
} catch (e) {
  console.error(e);
  process.exitCode = 1;
} finally {
  await g.stop();
}
