import { Checkbox, Group, Table, UnstyledButton } from '@mantine/core';

import type { Run } from '../api/types';
import { metric } from '../format/number';
import { duration } from '../format/time';
import { Ago } from '../parts/Ago';
import { RunBadge, State } from '../parts/Badges';
import { RunLink } from '../parts/Links';
import { isMetric, keyOf, nextOrder, ordering, type Column } from './columns';

interface RunTableProps {
  runs: Run[];
  columns: Column[];
  order: string | undefined;
  chosen: string[];
  onOrder: (order: string | undefined) => void;
  onChoose: (ids: string[]) => void;
}

/** Runs with some of their metrics and params; a click on a head orders by it, the boxes choose what to compare. */
export function RunTable({ runs, columns, order, chosen, onOrder, onChoose }: RunTableProps) {
  const head = (column: Column, label: string) => (
    <Head key={column} column={column} label={label} order={order} onOrder={onOrder} />
  );
  return (
    <Table.ScrollContainer minWidth={640}>
      <Table highlightOnHover verticalSpacing={6}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th w={34} aria-label="Chosen" />
            {head('attributes.run_name', 'Run')}
            {head('attributes.status', 'Status')}
            {head('attributes.start_time', 'Started')}
            <Table.Th className="number">Took</Table.Th>
            <Table.Th>By</Table.Th>
            {columns.map((column) => head(column, keyOf(column)))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {runs.map((run) => (
            <Table.Tr key={run.id}>
              <Table.Td>
                <Checkbox
                  size="xs"
                  aria-label={`Compare ${run.name}`}
                  checked={chosen.includes(run.id)}
                  onChange={({ currentTarget }) =>
                    onChoose(currentTarget.checked ? [...chosen, run.id] : chosen.filter((id) => id !== run.id))
                  }
                />
              </Table.Td>
              <Table.Td>
                <Group gap={6} wrap="nowrap">
                  <RunLink id={run.id}>{run.name}</RunLink>
                  {run.parent && <State tone="plain">child</State>}
                </Group>
              </Table.Td>
              <Table.Td>
                <RunBadge status={run.status} />
              </Table.Td>
              <Table.Td>
                <Ago at={run.started_at} />
              </Table.Td>
              <Table.Td className="number">{took(run)}</Table.Td>
              <Table.Td>{run.user}</Table.Td>
              {columns.map((column) => (
                <Table.Td key={column} className={isMetric(column) ? 'number' : undefined}>
                  {cell(run, column)}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

interface HeadProps {
  column: Column;
  label: string;
  order: string | undefined;
  onOrder: (order: string | undefined) => void;
}

function Head({ column, label, order, onOrder }: HeadProps) {
  const down = order === ordering(column, true);
  const up = order === ordering(column, false);
  return (
    <Table.Th
      className={isMetric(column) ? 'number' : undefined}
      aria-sort={down ? 'descending' : up ? 'ascending' : undefined}
    >
      <UnstyledButton fz="sm" fw={700} className="head" onClick={() => onOrder(nextOrder(column, order))}>
        {label}
        {down ? ' ↓' : up ? ' ↑' : ''}
      </UnstyledButton>
    </Table.Th>
  );
}

function cell(run: Run, column: Column): string {
  const key = keyOf(column);
  if (!isMetric(column)) return run.params[key] ?? '';
  const point = run.metrics[key];
  return point ? metric(point.value) : '';
}

/** How long a run took, or has taken so far. */
export function took(run: Run): string {
  if (run.ended_at) return duration(Date.parse(run.ended_at) - Date.parse(run.started_at));
  return run.status === 'RUNNING' ? `${duration(Math.max(0, Date.now() - Date.parse(run.started_at)))} so far` : '';
}
