import { describe, expect, it } from 'vitest';

import { finding } from './gate';
import { nodePage, shortDigest, versionOf } from './ref';
import { ago, duration, latency, stamp } from './time';

const NOON = Date.parse('2026-03-01T12:00:00Z');

describe('times', () => {
  it.each([
    ['2026-03-01T12:00:05Z', 'now'],
    ['2026-03-01T11:59:18Z', '42 s ago'],
    ['2026-03-01T11:00:01Z', '59 min ago'],
    ['2026-03-01T07:00:00Z', '5 h ago'],
    ['2026-02-17T12:00:00Z', '12 d ago'],
    ['soon', 'unknown'],
  ])('says %s as %s', (iso, said) => expect(ago(iso, NOON)).toBe(said));

  it.each([
    [0.0421, '42.1 µs'],
    [0.42, '0.42 ms'],
    [38.12, '38.1 ms'],
    [999.4, '999 ms'],
    [999.7, '1 s'],
    [1250, '1.25 s'],
    [125_000, '2 min 5 s'],
  ])('says %d ms as %s', (ms, said) => expect(duration(ms)).toBe(said));

  it('keeps UTC whatever the reader’s zone', () => expect(stamp('2026-03-01T12:00:00+02:00')).toBe('2026-03-01 10:00:00.000'));

  it('takes the 95th percentile by nearest rank', () => {
    const traces = Array.from({ length: 20 }, (_, index) => ({ duration_ms: index + 1, status: index ? 'ok' : 'error' }));
    expect(latency(traces)).toEqual({ count: 20, errors: 1, median: 10, p95: 19 });
    expect(latency([])).toBeNull();
  });
});

describe('refs', () => {
  it('finds the version behind the last @', () => expect(versionOf('handbook/in@tro.md@12')).toBe('@12'));

  it('shortens a digest to twelve digits', () => expect(shortDigest(`sha256:${'ab'.repeat(32)}`)).toBe('abababababab'));

  it('knows which lineage nodes have a page', () => {
    const node = { key: 'sha256:1', kind: 'document', name: 'handbook/intro.md', version: '2', digest: null, detail: null };
    expect(nodePage(node)).toBe('/revisions/document/handbook/intro.md@2');
    expect(nodePage({ ...node, key: 'trace:9f', kind: 'trace' })).toBe('/traces/9f');
    expect(nodePage({ ...node, key: 'run:1', kind: 'run' })).toBe('/runs/1');
    expect(nodePage({ ...node, kind: 'chunk' })).toBeNull();
  });
});

describe('gate findings', () => {
  const estimate = { metric: 'auc', value: 0.691234, low: 0.6851, high: 0.6973, n: 29425, level: 0.95 };

  it('says the bound, the value, its interval and its size', () => {
    const found = { condition: { metric: 'auc', at_least: 0.6 }, verdict: 'pass' as const, estimate, reason: '' };
    expect(finding(found)).toBe('auc ≥ 0.6: 0.6912 [0.6851, 0.6973], n 29,425');
  });

  it('gives the reason when there is no evidence', () => {
    const found = {
      condition: { metric: 'auc', at_least: 0.6, at_most: null },
      verdict: 'not_enough_evidence' as const,
      estimate: null,
      reason: 'no evidence on this revision',
    };
    expect(finding(found)).toBe('auc ≥ 0.6: no evidence on this revision');
  });
});
