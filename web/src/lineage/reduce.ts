/** What a lineage graph says without its implied edges. Pure. */

import type { LineageEdge } from '../api/types';

/**
 * The edges without those that a longer path says too (the transitive reduction): where a model comes from a training
 * set and that from a table, the edge from the model to the table adds lines and no knowledge. The graph has no circles.
 */
export function reduce(edges: readonly LineageEdge[]): LineageEdge[] {
  const parents = new Map<string, Set<string>>();
  for (const { child, parent } of edges) parents.set(child, (parents.get(child) ?? new Set()).add(parent));
  const known = new Map<string, Set<string>>();

  const ancestors = (key: string): Set<string> => {
    const before = known.get(key);
    if (before) return before;
    const found = new Set<string>();
    known.set(key, found);
    for (const parent of parents.get(key) ?? []) {
      found.add(parent);
      for (const further of ancestors(parent)) found.add(further);
    }
    return found;
  };

  return edges.filter(({ child, parent }) => {
    for (const other of parents.get(child) ?? []) {
      if (other !== parent && ancestors(other).has(parent)) return false;
    }
    return true;
  });
}
