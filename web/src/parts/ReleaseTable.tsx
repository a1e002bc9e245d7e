import { Table } from '@mantine/core';

import type { Release } from '../api/types';
import { Ago } from './Ago';
import { StateBadge } from './Badges';
import { GateFindings } from './GateFindings';
import { EndpointLink, ReleaseLink, RevisionLink } from './Links';
import { Listing } from './Listing';

export function ReleaseTable({ releases, endpoint = true }: { releases: Release[]; endpoint?: boolean }) {
  return (
    <Listing minWidth={780} heads={['Release', 'State', endpoint && 'Endpoint', 'Pins', 'Gate', 'Released']}>
      {releases.map((release) => (
        <Table.Tr key={release.ref} style={{ verticalAlign: 'top' }}>
          <Table.Td style={{ whiteSpace: 'nowrap' }}>
            <ReleaseLink release={release.ref} />
          </Table.Td>
          <Table.Td>
            <StateBadge state={release.state} weight={release.weight} />
          </Table.Td>
          {endpoint && (
            <Table.Td style={{ whiteSpace: 'nowrap' }}>
              <EndpointLink name={release.endpoint} />
            </Table.Td>
          )}
          <Table.Td>
            <Pins release={release} />
          </Table.Td>
          <Table.Td>
            <GateFindings gate={release.gate} />
          </Table.Td>
          <Table.Td>
            <Ago at={release.created_at} />
            <div style={{ color: 'var(--quiet)' }}>by {release.created_by}</div>
          </Table.Td>
        </Table.Tr>
      ))}
    </Listing>
  );
}

function Pins({ release }: { release: Release }) {
  return (
    <dl className="facts">
      {Object.entries(release.pins).map(([role, pin]) => (
        <div key={role} style={{ display: 'contents' }}>
          <dt>{role}</dt>
          <dd>
            <RevisionLink revision={pin.ref} />
          </dd>
        </div>
      ))}
    </dl>
  );
}
