import { Alert, Paper, Stack, Text } from '@mantine/core';

import { duration } from '../format/time';
import { Facts, jsonFacts, type FactList } from '../parts/Facts';
import type { Bar } from './bars';

/** Everything one span recorded. */
export function SpanPanel({ bar }: { bar: Bar }) {
  const { span } = bar;
  const facts: FactList = [
    ['kind', span.kind],
    ['duration', duration(bar.duration_ms)],
    ['span id', <span key="id" className="mono">{span.span_id}</span>],
  ];
  const attributes = jsonFacts(span.attributes);
  return (
    <Paper withBorder p="sm" role="region" aria-label="Selected span">
      <Stack gap="sm">
        <Text fw={600} size="sm" style={{ overflowWrap: 'anywhere' }}>
          {span.name}
        </Text>
        {span.status === 'error' && (
          <Alert color="red" p="xs">
            {span.message || 'This span failed without a message.'}
          </Alert>
        )}
        <Facts facts={facts} />
        {attributes.length > 0 && (
          <Stack gap={4}>
            <Text size="xs" c="dimmed">
              Attributes
            </Text>
            {attributes.map(([name, value]) => (
              <div key={name}>
                <Text size="xs" c="dimmed">
                  <span className="mono">{name}</span>
                </Text>
                <Text size="sm" component="div" style={{ overflowWrap: 'anywhere' }}>
                  {value}
                </Text>
              </div>
            ))}
          </Stack>
        )}
        {span.events.map((event, index) => (
          <div key={index}>
            <Text size="xs" c="dimmed">
              Event {event.name} at {duration((event.at_ns - span.start_ns) / 1e6)}
            </Text>
            <Facts facts={jsonFacts(event.attributes)} />
          </div>
        ))}
      </Stack>
    </Paper>
  );
}
