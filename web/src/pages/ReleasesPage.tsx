import { useQueries, useQuery } from '@tanstack/react-query';

import { endpointsQuery, releasesQuery } from '../api/queries';
import type { Endpoint } from '../api/types';
import { Page } from '../parts/Page';
import { ReleaseTable } from '../parts/ReleaseTable';
import { Empty, Failure, Loaded } from '../parts/States';

export function ReleasesPage() {
  const query = useQuery(endpointsQuery);
  return (
    <Page title="Releases">
      <Loaded query={query}>{(endpoints) => <AllReleases endpoints={endpoints} />}</Loaded>
    </Page>
  );
}

function AllReleases({ endpoints }: { endpoints: Endpoint[] }) {
  const { releases, error } = useQueries({
    queries: endpoints.map((endpoint) => releasesQuery(endpoint.name)),
    combine: (results) => ({
      releases: results.flatMap((result) => result.data ?? []),
      error: results.find((result) => result.error)?.error ?? null,
    }),
  });
  if (error) return <Failure error={error} />;
  if (endpoints.length === 0) {
    return (
      <Empty title="No release yet" commands={['twinloop release --help']}>
        A release pins every revision an endpoint needs. Register a model, or an index and a prompt, then release them.
      </Empty>
    );
  }
  return <ReleaseTable releases={releases.toSorted((a, b) => b.created_at.localeCompare(a.created_at))} />;
}
