// What a plugin has to do for Interlock to talk to it, in plain Node: the handshake of
// hashicorp/go-plugin, mutual TLS, a gRPC server on a unix socket, a health service.
// Nothing in here knows what the policy decides.
'use strict'

const crypto = require('node:crypto')
const path = require('node:path')
const grpc = require('@grpc/grpc-js')
const loader = require('@grpc/proto-loader')
const { HealthImplementation } = require('grpc-health-check')
const selfsigned = require('selfsigned')

const { Policy } = grpc.loadPackageDefinition(
  loader.loadSync(path.join(__dirname, 'policy.proto'), { keepCase: false, longs: String, enums: String, defaults: true })
).interlock.policy.v1

// serve serves a policy, { name, version, hooks, configure, before?, after?, received? }, to
// the gateway that started this process. The hooks get the request and return, or
// promise, a Decision; one that throws is undecided.
async function serve (policy) {
  const { INTERLOCK_PLUGIN, PLUGIN_CLIENT_CERT, PLUGIN_UNIX_SOCKET_DIR, PLUGIN_PROTOCOL_VERSIONS = '' } = process.env
  if (INTERLOCK_PLUGIN !== 'policy') {
    console.error(`${policy.name} is a policy for Interlock, which starts it: name it as the command of a plugin in interlock.yaml.`)
    process.exit(2)
  }
  if (!PLUGIN_PROTOCOL_VERSIONS.split(',').includes('1')) {
    console.error(`this plugin speaks version 1 of the protocol, the gateway ${PLUGIN_PROTOCOL_VERSIONS}`)
    process.exit(2)
  }

  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1 })
  const hook = (decide) => async (call, done) => {
    try {
      done(null, await decide(call.request))
    } catch (err) {
      console.error(err.stack)
      done({ code: grpc.status.UNKNOWN, details: err.message })
    }
  }
  server.addService(Policy.service, {
    configure: hook(({ policy: called, config }) => {
      const faults = policy.configure(JSON.parse(config.toString()), called) ?? []
      const hooks = ['before', 'after', 'received'].filter((name) => policy[name]).map((name) => 'HOOK_' + name.toUpperCase())
      return { name: policy.name, version: policy.version, hooks, faults }
    }),
    before: hook((request) => policy.before(request)),
    after: hook((request) => policy.after(request)),
    received: hook((request) => policy.received(request))
  })
  new HealthImplementation({ plugin: 'SERVING' }).addToServer(server)

  // Each side makes a certificate for this one connection and trusts that of the other
  // alone: ours goes out in the handshake, the gateway's came in the environment.
  const pems = await selfsigned.generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notAfterDate: new Date(Date.now() + 20 * 365 * 24 * 3600 * 1000), // as long as it may run
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }
    ]
  })
  const credentials = grpc.ServerCredentials.createSsl(Buffer.from(PLUGIN_CLIENT_CERT),
    [{ private_key: Buffer.from(pems.private), cert_chain: Buffer.from(pems.cert) }], true)

  const socket = path.join(PLUGIN_UNIX_SOCKET_DIR, 'policy.sock')
  await new Promise((resolve, reject) => {
    server.bindAsync('unix:' + socket, credentials, (err) => err ? reject(err) : resolve())
  })
  const der = new crypto.X509Certificate(pems.cert).raw.toString('base64').replace(/=+$/, '')
  process.stdout.write(`1|1|unix|${socket}|grpc|${der}\n`)
}

module.exports = { serve }
