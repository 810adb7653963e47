"""What the side-by-side measurements share: programs as children, the gateway among them, load by wrk, tables."""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time


def children(pid):
    """What this process started and still runs; none where the kernel does not tell."""
    try:
        return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []


def cpu_seconds(pid):
    tasks = pathlib.Path(f"/proc/{pid}/task")
    try:
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9
    except (FileNotFoundError, IndexError):  # a kernel without schedstat: clock ticks
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Program:
    """A child process, killed with the object that started it."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
        self.port = None

    def cpu_seconds(self):
        """User + system time of all threads, its children's too, in scheduler precision (nanoseconds)."""
        return sum(cpu_seconds(process) for process in [self.process.pid, *children(self.process.pid)])

    def resident_bytes(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) * 1024

    def stop(self):
        self.process.kill()
        self.process.wait()


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(program, deadline=10.0):
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        if program.process.poll() is not None:
            sys.exit(f"{program.process.args[0]} ended with code {program.process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", program.port), timeout=1).close()
            return program
        except OSError:
            time.sleep(0.01)
    sys.exit(f"{program.process.args[0]} does not listen after {deadline} s")


def start_printing(command, **options):
    """A program of ours whose first line holds its address."""
    program = Program(command, stdout=subprocess.PIPE, text=True, **options)
    line = program.process.stdout.readline()
    if line.startswith("{"):
        line = json.loads(line)["listeners"][0]
    program.port = int(line.rsplit(":", 1)[1])
    return wait_for_port(program)


def start_gateway(build, directory, upstream, settings="", apps="", environment=None):
    """One worker in front of that port; `settings` are further lines of YAML, `apps` further apps."""
    config = directory / "tyaprover.yaml"
    config.write_text(
        'listen: ["127.0.0.1:0"]\nworkers: 1\nlimits: {requests_per_connection: 1000000000}\n'
        f"access_log: {{output: /dev/null}}\n{settings}apps:\n"
        f'  - {{name: bench, upstream: {{targets: ["http://127.0.0.1:{upstream}"]}}}}\n{apps}')
    return start_printing([str(build / "tyaprover"), "run", "-c", str(config)],
                          env={**os.environ, **(environment or {})})


def milliseconds(text):
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(value) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def measure(program, path, seconds, connections):
    url = f"http://127.0.0.1:{program.port}{path}"
    before = program.cpu_seconds()
    wrk = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--timeout", "30", "--latency", url],
                         capture_output=True, text=True, timeout=seconds + 60, check=True)
    report = wrk.stdout
    used = program.cpu_seconds() - before
    requests = int(re.search(r"(\d+) requests in", report).group(1))
    errors = re.search(r"Socket errors:.*|Non-2xx.*", report)
    if errors:
        sys.exit(f"{url}: {errors.group(0)}")
    if requests == 0:
        sys.exit(f"{url}: no request was answered\n{report}")
    return {
        "cpu": used / requests * 1e6,
        "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", report).group(1)),
        "p99": milliseconds(re.search(r"^\s+99%\s+(\S+)", report, re.MULTILINE).group(1)),
    }


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return os.uname().machine


def print_table(header, rows, markdown):
    if markdown:
        print("| " + " | ".join(header) + " |")
        print("|" + "---|" * len(header))
        for row in rows:
            print("| " + " | ".join(row) + " |")
        return
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
