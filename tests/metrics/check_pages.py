"""Reads the three pages of random_pages with readers that are not ours, and compares them with what was recorded.

usage: check_pages.py RANDOM_PAGES FOLDER SEED...

Text formats: Debian's python3-prometheus-client (its OpenMetrics parser is the strict one). Protobuf: the wire format
and the published field numbers of io.prometheus.client.MetricFamily, read below. Lint: promtool.
"""
import json
import math
import pathlib
import struct
import subprocess
import sys

from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as openmetrics_parser


def key(name, labels):
    """A sample's identity; bounds and quantiles as numbers."""
    numeric = {'le', 'quantile'}
    return name, frozenset((n, float(v) if n in numeric else v) for n, v in labels.items())


def same(a, b):
    return (math.isnan(a) and math.isnan(b)) or a == b


def read_text(page, reader):
    samples, exemplars, families = {}, {}, {}
    for family in reader.text_string_to_metric_families(page):
        families[family.name] = (family.type, family.documentation, getattr(family, 'unit', ''))
        for sample in family.samples:
            identity = key(sample.name, sample.labels)
            assert identity not in samples, f'{identity} is there twice'
            samples[identity] = sample.value
            if sample.exemplar:
                exemplars[identity] = (sample.exemplar.labels, sample.exemplar.value)
    return samples, exemplars, families


def expected_samples(families, openmetrics):
    samples, exemplars = {}, {}
    for family in families:
        name, kind = family['name'], family['type']
        for series in family['series']:
            labels = series['labels']
            if kind == 'counter':
                base = name[:-len('_total')] if name.endswith('_total') else name
                number = int if series['whole'] else float
                samples[key(base + '_total', labels)] = number(series['value'])
                if series['exemplar']:
                    exemplars[key(base + '_total', labels)] = (
                        {'trace_id': series['exemplar']}, float(series['exemplar_value']))
                continue
            if kind == 'gauge':
                samples[key(name, labels)] = float(series['value'])
                continue
            total = float(series['sum'])
            if kind == 'histogram':
                for bound, count in series['buckets']:
                    samples[key(name + '_bucket', {**labels, 'le': bound})] = int(count)
                summed = total >= 0 and not float(series['buckets'][0][0]) < 0
            else:
                for quantile, value in series['quantiles']:
                    if not (openmetrics and float(value) < 0):
                        samples[key(name, {**labels, 'quantile': quantile})] = float(value)
                summed = total >= 0
            if summed or not openmetrics:
                samples[key(name + '_sum', labels)] = total
                samples[key(name + '_count', labels)] = int(series['count'])
    return samples, exemplars


def compare(what, expected, read):
    assert expected.keys() == read.keys(), \
        f'{what}: missing {sorted(map(str, expected.keys() - read.keys()))[:3]}, ' \
        f'too much {sorted(map(str, read.keys() - expected.keys()))[:3]}'
    for identity, value in expected.items():
        got = read[identity]
        # 0.0.4's reader has only doubles.
        wanted = float(value) if isinstance(got, float) else value
        assert same(wanted, got), f'{what}: {identity} is {got}, not {value}'


def varint(data, at):
    """The number at that place, and the place behind it."""
    value, shift = 0, 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """field number -> values, of one protobuf message."""
    found, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 1:
            value, at = struct.unpack('<d', data[at:at + 8])[0], at + 8
        else:
            assert tag & 7 == 2, f'wire type {tag & 7}'
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            assert len(value) == size
        found.setdefault(tag >> 3, []).append(value)
    return found


