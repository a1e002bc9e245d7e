/** The interactive graph: drag to pan, scroll or buttons to zoom, click or Enter on a node for its details. */

import '@xyflow/react/dist/style.css';

import { useComputedColorScheme } from '@mantine/core';
import { Background, Controls, MarkerType, ReactFlow, type Edge } from '@xyflow/react';
import { useMemo, useState } from 'react';

import type { Lineage } from '../api/types';
import { nodeTitle } from '../format/ref';
import { Card, type CardNode } from './Card';
import { Details, Members } from './Details';
import { fold, type Crowd } from './fold';
import { kindLabel } from './kinds';
import { layout, NODE_HEIGHT, NODE_WIDTH, related } from './layout';
import { reduce } from './reduce';

const TYPES = { card: Card };
/** Beyond this many edges their roles are shown only around the selected node. */
const LABELLED = 40;
const PAGE_WIDTH = 1000;

export default function Drawing({ graph, label }: { graph: Lineage; label: string }) {
  const [selected, setSelected] = useState<string | null>(null);
  const scheme = useComputedColorScheme('light');
  const drawn = useMemo(() => place(graph), [graph]);
  const { nodes, edges } = useMemo(() => decorate(drawn, selected), [drawn, selected]);

  const chosen = graph.nodes.find((node) => node.key === selected);
  const crowd = drawn.crowds.find((each) => each.key === selected);
  return (
    <>
      <div className="graph" role="group" aria-label={`${label}, as a graph`} style={{ height: heightFor(nodes) }}>
        <ReactFlow
          nodes={nodes}
          edges={edges}
          nodeTypes={TYPES}
          colorMode={scheme}
          fitView
          fitViewOptions={{ padding: { x: '24px', top: '24px', bottom: '56px' }, minZoom: 0.25, maxZoom: 1 }}
          minZoom={0.1}
          maxZoom={2}
          nodesDraggable={false}
          nodesConnectable={false}
          edgesFocusable={false}
          preventScrolling={false}
          zoomOnScroll={false}
          onNodeClick={(_, node) => setSelected(node.id)}
          onNodesChange={(changes) => {
            for (const change of changes) if (change.type === 'select' && change.selected) setSelected(change.id);
          }}
          onPaneClick={() => setSelected(null)}
          proOptions={{ hideAttribution: true }}
        >
          <Background gap={20} />
          <Controls showInteractive={false} orientation="horizontal" />
        </ReactFlow>
      </div>
      {chosen && <Details node={chosen} graph={graph} onClose={() => setSelected(null)} onPick={setSelected} />}
      {crowd && <Members crowd={crowd} onClose={() => setSelected(null)} />}
    </>
  );
}

interface Drawn {
  nodes: CardNode[];
  edges: Edge[];
  links: Lineage['edges'];
  crowds: Crowd[];
}

function place(graph: Lineage): Drawn {
  const folded = fold({ ...graph, edges: reduce(graph.edges) });
  const keys = [...folded.nodes.map((node) => node.key), ...folded.crowds.map((crowd) => crowd.key)];
  const places = layout(keys, folded.edges);
  const card = (key: string, kind: string, title: string, crowd: boolean): CardNode => ({
    id: key,
    type: 'card',
    position: places.get(key) ?? { x: 0, y: 0 },
    width: NODE_WIDTH,
    height: NODE_HEIGHT,
    ariaLabel: crowd ? `${title}, select to list them` : `${kindLabel(kind)} ${title}`,
    data: { kind, title, crowd, root: key === graph.root, faded: false },
  });
  return {
    nodes: [
      ...folded.nodes.map((node) => card(node.key, node.kind, nodeTitle(node), false)),
      ...folded.crowds.map(({ key, kind, members }) => card(key, kind, `${members.length} × ${kindLabel(kind)}`, true)),
    ],
    edges: folded.edges.map((edge) => ({
      id: `${edge.parent}>${edge.child}>${edge.role}`,
      source: edge.parent,
      target: edge.child,
      label: edge.role.replaceAll('_', ' '),
      markerEnd: { type: MarkerType.ArrowClosed, width: 14, height: 14 },
    })),
    links: folded.edges,
    crowds: folded.crowds,
  };
}

/** With a node selected, everything not on a path through it fades. */
function decorate({ nodes, edges, links }: Drawn, selected: string | null): Pick<Drawn, 'nodes' | 'edges'> {
  const kept = selected === null ? null : related(selected, links);
  const crowded = edges.length > LABELLED;
  return {
    nodes: nodes.map((node) => ({
      ...node,
      selected: node.id === selected,
      data: { ...node.data, faded: kept !== null && !kept.has(node.id) },
    })),
    edges: edges.map((edge) => {
      const lit = kept === null || (kept.has(edge.source) && kept.has(edge.target));
      const near = edge.source === selected || edge.target === selected;
      const { label, ...bare } = edge;
      return { ...bare, ...(lit && (near || !crowded) ? { label } : {}), style: { opacity: lit ? 1 : 0.15 } };
    }),
  };
}

/** Tall enough for the tallest layer at the scale a page's width allows, within what fits on a screen. */
function heightFor(nodes: CardNode[]): number {
  const right = Math.max(...nodes.map((node) => node.position.x)) + NODE_WIDTH;
  const bottom = Math.max(...nodes.map((node) => node.position.y)) + NODE_HEIGHT;
  const scale = Math.min(1, PAGE_WIDTH / right);
  return Math.min(720, Math.max(200, bottom * scale + 90));
}
