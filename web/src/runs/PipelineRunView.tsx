import { Stack, Table } from '@mantine/core';

import type { PipelineRun } from '../api/types';
import { duration } from '../format/time';
import { Lineage } from '../lineage/Lineage';
import { Ago } from '../parts/Ago';
import { State } from '../parts/Badges';
import { Facts, jsonFacts, Strip } from '../parts/Facts';
import { RunLink } from '../parts/Links';
import { Listing } from '../parts/Listing';
import { Page, Section } from '../parts/Page';

const MS = 1_000_000;
const TONES: { [state: string]: 'good' | 'bad' | 'wait' } = { finished: 'good', failed: 'bad', running: 'wait' };

/** The run of a pipeline, step by step. */
export function PipelineRunView({ run }: { run: PipelineRun }) {
  const began = new Date(run.started_ns / MS).toISOString();
  return (
    <Page title={run.pipeline} beside={<State tone={TONES[run.state] ?? 'plain'}>{run.state}</State>}>
      <Stack gap="xl">
        <Strip
          facts={[
            ['Started', <Ago key="started" at={began} />],
            ['Took', run.finished_ns ? duration((run.finished_ns - run.started_ns) / MS) : 'not ended'],
            ['By', run.started_by],
            ['Resumed', `${run.resumes} times`],
            ['Run id', <span key="id" className="mono">{run.id}</span>],
          ]}
        />
        <Section title="Params">
          <Facts facts={jsonFacts(run.params)} />
        </Section>
        <Section title="Steps">
          <Listing minWidth={480} heads={['Step', 'State', { number: 'Took' }, 'What happened']}>
            {run.steps.map((step) => (
              <Table.Tr key={step.node}>
                <Table.Td>{step.node}</Table.Td>
                <Table.Td>
                  <State tone={TONES[step.state] ?? 'plain'}>{step.state}</State>
                </Table.Td>
                <Table.Td className="number">
                  {step.started_ns && step.finished_ns ? duration((step.finished_ns - step.started_ns) / MS) : ''}
                </Table.Td>
                <Table.Td>
                  {step.failure ? `${step.failure.type}: ${step.failure.message}` : ''}
                  {step.source && step.source !== run.id ? (
                    <>
                      its result is from <RunLink id={step.source} />
                    </>
                  ) : null}
                </Table.Td>
              </Table.Tr>
            ))}
          </Listing>
        </Section>
        <Lineage title="What it touched" node={`run:${run.id}`} towards="child" />
      </Stack>
    </Page>
  );
}
