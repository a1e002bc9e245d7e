/** Reads of the registry's cards, of what is noted about revisions, and of their history. */

import { queryOptions } from '@tanstack/react-query';

import { get, quoteRef } from './client';
import { LIVE } from './queries';
import type { Card, Difference, HistoryEntry, Note, Revision, Standing } from './types';

const VERSIONS = 100;

export interface CardFilter {
  kind?: string | undefined;
  title?: string | undefined;
  token?: string | undefined;
}

export const cardsQuery = ({ kind, title, token }: CardFilter) =>
  queryOptions({
    queryKey: ['cards', kind, title, token],
    queryFn: ({ signal }) => {
      const filter = title ? `name ILIKE '%${title.replaceAll("'", "''")}%'` : undefined;
      return get<{ cards: Card[]; next: string | null }>('cards', { kind, filter, token }, signal);
    },
    refetchInterval: token ? false : LIVE,
  });

export const cardQuery = (ref: string) =>
  queryOptions({
    queryKey: ['card', ref],
    queryFn: ({ signal }) => get<Card>(`cards/${quoteRef(ref)}`, {}, signal),
    refetchInterval: LIVE,
  });

/** The newest revisions of a card. */
export const versionsQuery = (kind: string, name: string) =>
  queryOptions({
    queryKey: ['versions', kind, name],
    queryFn: async ({ signal }) =>
      (await get<{ revisions: Revision[] }>('revisions', { kind, name, limit: VERSIONS }, signal)).revisions,
    refetchInterval: LIVE,
  });

export const noteQuery = (ref: string) =>
  queryOptions({ queryKey: ['note', ref], queryFn: ({ signal }) => get<Note>(`notes/${quoteRef(ref)}`, {}, signal) });

export const standingQuery = (ref: string) =>
  queryOptions({
    queryKey: ['standing', ref],
    queryFn: ({ signal }) => get<Standing>(`approvals/${quoteRef(ref)}`, {}, signal),
  });

/** What happened to a card or a revision, newest first. */
export const pastQuery = (ref: string) =>
  queryOptions({
    queryKey: ['past', ref],
    queryFn: ({ signal }) =>
      get<{ entries: HistoryEntry[]; next: string | null }>(`history/${quoteRef(ref)}`, { limit: 100 }, signal),
    refetchInterval: LIVE,
  });

export const diffQuery = (before: string, after: string) =>
  queryOptions({
    queryKey: ['diff', before, after],
    queryFn: async ({ signal }) => (await get<{ differences: Difference[] }>('diff', { from: before, to: after }, signal)).differences,
  });
