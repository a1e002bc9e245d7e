import { Group, Stack, Table } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, Navigate, useParams } from '@tanstack/react-router';

import { endpointQuery, historyQuery, releasesQuery, tracesQuery } from '../api/queries';
import type { Endpoint, ReleaseEvent, ReleaseState } from '../api/types';
import { stamp } from '../format/time';
import { percent, State, StateBadge } from '../parts/Badges';
import { LatencyChart } from '../parts/LatencyChart';
import { ReleaseLink } from '../parts/Links';
import { Listing } from '../parts/Listing';
import { Page, Section } from '../parts/Page';
import { ReleaseTable } from '../parts/ReleaseTable';
import { Empty, Loaded } from '../parts/States';
import { TraceTable } from '../parts/TraceTable';

const CHARTED = 200;
const LISTED = 10;

export function EndpointPage() {
  const name = useParams({ from: '/endpoints/$' })._splat;
  return name ? <OneEndpoint key={name} name={name} /> : <Navigate to="/" replace />;
}

function OneEndpoint({ name }: { name: string }) {
  const endpoint = useQuery(endpointQuery(name));
  const releases = useQuery({ ...releasesQuery(name), enabled: endpoint.isSuccess });
  const history = useQuery({ ...historyQuery(name), enabled: endpoint.isSuccess });
  return (
    <Page title={name} beside={endpoint.data && <State tone="plain">{endpoint.data.type}</State>}>
      <Loaded query={endpoint} height={60}>
        {(found) => (
          <Stack gap="xl">
            <Traffic endpoint={found} />
            <RecentTraces endpoint={found} />
            <Section title="Releases">
              <Loaded query={releases}>{(all) => <ReleaseTable releases={all} endpoint={false} />}</Loaded>
            </Section>
            <Section title="History">
              <Loaded query={history}>{(events) => <History events={events} />}</Loaded>
            </Section>
          </Stack>
        )}
      </Loaded>
    </Page>
  );
}

/** Who answers: one bar, divided as principals are. */
function Traffic({ endpoint }: { endpoint: Endpoint }) {
  const canary = endpoint.canary ? (endpoint.canary_weight ?? 0) : 0;
  return (
    <Section title="Traffic">
      <div className="traffic" aria-hidden="true">
        {endpoint.live && <span className="traffic-live" style={{ flexGrow: 1 - canary }} />}
        {endpoint.canary && <span className="traffic-canary" style={{ flexGrow: canary }} />}
      </div>
      <Group gap="lg" fz="sm">
        {endpoint.live ? <Share state="live" release={endpoint.live} of={percent(1 - canary)} /> : 'Nothing is live.'}
        {endpoint.canary && <Share state="canary" release={endpoint.canary} of={percent(canary)} />}
        {endpoint.shadow && <Share state="shadow" release={endpoint.shadow} of="answers unseen" />}
        {endpoint.previous && <Share state="previous" release={endpoint.previous} of="ready for rollback" />}
      </Group>
    </Section>
  );
}

function Share({ state, release, of }: { state: ReleaseState; release: string; of: string }) {
  return (
    <Group gap={6}>
      <StateBadge state={state} />
      <ReleaseLink release={release} />
      <span>{of}</span>
    </Group>
  );
}

function RecentTraces({ endpoint }: { endpoint: Endpoint }) {
  const query = useQuery(tracesQuery({ endpoint: endpoint.name }, CHARTED));
  const all = (
    <Link to="/traces" search={{ endpoint: endpoint.name }} className="link">
      All traces
    </Link>
  );
  return (
    <Section title="Recent traces" beside={all}>
      <Loaded query={query} height={320}>
        {(traces) =>
          traces.length === 0 ? (
            <Empty title="No request yet" commands={[ask(endpoint)]}>
              Every request this endpoint answers leaves a trace here.
            </Empty>
          ) : (
            <>
              <LatencyChart traces={traces} />
              <TraceTable traces={traces.slice(0, LISTED)} endpoint={false} />
            </>
          )
        }
      </Loaded>
    </Section>
  );
}

function ask({ name, type }: Endpoint): string {
  return type === 'chat' ? `twinloop ask ${name} "What can you answer?"` : `twinloop predict ${name} --help`;
}

function History({ events }: { events: ReleaseEvent[] }) {
  return (
    <Listing minWidth={560} heads={['At (UTC)', 'Action', 'Release', 'By', 'Reason']}>
      {events.map((event, index) => (
        <Table.Tr key={`${event.at}-${index}`}>
          <Table.Td className="mono">{stamp(event.at).slice(0, 19)}</Table.Td>
          <Table.Td>
            {event.action} to {event.stage}
            {event.stage === 'canary' && event.weight ? `, ${percent(event.weight)}` : ''}
          </Table.Td>
          <Table.Td>{event.release && <ReleaseLink release={event.release} />}</Table.Td>
          <Table.Td>{event.by}</Table.Td>
          <Table.Td>{event.reason}</Table.Td>
        </Table.Tr>
      ))}
    </Listing>
  );
}
