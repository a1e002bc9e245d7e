/** What a chart of metrics draws. Pure. */

import type { Point } from '../api/types';
import { metric } from '../format/number';
import { COLORS, frame } from '../parts/palette';

export type Across = 'step' | 'time';

export interface Line {
  name: string;
  points: Point[];
}

/** Each point as [x, y]: x is the step, or the seconds since the first point of its line. NaN leaves a gap. */
export function coordinates(points: Point[], across: Across): [number, number | null][] {
  const began = Math.min(...points.map((point) => Date.parse(point.at)));
  return points.map((point) => [across === 'step' ? point.step : (Date.parse(point.at) - began) / 1000, point.value]);
}

/** A logarithmic axis can show only what is above zero. */
export function positive(lines: Line[]): boolean {
  return lines.every((line) => line.points.every((point) => point.value === null || point.value > 0));
}

export function lineChart(lines: Line[], across: Across, log: boolean, dark: boolean) {
  const { rule, text } = frame(dark);
  return {
    animation: false,
    color: COLORS,
    grid: { left: 56, right: 12, top: 12, bottom: 26 },
    tooltip: { trigger: 'axis', confine: true, formatter: (found: Found[]) => tip(found, across) },
    xAxis: {
      type: 'value',
      min: 'dataMin',
      max: 'dataMax',
      splitNumber: 5,
      axisLabel: { color: text, hideOverlap: true, formatter: across === 'time' ? '{value} s' : '{value}' },
      axisLine: { lineStyle: { color: rule } },
      splitLine: { show: false },
    },
    yAxis: {
      type: log ? 'log' : 'value',
      scale: true,
      axisLabel: { color: text, formatter: (value: number) => metric(value) },
      splitLine: { lineStyle: { color: rule } },
    },
    series: lines.map((line) => ({
      name: line.name,
      type: 'line',
      showSymbol: line.points.length === 1,
      symbolSize: 7,
      lineStyle: { width: 1.6 },
      data: coordinates(line.points, across),
    })),
  };
}

interface Found {
  seriesName: string;
  value: [number, number | null];
}

function tip(found: Found[], across: Across): HTMLElement {
  // An element, not markup: names come from outside and must not be read as HTML.
  const box = document.createElement('div');
  const [first] = found;
  if (first) box.append(line(across === 'step' ? `step ${first.value[0]}` : `${metric(first.value[0])} s`));
  for (const { seriesName, value } of found) box.append(line(`${metric(value[1])}  ${seriesName}`));
  return box;
}

function line(text: string): HTMLElement {
  const made = document.createElement('div');
  made.textContent = text;
  return made;
}