def read_protobuf(page):
    samples, exemplars, at = {}, {}, 0

    def exemplar(identity, value):
        if value:
            got = fields(value[0])
            labels = [fields(label) for label in got[1]]
            exemplars[identity] = ({label[1][0].decode(): label[2][0].decode() for label in labels}, got[2][0])

    while at < len(page):
        size, at = varint(page, at)
        family, at = fields(page[at:at + size]), at + size
        name, kind = family[1][0].decode(), family[3][0]
        for metric in map(fields, family[4]):
            labels = {pair[1][0].decode(): pair[2][0].decode() for pair in map(fields, metric.get(1, []))}
            if kind == 0:
                identity = key((name[:-len('_total')] if name.endswith('_total') else name) + '_total', labels)
                counter = fields(metric[3][0])
                samples[identity] = counter[1][0]
                exemplar(identity, counter.get(2))
            elif kind == 1:
                samples[key(name, labels)] = fields(metric[2][0])[1][0]
            elif kind == 2:
                summary = fields(metric[4][0])
                samples[key(name + '_count', labels)] = summary[1][0]
                samples[key(name + '_sum', labels)] = summary[2][0]
                for quantile in map(fields, summary.get(3, [])):
                    samples[key(name, {**labels, 'quantile': quantile[1][0]})] = quantile[2][0]
            else:
                assert kind == 4, f'type {kind}'
                histogram = fields(metric[7][0])
                samples[key(name + '_count', labels)] = histogram[1][0]
                samples[key(name + '_sum', labels)] = histogram[2][0]
                for bucket in map(fields, histogram[3]):
                    samples[key(name + '_bucket', {**labels, 'le': bucket[2][0]})] = bucket[1][0]
                if 5 in histogram:
                    check_native(name, histogram)
    return samples, exemplars


def check_native(name, histogram):
    """The counts of all native buckets add up to the count."""
    total = histogram[7][0]
    for spans, deltas in ((9, 10), (12, 13)):
        data, count, counts = histogram.get(deltas, [b''])[0], 0, []
        value, shift = 0, 0
        for byte in data:
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                count += (value >> 1) ^ -(value & 1)
                counts.append(count)
                value, shift = 0, 0
        assert len(counts) == sum(fields(span)[2][0] for span in histogram.get(spans, [])), f'{name}: spans'
        assert all(n >= 0 for n in counts), f'{name}: a negative count'
        total += sum(counts)
    assert total == histogram[1][0], f'{name}: {total} in native buckets, count {histogram[1][0]}'


def check(program, folder, seed):
    subprocess.run([program, seed, folder], check=True)
    families = json.loads((folder / 'expected.json').read_text())
    openmetrics, openmetrics_exemplars = expected_samples(families, True)
    lax, _ = expected_samples(families, False)

    with open(folder / 'page.om', newline='\n', encoding='utf-8') as page:
        samples, exemplars, described = read_text(page.read(), openmetrics_parser)
    compare('OpenMetrics', openmetrics, samples)
    assert exemplars == openmetrics_exemplars, 'OpenMetrics: exemplars'
    for family in families:
        name = family['name']
        base = name[:-len('_total')] if name.endswith('_total') else name
        assert described[base] == (family['type'], family['help'], family['unit']), f'{name}: {described[base]}'

    with open(folder / 'page.txt', newline='\n', encoding='utf-8') as page:
        samples, _, described = read_text(page.read(), text_parser)
    compare('0.0.4', lax, samples)

    samples, exemplars = read_protobuf((folder / 'page.pb').read_bytes())
    compare('protobuf', lax, samples)
    assert exemplars == openmetrics_exemplars, 'protobuf: exemplars'

    with open(folder / 'page.txt', encoding='utf-8') as page:
        lint = subprocess.run(['promtool', 'check', 'metrics'], stdin=page, capture_output=True, text=True)
    assert lint.returncode == 0, f'promtool: {lint.stdout}{lint.stderr}'
    return len(lax)


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for seed in sys.argv[3:]:
        try:
            print(f'seed {seed}: {check(program, folder, seed)} samples are equal in three formats')
        except Exception:
            print(f'seed {seed} fails; its pages are in {folder}', file=sys.stderr)
            raise


if __name__ == '__main__':
    main()
