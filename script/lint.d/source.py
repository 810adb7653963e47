"""The files that the lints read, and how a finding is printed."""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def root():
    """The tree to check: the argument (the self-test gives one), else this checkout."""
    return os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, '..', '..'))


def files(tree):
    """Every file that is or would be committed, relative to the tree, sorted."""
    git = subprocess.run(['git', '-C', tree, 'ls-files', '-co', '--exclude-standard', '-z'],
                         capture_output=True, text=True)
    if git.returncode == 0 and os.path.exists(os.path.join(tree, '.git')):
        names = [name for name in git.stdout.split('\0') if name]
    else:  # an unpacked archive
        names = [os.path.relpath(os.path.join(folder, name), tree)
                 for folder, _, found in os.walk(tree) for name in found]
        names = [name for name in names if not name.startswith(('build/', '.git/'))]
    return sorted(name for name in names if os.path.isfile(os.path.join(tree, name)))


def cpp_files(tree):
    return [name for name in files(tree) if name.endswith(('.cc', '.h'))]


def is_test(name):
    """Tests, benchmarks, and the headers beside the code that only they include (test_exchange.h)."""
    words = re.split(r'[^a-z0-9]+', os.path.basename(name))
    return name.startswith(('tests/', 'fuzz/', 'bench/')) or not {'test', 'testing', 'bench'}.isdisjoint(words)


def room_of(name):
    """tyaprover/http/codec.h → http; None outside tyaprover/."""
    parts = name.split('/')
    return parts[1] if len(parts) > 2 and parts[0] == 'tyaprover' else None


def read(tree, name):
    with open(os.path.join(tree, name), encoding='utf-8', errors='replace') as file:
        return file.read()


_NOT_CODE = re.compile(
    r'//[^\n]*'
    r'|/\*.*?\*/'
    r'|R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'",  # not the digit separators of 10'000
    re.DOTALL)


def code_only(text):
    """The text with comments and literals blanked, line numbers kept."""
    return _NOT_CODE.sub(lambda match: re.sub(r'[^\n]', ' ', match.group(0)), text)


class Findings:
    """Prints what is wrong as file:line: what. Do: what to do."""

    def __init__(self, lint):
        self.lint = lint
        self.count = 0

    def add(self, name, line, what, do):
        self.count += 1
        print(f'{name}:{line}: {what}\n    do: {do}')

    def finish(self, checked):
        if self.count:
            print(f'lint {self.lint}: {self.count} finding(s) in {checked}')
        sys.exit(1 if self.count else 0)
