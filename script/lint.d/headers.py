"""Checks that every header compiles alone: it includes what it uses, whoever includes it and in whatever order."""
import os
import subprocess

import cached
import source

WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Werror']


def main():
    tree = source.root()
    commands = cached.compile_commands(tree)
    # A header is compiled as the sources of its folder are.
    folders = {os.path.dirname(name): arguments for name, arguments in sorted(commands.items())}

    def command_for(name):
        arguments = folders.get(os.path.dirname(name), ['-std=c++20'])
        return ['g++', '-fsyntax-only', *WARNINGS, '-I.', *arguments, '-x', 'c++', '-'], f'#include "{name}"\n'

    headers = [name for name in source.cpp_files(tree) if name.endswith('.h')]
    version = subprocess.run(['g++', '--version'], capture_output=True, text=True, check=True).stdout
    cached.run(tree, 'headers', headers, version, command_for,
               'this header does not compile alone; include what it uses')


if __name__ == '__main__':
    main()
