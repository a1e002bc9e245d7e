import { Button, Group, SegmentedControl, Select } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';

import { cursor, endpointsQuery, PAGE, releasesQuery, tracesQuery, type TraceFilter } from '../api/queries';
import type { Trace } from '../api/types';
import { Page } from '../parts/Page';
import { Empty, Loaded } from '../parts/States';
import { TraceTable } from '../parts/TraceTable';

export function TracesPage() {
  const filter = useSearch({ from: '/traces' });
  const navigate = useNavigate({ from: '/traces' });
  const query = useQuery({ ...tracesQuery(filter), placeholderData: keepPreviousData });
  const show = (next: TraceFilter) => void navigate({ search: { ...filter, before: undefined, ...next } });
  return (
    <Page title="Traces">
      <Filters filter={filter} show={show} />
      <Loaded query={query} height={400}>
        {(traces) =>
          traces.length === 0 ? (
            <NoTrace filter={filter} />
          ) : (
            <>
              <TraceTable traces={traces} />
              <Pager traces={traces} filter={filter} show={show} />
            </>
          )
        }
      </Loaded>
    </Page>
  );
}

interface FilterProps {
  filter: TraceFilter;
  show: (next: TraceFilter) => void;
}

function Filters({ filter, show }: FilterProps) {
  const endpoints = useQuery(endpointsQuery).data ?? [];
  const releases = useQuery({ ...releasesQuery(filter.endpoint ?? ''), enabled: Boolean(filter.endpoint) }).data ?? [];
  return (
    <Group gap="sm" align="flex-end">
      <Select
        label="Endpoint"
        placeholder="any"
        clearable
        searchable
        data={options(endpoints.map((endpoint) => endpoint.name), filter.endpoint)}
        value={filter.endpoint ?? null}
        onChange={(endpoint) => show({ endpoint: endpoint ?? undefined, release: undefined })}
      />
      <Select
        label="Release"
        placeholder={filter.endpoint ? 'any' : 'choose an endpoint first'}
        clearable
        disabled={!filter.endpoint && !filter.release}
        data={options(releases.map((release) => release.ref), filter.release)}
        value={filter.release ?? null}
        onChange={(release) => show({ release: release ?? undefined })}
      />
      <SegmentedControl
        aria-label="Status"
        data={[
          { value: '', label: 'All' },
          { value: 'ok', label: 'Ok' },
          { value: 'error', label: 'Errors' },
        ]}
        value={filter.status ?? ''}
        onChange={(status) => show({ status: status || undefined })}
      />
    </Group>
  );
}

/** The choices, with the chosen one among them even before the server has answered. */
function options(known: string[], chosen: string | undefined): string[] {
  return chosen === undefined || known.includes(chosen) ? known : [chosen, ...known];
}

function Pager({ traces, filter, show }: FilterProps & { traces: Trace[] }) {
  const last = traces.at(-1);
  return (
    <Group justify="space-between">
      <Button variant="default" size="xs" disabled={!filter.before} onClick={() => show({})}>
        Newest
      </Button>
      <Button
        variant="default"
        size="xs"
        disabled={!last || traces.length < PAGE}
        onClick={() => last && show({ before: cursor(last.start_ns) })}
      >
        Older
      </Button>
    </Group>
  );
}

function NoTrace({ filter }: { filter: TraceFilter }) {
  const narrowed = filter.endpoint ?? filter.release ?? filter.status ?? filter.before;
  if (narrowed) {
    return (
      <Empty title="No trace fits" commands={[]}>
        No trace matches these filters. Clear one, or go back to the newest.
      </Empty>
    );
  }
  return (
    <Empty title="No trace yet" commands={['twinloop ask handbook "How does a rollback work?"', 'twinloop predict --help']}>
      Every request an endpoint answers leaves a trace. Other services may send theirs to /v1/traces over OTLP.
    </Empty>
  );
}
