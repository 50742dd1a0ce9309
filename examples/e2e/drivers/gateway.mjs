// The gateway in front of a server of the conformance suite, and a real client in front
// of it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

// Gateway has the upstream `suite`, whose names are as they are.
export class Gateway {
  dir = mkdtempSync(join(process.env.HOME, "gw"));
  config = join(this.dir, "interlock.json");

  constructor(upstream) {
    writeFileSync(
      this.config,
      JSON.stringify({
        server: { listen: "127.0.0.1:0" },
        state_dir: this.dir,
        sign_in: { store: "file" },
        upstreams: { suite: { prefix: "", required: true, ...upstream } },
      }),
    );
  }

  // Starts it; returns when it has said how many servers are ready, which `ready` matches.
  async start(ready) {
    this.child = spawn(process.env.INTERLOCK, ["serve", "-c", this.config], { stdio: ["ignore", "pipe", "inherit"] });
    this.exited = new Promise((resolve) => this.child.on("exit", resolve));
    for await (const line of createInterface({ input: this.child.stdout })) {
      console.log(line);
      this.endpoint ??= /^endpoint +(\S+)/.exec(line)?.[1];
      if (ready.test(line)) break;
    }
  }

  // For the sockets that fetch keeps the gateway would wait.
  async stop() {
    await globalThis[Symbol.for("undici.globalDispatcher.1")]?.destroy();
    this.child?.kill();
    await this.exited;
  }

  // Runs another command of the binary; returns its exit code and output.
  async run(...args) {
    const child = spawn(process.env.INTERLOCK, [...args, "-c", this.config], { stdio: ["ignore", "pipe", "inherit"] });
    let out = "";
    child.stdout.on("data", (chunk) => (out += chunk));
    const [code] = await once(child, "close");
    return { code, out };
  }
}

// The suite's own patience, which is told to be 60 s, ends the shell around this process
// and not what the shell started.
export function patience(gateway) {
  setTimeout(async () => {
    console.error("gave up");
    await gateway.stop();
    process.exit(1);
  }, 50_000).unref();
}

// Connects a client: the TypeScript SDK for the legacy revisions, from 2026-07-28 on its
// successor. `answer` is what it says to all questions, if it can be asked any.
export async function connect(endpoint, revision, answer) {
  const info = { name: "e2e", version: "1.0.0" };
  const capabilities = answer ? { elicitation: { form: { applyDefaults: true } } } : {};
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
