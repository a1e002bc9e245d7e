import { Table, Text } from '@mantine/core';

import type { Json, Trace } from '../api/types';
import { duration } from '../format/time';
import { Ago } from './Ago';
import { StatusBadge } from './Badges';
import { EndpointLink, ReleaseLink, TraceLink } from './Links';
import { Listing } from './Listing';

export function TraceTable({ traces, endpoint = true }: { traces: Trace[]; endpoint?: boolean }) {
  return (
    <Listing
      minWidth={720}
      heads={[
        ...['Trace', 'Status', endpoint && 'Endpoint', 'Release'],
        ...[{ number: 'Duration' }, { number: 'Spans' }],
        ...['Summary', 'Started'],
      ]}
    >
      {traces.map((trace) => (
        <Table.Tr key={trace.trace_id}>
          <Table.Td>
            <TraceLink id={trace.trace_id} />
          </Table.Td>
          <Table.Td>
            <StatusBadge status={trace.status} />
          </Table.Td>
          {endpoint && <Table.Td>{trace.endpoint ? <EndpointLink name={trace.endpoint} /> : trace.name}</Table.Td>}
          <Table.Td>{trace.release && <ReleaseLink release={trace.release} />}</Table.Td>
          <Table.Td className="number">{duration(trace.duration_ms)}</Table.Td>
          <Table.Td className="number">{trace.span_count}</Table.Td>
          <Table.Td maw={280}>
            <Text size="sm" c="dimmed" truncate title={summaryText(trace.summary)}>
              {summaryText(trace.summary)}
            </Text>
          </Table.Td>
          <Table.Td>
            <Ago at={trace.started_at} />
          </Table.Td>
        </Table.Tr>
      ))}
    </Listing>
  );
}

function summaryText(summary: { [fact: string]: Json }): string {
  return Object.entries(summary)
    .map(([fact, value]) => `${fact.replaceAll('_', ' ')} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' · ');
}
