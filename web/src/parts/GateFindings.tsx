import { Stack, Text } from '@mantine/core';

import type { Finding, Gate } from '../api/types';
import { VerdictBadge } from './Badges';

/** The gate's verdict and, condition by condition, the evidence it rests on. */
export function GateFindings({ gate }: { gate: Gate | null }) {
  if (!gate) {
    return (
      <Text size="sm" c="dimmed">
        no gate
      </Text>
    );
  }
  return (
    <Stack gap={3} align="flex-start">
      <VerdictBadge verdict={gate.verdict} />
      {gate.findings.map((finding, index) => (
        <Text key={index} size="xs" c="dimmed" title={finding.reason}>
          {sentence(finding)}
        </Text>
      ))}
    </Stack>
  );
}

/** `auc ≥ 0.7: 0.741 [0.736, 0.746], n 28,114`. */
function sentence({ condition, estimate, reason }: Finding): string {
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
