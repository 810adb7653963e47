// What a run of http-cache-tests is worth. The suite answers `true` or a reason for each test by itself; a test says
// something about a cache only when the tests that it depends on hold too, and those in turn. No I/O.

// The kinds of tests, as the suite calls them, and what they ask.
export const KINDS = {
  required: 'what the standard demands',
  optimal: 'using the cache wherever it may be used',
  check: 'information, neither right nor wrong',
}
const JUDGED = ['required', 'optimal'] // those that expected.txt speaks about

// Of the suite's lists of tests: id → {id, kind, name, dependencies}. Tests for browsers alone are left out.
export function provisions(suites) {
  const tests = new Map()
  for (const { tests: list } of suites) {
    for (const test of list) {
      if (test.browser_only) continue
      tests.set(test.id, {
        id: test.id,
        kind: test.kind ?? 'required',
        name: test.name,
        dependencies: test.depends_on ?? [],
      })
    }
  }
  return tests
}

// → id → {id, kind, passed, why}; `results` as the suite prints them: id → true | [kind of error, message].
export function score(tests, results) {
  const verdicts = new Map()
  const judge = (id) => {
    if (verdicts.has(id)) return verdicts.get(id)
    const { kind, dependencies } = tests.get(id) ?? { kind: 'check', dependencies: [] }
    const broken = dependencies.filter((dependency) => !judge(dependency).passed)
    let why = ''
    if (!(id in results)) why = 'was not run'
    else if (broken.length > 0) why = `depends on ${broken.join(', ')}`
    else if (results[id] !== true) why = results[id].join(': ').replaceAll(/\s+/g, ' ').slice(0, 200)
    const verdict = { id, kind, passed: why === '', why }
    verdicts.set(id, verdict)
    return verdict
  }
  return [...tests.keys()].map(judge)
}

// → kind → {passed, total}
export function counts(verdicts) {
  const totals = Object.fromEntries(Object.keys(KINDS).map((kind) => [kind, { passed: 0, total: 0 }]))
  for (const { kind, passed } of verdicts) {
    totals[kind].total += 1
    if (passed) totals[kind].passed += 1
  }
  return totals
}

// Lines of `id  reason`; `#` begins a comment. → id → reason
export function readExpected(text) {
  const expected = new Map()
  for (const line of text.split('\n')) {
    const [, id, reason] = line.match(/^(?!#)(\S+)\s*(.*)$/) ?? []
    if (id === undefined) continue
    if (reason === '') throw new Error(`expected.txt: ${id} has no reason`)
    if (expected.has(id)) throw new Error(`expected.txt: ${id} stands twice`)
    expected.set(id, reason)
  }
  return expected
}

// What does not agree with the list of tests that are known not to pass; empty when all does.
export function differences(verdicts, expected) {
  const found = []
  const judged = new Map(verdicts.filter(({ kind }) => JUDGED.includes(kind)).map((verdict) => [verdict.id, verdict]))
  for (const { id, kind, passed, why } of judged.values()) {
    if (!passed && !expected.has(id)) found.push(`${id} (${kind}) fails: ${why}`)
    if (passed && expected.has(id)) found.push(`${id} (${kind}) passes: take it off expected.txt`)
  }
  for (const id of expected.keys()) {
    if (!judged.has(id)) found.push(`${id}: the suite has no such test, required or optimal`)
  }
  return found
}
