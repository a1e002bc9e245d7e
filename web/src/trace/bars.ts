/** Spans of one trace as rows of a waterfall. Pure. */

import type { Span } from '../api/types';

export interface Bar {
  span: Span;
  depth: number;
  /** Share of the whole trace, 0 to 1, before the span starts. */
  offset: number;
  /** Share of the whole trace the span takes, 0 to 1. */
  width: number;
  duration_ms: number;
  children: number;
}

/**
 * Rows in tree order, siblings by start time. A span whose parent is not in the trace (sampled away, or sent by
 * another service) is a root of its own. Nanoseconds above 2^53 lose at most 256 ns to JSON's numbers.
 */
export function waterfall(spans: readonly Span[]): Bar[] {
  const known = new Set(spans.map((span) => span.span_id));
  const start = Math.min(...spans.map((span) => span.start_ns));
  const total = Math.max(...spans.map((span) => span.end_ns)) - start || 1;
  const children = new Map<string | null, Span[]>();
  for (const span of spans) {
    const inside = span.parent_id !== null && span.parent_id !== span.span_id && known.has(span.parent_id);
    const parent = inside ? span.parent_id : null;
    children.set(parent, [...(children.get(parent) ?? []), span]);
  }
  const bars: Bar[] = [];
  const visit = (parent: string | null, depth: number): void => {
    const siblings = (children.get(parent) ?? []).toSorted((a, b) => a.start_ns - b.start_ns);
    for (const span of siblings) {
      bars.push({
        span,
        depth,
        offset: (span.start_ns - start) / total,
        width: (span.end_ns - span.start_ns) / total,
        duration_ms: (span.end_ns - span.start_ns) / 1e6,
        children: children.get(span.span_id)?.length ?? 0,
      });
      visit(span.span_id, depth + 1);
    }
  };
  visit(null, 0);
  return bars;
}

/** The rows left when the given spans are collapsed. */
export function visible(bars: readonly Bar[], collapsed: ReadonlySet<string>): Bar[] {
  const shown: Bar[] = [];
  let below = Infinity;
  for (const bar of bars) {
    if (bar.depth > below) continue;
    below = collapsed.has(bar.span.span_id) ? bar.depth : Infinity;
    shown.push(bar);
  }
  return shown;
}
