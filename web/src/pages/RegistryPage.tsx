import { Group, Table, Text } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';

import { cardsQuery, type CardFilter } from '../api/registry';
import type { Card } from '../api/types';
import { Ago } from '../parts/Ago';
import { KindTag, State } from '../parts/Badges';
import { KindSelect } from '../parts/KindSelect';
import { CardLink } from '../parts/Links';
import { Listing } from '../parts/Listing';
import { Page } from '../parts/Page';
import { Pages } from '../parts/Pages';
import { SearchForm } from '../parts/SearchForm';
import { Empty, Loaded } from '../parts/States';
import { staged } from '../registry/stages';

export function RegistryPage() {
  const filter = useSearch({ from: '/registry' });
  const navigate = useNavigate({ from: '/registry' });
  const query = useQuery({ ...cardsQuery(filter), placeholderData: keepPreviousData });
  const show = (next: CardFilter) => void navigate({ search: { ...filter, token: undefined, ...next } });
  return (
    <Page title="Registry">
      <SearchForm
        label="Title contains"
        value={filter.title}
        onSearch={(title) => show({ title })}
        before={<KindSelect kind={filter.kind} onPick={(kind) => show({ kind })} />}
      />
      <Loaded query={query} height={400}>
        {({ cards, next }) => (
          <>
            {cards.length > 0 ? <CardTable cards={cards} /> : <NoCard filter={filter} />}
            <Pages first={!filter.token} next={next} onFirst={() => show({})} onNext={(token) => show({ token })} />
          </>
        )}
      </Loaded>
    </Page>
  );
}

function CardTable({ cards }: { cards: Card[] }) {
  return (
    <Listing minWidth={640} heads={['Title', 'Kind', 'Aliases', 'Stages', 'Description', 'Changed']}>
      {cards.map((card) => (
        <Table.Tr key={card.ref}>
          <Table.Td>
            <CardLink card={card.ref}>{card.title}</CardLink>
          </Table.Td>
          <Table.Td>
            <KindTag kind={card.kind} />
          </Table.Td>
          <Table.Td>{numbered(card.aliases)}</Table.Td>
          <Table.Td>
            <Group gap={4}>
              {staged(card).map(([stage, number]) => (
                <State key={stage} tone="plain">
                  {stage} @{number}
                </State>
              ))}
            </Group>
          </Table.Td>
          <Table.Td maw={320}>
            <Text size="sm" c="dimmed" truncate>
              {card.description}
            </Text>
          </Table.Td>
          <Table.Td>
            <Ago at={card.updated_at} />
          </Table.Td>
        </Table.Tr>
      ))}
    </Listing>
  );
}

function NoCard({ filter }: { filter: CardFilter }) {
  if (filter.kind ?? filter.title ?? filter.token) {
    return (
      <Empty title="Nothing fits" commands={[]}>
        Nothing in the registry is of this kind and title.
      </Empty>
    );
  }
  return (
    <Empty title="Nothing registered yet" commands={['twinloop apply my-project']}>
      Models, prompts, datasets and all else that is registered has one place here, with its versions and their history.
    </Empty>
  );
}

function numbered(aliases: { [alias: string]: number }): string {
  return Object.entries(aliases)
    .map(([alias, number]) => `${alias} @${number}`)
    .join(', ');
}
