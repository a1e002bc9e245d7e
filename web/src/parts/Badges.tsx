/** Small marks that name a state. Colour never stands alone: each says its state in words. */

import type { CSSProperties, ReactNode } from 'react';

import type { ReleaseState, RunStatus, Trace, Verdict } from '../api/types';
import { hueOf, kindLabel } from '../lineage/kinds';

type Tone = 'good' | 'wait' | 'bad' | 'aside' | 'plain';

export function State({ tone, children }: { tone: Tone; children: ReactNode }) {
  return (
    <span className="state" data-tone={tone}>
      {children}
    </span>
  );
}

const STATES: { [state in ReleaseState]: Tone } = {
  live: 'good',
  canary: 'wait',
  shadow: 'aside',
  previous: 'plain',
  retired: 'plain',
  prepared: 'plain',
};

export function StateBadge({ state, weight }: { state: ReleaseState; weight?: number | null }) {
  const share = state === 'canary' && weight ? ` ${percent(weight)}` : '';
  return <State tone={STATES[state]}>{state + share}</State>;
}

/** OpenTelemetry's `unset` means that nothing went wrong. */
export function StatusBadge({ status }: { status: Trace['status'] }) {
  return status === 'error' ? <State tone="bad">error</State> : <State tone="good">ok</State>;
}

const RUNS: { [status in RunStatus]: Tone } = {
  RUNNING: 'wait',
  SCHEDULED: 'plain',
  FINISHED: 'good',
  FAILED: 'bad',
  KILLED: 'bad',
};

export function RunBadge({ status }: { status: RunStatus }) {
  return <State tone={RUNS[status]}>{status.toLowerCase()}</State>;
}

const VERDICTS: { [verdict in Verdict]: [Tone, string] } = {
  pass: ['good', 'gate passed'],
  fail: ['bad', 'gate failed'],
  not_enough_evidence: ['wait', 'not enough evidence'],
};

export function VerdictBadge({ verdict }: { verdict: Verdict }) {
  const [tone, text] = VERDICTS[verdict];
  return <State tone={tone}>{text}</State>;
}

export function percent(share: number): string {
  return `${Number((share * 100).toFixed(1))} %`;
}

/** The custom properties that give an element its kind's colours; use with the class `kind`. */
export function kindStyle(kind: string): CSSProperties {
  const hue = hueOf(kind);
  const properties: { [name: string]: number } = hue === null ? { '--chroma': 0.015 } : { '--hue': hue };
  return properties;
}

export function KindTag({ kind }: { kind: string }) {
  return (
    <span className="kind kind-tag" style={kindStyle(kind)}>
      {kindLabel(kind)}
    </span>
  );
}
