import { Button, Group, Table } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';

import { cursor, PAGE, revisionsQuery } from '../api/queries';
import type { Revision } from '../api/types';
import { shortDigest } from '../format/ref';
import { Ago } from '../parts/Ago';
import { KindTag } from '../parts/Badges';
import { KindSelect } from '../parts/KindSelect';
import { RevisionLink } from '../parts/Links';
import { Listing } from '../parts/Listing';
import { Page } from '../parts/Page';
import { Empty, Loaded } from '../parts/States';

export function RevisionsPage() {
  const filter = useSearch({ from: '/revisions' });
  const navigate = useNavigate({ from: '/revisions' });
  const query = useQuery({ ...revisionsQuery(filter), placeholderData: keepPreviousData });
  const last = query.data?.at(-1);
  return (
    <Page title="Revisions">
      <KindSelect kind={filter.kind} onPick={(kind) => void navigate({ search: { kind } })} />
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
    <Listing minWidth={640} heads={['Revision', 'Kind', 'Aliases', 'Digest', 'Registered']}>
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
    </Listing>
  );
}
