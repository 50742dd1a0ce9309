#!/usr/bin/env node
// A policy for Interlock: calls of some tools must name a ticket in one of their
// arguments, such as the message of a commit.
'use strict'

const { serve } = require('./serve.js')

let tools, ticket, example

function configure (config) {
  const faults = []
  const bad = (key, text, mend) => faults.push({ path: [key], text, mend })
  if (!Array.isArray(config.tools) || config.tools.length === 0 || config.tools.some((t) => typeof t !== 'string')) {
    bad('tools', 'must be a list of names of tools', 'write tools: [notes__add]')
  }
  try {
    ticket = new RegExp(config.pattern ?? '\\b[A-Z]+-[0-9]+\\b')
  } catch (err) {
    bad('pattern', 'is not a regular expression: ' + err.message, '')
  }
  tools = new Set(config.tools)
  example = config.example ?? 'OPS-123'
  return faults
}

function before ({ call }) {
  if (!tools.has(call.exposed)) return { verdict: 'VERDICT_ALLOW' }
  const args = call.arguments.length > 0 ? JSON.parse(call.arguments) : {}
  if (Object.values(args).some((value) => typeof value === 'string' && ticket.test(value))) {
    return { verdict: 'VERDICT_ALLOW', notes: [{ name: 'ticket', value: 'named' }] }
  }
  return { verdict: 'VERDICT_DENY', reason: `calls of this tool name a ticket such as ${example} in one of their arguments` }
}

serve({ name: 'ticket', version: '1.0.0', configure, before })
