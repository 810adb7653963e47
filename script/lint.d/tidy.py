"""Runs clang-tidy (configuration: .clang-tidy) over every source, with the build's own compile commands."""
import subprocess
import sys

import cached
import source

TOOL = 'clang-tidy-14'


def main():
    tree = source.root()
    commands = cached.compile_commands(tree)
    sources = [name for name in source.cpp_files(tree) if name.endswith('.cc')]
    outside = [name for name in sources if name not in commands]
    for name in outside:
        print(f'{name}:1: no target of the release preset compiles this file, so nothing checks it\n'
              '    do: add it to a target, or delete it')

    def command_for(name):
        return [TOOL, '-p', cached.BUILD, '--quiet', name, '--', *commands[name]], None

    version = subprocess.run([TOOL, '--version'], capture_output=True, text=True, check=True).stdout
    version += source.read(tree, '.clang-tidy')
    cached.run(tree, 'tidy', [name for name in sources if name in commands], version, command_for,
               'clang-tidy objects; correct it, or write NOLINT(check) with the reason')
    sys.exit(1 if outside else 0)


if __name__ == '__main__':
    main()
