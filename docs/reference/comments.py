#!/usr/bin/env python3
"""Doxygen's input filter: prints a header of ours with its comments in the form that Doxygen reads.

The comment that opens a file describes the file; one above a declaration, or behind it, describes that. Lines set in by
two spaces are code. Words in backquotes are set as code. Nothing else in a comment has a meaning to Doxygen. Namespaces
`detail`, and headers whose first comment says `Internal`, are left out.
"""

import itertools
import re
import sys

COMMENT = re.compile(r'^(\s*)//(?: (.*)|)$')
BEHIND = re.compile(r'^(.*?\S)(\s+)// (.*)$')
NOT_TEXT = re.compile(r'^(NOLINT|clang-format|──|---)')  # of tools, or a heading


def plain(text):
    """Text whose signs mean nothing to Doxygen."""
    return re.sub(r'([\\@<>&#%"$]|::)', lambda sign: '\\' + sign.group(), text)


class Markup:
    """Of one comment: what stands in backquotes may go on in the next line."""

    def __init__(self):
        self.quoted = False

    def line(self, text):
        out = []
        for i, piece in enumerate(text.split('`')):
            if i:
                self.quoted = not self.quoted
            if piece:
                out.append(f'<tt>{plain(piece)}</tt>' if self.quoted else plain(piece))
        return ''.join(out)


def block(lines, indent, first_of_file):
    out = ['@file'] if first_of_file else []
    code = False
    markup = Markup()
    for line in lines:
        is_code = line.startswith('  ')
        if is_code != code and (line or not code):
            out.append('@code{.cpp}' if is_code else '@endcode')
            code = is_code
        out.append(line[2:].replace('*/', '* /') if is_code else markup.line(line))
    if code:
        out.append('@endcode')
    return [f'{indent}/// {line}'.rstrip() for line in out]


def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        lines = file.read().split('\n')
    out, at = [], 0
    opening = itertools.takewhile(lambda line: line.startswith('//'), lines)
    if re.search(r'\bInternal\b', ' '.join(opening)):
        return
    while at < len(lines):
        if lines[at] == 'namespace detail {':
            while not lines[at].startswith('}'):
                at += 1
            at += 1
            continue
        comment = COMMENT.match(lines[at])
        if not comment:
            behind = BEHIND.match(lines[at])
            if behind and '"' not in behind.group(1) and not NOT_TEXT.match(behind.group(3)):
                out.append(f'{behind.group(1)}{behind.group(2)}///< {Markup().line(behind.group(3))}')
            else:
                out.append(lines[at])
            at += 1
            continue
        begin, texts = at, []
        while at < len(lines) and (comment := COMMENT.match(lines[at])):
            texts.append(comment.group(2) or '')
            at += 1
        if NOT_TEXT.match(texts[0]):
            out += lines[begin:at]
        else:
            out += block(texts, COMMENT.match(lines[begin]).group(1), begin == 0)
    print('\n'.join(out), end='')


main()
