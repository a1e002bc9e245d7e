import { Table } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';

import { experimentsQuery } from '../api/tracking';
import type { Experiment } from '../api/types';
import { Ago } from '../parts/Ago';
import { ExperimentLink } from '../parts/Links';
import { Listing } from '../parts/Listing';
import { Page } from '../parts/Page';
import { Pages } from '../parts/Pages';
import { SearchForm } from '../parts/SearchForm';
import { Empty, Loaded } from '../parts/States';

export function ExperimentsPage() {
  const filter = useSearch({ from: '/experiments' });
  const navigate = useNavigate({ from: '/experiments' });
  const query = useQuery({ ...experimentsQuery(filter), placeholderData: keepPreviousData });
  return (
    <Page title="Experiments">
      <SearchForm label="Name contains" value={filter.name} onSearch={(name) => void navigate({ search: { name } })} />
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
    <Listing minWidth={560} heads={['Experiment', 'Id', 'Changed', 'Made']}>
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
    </Listing>
  );
}
