"""Fails when a query of the dashboard or the rules uses a metric that does not exist.

    check_queries.py PAGE dashboard.json rules.yml...

PAGE is a metrics page of the running program, after traffic. Metrics that Prometheus itself adds to each scrape
are known. Every query is also parsed: by Prometheus, through promtool.
"""
import json
import re
import subprocess
import sys
import tempfile

OWN_OF_PROMETHEUS = {'up', 'scrape_duration_seconds'}
WORDS = {'by', 'without', 'on', 'ignoring', 'group_left', 'group_right', 'and', 'or', 'unless', 'offset', 'bool'}


def names_of_page(text):
    """Every sample name of the page."""
    return {re.match(r'[a-zA-Z_:][a-zA-Z0-9_:]*', line).group()
            for line in text.splitlines() if line and not line.startswith('#')}


def names_of_query(query):
    """The metric names in a query: its identifiers that are no function, word, label or text."""
    query = re.sub(r'"(?:[^"\\]|\\.)*"', '', query)
    query = re.sub(r'\{[^}]*\}', '', query)
    query = re.sub(r'\[[^\]]*\]', '', query)
    query = re.sub(r'\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)', '', query)
    found = set()
    for match in re.finditer(r'[a-zA-Z_:][a-zA-Z0-9_:]*', query):
        called = query[match.end():].lstrip().startswith('(')
        if not called and match.group() not in WORDS:
            found.add(match.group())
    return found


def queries_of_dashboard(path):
    def walk(node):
        if isinstance(node, dict):
            if isinstance(node.get('expr'), str):
                yield node['expr']
            if isinstance(node.get('definition'), str):
                yield re.sub(r'label_values\((.*), *\w+\)', r'\1', node['definition'])
            for value in node.values():
                yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)
    with open(path, encoding='utf-8') as file:
        return list(walk(json.load(file)))


def parse(queries):
    """What Prometheus has to say against the queries, with the dashboard's variables filled in."""
    rules = [{'record': f'query:{number}',
              'expr': query.replace('$__rate_interval', '1m').replace('$job', 'x').replace('$instance', 'y')}
             for number, query in enumerate(queries)]
    with tempfile.NamedTemporaryFile('w', suffix='.yml') as file:
        json.dump({'groups': [{'name': 'queries', 'rules': rules}]}, file)
        file.flush()
        check = subprocess.run(['promtool', 'check', 'rules', file.name], capture_output=True, text=True)
    return '' if check.returncode == 0 else check.stdout + check.stderr


def main(page, dashboard, *rules):
    with open(page, encoding='utf-8') as file:
        known = names_of_page(file.read()) | OWN_OF_PROMETHEUS
    queries = [(dashboard, query) for query in queries_of_dashboard(dashboard)]
    for path in rules:
        with open(path, encoding='utf-8') as file:
            text = file.read()
        known |= set(re.findall(r'^\s*- record: (\S+)$', text, re.MULTILINE))
        # `expr: …` on one line, or a block of deeper lines behind `expr: |`.
        for match in re.finditer(r'^( *)expr: (?:\|\n((?:\1  .*\n)+)|(.+)\n)', text, re.MULTILINE):
            queries.append((path, match.group(2) or match.group(3)))
    failed = False
    for path, query in queries:
        unknown = names_of_query(query) - known
        if unknown:
            print(f'{path}: no metric {", ".join(sorted(unknown))}: {query}')
            failed = True
        if not names_of_query(query):
            print(f'{path}: no metric at all: {query}')
            failed = True
    if problem := parse([query for _, query in queries]):
        print(problem)
        failed = True
    print(f'{len(queries)} queries checked against {len(known)} metrics')
    return 1 if failed else 0


sys.exit(main(*sys.argv[1:]))
