"""Tests the lints on small trees made for it: each rule must fire where it should, and only there."""
import concurrent.futures
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

ROOMS = '''\
tyaprover_room(base LINK Threads::Threads)
tyaprover_room(metrics LINK tyaprover_base)
tyaprover_room(cache LINK tyaprover_base)
tyaprover_room(telemetry LINK tyaprover_metrics tyaprover_cache)
tyaprover_room(http LINK tyaprover_base tyaprover_asio)
tyaprover_room(filters LINK tyaprover_http tyaprover_telemetry tyaprover_compression)
tyaprover_room(gateway LINK tyaprover_filters tyaprover_yaml tyaprover_log)
tyaprover_room(cli LINK tyaprover_gateway tyaprover_commandline)
'''

# A tree without a finding: every edge that is allowed, once.
CLEAN = {
    'CMakeLists.txt': ROOMS,
    'docs/design.md': '# Design\n\n## Open ends\n\n| key | what | owner |\n| http2 | … | the http room |\n\n## Next\n',
    'docs/threat-model.md': '| promise | `Counter.Counts` in `counter.h` |\n',
    'tyaprover/base/clock.h': '#pragma once\n#include <chrono>\n#include <limits.h>\n#include <sys/random.h>\n',
    'tyaprover/metrics/counter.h': '#pragma once\n#include <atomic>\n#include "tyaprover/base/clock.h"\n',
    'tyaprover/metrics/counter_test.cc': '#include <gtest/gtest.h>\n#include <unistd.h>\n'
                                         '#include "tyaprover/metrics/counter.h"\n'
                                         'TEST_F(Counter, Counts) {}\n'
                                         'void wait() { std::this_thread::sleep_for(1s); std::printf("x"); }\n',
    'tyaprover/metrics/test_registry.h': '#pragma once\n#include <gtest/gtest.h>\n',
    'bench/allocations.h': '#pragma once\n',
    'tyaprover/metrics/counter_bench.cc': '#include "bench/allocations.h"\n',
    'tyaprover/cache/lru.h': '#pragma once\n#include <list>\n'
                             'void g() { puts("x"); }  // lint:allow console, because of this test\n',
    'tyaprover/telemetry/stats.h': '#pragma once\n#include "tyaprover/metrics/counter.h"\n'
                                   '#include "tyaprover/cache/lru.h"\n',
    'tyaprover/http/server.h': '#pragma once\n#include <boost/asio.hpp>\n#include <unistd.h>\n'
                               '#include "tyaprover/base/clock.h"\n'
                               '// std::cout and sleep_for in a comment, "printf(" in a string\n'
                               'inline const char* text() { return "printf(x) sleep_for TODAY"; }\n'
                               '// TODO(http2): frames\n',
    'tyaprover/filters/compression.cc': '#include <zlib.h>\n#include "tyaprover/http/server.h"\n'
                                        '#include "tyaprover/telemetry/stats.h"\n'
                                        'void f() { snprintf(b, 9, "x"); timer.sleep(1); }\n'
                                        'void g() { fprintf(stderr, "x"); }\n',
    'tyaprover/gateway/config.cc': '#include <yaml-cpp/yaml.h>\n#include <nlohmann/json.hpp>\n'
                                   '#include "tyaprover/base/clock.h"\n#include "tyaprover/filters/pipeline.h"\n',
    'tyaprover/filters/pipeline.h': '#pragma once\n',
    'tyaprover/cli/main.cc': '#include <CLI/CLI.hpp>\n#include <iostream>\n'
                             '#include "tyaprover/gateway/config.h"\nint main() { std::cout << 1; }\n',
    'tyaprover/gateway/config.h': '#pragma once\n',
    'tests/integration/proxy_test.cc': '#include <boost/asio.hpp>\n#include "support.h"\n',
    'tests/integration/support.h': '#pragma once\n#include <gtest/gtest.h>\n',
}

# For the lint that compiles: one folder's flags define what its header needs.
HEADERS = {
    'build/release/compile_commands.json':
        '[{"file": "tyaprover/base/a.cc", "command": "g++ -std=c++20 -I. -DNAME=1 -c tyaprover/base/a.cc"}]',
    'tyaprover/base/a.h': '#pragma once\n#include <string>\ninline std::string a(std::string_view) { return {NAME, 0}; }\n',
    'tyaprover/base/b.h': '#pragma once\n#include "tyaprover/base/a.h"\n',
}

