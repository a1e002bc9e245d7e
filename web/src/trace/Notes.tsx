import { Code, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';

import { traceNotesQuery } from '../api/queries';
import type { Assessment, TraceNotes } from '../api/types';
import { Ago } from '../parts/Ago';
import { State } from '../parts/Badges';
import { Facts, Value, type FactList } from '../parts/Facts';
import { Listing } from '../parts/Listing';
import { Section } from '../parts/Page';
import { Loaded } from '../parts/States';
import { ownTags } from '../runs/compare';

/** What clients sent of a trace besides its spans, and what people and judges say of it; nothing where nobody did. */
export function Notes({ trace }: { trace: string }) {
  const query = useQuery(traceNotesQuery(trace));
  return <Loaded query={query}>{(notes) => <Told notes={notes} />}</Loaded>;
}

function Told({ notes }: { notes: TraceNotes }) {
  const tags = ownTags(notes.tags).sort();
  const texts: FactList = [
    ['Request', notes.request],
    ['Response', notes.response],
  ].flatMap(([label, text]): FactList => (label && text ? [[label, <Said key={label} text={text} />]] : []));
  return (
    <>
      {texts.length > 0 && (
        <Section title="Request and response">
          <Facts facts={texts} />
        </Section>
      )}
      {notes.assessments.length > 0 && (
        <Section title="Assessments">
          <Assessments assessments={notes.assessments} />
        </Section>
      )}
      {tags.length > 0 && (
        <Section title="Tags">
          <Facts facts={tags} />
        </Section>
      )}
    </>
  );
}

function Said({ text }: { text: string }) {
  return (
    <Code block fz="xs" mah={200} style={{ overflow: 'auto', whiteSpace: 'pre-wrap' }}>
      {text}
    </Code>
  );
}

function Assessments({ assessments }: { assessments: Assessment[] }) {
  return (
    <Listing minWidth={640} heads={['Name', 'Value', 'Rationale', 'Kind', 'By', 'When']}>
      {assessments.map((one, index) => (
        <Table.Tr key={index} style={{ verticalAlign: 'top' }}>
          <Table.Td>
            {one.name} {!one.valid && <State tone="plain">overridden</State>}
          </Table.Td>
          <Table.Td>{one.error ? <Value of={one.error} /> : <Value of={one.value} />}</Table.Td>
          <Table.Td maw={360}>
            <Text size="sm">{one.rationale}</Text>
          </Table.Td>
          <Table.Td>
            {one.kind}
            {one.span ? ` on span ${one.span.slice(0, 8)}` : ''}
          </Table.Td>
          <Table.Td>
            {one.by} ({one.source.toLowerCase().replaceAll('_', ' ')})
          </Table.Td>
          <Table.Td>
            <Ago at={one.at} />
          </Table.Td>
        </Table.Tr>
      ))}
    </Listing>
  );
}
