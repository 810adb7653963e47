"""Comparisons with Debian's proxies: how those are started, and rounds of the same work for all of them."""

import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

from programs import Program, measure, print_table, processor, start_printing, unused_port, wait_for_port

NAMES = {"tyaprover": "tyaprover", "nginx": "nginx", "haproxy": "HAProxy", "varnish": "Varnish",
         "epoll": "bare epoll", "upstream": "bare epoll"}
PEERS = {"nginx": "/usr/sbin/nginx", "haproxy": "/usr/sbin/haproxy", "varnish": "/usr/sbin/varnishd"}


def start_nginx(directory, upstream, cached):
    port = unused_port()
    config = directory / "nginx.conf"
    cache = f"proxy_cache_path {directory}/cache levels=1:2 keys_zone=bench:8m use_temp_path=off;" if cached else ""
    config.write_text(f"""
daemon off; master_process off; worker_processes 1; pid {directory}/nginx.pid; error_log /dev/null crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; tcp_nodelay on; sendfile on;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  {cache}
  upstream bench {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location = /health/live {{ return 200 OK; }}
    location / {{
      proxy_pass http://bench; proxy_http_version 1.1; {"proxy_cache bench" if cached else "proxy_max_temp_file_size 0"};
      proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
""")
    program = Program([PEERS["nginx"], "-p", str(directory), "-e", "/dev/null", "-c", str(config)])
    program.port = port
    return wait_for_port(program)


def start_haproxy(directory, upstream, cached):
    port = unused_port()
    config = directory / "haproxy.cfg"
    cache = "cache bench\n  total-max-size 64\n  max-object-size 1000000\n  max-age 86400\n" if cached else ""
    use_cache = "http-request cache-use bench\n  http-response cache-store bench" if cached else ""
    config.write_text(f"""
global
  nbthread 1
  maxconn 4096
{cache}
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend bench
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/plain string OK if {{ path /health/live }}
  {use_cache}
  default_backend upstream
backend upstream
  server one 127.0.0.1:{upstream}
""")
    program = Program([PEERS["haproxy"], "-db", "-q", "-f", str(config)])
    program.port = port
    return wait_for_port(program)


def start_varnish(directory, upstream):
    """Varnish always caches. It has a thread per busy connection; one pool of them is its least."""
    port = unused_port()
    program = Program([PEERS["varnish"], "-F", "-j", "none", "-n", str(directory / "varnish"), "-a", f"127.0.0.1:{port}",
                       "-b", f"127.0.0.1:{upstream}", "-s", "malloc,64m", "-p", "thread_pools=1"],
                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    program.port = port
    return wait_for_port(program)


def version(peer):
    output = subprocess.run([PEERS[peer], "-V" if peer == "varnish" else "-v"], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+\.\d+\S*", output.stdout + output.stderr)
    return found.group(0) if found else "?"


def compare(title, works, starters):
    """Runs as a program: every work by every program in turn, once per round; prints the medians.

    works:    name → (path at the proxy, programs, the program that the ratio is taken to); "upstream" is the origin,
              a bare epoll loop, asked directly
    starters: program → how to start it, given the build, a directory and the port of the upstream
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--build-dir", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of load per program, work and round")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--markdown", action="store_true", help="print tables as in docs/performance.md")
    arguments = parser.parse_args()

    build = arguments.build_dir.resolve()
    for needed in [build / "tyaprover", build / "bench/epoll_responder", build / "bench/bench_upstream"]:
        if not needed.exists():
            sys.exit(f"{needed} is missing: build with -DTYAPROVER_BENCH=ON (the preset release does)")
    peers = [name for name in starters if name in PEERS]
    for needed in ["wrk", *(PEERS[peer] for peer in peers)]:
        if not shutil.which(needed):
            sys.exit(f"{needed} is missing: run script/bootstrap")

    results = {(work, name): [] for work, (_, names, _) in works.items() for name in names}
    programs = {}
    with tempfile.TemporaryDirectory(prefix="side_by_side.") as temporary:
        directory = pathlib.Path(temporary)
        try:
            upstream = programs["upstream"] = start_printing([str(build / "bench/bench_upstream")])
            for name, start in starters.items():
                programs[name] = start(build, directory, upstream.port)
            for _ in range(arguments.rounds):
                for work, (path, names, _) in works.items():
                    for name in names:
                        results[work, name].append(
                            measure(programs[name], path, arguments.seconds, arguments.connections))
        finally:
            for program in programs.values():
                program.stop()

    versions = ", ".join(f"{NAMES[peer]} {version(peer)}" for peer in peers)
    print(f"{processor()}, {os.cpu_count()} CPUs, Linux {os.uname().release.split('-')[0]}; {versions}; "
          f"{arguments.rounds} rounds of {arguments.seconds} s, {arguments.connections} connections, medians")
    print()
    rows = []
    for work, (_, names, base) in works.items():
        median = {name: {key: statistics.median(run[key] for run in results[work, name])
                         for key in ("cpu", "rate", "p99")} for name in names}
        for name in names:
            cpu = [run["cpu"] for run in results[work, name]]
            rows.append([work, NAMES[name], f"{median[name]['cpu']:.1f}", f"{min(cpu):.1f}–{max(cpu):.1f}",
                         f"{median[name]['cpu'] / median[base]['cpu']:.2f} × {NAMES[base]}",
                         f"{median[name]['rate']:.0f}", f"{median[name]['p99']:.2f}"])
    print_table(["work", "program", "CPU µs/request", "range", "ratio", "requests/s", "p99 ms"], rows,
                arguments.markdown)
