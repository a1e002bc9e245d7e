/** Crowds in a lineage graph: many leaves in the same role become one node that lists them. Pure. */

import type { Lineage, LineageEdge, LineageNode } from '../api/types';

/** How many alike leaves are drawn one by one; an index of 40 documents is shown as one node. */
export const CROWD = 5;

export interface Crowd {
  key: string;
  kind: string;
  role: string;
  members: LineageNode[];
}

export interface Folded {
  nodes: LineageNode[];
  edges: LineageEdge[];
  crowds: Crowd[];
}

/**
 * Fold leaves that no other edge touches. Leaves form a crowd when they hang on the same neighbour, in the same role,
 * on the same side and are of one kind; a document that a chunk was also read from has a second edge and stays.
 */
export function fold(graph: Lineage): Folded {
  const touching = new Map<string, LineageEdge[]>();
  for (const edge of graph.edges) {
    for (const end of [edge.child, edge.parent]) touching.set(end, [...(touching.get(end) ?? []), edge]);
  }
  const groups = new Map<string, { leaves: LineageNode[]; edge: LineageEdge; leafIsParent: boolean }>();
  for (const node of graph.nodes) {
    const [edge, second] = touching.get(node.key) ?? [];
    if (!edge || second || node.key === graph.root) continue;
    const leafIsParent = edge.parent === node.key;
    const key = ['crowd', leafIsParent ? edge.child : edge.parent, edge.role, node.kind, leafIsParent].join('|');
    const group = groups.get(key) ?? { leaves: [], edge, leafIsParent };
    group.leaves.push(node);
    groups.set(key, group);
  }
  const hidden = new Set<string>();
  const crowds: Crowd[] = [];
  const stubs: LineageEdge[] = [];
  for (const [key, { leaves, edge, leafIsParent }] of groups) {
    const kind = leaves[0]?.kind;
    if (leaves.length <= CROWD || kind === undefined) continue;
    for (const leaf of leaves) hidden.add(leaf.key);
    crowds.push({ key, kind, role: edge.role, members: leaves });
    stubs.push(leafIsParent ? { ...edge, parent: key } : { ...edge, child: key });
  }
  return {
    nodes: graph.nodes.filter((node) => !hidden.has(node.key)),
    edges: [...graph.edges.filter((edge) => !hidden.has(edge.child) && !hidden.has(edge.parent)), ...stubs],
    crowds,
  };
}
