/** Every address of the console. Names and refs hold slashes, so they are the rest of the path (`$`). */

import { createRootRoute, createRoute, createRouter } from '@tanstack/react-router';

import type { RevisionFilter, TraceFilter } from './api/queries';
import type { CardFilter } from './api/registry';
import type { ExperimentFilter, RunFilter } from './api/tracking';
import { Shell } from './layout/Shell';
import { CardPage } from './pages/CardPage';
import { ComparePage } from './pages/ComparePage';
import { EndpointPage } from './pages/EndpointPage';
import { EndpointsPage } from './pages/EndpointsPage';
import { ExperimentPage } from './pages/ExperimentPage';
import { ExperimentsPage } from './pages/ExperimentsPage';
import { NotFoundPage } from './pages/NotFoundPage';
import { RegistryPage } from './pages/RegistryPage';
import { ReleasesPage } from './pages/ReleasesPage';
import { RevisionPage } from './pages/RevisionPage';
import { RevisionsPage } from './pages/RevisionsPage';
import { RunPage } from './pages/RunPage';
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

const experiments = createRoute({
  getParentRoute: () => root,
  path: '/experiments',
  component: ExperimentsPage,
  validateSearch: (search: Search): ExperimentFilter => ({ name: text(search, 'name'), token: text(search, 'token') }),
});
const experiment = createRoute({
  getParentRoute: () => root,
  path: '/experiments/$id',
  component: ExperimentPage,
  validateSearch: (search: Search): RunFilter => ({
    filter: text(search, 'filter'),
    order: text(search, 'order'),
    view: search['view'] === 'deleted' ? 'deleted' : undefined,
    token: text(search, 'token'),
  }),
});
const run = createRoute({ getParentRoute: () => root, path: '/runs/$id', component: RunPage });
const compare = createRoute({
  getParentRoute: () => root,
  path: '/compare',
  component: ComparePage,
  validateSearch: (search: Search): { runs?: string | undefined } => ({ runs: text(search, 'runs') }),
});
const registry = createRoute({
  getParentRoute: () => root,
  path: '/registry',
  component: RegistryPage,
  validateSearch: (search: Search): CardFilter => ({
    kind: text(search, 'kind'),
    title: text(search, 'title'),
    token: text(search, 'token'),
  }),
});
const card = createRoute({ getParentRoute: () => root, path: '/registry/$kind/$', component: CardPage });

const tracking = [experiments, experiment, run, compare];

export const router = createRouter({
  routeTree: root.addChildren([endpoints, endpoint, releases, traces, trace, revisions, revision, registry, card, ...tracking]),
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
