import { Box, Skeleton, Text, useComputedColorScheme } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { lazy, Suspense, useMemo } from 'react';

import type { Trace } from '../api/types';
import { duration, latency } from '../format/time';
import { COLORS, frame } from './palette';

const Chart = lazy(() => import('./Chart'));
const HEIGHT = 220;

/** Every recent trace as a dot: when it came, how long it took, and which release answered. A click opens it. */
export function LatencyChart({ traces }: { traces: Trace[] }) {
  const dark = useComputedColorScheme('light') === 'dark';
  const navigate = useNavigate();
  const option = useMemo(() => scatter(traces, dark), [traces, dark]);
  const facts = latency(traces);
  if (!facts) return null;
  const errors = facts.errors === 1 ? '1 error' : `${facts.errors} errors`;
  const told = `${facts.count} traces, median ${duration(facts.median)}, 95 % within ${duration(facts.p95)}, ${errors}`;
  return (
    <Box>
      <Text size="sm" c="dimmed">
        {told}
      </Text>
      <Suspense fallback={<Skeleton height={HEIGHT} />}>
        <Chart
          option={option}
          dark={dark}
          height={HEIGHT}
          label={`Latency of ${told}`}
          onPick={(id) => void navigate({ to: '/traces/$id', params: { id } })}
        />
      </Suspense>
    </Box>
  );
}

function scatter(traces: Trace[], dark: boolean) {
  const groups = new Map<string, Trace[]>();
  for (const trace of traces.toReversed()) {
    const release = trace.release ?? 'no release';
    groups.set(release, [...(groups.get(release) ?? []), trace]);
  }
  const { rule, text } = frame(dark);
  return {
    animation: false,
    useUTC: true,
    color: COLORS,
    grid: { left: 64, right: 16, top: 36, bottom: 28 },
    legend: { top: 0, right: 0, textStyle: { color: text }, icon: 'circle', itemWidth: 10 },
    tooltip: { formatter: tip, confine: true },
    xAxis: { type: 'time', splitNumber: 6, axisLabel: { color: text, hideOverlap: true }, axisLine: { lineStyle: { color: rule } } },
    yAxis: {
      type: spread(traces) ? 'log' : 'value',
      axisLabel: { color: text, formatter: (ms: number) => duration(ms) },
      splitLine: { lineStyle: { color: rule } },
    },
    series: [...groups].map(([release, members]) => ({
      name: release,
      type: 'scatter',
      symbolSize: 9,
      data: members.map((trace) => ({
        name: trace.trace_id,
        value: [Date.parse(trace.started_at), Math.max(trace.duration_ms, 0.001)],
        ...(trace.status === 'error' ? { symbol: 'diamond', symbolSize: 12, itemStyle: { color: '#e03131' } } : {}),
      })),
    })),
  };
}

/** A linear axis hides all but the slowest once durations span more than a factor of fifty. */
function spread(traces: Trace[]): boolean {
  const all = traces.map((trace) => Math.max(trace.duration_ms, 0.001));
  return Math.max(...all) / Math.min(...all) > 50;
}

function tip({ name, seriesName, value }: { name: string; seriesName: string; value: [number, number] }): HTMLElement {
  // An element, not markup: names come from outside and must not be read as HTML.
  const box = document.createElement('div');
  const time = new Date(value[0]).toISOString().slice(11, 23);
  box.textContent = `${duration(value[1])} · ${seriesName} · ${time} UTC · ${name.slice(0, 12)}`;
  return box;
}
