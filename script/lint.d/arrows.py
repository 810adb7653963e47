"""Checks that includes and link lines follow the arrows of docs/design.md.

    cli -> gateway -> filters -> http -> base
              |          |-> telemetry -> metrics, resilience, cache, trace -> base
              `----------'
"""
import os
import re

import source

CORES = ['metrics', 'resilience', 'cache', 'trace']

# The rooms that a room may include.
MAY_INCLUDE = {
    'base': [],
    **{core: ['base'] for core in CORES},
    'awaitable': ['resilience', 'base'],
    'telemetry': CORES + ['base'],
    'http': ['base'],
    'filters': ['http', 'telemetry', *CORES, 'base'],
    'gateway': ['filters', 'http', 'telemetry', *CORES, 'base'],
    'cli': ['gateway', 'filters', 'http', 'telemetry', *CORES, 'base'],
}

# The libraries that a room's headers and sources may include, beside the C++ standard library.
# "system" is POSIX and Linux. The cores have neither: they compute, others do the talking.
MAY_USE = {
    'base': ['system'],
    **{core: [] for core in CORES},
    'awaitable': ['boost'],
    'telemetry': [],
    'http': ['system', 'boost', 'openssl', 'nghttp2'],
    'filters': ['system', 'zlib', 'brotli', 'zstd', 'isal'],
    'gateway': ['system', 'boost', 'yaml-cpp', 'spdlog', 'fmt', 'nlohmann'],
    'cli': ['system', 'CLI11', 'spdlog', 'fmt'],
}
# Tests and benchmarks beside the code may use any library; the arrows between rooms hold for them too.

LIBRARY = [
    (r'boost/', 'boost'), (r'openssl/', 'openssl'), (r'nghttp2/', 'nghttp2'),
    (r'zlib\.h', 'zlib'), (r'brotli/', 'brotli'), (r'z(std|std_errors|dict)\.h', 'zstd'),
    (r'isa-l/', 'isal'),
    (r'yaml-cpp/', 'yaml-cpp'), (r'spdlog/', 'spdlog'), (r'fmt/', 'fmt'), (r'nlohmann/', 'nlohmann'),
    (r'CLI/', 'CLI11'), (r'(gtest|gmock)/', 'googletest'), (r'benchmark/', 'benchmark'),
    (r'(sys|net|netinet|arpa|linux|asm|bits)/', 'system'),
    (r'(unistd|fcntl|limits|locale|poll|signal|stdio|stdlib|string|time|wchar|pthread|sched|malloc|pwd|grp|netdb'
     r'|spawn|dirent|dlfcn|ifaddrs|glob|fnmatch'
     r'|termios|execinfo|ucontext|syslog|libgen|immintrin|emmintrin|x86intrin|arm_neon)\.h$', 'system'),
    (r'[a-z_]+$', 'std'),
]

# What a link target of CMakeLists.txt brings.
TARGET = {
    'Threads::Threads': ['system'],
    'tyaprover_asio': ['boost'],
    'tyaprover_tls': ['openssl'],
    'tyaprover_http2': ['nghttp2'],
    'tyaprover_compression': ['zlib', 'brotli', 'zstd', 'isal'],
    'tyaprover_yaml': ['yaml-cpp'],
    'tyaprover_log': ['spdlog', 'fmt'],
    'tyaprover_commandline': ['CLI11'],
    'nlohmann_json::nlohmann_json': ['nlohmann'],
}

# Headers of C that have a C++ name. Those into which POSIX has put more (stdlib.h: setenv) are "system".
C_HEADER = {name + '.h': 'c' + name for name in (
    'assert ctype errno fenv float inttypes math setjmp stdarg stddef stdint uchar wctype').split()}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
ROOM_LINE = re.compile(r'^[ \t]*tyaprover_room\(\s*(\w+)((?:\s+[^()\s]+)*)\s*\)', re.MULTILINE)


def library_of(header):
    for pattern, library in LIBRARY:
        if re.match(pattern, header):
            return library
    return None


def line_of(text, offset):
    return text.count('\n', 0, offset) + 1


