import { Box, Button, Group, Paper, SegmentedControl, SimpleGrid, Skeleton, Switch, Text, useComputedColorScheme } from '@mantine/core';
import { useQueries } from '@tanstack/react-query';
import { lazy, Suspense, useMemo, useState } from 'react';

import { seriesQuery } from '../api/tracking';
import type { Run } from '../api/types';
import { metric } from '../format/number';
import { COLORS } from '../parts/palette';
import { lineChart, positive, type Across, type Line } from './series';

const Chart = lazy(() => import('../parts/Chart'));
const HEIGHT = 190;
const FIRST = 12;

/** A chart for each metric, with a line for each run that has it. */
export function MetricCharts({ runs, keys }: { runs: Run[]; keys: string[] }) {
  const [across, setAcross] = useState<Across>('step');
  const [log, setLog] = useState(false);
  const [all, setAll] = useState(false);
  const shown = all ? keys : keys.slice(0, FIRST);
  return (
    <>
      <Group gap="md" mb="sm">
        <SegmentedControl
          size="xs"
          aria-label="Draw metrics across"
          data={[
            { value: 'step', label: 'Step' },
            { value: 'time', label: 'Time' },
          ]}
          value={across}
          onChange={(value) => setAcross(value === 'time' ? 'time' : 'step')}
        />
        <Switch size="xs" label="Logarithmic" checked={log} onChange={(event) => setLog(event.currentTarget.checked)} />
        {runs.length > 1 && <Legend runs={runs} />}
      </Group>
      <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }} spacing="sm">
        {shown.map((key) => (
          <MetricChart key={key} runs={runs} name={key} across={across} log={log} />
        ))}
      </SimpleGrid>
      {shown.length < keys.length && (
        <Button mt="sm" variant="default" size="xs" onClick={() => setAll(true)}>
          Show all {keys.length} metrics
        </Button>
      )}
    </>
  );
}

function Legend({ runs }: { runs: Run[] }) {
  return (
    <Group gap="md" fz="xs">
      {runs.map((run, index) => (
        <Group key={run.id} gap={5} wrap="nowrap">
          <Box w={12} h={3} bg={COLORS[index % COLORS.length]} aria-hidden="true" />
          {run.name}
        </Group>
      ))}
    </Group>
  );
}

interface MetricChartProps {
  runs: Run[];
  name: string;
  across: Across;
  log: boolean;
}

function MetricChart({ runs, name, across, log }: MetricChartProps) {
  const dark = useComputedColorScheme('light') === 'dark';
  // A run without the metric keeps its place, so that a run has one colour on all charts.
  const found = useQueries({ queries: runs.map((run) => ({ ...seriesQuery(run, name), enabled: name in run.metrics })) });
  const failed = found.find((query) => query.isError);
  const loading = found.some((query) => query.isLoading);
  const data = found.map((query) => query.data);
  const lines = useMemo(
    (): Line[] => runs.map((run, index) => ({ name: run.name, points: data[index] ?? [] })),
    // `data` is a new list at every turn; what it holds changes only when a series was read again.
    [runs, ...data],
  );
  const upright = log && positive(lines);
  const option = useMemo(() => lineChart(lines, across, upright, dark), [lines, across, upright, dark]);
  const last = runs.map((run) => run.metrics[name]).find((point) => point !== undefined);
  return (
    <Paper withBorder p="xs" component="figure" m={0} aria-label={`Metric ${name}`}>
      <Group component="figcaption" justify="space-between" gap="xs" wrap="nowrap">
        <Text size="sm" fw={600} truncate title={name}>
          {name}
        </Text>
        {runs.length === 1 && last && (
          <Text size="sm" style={{ fontVariantNumeric: 'tabular-nums' }}>
            {metric(last.value)}
          </Text>
        )}
      </Group>
      {failed?.error ? (
        <Text size="xs" c="red">
          {failed.error.message}
        </Text>
      ) : loading ? (
        <Skeleton height={HEIGHT} />
      ) : (
        <Suspense fallback={<Skeleton height={HEIGHT} />}>
          <Chart option={option} dark={dark} height={HEIGHT} label={told(name, lines, across)} />
        </Suspense>
      )}
      {log && !upright && (
        <Text size="xs" c="dimmed">
          Not all values are above zero, so the axis is linear.
        </Text>
      )}
    </Paper>
  );
}

function told(name: string, lines: Line[], across: Across): string {
  const parts = lines
    .filter((line) => line.points.length > 0)
    .map((line) => `${line.name} from ${metric(line.points[0]!.value)} to ${metric(line.points.at(-1)!.value)}`);
  return `${name} by ${across}: ${parts.join('; ')}`;
}
