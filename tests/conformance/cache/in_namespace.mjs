// Runs the suite once, in a network of our own where its fixed ports are free: run.mjs starts this under unshare, and
// everything that it starts ends with it. Prints what the suite prints.
//
//   node in_namespace.mjs FOLDER ID COMMAND…     ID: one test, with what was said on the wire; '' for all
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'

import { folder as suite } from './suite.mjs'

const [folder, id, program, ...args] = process.argv.slice(2)
const ORIGIN = 8000 // the suite's origin and its Location fields are bound to it
const PROXY = 8080

const loopback = spawnSync('ip', ['link', 'set', 'lo', 'up'], { stdio: ['ignore', 2, 2] })
if (loopback.status !== 0) process.exit(loopback.status ?? 1)

// What it says is shown when it ends, which it should not, or when `output` asks for it.
function start(command, commandArgs, environment, output = 'ignore') {
  const log = path.join(folder, `${path.basename(command)}.log`)
  const child = spawn(command, commandArgs, {
    cwd: folder,
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', output, openSync(log, 'w')],
  })
  child.on('exit', (code, signal) => {
    console.error(`${command} ended: ${code ?? signal}\n${readFileSync(log)}`)
    process.exit(1)
  })
}

async function listens(port) {
  for (;;) {
    const socket = net.connect(port, '127.0.0.1')
    const open = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

start(
  process.execPath,
  [path.join(suite, 'server/server.mjs')],
  { npm_config_protocol: 'http', npm_config_port: ORIGIN, npm_config_pidfile: path.join(folder, 'origin.pid') },
  id === '' ? 'ignore' : 'inherit',
)
await listens(ORIGIN)
start(program, args, {})
await listens(PROXY)

const client = spawn(process.execPath, ['--no-warnings', path.join(suite, 'cli.mjs')], {
  cwd: suite,
  env: { PATH: process.env.PATH, npm_config_base: `http://127.0.0.1:${PROXY}`, npm_config_id: id, npm_package_config_id: id },
  stdio: ['ignore', 'inherit', 'inherit'],
})
const [code] = await once(client, 'exit')
process.exit(code ?? 1)