# lint, what is changed in the clean tree, what the lint must say. None = the file is removed.
CASES = [
    # Between rooms.
    ('arrows', {'tyaprover/base/clock.h': '#include "tyaprover/http/server.h"\n'},
     'tyaprover/base/clock.h:1: base includes http, against the arrows'),
    ('arrows', {'tyaprover/metrics/counter.h': '#pragma once\n#include "tyaprover/cache/lru.h"\n'},
     'tyaprover/metrics/counter.h:2: metrics includes cache, against the arrows'),
    ('arrows', {'tyaprover/metrics/counter.h': '#include "tyaprover/http/server.h"\n'},
     'counter.h:1: metrics includes http'),
    ('arrows', {'tyaprover/metrics/counter_test.cc': '#include "tyaprover/cache/lru.h"\n'},
     'counter_test.cc:1: metrics includes cache'),
    ('arrows', {'tyaprover/telemetry/stats.h': '#include "tyaprover/http/server.h"\n'},
     'stats.h:1: telemetry includes http'),
    ('arrows', {'tyaprover/http/server.h': '#include "tyaprover/cache/lru.h"\n'}, 'server.h:1: http includes cache'),
    ('arrows', {'tyaprover/http/server.h': '#include "tyaprover/filters/pipeline.h"\n'},
     'server.h:1: http includes filters'),
    ('arrows', {'tyaprover/filters/pipeline.h': '\n#  include "tyaprover/gateway/config.h"\n'},
     'pipeline.h:2: filters includes gateway'),
    ('arrows', {'tyaprover/attic/old.h': ''}, 'tyaprover/attic/old.h:1: this is in no room'),
    ('arrows', {'tyaprover/cache/lru.h': '#include "bench/allocations.h"\n'},
     'lru.h:1: "bench/allocations.h" is not spelled from the top'),
    ('arrows', {'tyaprover/cache/lru_bench.cc': '#include "bench/missing.h"\n'},
     'lru_bench.cc:1: "bench/missing.h" is not spelled from the top'),
    # Libraries.
    ('arrows', {'tyaprover/base/clock.h': '#include <boost/asio.hpp>\n'}, 'clock.h:1: base includes <boost/asio.hpp> (boost)'),
    ('arrows', {'tyaprover/cache/lru.h': '#include <nlohmann/json.hpp>\n'}, 'lru.h:1: cache includes <nlohmann/json.hpp>'),
    ('arrows', {'tyaprover/cache/lru.h': '#include <string.h>\n'}, 'lru.h:1: cache includes <string.h> (system)'),
    ('arrows', {'tyaprover/cache/lru.h': '#include <unistd.h>\n'}, 'lru.h:1: cache includes <unistd.h> (system)'),
    ('arrows', {'tyaprover/telemetry/stats.h': '#include <fmt/core.h>\n'}, 'stats.h:1: telemetry includes <fmt/core.h>'),
    ('arrows', {'tyaprover/http/server.h': '#include <zlib.h>\n'}, 'server.h:1: http includes <zlib.h> (zlib)'),
    ('arrows', {'tyaprover/filters/pipeline.h': '#include <yaml-cpp/yaml.h>\n'}, 'pipeline.h:1: filters includes <yaml-cpp/yaml.h>'),
    ('arrows', {'tyaprover/gateway/config.cc': '#include <CLI/CLI.hpp>\n'}, 'config.cc:1: gateway includes <CLI/CLI.hpp>'),
    ('arrows', {'tyaprover/cli/main.cc': '#include <zstd.h>\n'}, 'main.cc:1: cli includes <zstd.h> (zstd)'),
    ('arrows', {'tyaprover/gateway/config.cc': '#include <folly/String.h>\n'}, '<folly/String.h> belongs to no library'),
    # Spelling.
    ('arrows', {'tyaprover/gateway/config.cc': '#include "config.h"\n'}, '"config.h" is not spelled from the top'),
    ('arrows', {'tyaprover/gateway/config.cc': '#include "../http/server.h"\n'}, 'is not spelled from the top'),
    ('arrows', {'tyaprover/gateway/config.h': None}, '"tyaprover/gateway/config.h" does not exist'),
    ('arrows', {'tyaprover/base/clock.h': '#include <stdint.h>\n'}, 'include <cstdint>'),
    # Link lines.
    ('arrows', {'CMakeLists.txt': ROOMS.replace('base LINK Threads::Threads', 'base LINK tyaprover_asio')},
     'CMakeLists.txt:1: base links tyaprover_asio, against the arrows'),
    ('arrows', {'CMakeLists.txt': ROOMS.replace('metrics LINK tyaprover_base', 'metrics LINK tyaprover_base tyaprover_cache')},
     'CMakeLists.txt:2: metrics links tyaprover_cache, against the arrows'),
    ('arrows', {'CMakeLists.txt': ROOMS.replace(' tyaprover_telemetry', '')},
     'CMakeLists.txt:6: filters does not link telemetry, which tyaprover/filters/compression.cc:3 includes'),
    ('arrows', {'CMakeLists.txt': ROOMS.replace(' tyaprover_compression', '')}, 'filters does not link zlib'),
    ('arrows', {'CMakeLists.txt': ROOMS.replace('tyaprover_yaml', 'tyaprover_toml')}, 'gateway links tyaprover_toml'),
    ('arrows', {'CMakeLists.txt': ROOMS.replace('tyaprover_room(cache LINK tyaprover_base)\n', '')},
     'tyaprover/cache has code, but no tyaprover_room(cache …) line'),
    # Words.
    ('words', {'tyaprover/gateway/wait.cc': 'void f() { std::this_thread::sleep_for(1s); }\n'},
     'wait.cc:1: product code sleeps'),
    ('words', {'tyaprover/gateway/wait.cc': '/* a\n comment */\nvoid f() { usleep(1); }\n'}, 'wait.cc:3: product code sleeps'),
    ('words', {'tyaprover/cache/lru.h': '#pragma once\nvoid f() { std::cout << 1; }\n'},
     'lru.h:2: this room writes to the terminal'),
    ('words', {'tyaprover/telemetry/stats.h': '#pragma once\nvoid f() { printf("x"); }\n'},
     'stats.h:2: this room writes to the terminal'),
    ('words', {'tyaprover/cache/stop.cc': 'void f() { std::exit(1); }\n'}, 'stop.cc:1: this room ends the process'),
    ('words', {'tyaprover/gateway/dice.cc': 'int f() { return rand(); }\n'}, 'dice.cc:1: rand() is shared'),
    ('words', {'tyaprover/base/clock.h': '// no guard\n'}, 'clock.h:1: no #pragma once'),
    ('words', {'tyaprover/base/later.cc': '// TODO: later\n'}, 'later.cc:1: an open end without an owner'),
    ('words', {'tyaprover/base/later.cc': '// TODO(nobody): later\n'}, 'later.cc:1: an open end without an owner'),
    ('words', {'tyaprover/base/later.cc': '\n// FIXME later\n'}, 'later.cc:2: an open end without an owner'),
    ('words', {'tests/integration/proxy_utils.h': '#pragma once\n'}, 'proxy_utils.h:1: "utils" says nothing'),
    ('words', {'docs/threat-model.md': '\n| promise | `Counter.CountsOn` |\n'},
     'docs/threat-model.md:2: there is no test Counter.CountsOn'),
    ('words', {'docs/misc.md': ''}, 'docs/misc.md:1: "misc" says nothing'),
    ('words', {'tyaprover/gateway/cache_manager.h': '#pragma once\n'}, '"manager" says nothing'),
]


