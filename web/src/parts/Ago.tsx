import { Text } from '@mantine/core';
import { useSyncExternalStore } from 'react';

import { ago, stamp } from '../format/time';

const TICK = 5_000;
const listeners = new Set<() => void>();
let now = Date.now();
let timer: number | undefined;

// One timer for every relative time on the page, and none when there is none.
function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= window.setInterval(() => {
    now = Date.now();
    for (const each of listeners) each();
  }, TICK);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    window.clearInterval(timer);
    timer = undefined;
  };
}

/** A time said relative to now; the exact one in UTC is its tooltip. */
export function Ago({ at }: { at: string }) {
  const current = useSyncExternalStore(subscribe, () => now);
  return (
    <Text component="time" inherit dateTime={at} title={`${stamp(at)} UTC`} style={{ whiteSpace: 'nowrap' }}>
      {ago(at, Math.max(current, Date.now() - TICK))}
    </Text>
  );
}
