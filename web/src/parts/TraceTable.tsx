import { Table, Text } from '@mantine/core';

import type { Json, Trace } from '../api/types';
import { duration } from '../format/time';
import { Ago } from './Ago';
import { StatusBadge } from './Badges';
import { EndpointLink, ReleaseLink, TraceLink } from './Links';

export function TraceTable({ traces, endpoint = true }: { traces: Trace[]; endpoint?: boolean }) {
  return (
    <Table.ScrollContainer minWidth={720}>
      <Table highlightOnHover verticalSpacing={6}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Trace</Table.Th>
            <Table.Th>Status</Table.Th>
            {endpoint && <Table.Th>Endpoint</Table.Th>}
            <Table.Th>Release</Table.Th>
            <Table.Th className="number">Duration</Table.Th>
            <Table.Th className="number">Spans</Table.Th>
            <Table.Th>Summary</Table.Th>
            <Table.Th>Started</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
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
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

function summaryText(summary: { [fact: string]: Json }): string {
  return Object.entries(summary)
    .map(([fact, value]) => `${fact.replaceAll('_', ' ')} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' · ');
}
