/** Names and values: a column of facts, a strip of them, and any JSON value in one of those. */

import { Code } from '@mantine/core';
import { Fragment, type ReactNode } from 'react';

import type { Json } from '../api/types';

export type FactList = [label: string, value: ReactNode][];

export function Facts({ facts }: { facts: FactList }) {
  return (
    <dl className="facts">
      {facts.map(([label, value]) => (
        <Fragment key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </Fragment>
      ))}
    </dl>
  );
}

export function Strip({ facts }: { facts: FactList }) {
  return (
    <dl className="strip">
      {facts.map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A scalar as text, what is nested as JSON: on one line where it fits, else indented. */
export function Value({ of }: { of: Json }) {
  if (of === null) return <span style={{ color: 'var(--quiet)' }}>null</span>;
  if (typeof of === 'object') {
    const line = JSON.stringify(of);
    if (line.length <= 80) return <span className="mono">{line}</span>;
    return (
      <Code block fz="xs" mah={360} style={{ overflow: 'auto' }}>
        {JSON.stringify(of, null, 2)}
      </Code>
    );
  }
  return <span style={{ fontVariantNumeric: 'tabular-nums' }}>{String(of)}</span>;
}

export function jsonFacts(values: { [name: string]: Json }): FactList {
  return Object.entries(values).map(([name, value]) => [name, <Value key={name} of={value} />]);
}
