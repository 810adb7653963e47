"""The steps of script/tour. Needs the program's path."""

import http.server
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

PATIENCE = 60  # seconds that anything may take before the tour says that it did not come
results = []


def say(text=''):
    print(text, flush=True)


def chapter(title):
    say(f'\n== {title}')


def check(what, ok, seen=''):
    results.append((what, bool(ok)))
    say(f'   {"ok" if ok else "NOT AS IT SHOULD BE"}: {what}')
    if not ok and seen:
        say('   what came: ' + str(seen)[:2000])


def run(command, site, lines=6):
    """Runs a command line of the guide as it stands, with our address, and shows what it prints."""
    command = command.replace('http://localhost:3000', site)
    say(f'\n$ {command}')
    done = subprocess.run(['bash', '-c', command.replace('curl ', 'curl -sS --max-time 30 ', 1)
                           if command.startswith('curl ') else command],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    printed = done.stdout + done.stderr
    shown = printed.splitlines()
    for line in shown[:lines]:
        say('   ' + line[:150])
    if len(shown) > lines:
        say(f'   … {len(shown) - lines} more lines')
    return printed


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    return None


def unused_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def get_json(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)
    except (OSError, ValueError):
        return None


class Jaeger(http.server.BaseHTTPRequestHandler):
    """Takes what is sent to Jaeger's collector, and keeps it."""
    received = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        Jaeger.received.append((self.path, self.headers['Content-Type'], self.headers['Content-Encoding'], body))
        self.send_response(202)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *_):
        pass


def start_jaeger():
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Jaeger)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def start_gateway(binary, directory, jaeger):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(('OTEL_', 'TRACE_', 'METRICS_', 'CACHE_', 'ADMIN_')) and name != 'NODE_ENV'}
    environment['TRACE_EXPORTER_ENDPOINT'] = f'http://127.0.0.1:{jaeger}/api/traces'
    environment['TRACE_EXPORTER_PROTOCOL'] = 'jaeger-thrift'  # told by the port 14268 otherwise
    environment['OTEL_BSP_SCHEDULE_DELAY'] = '200'
    log = open(directory / 'gateway.log', 'w+b')
    process = subprocess.Popen([str(pathlib.Path(binary).resolve()), '--demo', '--listen', '127.0.0.1:0'],
                               stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment,
                               cwd=directory)

    def address():
        found = re.search(rb'"listeners":\["http://127\.0\.0\.1:(\d+)"', (directory / 'gateway.log').read_bytes())
        return int(found.group(1)) if found else None
    port = wait_for(address)
    if port is None:
        process.kill()
        sys.exit('the gateway did not start:\n' + (directory / 'gateway.log').read_text())
    return process, f'http://127.0.0.1:{port}'


def start_prometheus(directory, site):
    target = urllib.parse.urlsplit(site).netloc
    (directory / 'prometheus.yml').write_text(
        'global: {scrape_interval: 1s}\n'
        f'scrape_configs: [{{job_name: tyaprover, static_configs: [{{targets: ["{target}"]}}]}}]\n')
    port = unused_port()
    process = subprocess.Popen(
        ['prometheus', f'--config.file={directory}/prometheus.yml', f'--storage.tsdb.path={directory}/prometheus',
         f'--web.listen-address=127.0.0.1:{port}'], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=open(directory / 'prometheus.log', 'wb'))
    return process, f'http://127.0.0.1:{port}'


def query(prometheus, text):
    answer = get_json(f'{prometheus}/api/v1/query?' + urllib.parse.urlencode({'query': text}))
    values = [float(one['value'][1]) for one in answer['data']['result']] if answer else []
    return [value for value in values if value == value]  # without NaN


