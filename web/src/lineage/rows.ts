/** A lineage graph as an indented list, for reading with a keyboard or a screen reader. Pure. */

import type { Lineage, LineageNode } from '../api/types';

export interface Row {
  node: LineageNode;
  role: string | null;
  depth: number;
  /** The node's own parents are listed where it first appears; here it is only named again. */
  repeated: boolean;
}

/**
 * Depth-first rows from the root. `towards` is `parent` for what an answer came from, `child` for what a revision
 * touched. A node reached twice is listed twice and followed once, so a cycle would end too.
 */
export function rows(graph: Lineage, towards: 'parent' | 'child'): Row[] {
  const back = towards === 'parent' ? 'child' : 'parent';
  const nodes = new Map(graph.nodes.map((node) => [node.key, node]));
  const next = new Map<string, { key: string; role: string }[]>();
  for (const edge of graph.edges) {
    next.set(edge[back], [...(next.get(edge[back]) ?? []), { key: edge[towards], role: edge.role }]);
  }
  const listed = new Set<string>();
  const found: Row[] = [];
  const open: { key: string; role: string | null; depth: number }[] = [{ key: graph.root, role: null, depth: 0 }];
  for (let step = open.pop(); step !== undefined; step = open.pop()) {
    const { key, role, depth } = step;
    const node = nodes.get(key);
    if (!node) continue;
    const repeated = listed.has(key);
    found.push({ node, role, depth, repeated });
    if (repeated) continue;
    listed.add(key);
    for (const follow of (next.get(key) ?? []).toReversed()) open.push({ ...follow, depth: depth + 1 });
  }
  return found;
}
