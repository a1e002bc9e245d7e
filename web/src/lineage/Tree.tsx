import { Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';

import type { Lineage } from '../api/types';
import { nodePage, nodeTitle } from '../format/ref';
import { KindTag } from '../parts/Badges';
import { rows } from './rows';

export function Tree({ graph, towards }: { graph: Lineage; towards: 'parent' | 'child' }) {
  return (
    <ul className="tree">
      {rows(graph, towards).map(({ node, role, depth, repeated }, index) => {
        const page = nodePage(node);
        return (
          <li key={index} style={{ paddingLeft: depth * 22 }} aria-label={`level ${depth + 1}`}>
            <KindTag kind={node.kind} />
            {page ? (
              <Link to={page} className="link mono">
                {nodeTitle(node)}
              </Link>
            ) : (
              <span className="mono">{nodeTitle(node)}</span>
            )}
            <Text component="span" size="xs" c="dimmed">
              {role?.replaceAll('_', ' ')}
              {repeated ? ' (listed above)' : ''}
            </Text>
          </li>
        );
      })}
    </ul>
  );
}
