import { Anchor, CloseButton, Group, Paper, SimpleGrid, Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useEffect, useRef, type ReactNode } from 'react';

import type { Json, Lineage, LineageNode } from '../api/types';
import { nodePage, nodeTitle, shortDigest } from '../format/ref';
import { KindTag } from '../parts/Badges';
import { Facts, jsonFacts, type FactList } from '../parts/Facts';
import type { Crowd } from './fold';

const PAGES: { [kind: string]: string } = { trace: 'trace', run: 'run' };

interface DetailsProps {
  node: LineageNode;
  graph: Lineage;
  onClose: () => void;
  onPick: (key: string) => void;
}

/** What the graph knows of one node. It stands under the graph, so that it never covers a neighbour. */
export function Details({ node, graph, onClose, onPick }: DetailsProps) {
  const page = nodePage(node);
  const open = page && (
    <Link to={page} className="link">
      Open {PAGES[node.kind] ?? 'revision'}
    </Link>
  );
  return (
    <Panel id={node.key} kind={node.kind} title={nodeTitle(node)} beside={open} onClose={onClose}>
      <SimpleGrid cols={{ base: 1, md: 3 }}>
        <Facts facts={facts(node)} />
        <Neighbours title="Came from" of={node} graph={graph} here="child" there="parent" onPick={onPick} />
        <Neighbours title="Used by" of={node} graph={graph} here="parent" there="child" onPick={onPick} />
      </SimpleGrid>
    </Panel>
  );
}

/** The members of a crowd, each with its page. */
export function Members({ crowd, onClose }: { crowd: Crowd; onClose: () => void }) {
  const title = `${crowd.members.length} in the role “${crowd.role.replaceAll('_', ' ')}”`;
  return (
    <Panel id={crowd.key} kind={crowd.kind} title={title} onClose={onClose}>
      <SimpleGrid component="ul" cols={{ base: 1, sm: 2, md: 3 }} spacing="md" verticalSpacing={2} m={0} p={0}>
        {crowd.members.map((node) => {
          const page = nodePage(node);
          return (
            <Text key={node.key} component="li" size="sm" style={{ listStyle: 'none', overflowWrap: 'anywhere' }}>
              {page ? (
                <Link to={page} className="link">
                  {nodeTitle(node)}
                </Link>
              ) : (
                nodeTitle(node)
              )}
            </Text>
          );
        })}
      </SimpleGrid>
    </Panel>
  );
}

interface PanelProps {
  id: string;
  kind: string;
  title: string;
  beside?: ReactNode;
  onClose: () => void;
  children: ReactNode;
}

function Panel({ id, kind, title, beside, onClose, children }: PanelProps) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // In braces: newer browsers return a promise here, which React would take for a clean-up.
    void box.current?.scrollIntoView({ block: 'nearest' });
  }, [id]);
  return (
    <Paper withBorder p="md" mt="xs" fz="sm" role="region" aria-label="Node details" ref={box}>
      <Group mb="sm" gap="sm" wrap="nowrap">
        <KindTag kind={kind} />
        <Text fw={600} size="sm" style={{ overflowWrap: 'anywhere' }}>
          {title}
        </Text>
        {beside}
        <CloseButton size="sm" ml="auto" onClick={onClose} aria-label="Close details" />
      </Group>
      {children}
    </Paper>
  );
}

function facts(node: LineageNode): FactList {
  const detail: { [name: string]: Json } =
    node.detail !== null && typeof node.detail === 'object' && !Array.isArray(node.detail)
      ? node.detail
      : node.detail === null
        ? {}
        : { detail: node.detail };
  const digest: FactList = node.digest
    ? [['digest', <span key="digest" className="mono" title={node.digest}>{shortDigest(node.digest)}</span>]]
    : [];
  return [...digest, ...jsonFacts(detail)];
}

interface NeighboursProps {
  title: string;
  of: LineageNode;
  graph: Lineage;
  here: 'child' | 'parent';
  there: 'child' | 'parent';
  onPick: (key: string) => void;
}

const LISTED = 8;

function Neighbours({ title, of, graph, here, there, onPick }: NeighboursProps) {
  const edges = graph.edges.filter((edge) => edge[here] === of.key);
  const nodes = new Map(graph.nodes.map((node) => [node.key, node]));
  if (edges.length === 0) return null;
  return (
    <div>
      <Text size="xs" c="dimmed">
        {title}
      </Text>
      {edges.slice(0, LISTED).map((edge, index) => {
        const node = nodes.get(edge[there]);
        return (
          node && (
            <Anchor key={index} component="button" type="button" size="xs" display="block" ta="left" onClick={() => onPick(node.key)}>
              {edge.role.replaceAll('_', ' ')}: {nodeTitle(node)}
            </Anchor>
          )
        );
      })}
      {edges.length > LISTED && (
        <Text size="xs" c="dimmed">
          and {edges.length - LISTED} more
        </Text>
      )}
    </div>
  );
}
