// What the conformance suite runs as the client under test: the gateway in front
// of the scenario's server, whose URL is the last argument, and a real client in
// front of the gateway, which does what the scenario asks of a client. For the
// legacy revisions that is the TypeScript SDK, from 2026-07-28 on its successor;
// CLIENT_REVISION makes it another than the scenario's.
import { Gateway, connect, patience } from "./gateway.mjs";

const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const revision = process.env.CLIENT_REVISION ?? process.env.MCP_CONFORMANCE_PROTOCOL_VERSION;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}");

// What the client says to the server's questions.
const answers = {
  "elicitation-sep1034-client-defaults": { action: "accept", content: {} },
  "sep-2322-client-request-state": { action: "accept", content: { confirmed: true } },
};

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

const gateway = new Gateway({ url: process.argv.at(-1) });
patience(gateway);
try {
  await gateway.start(/^(\d+) of \1 servers? ready/);
  const client = await connect(gateway.endpoint, revision, answers[scenario]);
  await scenarios[scenario](client);
  await client.close();
} catch (e) {
  console.error(e);
  process.exitCode = 1;
} finally {
  await gateway.stop();
}
