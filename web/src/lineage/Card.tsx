import { Handle, Position, type Node, type NodeProps } from '@xyflow/react';

import { versionOf } from '../format/ref';
import { kindStyle } from '../parts/Badges';
import { kindLabel } from './kinds';

export type CardNode = Node<
  { kind: string; title: string; root: boolean; crowd: boolean; faded: boolean },
  'card'
>;

/** One node of the graph: the last part of its name and its version; what lies before the last `/` stands by the kind. */
export function Card({ data }: NodeProps<CardNode>) {
  const version = data.crowd ? '' : versionOf(data.title);
  const name = version ? data.title.slice(0, -version.length) : data.title;
  const slash = data.crowd ? -1 : name.lastIndexOf('/');
  return (
    <div
      className="kind graph-node"
      style={kindStyle(data.kind)}
      title={data.title}
      data-root={data.root || undefined}
      data-crowd={data.crowd || undefined}
      data-faded={data.faded || undefined}
    >
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <div className="graph-kind">
        {kindLabel(data.kind)}
        {slash > 0 && <span className="graph-where"> in {name.slice(0, slash)}</span>}
      </div>
      <div className="graph-name">
        <span>{name.slice(slash + 1)}</span>
        {version.length <= 8 && <span>{version}</span>}
      </div>
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
}
