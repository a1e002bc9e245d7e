/** Every read the pages make, named once, so that a key is never spelled twice. */

import { queryOptions } from '@tanstack/react-query';

import { get, quoteRef } from './client';
import type { Endpoint, Lineage, Release, ReleaseEvent, Revision, Status, Trace, TraceDetail, TraceNotes } from './types';

export const LIVE = 5_000; // lists follow the server every five seconds while the tab is in front
export const PAGE = 50;

export interface TraceFilter {
  endpoint?: string | undefined;
  release?: string | undefined;
  status?: string | undefined;
  before?: string | undefined;
}

export const statusQuery = queryOptions({
  queryKey: ['status'],
  queryFn: ({ signal }) => get<Status>('status', {}, signal),
  refetchInterval: 15_000,
});

export const endpointsQuery = queryOptions({
  queryKey: ['endpoints'],
  queryFn: async ({ signal }) => (await get<{ endpoints: Endpoint[] }>('endpoints', {}, signal)).endpoints,
  refetchInterval: LIVE,
});

export const endpointQuery = (name: string) =>
  queryOptions({
    queryKey: ['endpoint', name],
    queryFn: ({ signal }) => get<Endpoint>(`endpoints/${quoteRef(name)}`, {}, signal),
    refetchInterval: LIVE,
  });

export const releasesQuery = (endpoint: string) =>
  queryOptions({
    queryKey: ['endpoint', endpoint, 'releases'],
    queryFn: async ({ signal }) =>
      (await get<{ releases: Release[] }>(`endpoints/${quoteRef(endpoint)}/releases`, {}, signal)).releases,
    refetchInterval: LIVE,
  });

export const historyQuery = (endpoint: string) =>
  queryOptions({
    queryKey: ['endpoint', endpoint, 'history'],
    queryFn: async ({ signal }) =>
      (await get<{ events: ReleaseEvent[] }>(`endpoints/${quoteRef(endpoint)}/history`, {}, signal)).events,
    refetchInterval: LIVE,
  });

export const tracesQuery = (filter: TraceFilter, limit = PAGE) =>
  queryOptions({
    queryKey: ['traces', filter, limit],
    queryFn: async ({ signal }) =>
      (await get<{ traces: Trace[] }>('traces', { ...filter, limit }, signal)).traces,
    // An older page does not change; only the newest one is followed.
    refetchInterval: filter.before ? false : LIVE,
  });

/**
 * What `before` must be to get the page that follows an item of this time. JSON's numbers round nanoseconds to the
 * nearest 256, so the cursor is set that much earlier: the last item never appears again.
 */
export function cursor(ns: number): string {
  return String(BigInt(ns) - 128n);
}

export const traceQuery = (id: string) =>
  queryOptions({
    queryKey: ['trace', id],
    queryFn: ({ signal }) => get<TraceDetail>(`traces/${quoteRef(id)}`, {}, signal),
    staleTime: Infinity,
  });

export const traceNotesQuery = (id: string) =>
  queryOptions({
    queryKey: ['trace', id, 'notes'],
    queryFn: ({ signal }) => get<TraceNotes>(`traces/${quoteRef(id)}/notes`, {}, signal),
    refetchInterval: LIVE,
  });

/** `why`: what the node (a trace id or a revision's ref) came from; `impact`: what it touched. */
export const lineageQuery = (question: 'why' | 'impact', node: string) =>
  queryOptions({ queryKey: [question, node], queryFn: ({ signal }) => get<Lineage>(question, { node }, signal) });

export interface RevisionFilter {
  kind?: string | undefined;
  before?: string | undefined;
}

export const revisionsQuery = (filter: RevisionFilter) =>
  queryOptions({
    queryKey: ['revisions', filter],
    queryFn: async ({ signal }) =>
      (await get<{ revisions: Revision[] }>('revisions', { ...filter, limit: PAGE }, signal)).revisions,
    refetchInterval: filter.before ? false : LIVE,
  });

export const revisionQuery = (ref: string) =>
  queryOptions({
    queryKey: ['revision', ref],
    queryFn: ({ signal }) => get<Revision>(`revisions/${quoteRef(ref)}`, {}, signal),
  });
