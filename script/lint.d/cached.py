"""Runs a checker over many files in parallel and remembers, by content, which ones it found clean.

The memory is outside of the checkout, as ccache's is, so that a second clone does not begin from nothing."""
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time

import source

BUILD = 'build/release'
OWN_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


def compile_commands(tree):
    """{file relative to the tree: its compiler arguments that matter to a checker: -D, -I, -isystem, -std}."""
    try:
        with open(os.path.join(tree, BUILD, 'compile_commands.json'), encoding='utf-8') as file:
            entries = json.load(file)
    except FileNotFoundError:
        sys.exit(f'{BUILD}/compile_commands.json is missing; run: cmake --preset release')
    commands = {}
    for entry in entries:
        arguments, kept = iter(shlex.split(entry['command'])), []
        for argument in arguments:
            if argument in ('-I', '-isystem', '-D'):
                kept += [argument, next(arguments)]
            elif argument.startswith(('-I', '-D', '-std=')):
                kept.append(argument)
        commands[os.path.relpath(os.path.join(tree, entry['file']), tree)] = kept
    return commands


class Contents:
    """The hash of a file together with everything of ours that it includes."""

    def __init__(self, tree):
        self.tree = tree
        self.own = {}  # file → (hash, included files)

    def _load(self, name):
        if name not in self.own:
            text = source.read(self.tree, name)
            included = []
            for header in OWN_INCLUDE.findall(text):
                beside = os.path.normpath(os.path.join(os.path.dirname(name), header))
                for path in (header, beside):
                    if os.path.isfile(os.path.join(self.tree, path)):
                        included.append(path)
                        break
            self.own[name] = (hashlib.sha256(text.encode()).hexdigest(), included)
        return self.own[name]

    def hash(self, name):
        seen, pending = set(), [name]
        while pending:
            current = pending.pop()
            if current not in seen:
                seen.add(current)
                pending += self._load(current)[1]
        return ' '.join(f'{path}={self._load(path)[0]}' for path in sorted(seen))


def run(tree, lint, names, version, command_for, advice):
    """Runs command_for(name) → (arguments, stdin) for each name that is not known to be clean; exits 1 on a finding.

    `version` is whatever else decides the outcome: the tool's version, its configuration."""
    home = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    cache = os.path.join(home, 'tyaprover/lint', lint)
    os.makedirs(cache, exist_ok=True)
    month_ago = time.time() - 30 * 24 * 3600
    for entry in os.scandir(cache):
        if entry.stat().st_mtime < month_ago:
            os.remove(entry.path)

    contents = Contents(tree)
    work = []
    for name in names:
        arguments, stdin = command_for(name)
        key = '\n'.join([version, shlex.join(arguments).replace(tree, '.'), contents.hash(name)])
        stamp = os.path.join(cache, hashlib.sha256(key.encode()).hexdigest())
        if os.path.exists(stamp):
            os.utime(stamp)
        else:
            work.append((name, arguments, stdin, stamp))
    work.sort(key=lambda item: -os.path.getsize(os.path.join(tree, item[0])))

    def check(item):
        name, arguments, stdin, stamp = item
        done = subprocess.run(arguments, cwd=tree, input=stdin, capture_output=True, text=True)
        if done.returncode == 0:
            open(stamp, 'w').close()
            return None
        return name, (done.stdout + done.stderr).replace(tree + os.sep, '').strip()

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(check, work):
            if result:
                failed += 1
                print(f'{result[0]}:1: {advice}\n{result[1]}\n')
    if failed:
        print(f'lint {lint}: findings in {failed} of {len(names)} files')
        sys.exit(1)
    print(f'lint {lint}: {len(names)} files, {len(work)} of them checked now, the others known to be clean')
