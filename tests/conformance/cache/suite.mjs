// The installed http-cache-tests: where its programs are, and its lists of tests in the order of its own cli.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const folder = fileURLToPath(new URL('../../node/node_modules/http-cache-tests', import.meta.url))
if (!existsSync(folder)) {
  console.error(`${folder} is missing: run script/bootstrap --tests`)
  process.exit(1)
}
const load = async (file) => (await import(pathToFileURL(path.join(folder, 'tests', file)))).default
export const suites = [...(await load('index.mjs')), await load('surrogate-control.mjs')]
