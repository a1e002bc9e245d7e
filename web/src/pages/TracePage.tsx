import { Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';

import { traceQuery } from '../api/queries';
import type { TraceDetail } from '../api/types';
import { duration, stamp } from '../format/time';
import { Lineage } from '../lineage/Lineage';
import { StatusBadge } from '../parts/Badges';
import { jsonFacts, Strip, type FactList } from '../parts/Facts';
import { EndpointLink, ReleaseLink } from '../parts/Links';
import { Page, Section } from '../parts/Page';
import { Loaded } from '../parts/States';
import { Notes } from '../trace/Notes';
import { Waterfall } from '../trace/Waterfall';

export function TracePage() {
  const { id } = useParams({ from: '/traces/$id' });
  const query = useQuery(traceQuery(id));
  return (
    <Page title={`Trace ${id.slice(0, 12)}`} beside={query.data && <StatusBadge status={query.data.status} />}>
      <Loaded query={query} height={360}>
        {(trace) => (
          <Stack gap="xl">
            <Strip facts={facts(trace)} />
            {Object.keys(trace.summary).length > 0 && (
              <Section title="Answer">
                <Strip facts={jsonFacts(trace.summary).map(([name, value]) => [name.replaceAll('_', ' '), value])} />
              </Section>
            )}
            <Notes trace={trace.trace_id} />
            <Section title="Spans">
              {trace.spans.length > 0 ? (
                <Waterfall spans={trace.spans} />
              ) : (
                <Text size="sm" c="dimmed">
                  No span of it has come yet.
                </Text>
              )}
            </Section>
            {trace.release && <Lineage title="Why this answer" node={trace.trace_id} towards="parent" />}
          </Stack>
        )}
      </Loaded>
    </Page>
  );
}

function facts(trace: TraceDetail): FactList {
  return [
    ['Endpoint', trace.endpoint ? <EndpointLink key="endpoint" name={trace.endpoint} /> : 'none'],
    ['Release', trace.release ? <ReleaseLink key="release" release={trace.release} /> : 'none'],
    ['Duration', duration(trace.duration_ms)],
    ['Started', `${stamp(trace.started_at)} UTC`],
    ['Asked by', trace.principal],
    ['Source', trace.source],
    ['Trace id', <span key="id" className="mono">{trace.trace_id}</span>],
  ];
}
