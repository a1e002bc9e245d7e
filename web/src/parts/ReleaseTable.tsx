import { Table } from '@mantine/core';

import type { Release } from '../api/types';
import { Ago } from './Ago';
import { StateBadge } from './Badges';
import { GateFindings } from './GateFindings';
import { EndpointLink, ReleaseLink, RevisionLink } from './Links';

export function ReleaseTable({ releases, endpoint = true }: { releases: Release[]; endpoint?: boolean }) {
  return (
    <Table.ScrollContainer minWidth={780}>
      <Table verticalSpacing="xs" highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Release</Table.Th>
            <Table.Th>State</Table.Th>
            {endpoint && <Table.Th>Endpoint</Table.Th>}
            <Table.Th>Pins</Table.Th>
            <Table.Th>Gate</Table.Th>
            <Table.Th>Released</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
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
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
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
