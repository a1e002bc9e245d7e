import { Button, Group, Select, Table } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';

import { cursor, PAGE, revisionsQuery } from '../api/queries';
import type { Revision } from '../api/types';
import { shortDigest } from '../format/ref';
import { kindLabel, KINDS } from '../lineage/kinds';
import { Ago } from '../parts/Ago';
import { KindTag } from '../parts/Badges';
import { RevisionLink } from '../parts/Links';
import { Page } from '../parts/Page';
import { Empty, Loaded } from '../parts/States';

export function RevisionsPage() {
  const filter = useSearch({ from: '/revisions' });
  const navigate = useNavigate({ from: '/revisions' });
  const query = useQuery({ ...revisionsQuery(filter), placeholderData: keepPreviousData });
  const last = query.data?.at(-1);
  return (
    <Page title="Revisions">
      <Select
        label="Kind"
        placeholder="any"
        clearable
        w={220}
        data={KINDS.map((kind) => ({ value: kind, label: kindLabel(kind) }))}
        value={filter.kind ?? null}
        onChange={(kind) => void navigate({ search: { kind: kind ?? undefined } })}
      />
      <Loaded query={query} height={400}>
        {(revisions) =>
          revisions.length === 0 ? (
            <Empty title="No revision yet" commands={['twinloop apply my-project']}>
              Datasets, feature views, models, documents, indexes and prompts are registered as revisions; here is none yet.
            </Empty>
          ) : (
            <>
              <RevisionTable revisions={revisions} />
              <Group justify="space-between">
                <Button
                  variant="default"
                  size="xs"
                  disabled={!filter.before}
                  onClick={() => void navigate({ search: { kind: filter.kind } })}
                >
                  Newest
                </Button>
                <Button
                  variant="default"
                  size="xs"
                  disabled={!last || revisions.length < PAGE}
                  onClick={() => last && void navigate({ search: { kind: filter.kind, before: cursor(last.created_ns) } })}
                >
                  Older
                </Button>
              </Group>
            </>
          )
        }
      </Loaded>
    </Page>
  );
}

function RevisionTable({ revisions }: { revisions: Revision[] }) {
  return (
    <Table.ScrollContainer minWidth={640}>
      <Table highlightOnHover verticalSpacing={6}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Revision</Table.Th>
            <Table.Th>Kind</Table.Th>
            <Table.Th>Aliases</Table.Th>
            <Table.Th>Digest</Table.Th>
            <Table.Th>Registered</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {revisions.map((revision) => (
            <Table.Tr key={revision.digest}>
              <Table.Td>
                <RevisionLink revision={revision.ref}>{`${revision.name}@${revision.number}`}</RevisionLink>
              </Table.Td>
              <Table.Td>
                <KindTag kind={revision.kind} />
              </Table.Td>
              <Table.Td>{revision.aliases.join(', ')}</Table.Td>
              <Table.Td className="mono">{shortDigest(revision.digest)}</Table.Td>
              <Table.Td>
                <Ago at={revision.created_at} /> by {revision.created_by}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
