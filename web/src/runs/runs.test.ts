import { describe, expect, it } from 'vitest';

import type { Run } from '../api/types';
import { metric, size } from '../format/number';
import { available, nextOrder, ordering, preferred } from './columns';
import { environmentRows, metricRows, ownTags, paramRows } from './compare';
import { imageType, textOf } from './preview';
import { coordinates, positive } from './series';

const point = (value: number | null, step = 0, at = '2026-03-01T12:00:00Z') => ({ value, step, at });

function run(id: string, metrics: { [key: string]: number | null }, params: { [key: string]: string }): Run {
  return {
    ...{ id, experiment: '1', name: id, user: 'ann', status: 'FINISHED', lifecycle: 'active', parent: null },
    ...{ started_at: '2026-03-01T12:00:00Z', ended_at: '2026-03-01T12:00:05Z', params, tags: {} },
    metrics: Object.fromEntries(Object.entries(metrics).map(([key, value]) => [key, point(value)])),
    ...{ datasets: [], models_read: [], models_made: [] },
  };
}

const RUNS = [
  run('a', { loss: 0.25, 'val/loss': 0.5, 'system/cpu': 3 }, { depth: '6', seed: '1' }),
  run('b', { loss: null, 'system/cpu': 3 }, { depth: '6', 'a.b': 'x' }),
];

describe('columns', () => {
  it('puts metrics before params, what most have first, and the machine last', () =>
    expect(available(RUNS)).toEqual([
      ...['metrics.loss', 'metrics.val/loss', 'metrics.system/cpu', 'params.depth', 'params.a.b', 'params.seed'],
    ]));

  it('shows nothing of the machine until asked', () => expect(preferred(available(RUNS))).not.toContain('metrics.system/cpu'));

  it('quotes a key as the grammar wants it, dots and slashes within', () => {
    expect(ordering('params.a.b', false)).toBe('params.`a.b` ASC');
    expect(ordering('metrics.val/loss', true)).toBe('metrics.`val/loss` DESC');
  });

  it('orders down, up, then not at all', () => {
    const down = nextOrder('metrics.loss', undefined);
    const up = nextOrder('metrics.loss', down);
    expect([down, up, nextOrder('metrics.loss', up)]).toEqual(['metrics.`loss` DESC', 'metrics.`loss` ASC', undefined]);
  });
});

describe('comparison', () => {
  it('has a row for each name that any run has, and says which differ', () => {
    expect(paramRows(RUNS)).toEqual([
      { name: 'a.b', values: [null, 'x'], differs: true },
      { name: 'depth', values: ['6', '6'], differs: false },
      { name: 'seed', values: ['1', null], differs: true },
    ]);
    expect(metricRows(RUNS).find((row) => row.name === 'loss')?.values).toEqual(['0.25', 'NaN']);
  });

  it('leaves out the notes of MLflow and Twinloop', () =>
    expect(ownTags({ 'mlflow.user': 'ann', team: 'ops', 'environment.cpu': 'x', 'seed.numpy': '1', mlflowish: 'y' })).toEqual([
      ['team', 'ops'],
      ['mlflowish', 'y'],
    ]));
});

describe('environment', () => {
  const on = (cpu: string): Run => ({ ...RUNS[0]!, tags: { 'mlflow.runName': cpu, 'environment.cpu': cpu, 'mlflow.source.name': 'a.py' } });

  it('compares code and machine, and no names', () =>
    expect(environmentRows([on('x'), on('y')])).toEqual([
      { name: 'environment.cpu', values: ['x', 'y'], differs: true },
      { name: 'mlflow.source.name', values: ['a.py', 'a.py'], differs: false },
    ]));
});

describe('series', () => {
  const points = [point(1, 10, '2026-03-01T12:00:00Z'), point(null, 20, '2026-03-01T12:00:01.5Z')];

  it('runs across steps, or seconds since its first point', () => {
    expect(coordinates(points, 'step')).toEqual([
      [10, 1],
      [20, null],
    ]);
    expect(coordinates(points, 'time')).toEqual([
      [0, 1],
      [1.5, null],
    ]);
  });

  it('has a logarithmic axis only when all is above zero', () => {
    expect(positive([{ name: 'a', points }])).toBe(true);
    expect(positive([{ name: 'a', points: [...points, point(0)] }])).toBe(false);
  });
});

describe('previews', () => {
  const bytes = (text: string) => new TextEncoder().encode(text);

  it('indents JSON, and leaves it as it is when it is none', () => {
    expect(textOf(bytes('{"a":1}'), 'x/a.json', true)).toBe('{\n  "a": 1\n}');
    expect(textOf(bytes('{"a":'), 'x/a.json', true)).toBe('{"a":');
  });

  it('says that bytes are no text', () => {
    expect(textOf(new Uint8Array([0x89, 0x50, 0xff]), 'a.txt', true)).toBeNull();
    expect(textOf(new Uint8Array([65, 0, 66]), 'a.txt', true)).toBeNull();
  });

  it('shows the beginning of a file that is cut within a character', () =>
    expect(textOf(bytes('Grüße').slice(0, 3), 'a.txt', false)).toBe('Gr'));

  it('knows images by their ending', () => {
    expect(imageType('plots/ROC.PNG')).toBe('image/png');
    expect(imageType('model.onnx')).toBeNull();
  });
});

describe('numbers', () => {
  it.each([
    [0.123456789, '0.12346'],
    [1234567, '1234567'],
    [1234567.891, '1234567.89'],
    [-0.00001234567, '-0.000012346'],
    [null, 'NaN'],
    [1.7976931348623157e308, '∞'],
    [-1.7976931348623157e308, '−∞'],
  ])('says %s as %s', (value, said) => expect(metric(value)).toBe(said));

  it.each([
    [512, '512 B'],
    [1536, '1.5 KiB'],
    [2 ** 31, '2 GiB'],
  ])('says %d bytes as %s', (value, said) => expect(size(value)).toBe(said));
});
