/** The ancestry of a node (`why`) or what it touched (`impact`), drawn or listed. */

import { Group, SegmentedControl, Skeleton, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useState } from 'react';

import { lineageQuery } from '../api/queries';
import type { Lineage as Graph } from '../api/types';
import { Section } from '../parts/Page';
import { Loaded } from '../parts/States';
import { Tree } from './Tree';

const Drawing = lazy(() => import('./Drawing'));

interface LineageProps {
  title: string;
  /** A trace id or a revision's ref. */
  node: string;
  /** `parent`: what it came from; `child`: what it touched. */
  towards: 'parent' | 'child';
}

export function Lineage({ title, node, towards }: LineageProps) {
  const [view, setView] = useState('graph');
  const query = useQuery(lineageQuery(towards === 'parent' ? 'why' : 'impact', node));
  const views = (
    <SegmentedControl
      size="xs"
      aria-label={`Show ${title.toLowerCase()} as`}
      data={[
        { value: 'graph', label: 'Graph' },
        { value: 'list', label: 'List' },
      ]}
      value={view}
      onChange={setView}
    />
  );
  return (
    <Section title={title} beside={query.data && query.data.nodes.length > 1 && views}>
      <Loaded query={query} height={300}>
        {(graph) => (
          <>
            <Told graph={graph} towards={towards} />
            {graph.nodes.length > 1 && view === 'list' && <Tree graph={graph} towards={towards} />}
            {graph.nodes.length > 1 && view === 'graph' && (
              <Suspense fallback={<Skeleton height={300} />}>
                <Drawing key={graph.root} graph={graph} label={title} />
              </Suspense>
            )}
          </>
        )}
      </Loaded>
    </Section>
  );
}

function Told({ graph, towards }: { graph: Graph; towards: 'parent' | 'child' }) {
  const command = towards === 'parent' ? 'why' : 'impact';
  const nothing = towards === 'parent' ? 'It has no ancestors.' : 'Nothing was made from it or answered with it.';
  return (
    <Group gap="xs" mb="xs">
      <Text size="sm" c="dimmed">
        {graph.nodes.length === 1 ? nothing : counted(graph)}
        {graph.truncated ? `; the rest is left out, see \`twinloop ${command} --json\`` : ''}
      </Text>
    </Group>
  );
}

function counted({ nodes, counts }: Graph): string {
  if (!counts) return plural(nodes.length - 1, 'ancestor');
  const { revisions, releases, traces } = counts;
  return `${plural(revisions, 'revision')}, ${plural(releases, 'release')} and ${plural(traces, 'trace')}`;
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
