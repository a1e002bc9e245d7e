import { describe, expect, it } from 'vitest';

import type { Span } from '../api/types';
import { visible, waterfall } from './bars';

const span = (span_id: string, parent_id: string | null, start_ns: number, end_ns: number): Span => ({
  span_id,
  parent_id,
  name: span_id,
  kind: 'internal',
  start_ns,
  end_ns,
  status: 'ok',
  message: null,
  attributes: {},
  events: [],
});

const spans = [span('late', 'root', 60, 100), span('early', 'root', 0, 50), span('leaf', 'early', 10, 20), span('root', null, 0, 100)];

describe('waterfall', () => {
  it('orders spans as a tree with siblings by start', () => {
    expect(waterfall(spans).map((bar) => [bar.span.span_id, bar.depth])).toEqual([
      ['root', 0],
      ['early', 1],
      ['leaf', 2],
      ['late', 1],
    ]);
  });

  it('measures each bar as a share of the whole trace', () => {
    expect(waterfall(spans)[3]).toMatchObject({ offset: 0.6, width: 0.4 });
  });

  it('shows a span whose parent is missing as a root', () => {
    expect(waterfall([span('lost', 'elsewhere', 5, 5)])).toMatchObject([{ depth: 0, offset: 0, width: 0 }]);
  });

  it('hides what lies below a collapsed span only', () => {
    const shown = visible(waterfall(spans), new Set(['early']));
    expect(shown.map((bar) => bar.span.span_id)).toEqual(['root', 'early', 'late']);
  });
});
