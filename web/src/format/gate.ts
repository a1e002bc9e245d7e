/** What a gate asked and what the evidence said. Pure. */

import type { Finding } from '../api/types';

/** A gate's finding in one line: `auc ≥ 0.7: 0.741 [0.736, 0.746], n 28,114`. */
export function finding({ condition, estimate, reason }: Finding): string {
  const bounds = [
    typeof condition.at_least === 'number' ? `≥ ${condition.at_least}` : '',
    typeof condition.at_most === 'number' ? `≤ ${condition.at_most}` : '',
  ];
  const asked = [condition.metric, ...bounds.filter(Boolean)].join(' ');
  if (!estimate) return `${asked}: ${reason}`;
  const { value, low, high, n } = estimate;
  return `${asked}: ${digits(value)} [${digits(low)}, ${digits(high)}], n ${n.toLocaleString('en')}`;
}

function digits(value: number): string {
  return String(Number(value.toPrecision(4)));
}
