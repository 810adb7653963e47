"""Checks names and words that docs/design.md and CONTRIBUTING.md rule out, and that promised tests exist.

A line that breaks a rule for a good reason says so:  // lint:allow RULE, because …
"""
import os
import re

import source

# Rooms that report through values, listeners and counters and never write to the terminal themselves.
SILENT = {'base', 'metrics', 'resilience', 'cache', 'trace', 'telemetry'}

EMPTY_NAMES = {'util', 'utils', 'helper', 'helpers', 'common', 'manager', 'misc'}


def product(name):
    return name.startswith('tyaprover/') and not source.is_test(name)


# rule, which files, pattern in code, what is wrong, what to do
RULES = [
    ('sleep', product,
     re.compile(r'\b(sleep_for|sleep_until|usleep|nanosleep|clock_nanosleep)\b|(?<![\w.:>])sleep\s*\('),
     'product code sleeps', 'wait on a timer of the event loop, a condition or a deadline'),
    ('console', lambda name: product(name) and source.room_of(name) in SILENT,
     re.compile(r'\bstd::(cout|cerr|clog)\b|(?<![\w.>])(?:std::)?(?:f|v|vf)?printf\s*\(|(?<![\w.>])(?:std::)?f?puts\s*\('),
     'this room writes to the terminal', 'return a value, or report through a listener or a counter'),
    ('exit', lambda name: product(name) and source.room_of(name) in SILENT,
     re.compile(r'(?<![\w.>])(?:std::)?(?:exit|_exit|quick_exit)\s*\('),
     'this room ends the process', 'return an error; only gateway and cli may end the process'),
    ('rand', product, re.compile(r'(?<![\w.>:])(?:std::)?s?rand\s*\('),
     'rand() is shared, locked and guessable', 'use the generator of tyaprover/base'),
]

TODO = re.compile(r'\b(TODO|FIXME|XXX)\b(?:\(([\w -]+)\))?')


def open_ends(tree):
    """The part of docs/design.md that lists open ends with their owners."""
    if not os.path.isfile(os.path.join(tree, 'docs/design.md')):
        return ''
    text = source.read(tree, 'docs/design.md')
    return text.partition('## Open ends')[2].partition('\n## ')[0]


def check_name(findings, name):
    words = re.split(r'[^a-z]+', os.path.basename(name).lower())
    for word in EMPTY_NAMES.intersection(words):
        findings.add(name, 1, f'"{word}" says nothing about what is in the file', 'name it after its subject')


def check_code(findings, name, text):
    lines = text.split('\n')
    for number, line in enumerate(source.code_only(text).split('\n'), 1):
        for rule, applies, pattern, what, do in RULES:
            if applies(name) and pattern.search(line) and f'lint:allow {rule}' not in lines[number - 1]:
                findings.add(name, number, f'{what}: {lines[number - 1].strip()}', do)
    if name.endswith('.h') and '#pragma once' not in text:
        findings.add(name, 1, 'no #pragma once', 'add it below the comment that opens the header')


def check_todo(findings, name, text, owned):
    for number, line in enumerate(text.split('\n'), 1):
        for match in TODO.finditer(line):
            if match[1] != 'TODO' or not match[2] or match[2] not in owned:
                findings.add(name, number, f'an open end without an owner: {line.strip()}',
                             'write TODO(key) and a row with that key and an owner in the list "Open ends" of '
                             'docs/design.md, or do it now')


PROMISES = 'docs/threat-model.md'


def check_promises(findings, tree, names):
    """Every test that the threat model names as `Suite.Name` exists."""
    if PROMISES not in names:
        return
    tests = set()
    for name in names:
        if name.endswith('_test.cc'):
            text = source.read(tree, name)
            tests.update(f'{match[1]}.{match[2]}'
                         for match in re.finditer(r'^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)', text, re.MULTILINE))
    for number, line in enumerate(source.read(tree, PROMISES).split('\n'), 1):
        for promised in re.findall(r'`([A-Z]\w+\.[A-Z]\w+)`', line):
            if promised not in tests:
                findings.add(PROMISES, number, f'there is no test {promised}',
                             'name the test that shows this promise, or write one')


def main():
    tree = source.root()
    findings = source.Findings('words')
    owned = open_ends(tree)
    names = source.files(tree)
    check_promises(findings, tree, names)
    for name in names:
        if name.startswith('fuzz/corpus/'):
            continue
        check_name(findings, name)
        if name.endswith(('.cc', '.h')):
            text = source.read(tree, name)
            check_code(findings, name, text)
            check_todo(findings, name, text, owned)
    findings.finish(f'{len(names)} files')


if __name__ == '__main__':
    main()
