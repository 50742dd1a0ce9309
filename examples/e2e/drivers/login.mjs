// What the conformance suite runs as the client under test where that has to sign in
// (auth/...): somebody signs in with `interlock login --headless`, the gateway is used,
// and where it says that it needs a sign-in, somebody does so again, three times in all.
// The URL of the scenario's server is the last argument. The file ~/used says that a tool
// could be called.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Gateway, connect, patience } from "./gateway.mjs";

const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const given = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}");

// What a user writes for the server of a scenario: nothing for most.
function auth() {
  switch (scenario) {
    case "auth/basic-cimd":
      return { client_id_metadata_document: "https://conformance-test.local/client-metadata.json" };
    case "auth/pre-registration":
      return { issuer: given.issuer, client_id: given.client_id, client_secret: given.client_secret };
    case "auth/client-credentials-basic":
      return { flow: "client_credentials", client_id: given.client_id, client_secret: given.client_secret };
    case "auth/client-credentials-jwt": {
      const key = join(process.env.HOME, "key.pem");
      writeFileSync(key, given.private_key_pem, { mode: 0o600 });
      return { flow: "client_credentials", client_id: given.client_id, private_key: key };
    }
  }
}

const gateway = new Gateway({ url: process.argv.at(-1), auth: auth() });
patience(gateway);

// Reports whether everything can be used without another sign-in.
async function used() {
  const [suite] = JSON.parse((await gateway.run("list", "-o", "json")).out);
  if (suite.sign_in?.why) return false;
  const client = await connect(gateway.endpoint, "2025-11-25");
  try {
    const { tools } = await client.listTools();
    const result = await client.callTool({ name: tools[0].name, arguments: {} });
    console.log("called:", JSON.stringify(result));
    if (result.isError && JSON.stringify(result).includes("interlock login suite")) return false;
    if (!result.isError) writeFileSync(join(process.env.HOME, "used"), "");
    return true;
  } finally {
    await client.close();
  }
}

try {
  for (let attempt = 1; attempt <= 3; attempt++) {
    if (auth()?.flow !== "client_credentials") {
      const { code, out } = await gateway.run("login", "suite", "--headless");
      console.log(out);
      if (code !== 0) throw new Error(`interlock login ended with ${code}`);
    }
    if (!gateway.child) await gateway.start(/^\d+ of \d+ servers? ready/);
    if (await used()) break;
  }
} catch (e) {
  console.error(e);
  process.exitCode = 1;
} finally {
  await gateway.stop();
}
