import { Select } from '@mantine/core';

import { kindLabel, KINDS } from '../lineage/kinds';

/** One of the kinds that can be registered, or any. */
export function KindSelect({ kind, onPick }: { kind: string | undefined; onPick: (kind: string | undefined) => void }) {
  return (
    <Select
      label="Kind"
      placeholder="any"
      clearable
      w={220}
      data={KINDS.map((one) => ({ value: one, label: kindLabel(one) }))}
      value={kind ?? null}
      onChange={(picked) => onPick(picked ?? undefined)}
    />
  );
}
