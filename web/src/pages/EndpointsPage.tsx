import { Group, Table } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';

import { endpointsQuery } from '../api/queries';
import type { Endpoint, ReleaseState } from '../api/types';
import { Ago } from '../parts/Ago';
import { StateBadge } from '../parts/Badges';
import { EndpointLink, ReleaseLink } from '../parts/Links';
import { Listing } from '../parts/Listing';
import { Page } from '../parts/Page';
import { Empty, Loaded } from '../parts/States';

export function EndpointsPage() {
  const query = useQuery(endpointsQuery);
  return (
    <Page title="Endpoints">
      <Loaded query={query}>
        {(endpoints) => (endpoints.length === 0 ? <NoEndpoint /> : <EndpointTable endpoints={endpoints} />)}
      </Loaded>
    </Page>
  );
}

function NoEndpoint() {
  return (
    <Empty title="No endpoint yet" commands={['twinloop init my-project', 'twinloop apply my-project']}>
      An endpoint appears with its first release. Start a project and apply it, or run `make demo` in a checkout to build
      both example lanes.
    </Empty>
  );
}

function EndpointTable({ endpoints }: { endpoints: Endpoint[] }) {
  return (
    <Listing minWidth={640} heads={['Endpoint', 'Type', 'Answering now', 'Previous', 'Updated']}>
      {endpoints.map((endpoint) => (
        <Table.Tr key={endpoint.name}>
          <Table.Td fw={600}>
            <EndpointLink name={endpoint.name} />
          </Table.Td>
          <Table.Td>{endpoint.type}</Table.Td>
          <Table.Td>
            <Group gap="md">
              <InState state="live" release={endpoint.live} />
              <InState state="canary" release={endpoint.canary} weight={endpoint.canary_weight} />
              <InState state="shadow" release={endpoint.shadow} />
            </Group>
          </Table.Td>
          <Table.Td>{endpoint.previous && <ReleaseLink release={endpoint.previous} />}</Table.Td>
          <Table.Td>
            <Ago at={endpoint.updated_at} />
          </Table.Td>
        </Table.Tr>
      ))}
    </Listing>
  );
}

function InState({ state, release, weight }: { state: ReleaseState; release: string | null; weight?: number | null }) {
  if (!release) return null;
  return (
    <Group gap={6} wrap="nowrap">
      <StateBadge state={state} weight={weight ?? null} />
      <ReleaseLink release={release} />
    </Group>
  );
}
