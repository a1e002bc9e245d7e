import { Stack, Text } from '@mantine/core';

import type { Gate } from '../api/types';
import { finding } from '../format/gate';
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
      {gate.findings.map((found, index) => (
        <Text key={index} size="xs" c="dimmed" title={found.reason}>
          {finding(found)}
        </Text>
      ))}
    </Stack>
  );
}