def check_include(findings, tree, name, line, quote, header):
    """One include of a file inside a room. Returns the room or library it reaches, or None."""
    room = source.room_of(name)
    if quote == '"':
        # What the benchmarks of all rooms share lies in bench/; only they may reach it.
        if name.endswith('_bench.cc') and header.startswith('bench/') and os.path.isfile(os.path.join(tree, header)):
            return None
        target = source.room_of(header)
        if target is None:
            findings.add(name, line, f'"{header}" is not spelled from the top of the tree',
                         'write "tyaprover/ROOM/FILE.h"; libraries and the standard library in <>')
            return None
        if not os.path.isfile(os.path.join(tree, header)):
            findings.add(name, line, f'"{header}" does not exist', 'correct the path')
        if target != room and target not in MAY_INCLUDE[room]:
            below = ', '.join(MAY_INCLUDE[room]) or 'no other room'
            findings.add(name, line, f'{room} includes {target}, against the arrows',
                         f'{room} may include {below}; move the code to the room that may, or pass what '
                         'is needed as a value or an interface')
            return None
        return target

    if header in C_HEADER:
        findings.add(name, line, f'<{header}> is the C spelling', f'include <{C_HEADER[header]}>')
        return None
    library = library_of(header)
    if library is None:
        findings.add(name, line, f'<{header}> belongs to no library that this lint knows',
                     'if the dependency is wanted, add it to docs/design.md and to the tables of '
                     'script/lint.d/arrows.py')
        return None
    if library == 'std' or source.is_test(name):
        return None
    if library not in MAY_USE[room]:
        allowed = ', '.join(MAY_USE[room]) or 'the C++ standard library only'
        findings.add(name, line, f'{room} includes <{header}> ({library})',
                     f'{room} may use {allowed}; put an interface between, as docs/design.md describes')
        return None
    return library


def check_sources(findings, tree):
    """Checks every include; returns {room: {reached room or library: 'file:line' of one include}}."""
    reached = {}
    names = source.cpp_files(tree)
    for name in names:
        if not name.startswith('tyaprover/'):
            continue
        room = source.room_of(name)
        if room not in MAY_INCLUDE:
            findings.add(name, 1, 'this is in no room of docs/design.md',
                         'move it to a room, or add the room there and to the tables of script/lint.d/arrows.py')
            continue
        text = source.read(tree, name)
        reached.setdefault(room, {})
        for match in INCLUDE.finditer(text):
            line = line_of(text, match.start())
            target = check_include(findings, tree, name, line, match[1], match[2])
            if target not in (None, room, 'system') and not source.is_test(name):
                reached[room].setdefault(target, (name, line))
    return reached, len(names)


def link_closure(links, room):
    """Everything that linking the room brings, as rooms and libraries."""
    seen, pending = set(), [room]
    while pending:
        for target in links.get(pending.pop(), []):
            if target not in seen:
                seen.add(target)
                pending.append(target)
    return seen


def check_links(findings, tree, reached):
    """The tyaprover_room(NAME LINK …) lines allow what the arrows allow, and bring what the includes need."""
    name = 'CMakeLists.txt'
    text = source.read(tree, name)
    links, lines = {}, {}
    for match in ROOM_LINE.finditer(text):
        room, words = match[1], match[2].split()
        lines[room] = line_of(text, match.start())
        if room not in MAY_INCLUDE:
            findings.add(name, lines[room], f'{room} is no room of docs/design.md',
                         'add it there and to the tables of script/lint.d/arrows.py')
            continue
        links[room] = []
        for target in words[1:]:
            below = target.removeprefix('tyaprover_').removeprefix('tyaprover::')
            if target in TARGET:
                brings, allowed = TARGET[target], [*MAY_USE[room], 'system']
            elif below in MAY_INCLUDE:
                brings, allowed = [below], MAY_INCLUDE[room]
            else:
                findings.add(name, lines[room], f'{room} links {target}, which this lint does not know',
                             'add it to TARGET in script/lint.d/arrows.py')
                continue
            links[room] += brings
            for what in brings:
                if what not in allowed:
                    findings.add(name, lines[room], f'{room} links {target}, against the arrows',
                                 f'{room} may link {", ".join(allowed)}')
                    break
    for room, targets in sorted(reached.items()):
        if room not in lines:
            findings.add(name, 1, f'tyaprover/{room} has code, but no tyaprover_room({room} …) line',
                         'add one, below the rooms that it uses')
            continue
        brought = link_closure(links, room)
        for target, (where, line) in sorted(targets.items()):
            # nlohmann is headers alone, found on the system path.
            if target not in brought and target != 'nlohmann':
                findings.add(name, lines[room], f'{room} does not link {target}, which {where}:{line} includes',
                             f'add it after LINK in tyaprover_room({room} …)')


def main():
    tree = source.root()
    findings = source.Findings('arrows')
    reached, checked = check_sources(findings, tree)
    check_links(findings, tree, reached)
    findings.finish(f'{checked} files')


if __name__ == '__main__':
    main()
