/** Where the nodes of a lineage graph go: layers from what came first (left) to the answer (right). Pure. */

import dagre from '@dagrejs/dagre';

import type { LineageEdge } from '../api/types';

export const NODE_WIDTH = 184;
export const NODE_HEIGHT = 58;

export interface Place {
  x: number;
  y: number;
}

/**
 * Top left corners in pixels for every key. Data flows left to right as in the architecture: a parent lies left of its
 * children. Edges naming a key that is not drawn are left out.
 */
export function layout(keys: readonly string[], edges: readonly LineageEdge[]): Map<string, Place> {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: 'LR', nodesep: 18, ranksep: 78, marginx: 8, marginy: 8 });
  graph.setDefaultEdgeLabel(() => ({}));
  const drawn = new Set(keys);
  for (const key of keys) graph.setNode(key, { width: NODE_WIDTH, height: NODE_HEIGHT });
  for (const edge of edges) {
    if (drawn.has(edge.parent) && drawn.has(edge.child)) graph.setEdge(edge.parent, edge.child);
  }
  dagre.layout(graph);
  const places = new Map<string, Place>();
  for (const key of keys) {
    const { x = 0, y = 0 } = graph.node(key) as Partial<Place>;
    places.set(key, { x: x - NODE_WIDTH / 2, y: y - NODE_HEIGHT / 2 });
  }
  return places;
}

/** Every key on a path through `key`: what it came from, and what came from it. */
export function related(key: string, edges: readonly LineageEdge[]): Set<string> {
  const found = new Set([key]);
  for (const [from, to] of [
    ['child', 'parent'],
    ['parent', 'child'],
  ] as const) {
    const open = [key];
    const seen = new Set(open);
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      for (const edge of edges) {
        if (edge[from] !== next || seen.has(edge[to])) continue;
        seen.add(edge[to]);
        found.add(edge[to]);
        open.push(edge[to]);
      }
    }
  }
  return found;
}
