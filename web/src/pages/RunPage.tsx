import { Stack, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';

import { ApiError } from '../api/client';
import { experimentQuery, pipelineRunQuery, runQuery, runsQuery } from '../api/tracking';
import type { Experiment, Run } from '../api/types';
import { metric } from '../format/number';
import { stamp } from '../format/time';
import { Lineage } from '../lineage/Lineage';
import { RunBadge, State } from '../parts/Badges';
import { Facts, Strip, type FactList } from '../parts/Facts';
import { ExperimentLink, RunLink } from '../parts/Links';
import { Page, Section } from '../parts/Page';
import { Loaded } from '../parts/States';
import { Artifacts } from '../runs/Artifacts';
import { isSystem } from '../runs/columns';
import { environment, ownTags } from '../runs/compare';
import { MetricCharts } from '../runs/MetricCharts';
import { PipelineRunView } from '../runs/PipelineRunView';
import { took } from '../runs/RunTable';

export function RunPage() {
  const { id } = useParams({ from: '/runs/$id' });
  const query = useQuery(runQuery(id));
  const unknown = query.error instanceof ApiError && query.error.status === 404;
  const pipeline = useQuery({ ...pipelineRunQuery(id), enabled: unknown });
  const run = query.data;
  const beside = run && (
    <>
      <RunBadge status={run.status} />
      {run.lifecycle === 'deleted' && <State tone="bad">deleted</State>}
    </>
  );
  if (unknown && pipeline.data) return <PipelineRunView run={pipeline.data} />;
  return (
    <Page title={run?.name ?? `Run ${id.slice(0, 12)}`} beside={beside}>
      {unknown && pipeline.isPending ? null : <Loaded query={query}>{(found) => <OneRun key={found.id} run={found} />}</Loaded>}
    </Page>
  );
}

function OneRun({ run }: { run: Run }) {
  const experiment = useQuery(experimentQuery(run.experiment)).data;
  const keys = Object.keys(run.metrics).sort((a, b) => a.localeCompare(b));
  const own = keys.filter((key) => !isSystem(key));
  const system = keys.filter(isSystem);
  const tags = ownTags(run.tags);
  const note = run.tags['mlflow.note.content'];
  return (
    <Stack gap="xl">
      <Strip facts={facts(run, experiment)} />
      {note && <div style={{ whiteSpace: 'pre-wrap' }}>{note}</div>}
      <Section title="Metrics">
        {own.length > 0 ? <Metrics run={run} keys={own} /> : <Nothing>It logged no metrics.</Nothing>}
      </Section>
      <Section title="Params">
        {Object.keys(run.params).length > 0 ? <Facts facts={sorted(run.params)} /> : <Nothing>It logged no params.</Nothing>}
      </Section>
      {tags.length > 0 && (
        <Section title="Tags">
          <Facts facts={tags.sort()} />
        </Section>
      )}
      {experiment && <Children run={run} experiment={experiment} />}
      <Data run={run} />
      <Section title="Files">
        <Artifacts run={run.id} />
      </Section>
      <Lineage title="What it read" node={`run:${run.id}`} towards="parent" />
      <Lineage title="What it touched" node={`run:${run.id}`} towards="child" />
      {system.length > 0 && (
        <Section title="System metrics">
          <MetricCharts runs={[run]} keys={system} />
        </Section>
      )}
      <Section title="Environment">
        <Facts facts={environment(run.tags).sort()} />
      </Section>
    </Stack>
  );
}

function facts(run: Run, experiment: Experiment | undefined): FactList {
  const found: FactList = [
    ['Experiment', <ExperimentLink key="experiment" id={run.experiment}>{experiment?.name}</ExperimentLink>],
    ['Started', `${stamp(run.started_at)} UTC`],
    ['Took', took(run)],
    ['By', run.user],
    ['Run id', <span key="id" className="mono">{run.id}</span>],
  ];
  if (run.parent) found.push(['Part of', <RunLink key="parent" id={run.parent} />]);
  return found.filter(([, value]) => value !== '');
}

/** Metrics that were logged once are numbers; those with a course are charts. */
function Metrics({ run, keys }: { run: Run; keys: string[] }) {
  return (
    <Stack gap="md">
      <Facts facts={keys.map((key) => [key, <span key={key} style={{ fontVariantNumeric: 'tabular-nums' }}>{metric(run.metrics[key]!.value)}</span>])} />
      {keys.some((key) => run.metrics[key]!.step !== 0) && (
        <MetricCharts runs={[run]} keys={keys.filter((key) => run.metrics[key]!.step !== 0)} />
      )}
    </Stack>
  );
}

function Children({ run, experiment }: { run: Run; experiment: Experiment }) {
  const query = useQuery(runsQuery(experiment.name, { filter: `tags.\`mlflow.parentRunId\` = '${run.id}'` }));
  if (!query.data?.items.length) return null;
  return (
    <Section title="Runs within it">
      <Table verticalSpacing={4}>
        <Table.Tbody>
          {query.data.items.map((child) => (
            <Table.Tr key={child.id}>
              <Table.Td>
                <RunLink id={child.id}>{child.name}</RunLink>
              </Table.Td>
              <Table.Td>
                <RunBadge status={child.status} />
              </Table.Td>
              <Table.Td>{took(child)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      {query.data.next && <Nothing>There are more; search the experiment for them.</Nothing>}
    </Section>
  );
}

function Data({ run }: { run: Run }) {
  if (run.datasets.length + run.models_read.length + run.models_made.length === 0) return null;
  const read: FactList = run.datasets.map((one) => [
    one.context ?? 'dataset',
    <span key={one.digest}>
      {one.name} <span className="mono">{one.digest.slice(0, 12)}</span> ({one.source_type})
    </span>,
  ]);
  const models: FactList = run.models_read.map((id) => ['model read', <span key={id} className="mono">{id}</span>]);
  const made: FactList = run.models_made.map(({ model, step }) => [
    'model made',
    <span key={model}>
      <span className="mono">{model}</span>
      {step > 0 ? ` at step ${step}` : ''}
    </span>,
  ]);
  return (
    <Section title="Data and models">
      <Facts facts={[...read, ...models, ...made]} />
    </Section>
  );
}

function sorted(values: { [key: string]: string }): FactList {
  return Object.entries(values).sort(([a], [b]) => a.localeCompare(b));
}

function Nothing({ children }: { children: string }) {
  return (
    <Text size="sm" c="dimmed">
      {children}
    </Text>
  );
}
