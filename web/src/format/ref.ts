/** Refs, digests and where the console shows them. */

import type { LineageNode } from '../api/types';

/** The first 12 hex digits of a digest, enough to recognise it: `sha256:3fa9…` reads `3fa9c01b22d4`. */
export function shortDigest(digest: string): string {
  return digest.replace(/^[a-z0-9]+:/, '').slice(0, 12);
}

/** A release ref is written without its kind (`flight-delay@2`); as a revision it is `release/flight-delay@2`. */
export function releaseRevision(ref: string): string {
  return `release/${ref}`;
}

/** `@3` of `handbook/intro.md@3`, or an empty string. */
export function versionOf(ref: string): string {
  const at = ref.lastIndexOf('@');
  return at < 0 ? '' : ref.slice(at);
}

/** How a lineage node is called in one line; a trace or run by its name and the start of its id. */
export function nodeTitle(node: LineageNode): string {
  if (!node.version) return node.name;
  if (/^(trace|run):/.test(node.key)) return `${node.name} ${node.version.slice(0, 12)}`;
  return `${node.name}@${node.version}`;
}

/** The page of a lineage node, or null for what has none (a chunk, feature values). */
export function nodePage(node: LineageNode): string | null {
  if (node.key.startsWith('trace:')) return `/traces/${node.key.slice('trace:'.length)}`;
  if (node.key.startsWith('run:')) return `/runs/${node.key.slice('run:'.length)}`;
  if (!node.version || node.kind === 'chunk') return null;
  return node.kind === 'feature_values' ? null : `/revisions/${node.kind}/${node.name}@${node.version}`;
}
