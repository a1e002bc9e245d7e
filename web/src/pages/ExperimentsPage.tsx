import { Button, Group, Table, TextInput } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';

import { experimentsQuery } from '../api/tracking';
import type { Experiment } from '../api/types';
import { Ago } from '../parts/Ago';
import { ExperimentLink } from '../parts/Links';
import { Page } from '../parts/Page';
import { Pages } from '../parts/Pages';
import { Empty, Loaded } from '../parts/States';

export function ExperimentsPage() {
  const filter = useSearch({ from: '/experiments' });
  const navigate = useNavigate({ from: '/experiments' });
  const [name, setName] = useState(filter.name ?? '');
  const query = useQuery({ ...experimentsQuery(filter), placeholderData: keepPreviousData });
  return (
    <Page title="Experiments">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void navigate({ search: { name: name.trim() || undefined } });
        }}
      >
        <Group align="flex-end" gap="sm">
          <TextInput label="Name contains" value={name} onChange={(event) => setName(event.currentTarget.value)} w={280} />
          <Button type="submit" variant="default">
            Search
          </Button>
        </Group>
      </form>
      <Loaded query={query} height={400}>
        {({ items, next }) => (
          <>
            {items.length > 0 ? (
              <ExperimentTable experiments={items} />
            ) : (
              <Empty title="No experiment fits" commands={[]}>
                No experiment has a name that contains this.
              </Empty>
            )}
            <Pages
              first={!filter.token}
              next={next}
              onFirst={() => void navigate({ search: { name: filter.name } })}
              onNext={(token) => void navigate({ search: { name: filter.name, token } })}
            />
          </>
        )}
      </Loaded>
    </Page>
  );
}

function ExperimentTable({ experiments }: { experiments: Experiment[] }) {
  return (
    <Table.ScrollContainer minWidth={560}>
      <Table highlightOnHover verticalSpacing={6}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Experiment</Table.Th>
            <Table.Th>Id</Table.Th>
            <Table.Th>Changed</Table.Th>
            <Table.Th>Made</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {experiments.map((experiment) => (
            <Table.Tr key={experiment.id}>
              <Table.Td>
                <ExperimentLink id={experiment.id}>{experiment.name}</ExperimentLink>
              </Table.Td>
              <Table.Td className="mono">{experiment.id}</Table.Td>
              <Table.Td>
                <Ago at={experiment.updated_at} />
              </Table.Td>
              <Table.Td>
                <Ago at={experiment.created_at} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
