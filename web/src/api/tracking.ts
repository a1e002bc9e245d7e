/** Reads of experiments, runs, their points and their files. */

import { queryOptions } from '@tanstack/react-query';

import { get, quoteRef } from './client';
import { LIVE } from './queries';
import type { Artifact, Experiment, Lifecycle, PipelineRun, Point, Run } from './types';

export const RUNS = 100;
/** Points of a series that a chart asks for: about one for every two pixels of its width. */
const DRAWN = 400;

interface Paged<T> {
  items: T[];
  next: string | null;
}

export interface ExperimentFilter {
  name?: string | undefined;
  token?: string | undefined;
}

export interface RunFilter {
  filter?: string | undefined;
  order?: string | undefined;
  view?: Lifecycle | undefined;
  token?: string | undefined;
}

export const experimentsQuery = ({ name, token }: ExperimentFilter) =>
  queryOptions({
    queryKey: ['experiments', name, token],
    queryFn: async ({ signal }): Promise<Paged<Experiment>> => {
      const filter = name ? `name ILIKE '%${name.replaceAll("'", "''")}%'` : undefined;
      const page = await get<{ experiments: Experiment[]; next: string | null }>('experiments', { filter, token }, signal);
      return { items: page.experiments, next: page.next };
    },
    refetchInterval: token ? false : LIVE,
  });

export const experimentQuery = (id: string) =>
  queryOptions({
    queryKey: ['experiment', id],
    queryFn: ({ signal }) => get<Experiment>(`experiments/${quoteRef(id)}`, {}, signal),
  });

/** Runs of the experiment with this name. */
export const runsQuery = (experiment: string, filter: RunFilter) =>
  queryOptions({
    queryKey: ['runs', experiment, filter],
    queryFn: async ({ signal }): Promise<Paged<Run>> => {
      const page = await get<{ runs: Run[]; next: string | null }>('runs', { experiment, limit: RUNS, ...filter }, signal);
      return { items: page.runs, next: page.next };
    },
    refetchInterval: filter.token ? false : LIVE,
  });

/** A run; it is followed until it has ended. */
export const runQuery = (id: string) =>
  queryOptions({
    queryKey: ['run', id],
    queryFn: ({ signal }) => get<Run>(`runs/${quoteRef(id)}`, {}, signal),
    refetchInterval: ({ state }) => (state.data?.status === 'RUNNING' ? LIVE : false),
  });

/** Points of one metric of a run, at most as many as a chart can show; read again when the last point has changed. */
export const seriesQuery = (run: Run, key: string) =>
  queryOptions({
    queryKey: ['series', run.id, key, run.metrics[key]?.step, run.metrics[key]?.at],
    queryFn: async ({ signal }) =>
      (await get<{ points: Point[] }>(`runs/${quoteRef(run.id)}/metrics/${quoteRef(key)}`, { most: DRAWN }, signal)).points,
    staleTime: Infinity,
  });

export const pipelineRunQuery = (id: string) =>
  queryOptions({
    queryKey: ['pipeline run', id],
    queryFn: ({ signal }) => get<PipelineRun>(`pipelines/runs/${quoteRef(id)}`, {}, signal),
  });

/** The folder that holds a run's files. */
export const folderQuery = (run: string) =>
  queryOptions({
    queryKey: ['folder', run],
    queryFn: async ({ signal }) => (await get<{ path: string }>(`runs/${quoteRef(run)}/artifact-folder`, {}, signal)).path,
    staleTime: Infinity,
  });

/** The first thousand files and folders that lie directly in a folder, and whether there are more. */
export const filesQuery = (folder: string) =>
  queryOptions({
    queryKey: ['files', folder],
    queryFn: async ({ signal }): Promise<Paged<Artifact>> => {
      const page = await get<{ artifacts: Artifact[]; next: string | null }>('artifact-list', { folder, limit: 1000 }, signal);
      return { items: page.artifacts, next: page.next };
    },
  });
