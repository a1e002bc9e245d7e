import { Stack, Switch, Table, Text } from '@mantine/core';
import { useQueries } from '@tanstack/react-query';
import { useSearch } from '@tanstack/react-router';
import { useState } from 'react';

import { runQuery } from '../api/tracking';
import type { Run } from '../api/types';
import { Ago } from '../parts/Ago';
import { RunBadge } from '../parts/Badges';
import { ExperimentLink, RunLink } from '../parts/Links';
import { Page, Section } from '../parts/Page';
import { Empty, Failure } from '../parts/States';
import { isSystem } from '../runs/columns';
import { environmentRows, metricRows, paramRows, tagRows, type Row } from '../runs/compare';
import { MetricCharts } from '../runs/MetricCharts';
import { took } from '../runs/RunTable';

export function ComparePage() {
  const { runs: asked } = useSearch({ from: '/compare' });
  const ids = [...new Set((asked ?? '').split(',').filter(Boolean))];
  const found = useQueries({ queries: ids.map(runQuery) });
  const failed = found.find((query) => query.isError);
  const runs = found.flatMap((query) => (query.data ? [query.data] : []));
  return (
    <Page title={`${ids.length} runs compared`}>
      {ids.length === 0 && (
        <Empty title="No runs to compare" commands={[]}>
          Choose two or more runs of an experiment by their boxes, then compare them.
        </Empty>
      )}
      {failed?.error && <Failure error={failed.error} />}
      {runs.length > 0 && runs.length === ids.length && <Comparison key={ids.join()} runs={runs} />}
    </Page>
  );
}

function Comparison({ runs }: { runs: Run[] }) {
  const [differing, setDiffering] = useState(false);
  const keys = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))].sort((a, b) => a.localeCompare(b));
  const drawn = keys.filter((key) => !isSystem(key) && runs.some((run) => (run.metrics[key]?.step ?? 0) !== 0));
  const tables: [string, Row[]][] = [
    ['Params', paramRows(runs)],
    ['Metrics', metricRows(runs).filter((row) => !isSystem(row.name))],
    ['Tags', tagRows(runs)],
    ['Differences in code and machine', environmentRows(runs).filter((row) => row.differs)],
  ];
  return (
    <Stack gap="xl">
      <Switch label="Only what differs" checked={differing} onChange={(event) => setDiffering(event.currentTarget.checked)} />
      {tables.map(([title, rows]) => (
        <Section key={title} title={title}>
          <SideBySide runs={runs} rows={differing ? rows.filter((row) => row.differs) : rows} />
        </Section>
      ))}
      {drawn.length > 0 && (
        <Section title="Courses of metrics">
          <MetricCharts runs={runs} keys={drawn} />
        </Section>
      )}
    </Stack>
  );
}

function SideBySide({ runs, rows }: { runs: Run[]; rows: Row[] }) {
  if (rows.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        Nothing to show.
      </Text>
    );
  }
  return (
    <Table.ScrollContainer minWidth={200 + runs.length * 140}>
      <Table verticalSpacing={4} className="compare">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Run</Table.Th>
            {runs.map((run) => (
              <Table.Th key={run.id}>
                <RunLink id={run.id}>{run.name}</RunLink> <RunBadge status={run.status} />
                <Text size="xs" c="dimmed" component="div" fw={400}>
                  <Ago at={run.started_at} />
                  {took(run) ? `, took ${took(run)}` : ''}, <ExperimentLink id={run.experiment} />
                </Text>
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row) => (
            <Table.Tr key={row.name} data-differs={row.differs || undefined}>
              <Table.Td c="dimmed">{row.name}</Table.Td>
              {row.values.map((value, index) => (
                <Table.Td key={index}>{value ?? '—'}</Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
