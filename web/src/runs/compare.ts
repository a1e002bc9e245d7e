/** Runs side by side: one row for each name, and which rows differ. Pure. */

import type { Run } from '../api/types';
import { metric } from '../format/number';

export interface Row {
  name: string;
  /** One for each run, in their order; null where the run has none. */
  values: (string | null)[];
  differs: boolean;
}

export function paramRows(runs: Run[]): Row[] {
  return rows(runs, (run) => run.params);
}

export function metricRows(runs: Run[]): Row[] {
  return rows(runs, (run) =>
    Object.fromEntries(Object.entries(run.metrics).map(([key, point]) => [key, metric(point.value)])),
  );
}

export function tagRows(runs: Run[]): Row[] {
  return rows(runs, (run) => Object.fromEntries(ownTags(run.tags)));
}

/** What was noted of the code, the machine and the seeds. */
export function environmentRows(runs: Run[]): Row[] {
  return rows(runs, (run) => Object.fromEntries(Object.entries(run.tags).filter(([key]) => CAPTURED.test(key))));
}

const CAPTURED = /^(code|environment|seed|mlflow\.source)\./;
const NOTED = /^(mlflow|twinloop|code|environment|seed)\./;

/** Tags that people and programs set for themselves. */
export function ownTags(tags: { [key: string]: string }): [string, string][] {
  return Object.entries(tags).filter(([key]) => !NOTED.test(key));
}

/** Tags that MLflow and Twinloop set. */
export function environment(tags: { [key: string]: string }): [string, string][] {
  return Object.entries(tags).filter(([key]) => NOTED.test(key));
}

function rows(runs: Run[], read: (run: Run) => { [name: string]: string }): Row[] {
  const columns = runs.map(read);
  const names = [...new Set(columns.flatMap((column) => Object.keys(column)))].sort((a, b) => a.localeCompare(b));
  return names.map((name) => {
    const values = columns.map((column) => column[name] ?? null);
    return { name, values, differs: new Set(values).size > 1 };
  });
}
