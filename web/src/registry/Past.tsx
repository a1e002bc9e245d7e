import { Stack, Table, Text } from '@mantine/core';

import type { HistoryEntry, Json, Period } from '../api/types';
import { versionOf } from '../format/ref';
import { stamp } from '../format/time';
import { percent } from '../parts/Badges';
import { Value } from '../parts/Facts';
import { GateFindings } from '../parts/GateFindings';
import { EndpointLink, ReleaseLink, RevisionLink } from '../parts/Links';
import { Listing } from '../parts/Listing';

/** What happened, newest first: who did it, to which version, and on what evidence it went live. */
export function Past({ entries, more }: { entries: HistoryEntry[]; more: boolean }) {
  return (
    <>
      <Listing minWidth={640} heads={['When (UTC)', 'Who', 'What', 'Version', 'Details']}>
        {entries.map((entry, index) => (
          <Table.Tr key={index} style={{ verticalAlign: 'top' }}>
            <Table.Td style={{ whiteSpace: 'nowrap' }}>{stamp(entry.at)}</Table.Td>
            <Table.Td>{entry.by}</Table.Td>
            <Table.Td>{entry.action.replaceAll(/[._]/g, ' ')}</Table.Td>
            <Table.Td>
              {versionOf(entry.ref) && <RevisionLink revision={entry.ref}>{versionOf(entry.ref)}</RevisionLink>}
            </Table.Td>
            <Table.Td>{entry.period ? <LivePeriod period={entry.period} /> : <Details detail={entry.detail} />}</Table.Td>
          </Table.Tr>
        ))}
      </Listing>
      {more && (
        <Text size="sm" c="dimmed">
          These are the newest {entries.length}; `twinloop history --limit` shows more.
        </Text>
      )}
    </>
  );
}

function LivePeriod({ period }: { period: Period }) {
  const share = period.stage === 'canary' ? ` with ${percent(period.weight)}` : '';
  return (
    <Stack gap={4}>
      <span>
        <EndpointLink name={period.endpoint} />, {period.stage}
        {share}, in <ReleaseLink release={period.release} />, {period.until ? `until ${stamp(period.until)}` : 'until now'}
      </span>
      {period.reason && <Text size="xs" c="dimmed">{period.reason}</Text>}
      {period.gate && <GateFindings gate={period.gate} />}
    </Stack>
  );
}

/** A detail that is null or empty was not given. */
function said(detail: HistoryEntry['detail']): [string, Json][] {
  const empty = (value: Json) => value === null || value === '' || (typeof value === 'object' && Object.keys(value).length === 0);
  return Object.entries(detail).filter(([, value]) => !empty(value));
}

function Details({ detail }: { detail: HistoryEntry['detail'] }) {
  return said(detail).map(([name, value]) => (
    <div key={name} style={{ overflowWrap: 'anywhere' }}>
      <Text span size="sm" c="dimmed">
        {name.replaceAll('_', ' ')}:
      </Text>{' '}
      <Value of={value} />
    </div>
  ));
}
