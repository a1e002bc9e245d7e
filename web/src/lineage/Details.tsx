import { Anchor, CloseButton, Group, Paper, Stack, Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';

import type { Json, Lineage, LineageNode } from '../api/types';
import { nodePage, nodeTitle, shortDigest } from '../format/ref';
import { KindTag } from '../parts/Badges';
import { Facts, jsonFacts, type FactList } from '../parts/Facts';

interface DetailsProps {
  node: LineageNode;
  graph: Lineage;
  onClose: () => void;
  onPick: (key: string) => void;
}

export function Details({ node, graph, onClose, onPick }: DetailsProps) {
  const page = nodePage(node);
  return (
    <Paper
      withBorder
      shadow="sm"
      p="sm"
      role="region"
      aria-label="Node details"
      style={{ position: 'absolute', top: 10, right: 10, width: 300, maxHeight: 'calc(100% - 20px)', overflow: 'auto', zIndex: 5 }}
    >
      <Stack gap="xs">
        <Group justify="space-between" wrap="nowrap">
          <KindTag kind={node.kind} />
          <CloseButton size="sm" onClick={onClose} aria-label="Close details" />
        </Group>
        <Text fw={600} size="sm" style={{ overflowWrap: 'anywhere' }}>
          {nodeTitle(node)}
        </Text>
        <Facts facts={facts(node)} />
        <Neighbours title="Came from" of={node} graph={graph} here="child" there="parent" onPick={onPick} />
        <Neighbours title="Used by" of={node} graph={graph} here="parent" there="child" onPick={onPick} />
        {page && (
          <Link to={page} className="link">
            Open {node.kind === 'trace' ? 'trace' : 'revision'}
          </Link>
        )}
      </Stack>
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

const LISTED = 12;

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
