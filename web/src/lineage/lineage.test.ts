import { describe, expect, it } from 'vitest';

import type { Lineage, LineageNode } from '../api/types';
import { CROWD, fold } from './fold';
import { layout, NODE_WIDTH, related } from './layout';
import { reduce } from './reduce';
import { rows } from './rows';

const node = (key: string, kind: string): LineageNode => ({ key, kind, name: key, version: '1', digest: null, detail: null });

const answer: Lineage = {
  root: 'trace:1',
  nodes: [node('trace:1', 'trace'), node('release', 'release'), node('model', 'model'), node('weather', 'dataset')],
  edges: [
    { child: 'trace:1', parent: 'release', role: 'answered_by' },
    { child: 'release', parent: 'model', role: 'model' },
    { child: 'model', parent: 'weather', role: 'trained_on' },
    { child: 'trace:1', parent: 'weather', role: 'read' },
  ],
};

function library(documents: number): Lineage {
  const names = Array.from({ length: documents }, (_, index) => `document-${index}`);
  return {
    root: 'index',
    nodes: [node('index', 'index'), ...names.map((name) => node(name, 'document'))],
    edges: names.map((name) => ({ child: 'index', parent: name, role: 'contains' })),
  };
}

describe('layout', () => {
  it('puts every parent left of its children, a full node apart', () => {
    const places = layout(answer.nodes.map((each) => each.key), answer.edges);
    for (const edge of answer.edges) {
      expect(places.get(edge.child)!.x - places.get(edge.parent)!.x).toBeGreaterThan(NODE_WIDTH);
    }
  });

  it('leaves out edges to nodes that are not drawn', () => {
    const places = layout(['release'], answer.edges);
    expect([...places.keys()]).toEqual(['release']);
  });
});

describe('related', () => {
  it('follows ancestors and descendants but not siblings', () => {
    const edges = [...answer.edges, { child: 'other', parent: 'model', role: 'model' }];
    expect(related('release', edges)).toEqual(new Set(['release', 'model', 'weather', 'trace:1']));
  });
});

describe('fold', () => {
  it('turns a crowd of alike leaves into one node', () => {
    const folded = fold(library(CROWD + 1));
    expect(folded.nodes.map((each) => each.key)).toEqual(['index']);
    expect(folded.crowds).toMatchObject([{ kind: 'document', role: 'contains' }]);
    expect(folded.crowds[0]!.members).toHaveLength(CROWD + 1);
    expect(folded.edges).toMatchObject([{ child: 'index', parent: folded.crowds[0]!.key }]);
  });

  it('keeps a document that something else was read from', () => {
    const graph = library(CROWD + 2);
    graph.nodes.push(node('chunk', 'chunk'));
    graph.edges.push({ child: 'chunk', parent: 'document-3', role: 'part_of' });
    expect(fold(graph).nodes.map((each) => each.key)).toContain('document-3');
  });

  it('draws a handful of leaves one by one', () => {
    expect(fold(library(CROWD)).nodes).toHaveLength(CROWD + 1);
  });
});

describe('rows', () => {
  it('lists ancestors depth first and marks a node it named before', () => {
    expect(rows(answer, 'parent').map((row) => [row.node.key, row.depth, row.repeated])).toEqual([
      ['trace:1', 0, false],
      ['release', 1, false],
      ['model', 2, false],
      ['weather', 3, false],
      ['weather', 1, true],
    ]);
  });
});

describe('reduce', () => {
  const edge = (child: string, parent: string, role = 'from') => ({ child, parent, role });

  it('leaves out an edge that a longer path says too', () => {
    const edges = [edge('model', 'set'), edge('set', 'table'), edge('model', 'table'), edge('model', 'run'), edge('table', 'run')];
    expect(reduce(edges)).toEqual([edge('model', 'set'), edge('set', 'table'), edge('table', 'run')]);
  });

  it('keeps two edges between the same two nodes, and every node reachable', () => {
    const edges = [edge('trace', 'chunk', 'retrieved'), edge('trace', 'chunk', 'cited'), edge('trace', 'release')];
    expect(reduce(edges)).toEqual(edges);
  });
});
