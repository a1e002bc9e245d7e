/** Times and durations as a reader says them. Pure, so that they can be tested without a clock. */

const STEPS: [number, string][] = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
  [1, 's'],
];

/** `now`, `42 s ago`, `3 min ago`, `5 h ago`, `12 d ago`; a clock that runs ahead also reads `now`. */
export function ago(iso: string, now: number): string {
  const then = Date.parse(iso);
  if (Number.isNaN(then)) return 'unknown';
  const seconds = Math.floor((now - then) / 1000);
  for (const [size, unit] of STEPS) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return 'now';
}

/** Milliseconds with three significant digits and the unit that fits: `0.42 ms`, `38.1 ms`, `1.25 s`, `2 min 5 s`. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return 'unknown';
  if (ms >= 60_000) {
    const seconds = Math.round(ms / 1000);
    return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  }
  if (ms >= 999.5) return `${significant(ms / 1000)} s`;
  return ms === 0 || ms >= 0.0995 ? `${significant(ms)} ms` : `${significant(ms * 1000)} µs`;
}

function significant(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

/** `2026-01-31 14:05:09.123` in UTC, the form the CLI and the logs use. */
export function stamp(iso: string): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return iso;
  return time.toISOString().replace('T', ' ').replace('Z', '');
}

export interface Latency {
  count: number;
  errors: number;
  median: number;
  p95: number;
}

/** Counts, median and 95th percentile (nearest rank) of durations in milliseconds; null when there are none. */
export function latency(traces: { duration_ms: number; status: string }[]): Latency | null {
  if (traces.length === 0) return null;
  const sorted = traces.map((trace) => trace.duration_ms).sort((a, b) => a - b);
  const rank = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  const errors = traces.filter((trace) => trace.status === 'error').length;
  return { count: sorted.length, errors, median: rank(0.5), p95: rank(0.95) };
}