CASES += [
    ('headers', {'tyaprover/base/b.h': '#pragma once\ninline std::string b() { return {}; }\n'},
     'tyaprover/base/b.h:1: this header does not compile alone'),
    ('headers', {'tyaprover/base/a.h': '#pragma once\n'  # what b.h includes is broken: both fail
                                       'inline int a() { int unused; return NAME; }\n'},
     'findings in 2 of 2 files'),
]


def lint(name, changes):
    """Writes the clean tree with the changes and runs the lint over it. Returns (exit code, output)."""
    with tempfile.TemporaryDirectory() as tree:
        for path, text in {**(HEADERS if name == 'headers' else CLEAN), **changes}.items():
            if text is None:
                continue
            path = os.path.join(tree, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'w', encoding='utf-8') as file:
                file.write(text)
        done = subprocess.run([sys.executable, os.path.join(HERE, name + '.py'), tree], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


def problem(case):
    """Runs one case. Returns what is wrong with the lint, or None."""
    name, changes, expected = case
    code, output = lint(name, changes)
    if expected is None:
        return None if code == 0 else f'{name} objects to the clean tree:\n{output}'
    if code != 1 or expected not in output:
        return f'{name} on {changes}\n  expected exit 1 and: {expected}\n  got exit {code}:\n{output}'
    if name != 'headers' and '    do: ' not in output:
        return f'{name} on {changes} does not say what to do:\n{output}'
    return None


def main():
    cases = [(name, {}, None) for name in ('arrows', 'words', 'headers')] + CASES
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [found for found in pool.map(problem, cases) if found]
    for found in problems:
        print(f'selftest: {found}')
    sys.exit(1 if problems else 0)


if __name__ == '__main__':
    main()