def breaker(site):
    chapter('Circuit breaker')
    say('A breaker named "test" stands before an endpoint that always fails. After 5 failures it opens.')
    printed = run('curl -X POST http://localhost:3000/test/circuit-breaker', site)
    check('one call through the breaker is counted', '"failureCount":1' in printed.replace(' ', ''), printed)
    printed = run('curl http://localhost:3000/metrics | grep circuit', site)
    check('the breaker is in the metrics', 'circuit_breaker_state{name="test"' in printed, printed)
    printed = run('for i in {1..10}; do curl -sS -o /dev/null -w "%{http_code} " '
                  'http://localhost:3000/test/failing-endpoint; done', site)
    check('failures get 500, and then the circuit is open: 503', re.fullmatch(r'(500 )+(503 )+', printed.strip() + ' '),
          printed)
    printed = run('curl -i http://localhost:3000/test/failing-endpoint', site, lines=20)
    check('rejected at once, with the reason', ' 503 ' in printed and 'circuit_open' in printed, printed)
    check('the client is told when to come back', re.search(r'^retry-after: \d+', printed, re.I | re.M), printed)


def cache(site):
    chapter('Cache')
    first = run('curl -I http://localhost:3000/api/v1/theme/', site, lines=20)
    check('the first request goes to the app', re.search(r'^x-cache: MISS', first, re.I | re.M), first)
    second = run('curl -I http://localhost:3000/api/v1/theme/', site, lines=20)
    check('the second is answered from the cache', re.search(r'^x-cache: HIT', second, re.I | re.M), second)
    printed = run('curl http://localhost:3000/cache/stats', site)
    stats = json.loads(printed) if printed.startswith('{') else {}
    check('the statistics know of both', stats.get('hits', 0) >= 1 and stats.get('misses', 0) >= 1
          and {'keys', 'size', 'hitRate'} <= stats.keys(), printed)


def metrics(site, directory):
    chapter('Prometheus')
    printed = run('curl http://localhost:3000/metrics', site)
    check('the page has the requests', re.search(r'^http_requests_total\{', printed, re.M), printed)
    process, prometheus = start_prometheus(directory, site)
    try:
        say('\nA Prometheus scrapes it every second; there is some traffic until it has seen enough.')

        def seen(text):
            get_json(site + '/api/v1/apps')
            return [value for value in query(prometheus, text) if value > 0]
        for text in ('rate(http_requests_total[5m])',
                     'histogram_quantile(0.95, rate(http_request_duration_ms_bucket[5m]))'):
            say(f'\n> {text}')
            values = wait_for(lambda text=text: seen(text))
            say(f'   {values}')
            check(f'Prometheus answers {text}', values)
    finally:
        process.kill()
        process.wait()


def tracing(site):
    chapter('Traces')
    printed = run('curl -i http://localhost:3000/api/v1/apps', site, lines=20)
    found = re.search(r'^traceparent: 00-([0-9a-f]{32})-', printed, re.I | re.M)
    check('the answer names its trace', found, printed)
    trace_id = found.group(1) if found else ''
    arrived = wait_for(lambda: [each for each in Jaeger.received if each[0] == '/api/traces'])
    say(f'\nAt what stands in for Jaeger arrived: {[(path, kind, len(body)) for path, kind, _, body in (arrived or [])[:3]]}')
    check('spans were sent in the form that Jaeger takes',
          arrived and all(kind == 'application/vnd.apache.thrift.binary' for _, kind, _, _ in arrived), arrived)
    tree = wait_for(lambda: get_json(f'{site}/api/v1/traces/{trace_id}'))
    printed = run(f'curl {site}/api/v1/traces/{trace_id}', site)
    check('the gateway shows the trace too: the request, and the one to the app in it', tree and
          len(re.findall(r'"span_id"|"spanId"', printed)) >= 2, printed)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix='tour.') as temporary:
        directory = pathlib.Path(temporary)
        gateway, site = start_gateway(sys.argv[1], directory, start_jaeger())
        say(f'The gateway runs at {site} in front of its demo app.')
        try:
            breaker(site)
            cache(site)
            metrics(site, directory)
            tracing(site)
        finally:
            gateway.terminate()
            code = gateway.wait()
        chapter('End')
        check('SIGTERM ends the gateway with code 0', code == 0, code)
    failed = [what for what, ok in results if not ok]
    say(f'\n{len(results) - len(failed)} of {len(results)} as they should be' +
        (': all.' if not failed else '. Not:\n   ' + '\n   '.join(failed)))
    sys.exit(1 if failed else 0)


main()
