import { Code, Group, Select, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { diffQuery } from '../api/registry';
import type { Difference, Revision } from '../api/types';
import { Value } from '../parts/Facts';
import { Section } from '../parts/Page';
import { Loaded } from '../parts/States';

/** How two versions differ; at first the newest two. */
export function Diff({ versions }: { versions: Revision[] }) {
  const refs = versions.map((version) => version.ref);
  const [before, setBefore] = useState(refs[1]!);
  const [after, setAfter] = useState(refs[0]!);
  const query = useQuery(diffQuery(before, after));
  const choices = versions.map((version) => ({ value: version.ref, label: `@${version.number}` }));
  return (
    <Section title="What changed">
      <Group gap="sm" mb="sm">
        <Select size="xs" w={110} label="From" data={choices} value={before} allowDeselect={false} onChange={(ref) => ref && setBefore(ref)} />
        <Select size="xs" w={110} label="To" data={choices} value={after} allowDeselect={false} onChange={(ref) => ref && setAfter(ref)} />
      </Group>
      <Loaded query={query}>{(differences) => <Differences differences={differences} />}</Loaded>
    </Section>
  );
}

function Differences({ differences }: { differences: Difference[] }) {
  if (differences.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        They do not differ.
      </Text>
    );
  }
  return (
    <Table verticalSpacing={4} layout="fixed">
      <Table.Thead>
        <Table.Tr>
          <Table.Th w="26%">Place</Table.Th>
          <Table.Th>Before</Table.Th>
          <Table.Th>After</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {differences.map((one) => (
          <Table.Tr key={one.path} style={{ verticalAlign: 'top', overflowWrap: 'anywhere' }}>
            <Table.Td className="mono">{one.path}</Table.Td>
            {one.text ? (
              <Table.Td colSpan={2}>
                <Lines text={one.text} />
              </Table.Td>
            ) : (
              <>
                <Table.Td>{one.change !== 'added' && <Value of={one.before ?? null} />}</Table.Td>
                <Table.Td>{one.change !== 'removed' && <Value of={one.after ?? null} />}</Table.Td>
              </>
            )}
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

/** A unified diff with its lines coloured; the signs before them say the same without colour. */
function Lines({ text }: { text: string }) {
  return (
    <Code block fz="xs">
      {text.split('\n').map((line, index) => (
        <div key={index} className={line.startsWith('+') ? 'diff-added' : line.startsWith('-') ? 'diff-removed' : undefined}>
          {line || ' '}
        </div>
      ))}
    </Code>
  );
}
