/** Which metrics and params of runs are shown side by side, and how they are ordered. Pure. */

import type { Run } from '../api/types';

/** A column of a table of runs, written as MLflow's grammar names it: `metrics.loss`, `params.depth`. */
export type Column = string;

const SYSTEM = 'system/';
const DEFAULT = 4;

export function isSystem(key: string): boolean {
  return key.startsWith(SYSTEM);
}

export function keyOf(column: Column): string {
  return column.slice(column.indexOf('.') + 1);
}

export function isMetric(column: Column): boolean {
  return column.startsWith('metrics.');
}

/** Every column that some run has, metrics first; within each what most runs have comes first, then by name. */
export function available(runs: Run[]): Column[] {
  const counts = new Map<Column, number>();
  for (const run of runs) {
    const metrics = Object.keys(run.metrics).map((key) => `metrics.${key}`);
    const params = Object.keys(run.params).map((key) => `params.${key}`);
    for (const column of [...metrics, ...params]) counts.set(column, (counts.get(column) ?? 0) + 1);
  }
  const rank = (column: Column): number => Number(!isMetric(column)) * 2 + Number(isSystem(keyOf(column)));
  return [...counts.keys()].sort(
    (a, b) => rank(a) - rank(b) || (counts.get(b) ?? 0) - (counts.get(a) ?? 0) || a.localeCompare(b),
  );
}

/** The columns shown until the reader chooses: a few metrics and a few params, nothing of the machine. */
export function preferred(columns: Column[]): Column[] {
  const own = columns.filter((column) => !isSystem(keyOf(column)));
  return [...own.filter(isMetric).slice(0, DEFAULT), ...own.filter((column) => !isMetric(column)).slice(0, DEFAULT)];
}

/** A column as `order_by` takes it. */
export function ordering(column: Column, descending: boolean): string {
  const name = column.includes('.') ? `${column.slice(0, column.indexOf('.'))}.\`${keyOf(column)}\`` : column;
  return `${name} ${descending ? 'DESC' : 'ASC'}`;
}

/** What a click on a column's head orders by next: downwards, upwards, then as before. */
export function nextOrder(column: Column, order: string | undefined): string | undefined {
  if (order === ordering(column, true)) return ordering(column, false);
  return order === ordering(column, false) ? undefined : ordering(column, true);
}
