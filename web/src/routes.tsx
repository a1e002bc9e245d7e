/** Every address of the console. Names and refs hold slashes, so they are the rest of the path (`$`). */

import { createRootRoute, createRoute, createRouter } from '@tanstack/react-router';

import type { RevisionFilter, TraceFilter } from './api/queries';
import { Shell } from './layout/Shell';
import { EndpointPage } from './pages/EndpointPage';
import { EndpointsPage } from './pages/EndpointsPage';
import { NotFoundPage } from './pages/NotFoundPage';
import { ReleasesPage } from './pages/ReleasesPage';
import { RevisionPage } from './pages/RevisionPage';
import { RevisionsPage } from './pages/RevisionsPage';
import { TracePage } from './pages/TracePage';
import { TracesPage } from './pages/TracesPage';
import { Failure } from './parts/States';

type Search = Record<string, unknown>;

function text(search: Search, name: string): string | undefined {
  const value = search[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

const root = createRootRoute({ component: Shell, notFoundComponent: NotFoundPage });

const endpoints = createRoute({ getParentRoute: () => root, path: '/', component: EndpointsPage });
const endpoint = createRoute({ getParentRoute: () => root, path: '/endpoints/$', component: EndpointPage });
const releases = createRoute({ getParentRoute: () => root, path: '/releases', component: ReleasesPage });
const traces = createRoute({
  getParentRoute: () => root,
  path: '/traces',
  component: TracesPage,
  validateSearch: (search: Search): TraceFilter => ({
    endpoint: text(search, 'endpoint'),
    release: text(search, 'release'),
    status: text(search, 'status'),
    before: text(search, 'before'),
  }),
});
const trace = createRoute({ getParentRoute: () => root, path: '/traces/$id', component: TracePage });
const revisions = createRoute({
  getParentRoute: () => root,
  path: '/revisions',
  component: RevisionsPage,
  validateSearch: (search: Search): RevisionFilter => ({ kind: text(search, 'kind'), before: text(search, 'before') }),
});
const revision = createRoute({ getParentRoute: () => root, path: '/revisions/$kind/$', component: RevisionPage });

export const router = createRouter({
  routeTree: root.addChildren([endpoints, endpoint, releases, traces, trace, revisions, revision]),
  pathParamsAllowedCharacters: ['@'],
  defaultPreload: false,
  scrollRestoration: true,
  defaultErrorComponent: ({ error }) => <Failure error={error instanceof Error ? error : new Error(String(error))} />,
  // Plain text in the address bar: `?endpoint=flight-delay`, never JSON-quoted values.
  parseSearch: (search) => Object.fromEntries(new URLSearchParams(search)),
  stringifySearch: (search) => {
    const pairs = Object.entries(search).filter((pair): pair is [string, string] => typeof pair[1] === 'string');
    return pairs.length > 0 ? `?${new URLSearchParams(pairs).toString()}` : '';
  },
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
