import assert from 'node:assert/strict'
import { test } from 'node:test'

import { counts, differences, provisions, readExpected, score } from './score.mjs'
import { suites } from './suite.mjs'

// A suite in small; the answers of `recorded` have the forms that the real one prints.
const small = provisions([
  {
    tests: [
      { id: 'stores', name: 'a fresh response is used' },
      { id: 'ages', name: 'it ages', depends_on: ['stores'] },
      { id: 'ages-more', name: 'and ages', kind: 'check', depends_on: ['ages'] },
      { id: 'heuristic', name: 'without explicit lifetime', kind: 'optimal', depends_on: ['stores'] },
    ],
  },
  { tests: [{ id: 'in-browsers', name: 'not ours', browser_only: true }] },
])
const recorded = {
  stores: true,
  ages: ['Assertion', 'Response 2 header Age is 0, should be bigger than 2'],
  'ages-more': true,
  heuristic: true,
}
const passed = (results) =>
  score(small, results)
    .filter((verdict) => verdict.passed)
    .map(({ id }) => id)

test('a test counts when it and what it depends on hold', () => {
  assert.deepEqual(passed(recorded), ['stores', 'heuristic'])
})

test('a dependency that fails fails everything behind it', () => {
  assert.deepEqual(passed({ ...recorded, ages: true, stores: ['Setup', 'retry'] }), [])
})

test('a test that was not run does not count', () => {
  const { ages, ...rest } = recorded
  assert.deepEqual(passed(rest), ['stores', 'heuristic'])
})

test('each verdict says why', () => {
  assert.deepEqual(
    score(small, recorded).map(({ why }) => why),
    ['', 'Assertion: Response 2 header Age is 0, should be bigger than 2', 'depends on ages', ''],
  )
})

test('counts are per kind, and tests of browsers are none of ours', () => {
  assert.deepEqual(counts(score(small, recorded)), {
    required: { passed: 1, total: 2 },
    optimal: { passed: 1, total: 1 },
    check: { passed: 0, total: 1 },
  })
})

test('the list of failures must be exact', () => {
  const verdicts = score(small, recorded)
  const against = (text) => differences(verdicts, readExpected(text))
  assert.deepEqual(against('# nothing else\nages  Age is not sent\n'), [])
  assert.deepEqual(against(''), [
    'ages (required) fails: Assertion: Response 2 header Age is 0, should be bigger than 2',
  ])
  assert.deepEqual(against('ages  so\nheuristic  not wanted'), ['heuristic (optimal) passes: take it off expected.txt'])
  assert.deepEqual(against('ages  so\nage  misspelt'), ['age: the suite has no such test, required or optimal'])
})

test('every entry of the list has one reason', () => {
  assert.throws(() => readExpected('ages'), /no reason/)
  assert.throws(() => readExpected('ages  a\nages  b'), /twice/)
})

test('the suite is the one whose counts the documents name', () => {
  const totals = counts(score(provisions(suites), {}))
  assert.deepEqual(
    Object.values(totals).map(({ total }) => total),
    [165, 95, 90],
  )
})
